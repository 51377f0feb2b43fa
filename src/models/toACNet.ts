/**
 * Turns a network of plain convolutions into its ACNet, by the rule of the public ACNet code's builder: convolutions
 * with square kernels of size 2 to 6 become Asymmetric Convolution Blocks, all other layers stay.
 */
import { ACBlock, type ACBlockOptions } from '../layers/acBlock.js';
import { BatchNorm2d } from '../layers/batchNorm2d.js';
import { Conv2d } from '../layers/conv2d.js';
import { Layer } from '../layers/layer.js';
import { writeParameter } from '../layers/parameters.js';
import { Sequential } from '../layers/sequential.js';
import { checkNames, finiteNumber } from '../options.js';
import { show } from '../shown.js';
import { isBlockKernel } from './units.js';

export interface ToACNetOptions {
  /** Start value of the gammas of the two one-dimensional branches; default 0, which keeps the function the same. */
  branchGamma?: number;
}

type Named = readonly [string, Layer];

/**
 * A new network with ACBlocks, in train form, in place of convolutions. It has memory of its own: the given network
 * stays as it is, and both must be disposed of.
 *
 * The square branch takes over the convolution's weights and the BatchNorm that follows directly in a Sequential.
 * Without one, it gets a BatchNorm that changes nothing in evaluation mode. The other branches start at random behind
 * gammas of `branchGamma`: with 0, the function in evaluation mode stays the same and training moves the gammas; 1 is
 * what a new ACBlock has. Blocks always have gammas and betas.
 *
 * Keys become those of the public code: a Sequential of just a convolution and a BatchNorm becomes the block itself;
 * elsewhere the block has the convolution's name, but `acb` for `conv`.
 * @throws TypeError, RangeError naming the argument; OutOfMemoryError. All memory is freed again then.
 * @example
 * const net = toACNet(vgg16(runtime, { form: 'base' })); // has the keys of vgg16(runtime)
 */
export function toACNet(layer: Layer, options: ToACNetOptions = {}): Layer {
  const owner = 'toACNet';
  if (!(layer instanceof Layer)) throw new TypeError(`${owner}: layer must be a layer, got ${show(layer)}`);
  checkNames(owner, options, ['branchGamma']);
  const branchGamma = finiteNumber(owner, 'branchGamma', options.branchGamma ?? 0);
  layer.assertUsable(owner);
  return layer.runtime.heap.undoOnError(() => convert(layer, branchGamma));
}

function convert(layer: Layer, branchGamma: number): Layer {
  if (isReplaced(layer)) return toBlock(layer, undefined, branchGamma);
  if (!(layer instanceof Sequential)) {
    return layer.copyWith(layer.children().map(([name, child]) => [name, convert(child, branchGamma)]));
  }
  const before = layer.children();
  const after = convertChain(before, branchGamma);
  const [first] = after as [Named];
  return before.length === 2 && after.length === 1 ? first[1] : layer.copyWith(after);
}

function isReplaced(layer: Layer | undefined): layer is Conv2d {
  return layer instanceof Conv2d && isBlockKernel(layer.options.kernelSize);
}

/** Converts a chain of layers; a BatchNorm joins the block of the convolution before it. */
function convertChain(layers: readonly Named[], branchGamma: number): Named[] {
  const names = new Set(layers.map(([name]) => name));
  const nameOf = (name: string): string => (name === 'conv' && !names.has('acb') ? 'acb' : name);
  return layers.flatMap(([name, layer], i): Named[] => {
    if (isReplaced(layer)) return [[nameOf(name), toBlock(layer, normAfter(layer, layers[i + 1]?.[1]), branchGamma)]];
    const before = layers[i - 1]?.[1];
    if (isReplaced(before) && normAfter(before, layer) !== undefined) return [];
    return [[name, convert(layer, branchGamma)]];
  });
}

function normAfter(conv: Conv2d, next: Layer | undefined): BatchNorm2d | undefined {
  const isItsNorm = next instanceof BatchNorm2d && next.options.numFeatures === conv.options.outChannels;
  return isItsNorm ? next : undefined;
}

function toBlock(conv: Conv2d, norm: BatchNorm2d | undefined, branchGamma: number): ACBlock {
  const { bias: _, ...window } = conv.options;
  const { eps = 1e-5, momentum = 0.1 } = norm?.options ?? {};
  const options: ACBlockOptions = { ...window, eps, momentum, gammaInit: branchGamma };
  const block = new ACBlock(conv.runtime, options);
  const write = (name: string, values: Float32Array): void =>
    writeParameter(block.parameters.get(`square_${name}`), values);
  write('conv.weight', conv.parameters.get('weight').data);
  for (const [name, values] of Object.entries(normState(conv, norm, eps))) write(`bn.${name}`, values);
  return (norm ?? conv).training ? block : block.eval();
}

/**
 * State of the square branch's BatchNorm. The branch's convolution has no bias: the mean that a BatchNorm subtracts
 * makes up for it, or beta where there was no BatchNorm.
 */
function normState(conv: Conv2d, norm: BatchNorm2d | undefined, eps: number): Record<string, Float32Array> {
  const channels = conv.options.outChannels;
  const values = (value: number): Float32Array => new Float32Array(channels).fill(value);
  const bias = conv.parameters.find('bias')?.data ?? values(0);
  if (norm === undefined) {
    return { weight: values(Math.sqrt(1 + eps)), bias, running_mean: values(0), running_var: values(1) };
  }
  const { parameters } = norm;
  return {
    weight: parameters.find('weight')?.data ?? values(1),
    bias: parameters.find('bias')?.data ?? values(0),
    running_mean: parameters.get('running_mean').data.map((mean, i) => mean - bias[i]!),
    running_var: parameters.get('running_var').data,
  };
}
