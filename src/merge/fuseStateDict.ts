/**
 * Merges every asymmetric convolution block of a state dict into one convolution, by its keys alone, without a network
 * or a runtime.
 */
import type { Window } from '../nodes/node.js';
import { checkNames } from '../options.js';
import { show, showList, showName } from '../shown.js';
import { type StateDict, Tensor } from '../tensor.js';
import type { NormValues } from './affine.js';
import { mergeBlock } from './block.js';
import { centredWindow } from './window.js';

/** A key of a block; its prefix is empty or ends in a dot. */
const BLOCK_KEY =
  /^((?:.*\.)?)(?:square|ver|hor)_(?:conv\.weight|bn\.(?:weight|bias|running_mean|running_var|num_batches_tracked))$/s;

/** What must not stand beside a block: biases, which would be lost, and keys that would be overwritten. */
const FOREIGN = ['square_conv.bias', 'ver_conv.bias', 'hor_conv.bias', 'fused_conv.weight', 'fused_conv.bias'];

/**
 * Replaces the keys of each block `P` (`P.square_conv.weight` and its siblings) by `P.fused_conv.weight`
 * [O, C/g, Kh, Kw] and `P.fused_conv.bias` [O], in the place of the first of them. All other entries are passed on: the
 * same tensors, in the same order. Computes in float64 and stores float32.
 *
 * @param options.eps What the BatchNorms add to their variances, 1e-5 by default.
 * @throws {TypeError} if a value is not a Tensor, or an option is unknown
 * @throws {RangeError} if a block lacks a key, or has a tensor whose shape does not fit it
 * @example
 * const { tensors } = readSafetensors(await readFile('train.safetensors'));
 * await writeFile('deploy.safetensors', writeSafetensors(fuseStateDict(tensors)));
 */
export function fuseStateDict(state: StateDict, options: { eps?: number } = {}): StateDict {
  if (state === null || typeof state !== 'object') {
    throw new TypeError(`fuseStateDict: state must be an object, got ${show(state)}`);
  }
  checkNames('fuseStateDict', options, ['eps']);
  const { eps = 1e-5 } = options;
  if (typeof eps !== 'number') throw new TypeError(`fuseStateDict: eps must be a number, got ${show(eps)}`);
  if (!(eps >= 0 && eps < Infinity))
    throw new RangeError(`fuseStateDict: eps must be a finite number of at least 0, got ${eps}`);

  const tensors = new Map(Object.entries(state));
  for (const [key, value] of tensors) {
    if (!(value instanceof Tensor)) {
      throw new TypeError(`fuseStateDict: state[${show(key)}] must be a Tensor, got ${show(value)}`);
    }
  }
  const fused = new Map<string, Tensor>();
  const done = new Set<string>();
  for (const [key, tensor] of tensors) {
    const prefix = BLOCK_KEY.exec(key)?.[1];
    if (prefix === undefined || !tensors.has(`${prefix}square_conv.weight`)) {
      fused.set(key, tensor);
    } else if (!done.has(prefix)) {
      done.add(prefix);
      const { weight, bias } = fuseBlock(tensors, prefix, eps);
      fused.set(`${prefix}fused_conv.weight`, weight).set(`${prefix}fused_conv.bias`, bias);
    }
  }
  // fromEntries defines properties, so that a key __proto__ is one like any other.
  return Object.fromEntries(fused);
}

function fuseBlock(tensors: Map<string, Tensor>, prefix: string, eps: number): { weight: Tensor; bias: Tensor } {
  for (const name of FOREIGN) {
    if (tensors.has(prefix + name))
      throw new RangeError(`fuseStateDict: ${showName(prefix + name)} does not belong to a block`);
  }
  const squareKey = `${prefix}square_conv.weight`;
  const { dims, size } = get(tensors, squareKey);
  if (dims.length !== 4) throw wrongDims(squareKey, dims, '[O, C/g, Kh, Kw]');
  const [outChannels, inChannels, height, width] = dims as [number, number, number, number];
  const window: Window = { kernel: [height, width], stride: [1, 1], dilation: [1, 1], pads: [0, 0, 0, 0] };
  const largest: [name: string, height: number, width: number][] = [
    ['square', height, width],
    ['ver', height, 1],
    ['hor', 1, width],
  ];
  const branches = largest.map(([name, maxHeight, maxWidth]) => {
    const key = `${prefix}${name}_conv.weight`;
    const kernel = get(tensors, key);
    const [o, c, h = 0, w = 0] = kernel.dims;
    const fits = kernel.dims.length === 4 && o === outChannels && c === inChannels;
    if (!fits || h < 1 || h > maxHeight || w < 1 || w > maxWidth) {
      throw wrongDims(key, kernel.dims, `[${outChannels}, ${inChannels}, 1..${maxHeight}, 1..${maxWidth}]`);
    }
    const norm = normValues(tensors, `${prefix}${name}_bn.`, eps, outChannels);
    return { kernel: kernel.data, window: centredWindow(window, [h, w]), norm };
  });
  const weight = new Float32Array(size);
  const bias = new Float32Array(outChannels);
  mergeBlock(branches, { outChannels, inChannels, groups: 1, window }, { weight, bias });
  return { weight: new Tensor('float32', weight, dims), bias: new Tensor('float32', bias, [outChannels]) };
}

/** Without affine terms there is neither gamma nor beta. */
function normValues(tensors: Map<string, Tensor>, prefix: string, eps: number, channels: number): NormValues {
  const vector = (name: string) => {
    const { dims, data } = get(tensors, prefix + name);
    if (dims.length !== 1 || dims[0] !== channels) throw wrongDims(prefix + name, dims, `[${channels}]`);
    return data;
  };
  const mean = vector('running_mean');
  const variance = vector('running_var');
  const affine = tensors.has(`${prefix}weight`) || tensors.has(`${prefix}bias`);
  const gamma = affine ? vector('weight') : undefined;
  const beta = affine ? vector('bias') : undefined;
  return { gamma, beta, mean, variance, eps };
}

function get(tensors: Map<string, Tensor>, key: string): Tensor {
  const tensor = tensors.get(key);
  if (!tensor) throw new RangeError(`fuseStateDict: state has no ${showName(key)}, which its block needs`);
  return tensor;
}

function wrongDims(key: string, dims: readonly number[], expected: string): RangeError {
  return new RangeError(`fuseStateDict: ${showName(key)} must have dims ${expected}, got [${showList(dims)}]`);
}
