/**
 * Merges every asymmetric convolution block of a state dict into one convolution, by the names of its keys alone: no
 * network has to be built, and no runtime is needed.
 *
 * Ding, Guo, Ding, Han: "ACNet: Strengthening the Kernel Skeletons for Powerful CNN via Asymmetric Convolution
 * Blocks", ICCV 2019, section 3.3: each BatchNorm is folded into its branch, and the branches are added at their places
 * in the window.
 */
import { checkNames } from '../options.js';
import { show, showList, showName } from '../shown.js';
import { type StateDict, Tensor } from '../tensor.js';

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
    throw new TypeError(`fuseStateDict: state is ${show(state)}, expected an object`);
  }
  checkNames('fuseStateDict', options, ['eps']);
  const { eps = 1e-5 } = options;
  if (typeof eps !== 'number') throw new TypeError(`fuseStateDict: eps is of type ${typeof eps}, expected a number`);
  if (!(eps >= 0 && eps < Infinity)) throw new RangeError(`fuseStateDict: eps is ${eps}, expected a finite one from 0`);

  const tensors = new Map(Object.entries(state));
  for (const [key, value] of tensors) {
    if (!(value instanceof Tensor)) {
      throw new TypeError(`fuseStateDict: state[${show(key)}] is of type ${typeof value}, expected a Tensor`);
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
  const weight = new Float64Array(size);
  const shifts: Float64Array[] = [];
  const branches: [name: string, maxHeight: number, maxWidth: number][] = [
    ['square', height, width],
    ['ver', height, 1],
    ['hor', 1, width],
  ];
  for (const [name, maxHeight, maxWidth] of branches) {
    const key = `${prefix}${name}_conv.weight`;
    const kernel = get(tensors, key);
    const [o, c, h = 0, w = 0] = kernel.dims;
    const fits = kernel.dims.length === 4 && o === outChannels && c === inChannels;
    if (!fits || h < 1 || h > maxHeight || w < 1 || w > maxWidth) {
      throw wrongDims(key, kernel.dims, `[${outChannels}, ${inChannels}, 1..${maxHeight}, 1..${maxWidth}]`);
    }
    const { scale, shift } = foldBatchNorm(tensors, `${prefix}${name}_bn.`, eps, outChannels);
    shifts.push(shift);
    const row = (height >> 1) - (h >> 1);
    const column = (width >> 1) - (w >> 1);
    const { data } = kernel;
    let n = 0;
    for (let plane = 0; plane < outChannels * inChannels; plane++) {
      const factor = scale[Math.floor(plane / inChannels)]!;
      for (let y = 0; y < h; y++) {
        const start = (plane * height + row + y) * width + column;
        for (let x = 0; x < w; x++) weight[start + x]! += data[n++]! * factor;
      }
    }
  }
  const bias = new Float32Array(outChannels).map((_, o) => shifts.reduce((sum, shift) => sum + shift[o]!, 0));
  return {
    weight: new Tensor('float32', new Float32Array(weight), dims),
    bias: new Tensor('float32', bias, [outChannels]),
  };
}

/** What a BatchNorm does to each channel: x * scale + shift. Without affine terms gamma is 1 and beta 0. */
function foldBatchNorm(tensors: Map<string, Tensor>, prefix: string, eps: number, channels: number) {
  const vector = (name: string) => {
    const { dims, data } = get(tensors, prefix + name);
    if (dims.length !== 1 || dims[0] !== channels) throw wrongDims(prefix + name, dims, `[${channels}]`);
    return data;
  };
  const mean = vector('running_mean');
  const variance = vector('running_var');
  const affine = tensors.has(`${prefix}weight`) || tensors.has(`${prefix}bias`);
  const gamma = affine ? vector('weight') : null;
  const beta = affine ? vector('bias') : null;
  const scale = Float64Array.from(variance, (v, o) => (gamma ? gamma[o]! : 1) / Math.sqrt(v + eps));
  const shift = scale.map((factor, o) => (beta ? beta[o]! : 0) - mean[o]! * factor);
  return { scale, shift };
}

function get(tensors: Map<string, Tensor>, key: string): Tensor {
  const tensor = tensors.get(key);
  if (!tensor) throw new RangeError(`fuseStateDict: state has no ${showName(key)}, which its block needs`);
  return tensor;
}

function wrongDims(key: string, dims: readonly number[], expected: string): RangeError {
  return new RangeError(`fuseStateDict: ${showName(key)} has dims [${showList(dims)}], expected ${expected}`);
}
