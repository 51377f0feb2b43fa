/**
 * The naive reference: every operation of the package in float64, written to be read rather than to be fast. Nothing
 * here shares code with src/ or assembly/. Arrays are row-major; images are [N, C, H, W], convolution weights
 * [O, C/groups, Kh, Kw]. Values that the package stores as float32 come in as float32 and are computed on as float64.
 */

export type Pair = readonly [height: number, width: number];
/** Padding at [top, left, bottom, right]; a negative number crops by as much. */
export type Pads = readonly [top: number, left: number, bottom: number, right: number];
export type PaddingMode = 'zeros' | 'reflect' | 'replicate' | 'circular';

/** An array of any rank. */
export interface Nd {
  readonly data: ArrayLike<number>;
  readonly dims: readonly number[];
}

export interface ConvOptions {
  stride: Pair;
  dilation: Pair;
  pads: Pads;
  paddingMode: PaddingMode;
  groups: number;
}

/** gamma and beta are absent in a BatchNorm without affine terms. */
export interface BatchNormState {
  gamma?: ArrayLike<number>;
  beta?: ArrayLike<number>;
  runningMean: ArrayLike<number>;
  runningVar: ArrayLike<number>;
}

export interface Branch {
  weight: Nd;
  norm: BatchNormState;
}

export interface BlockState {
  square: Branch;
  ver: Branch;
  hor: Branch;
}

export interface BlockOptions extends ConvOptions {
  eps: number;
}

export interface PoolOptions {
  kernel: Pair;
  stride: Pair;
  padding: Pair;
  ceilMode: boolean;
}

/** Makes an array of these dims whose elements `value` computes from their indices. */
function build(dims: readonly number[], value: (index: number[]) => number): Nd {
  const data = new Float64Array(dims.reduce((a, b) => a * b, 1));
  const index = dims.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    data[i] = value(index);
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      if (index[axis]! < dims[axis]!) break;
      index[axis] = 0;
    }
  }
  return { data, dims };
}

function at(array: Nd, ...index: number[]): number {
  let offset = 0;
  for (let axis = 0; axis < index.length; axis++) offset = offset * array.dims[axis]! + index[axis]!;
  return array.data[offset]!;
}

/** The place in a line of `size` elements that position `i` reads, or -1 for a zero. */
function sourceIndex(i: number, size: number, mode: PaddingMode): number {
  if (i >= 0 && i < size) return i;
  switch (mode) {
    case 'zeros':
      return -1;
    case 'reflect':
      return i < 0 ? -i : 2 * (size - 1) - i;
    case 'replicate':
      return i < 0 ? 0 : size - 1;
    case 'circular':
      return (i + size) % size;
  }
}

/** Pads of a convolution as PyTorch defines them; 'same' puts the odd one at the bottom and right. */
export function resolvePads(padding: number | Pair | 'same' | 'valid', kernel: Pair, dilation: Pair): Pads {
  if (padding === 'valid') return [0, 0, 0, 0];
  if (padding === 'same') {
    const totalHeight = dilation[0] * (kernel[0] - 1);
    const totalWidth = dilation[1] * (kernel[1] - 1);
    const top = Math.floor(totalHeight / 2);
    const left = Math.floor(totalWidth / 2);
    return [top, left, totalHeight - top, totalWidth - left];
  }
  const [height, width] = typeof padding === 'number' ? [padding, padding] : padding;
  return [height, width, height, width];
}

/** Output positions along one axis. */
export function convOutSize(size: number, before: number, after: number, k: number, stride: number, dilation: number) {
  return Math.floor((size + before + after - dilation * (k - 1) - 1) / stride) + 1;
}

/**
 * Cross-correlation. Positions count from the input's own first row and column, so a crop (negative pad) is a start
 * further in, and a padding mode always sees the whole input, as if it were padded first and cropped after.
 */
export function conv2d(x: Nd, weight: Nd, bias: ArrayLike<number> | undefined, options: ConvOptions): Nd {
  const { stride, dilation, pads, paddingMode, groups } = options;
  const [n, , height, width] = x.dims as [number, number, number, number];
  const [outChannels, groupChannels, kh, kw] = weight.dims as [number, number, number, number];
  const outHeight = convOutSize(height, pads[0], pads[2], kh, stride[0], dilation[0]);
  const outWidth = convOutSize(width, pads[1], pads[3], kw, stride[1], dilation[1]);
  const groupOut = outChannels / groups;
  return build([n, outChannels, outHeight, outWidth], ([b, o, oy, ox]) => {
    let sum = bias ? bias[o!]! : 0;
    for (let ky = 0; ky < kh; ky++) {
      const y = sourceIndex(oy! * stride[0] - pads[0] + ky * dilation[0], height, paddingMode);
      if (y < 0) continue;
      for (let kx = 0; kx < kw; kx++) {
        const xx = sourceIndex(ox! * stride[1] - pads[1] + kx * dilation[1], width, paddingMode);
        if (xx < 0) continue;
        for (let c = 0; c < groupChannels; c++) {
          const channel = Math.floor(o! / groupOut) * groupChannels + c;
          sum += at(weight, o!, c, ky, kx) * at(x, b!, channel, y, xx);
        }
      }
    }
    return sum;
  });
}

/** BatchNorm with its running statistics. */
export function batchNormEval(x: Nd, norm: BatchNormState, eps: number): Nd {
  return build(x.dims, ([b, c, y, xx]) => {
    const normal = (at(x, b!, c!, y!, xx!) - norm.runningMean[c!]!) / Math.sqrt(norm.runningVar[c!]! + eps);
    return normal * (norm.gamma?.[c!] ?? 1) + (norm.beta?.[c!] ?? 0);
  });
}

/** Mean and biased variance of each channel, and how many values each was taken from. */
export function batchStatistics(x: Nd): { mean: number[]; variance: number[]; count: number } {
  const [n, channels, height, width] = x.dims as [number, number, number, number];
  const count = n * height * width;
  const mean: number[] = [];
  const variance: number[] = [];
  for (let c = 0; c < channels; c++) {
    const values: number[] = [];
    for (let b = 0; b < n; b++) {
      for (let y = 0; y < height; y++) for (let xx = 0; xx < width; xx++) values.push(at(x, b, c, y, xx));
    }
    const average = values.reduce((a, v) => a + v, 0) / count;
    mean.push(average);
    variance.push(values.reduce((a, v) => a + (v - average) ** 2, 0) / count);
  }
  return { mean, variance, count };
}

/** BatchNorm with the statistics of the batch; also the running statistics after it. */
export function batchNormTrain(x: Nd, norm: BatchNormState, eps: number, momentum: number) {
  const { mean, variance, count } = batchStatistics(x);
  const output = batchNormEval(x, { ...norm, runningMean: mean, runningVar: variance }, eps);
  const unbiased = variance.map((v) => (v * count) / (count - 1));
  const blend = (old: ArrayLike<number>, batch: number[]) =>
    batch.map((v, c) => (1 - momentum) * old[c]! + momentum * v);
  return { output, runningMean: blend(norm.runningMean, mean), runningVar: blend(norm.runningVar, unbiased) };
}

/** The row (or column) of the K-long window at which a branch of length `a` begins. */
export function branchStart(kernel: number, a: number): number {
  return Math.floor(kernel / 2) - Math.floor(a / 2);
}

/** Pads of a branch kernel such that it sees the window centres of the square one. */
export function branchPads(pads: Pads, kernel: Pair, branch: Pair, dilation: Pair): Pads {
  const row = branchStart(kernel[0], branch[0]);
  const column = branchStart(kernel[1], branch[1]);
  return [
    pads[0] - dilation[0] * row,
    pads[1] - dilation[1] * column,
    pads[2] - dilation[0] * (kernel[0] - branch[0] - row),
    pads[3] - dilation[1] * (kernel[1] - branch[1] - column),
  ];
}

/** The three convolutions of a block, before their BatchNorms. */
export function blockConvolutions(x: Nd, state: BlockState, options: BlockOptions): [Nd, Nd, Nd] {
  const kernel = state.square.weight.dims.slice(2) as unknown as Pair;
  const convolve = ({ weight }: Branch) => {
    const pads = branchPads(options.pads, kernel, weight.dims.slice(2) as unknown as Pair, options.dilation);
    return conv2d(x, weight, undefined, { ...options, pads });
  };
  return [convolve(state.square), convolve(state.ver), convolve(state.hor)];
}

export function acBlockEval(x: Nd, state: BlockState, options: BlockOptions): Nd {
  const [square, ver, hor] = blockConvolutions(x, state, options);
  return add(
    add(batchNormEval(square, state.square.norm, options.eps), batchNormEval(ver, state.ver.norm, options.eps)),
    batchNormEval(hor, state.hor.norm, options.eps),
  );
}

export function acBlockTrain(x: Nd, state: BlockState, options: BlockOptions, momentum: number) {
  const [convSquare, convVer, convHor] = blockConvolutions(x, state, options);
  const square = batchNormTrain(convSquare, state.square.norm, options.eps, momentum);
  const ver = batchNormTrain(convVer, state.ver.norm, options.eps, momentum);
  const hor = batchNormTrain(convHor, state.hor.norm, options.eps, momentum);
  return { output: add(add(square.output, ver.output), hor.output), square, ver, hor };
}

/** A convolution followed by a BatchNorm as one convolution with bias. */
export function fold({ weight, norm }: Branch, eps: number): { weight: Nd; bias: number[] } {
  const scale = Array.from({ length: weight.dims[0]! }, (_, o) => {
    return (norm.gamma?.[o] ?? 1) / Math.sqrt(norm.runningVar[o]! + eps);
  });
  return {
    weight: build(weight.dims, ([o, c, ky, kx]) => at(weight, o!, c!, ky!, kx!) * scale[o!]!),
    bias: scale.map((t, o) => (norm.beta?.[o] ?? 0) - norm.runningMean[o]! * t),
  };
}

/** The one convolution that a block equals: branches folded, set into the window, added. */
export function merge(state: BlockState, eps: number): { weight: Nd; bias: number[] } {
  const square = fold(state.square, eps);
  const ver = fold(state.ver, eps);
  const hor = fold(state.hor, eps);
  const [, , kh, kw] = square.weight.dims as [number, number, number, number];
  const inBranch = (branch: Nd, o: number, c: number, ky: number, kx: number) => {
    const [, , bh, bw] = branch.dims as [number, number, number, number];
    const y = ky - branchStart(kh, bh);
    const x = kx - branchStart(kw, bw);
    return y >= 0 && y < bh && x >= 0 && x < bw ? at(branch, o, c, y, x) : 0;
  };
  return {
    weight: build(square.weight.dims, ([o, c, ky, kx]) => {
      const ofVer = inBranch(ver.weight, o!, c!, ky!, kx!);
      const ofHor = inBranch(hor.weight, o!, c!, ky!, kx!);
      return at(square.weight, o!, c!, ky!, kx!) + ofVer + ofHor;
    }),
    bias: square.bias.map((b, o) => b + ver.bias[o]! + hor.bias[o]!),
  };
}

/** Output positions of a pool along one axis; with ceilMode the last window must start inside input or left padding. */
export function poolOutSize(size: number, window: number, stride: number, padding: number, ceilMode: boolean): number {
  const steps = (size + 2 * padding - window) / stride;
  if (!ceilMode) return Math.floor(steps) + 1;
  const out = Math.ceil(steps) + 1;
  return (out - 1) * stride >= size + padding ? out - 1 : out;
}

/** Maximum of each window; padding counts as minus infinity, and a NaN anywhere in a window is its maximum. */
export function maxPool2d(x: Nd, options: PoolOptions & { dilation: Pair }): Nd {
  const { kernel, stride, padding, dilation, ceilMode } = options;
  const [n, channels, height, width] = x.dims as [number, number, number, number];
  const outHeight = poolOutSize(height, dilation[0] * (kernel[0] - 1) + 1, stride[0], padding[0], ceilMode);
  const outWidth = poolOutSize(width, dilation[1] * (kernel[1] - 1) + 1, stride[1], padding[1], ceilMode);
  return build([n, channels, outHeight, outWidth], ([b, c, oy, ox]) => {
    let largest = -Infinity;
    for (let ky = 0; ky < kernel[0]; ky++) {
      const y = oy! * stride[0] - padding[0] + ky * dilation[0];
      if (y < 0 || y >= height) continue;
      for (let kx = 0; kx < kernel[1]; kx++) {
        const xx = ox! * stride[1] - padding[1] + kx * dilation[1];
        if (xx < 0 || xx >= width) continue;
        // Math.max is NaN when either is.
        largest = Math.max(largest, at(x, b!, c!, y, xx));
      }
    }
    return largest;
  });
}

/** Mean of each window; with countIncludePad the zeros of the padding count, but never what lies beyond it. */
export function avgPool2d(x: Nd, options: PoolOptions & { countIncludePad: boolean }): Nd {
  const { kernel, stride, padding, ceilMode, countIncludePad } = options;
  const [n, channels, height, width] = x.dims as [number, number, number, number];
  const outHeight = poolOutSize(height, kernel[0], stride[0], padding[0], ceilMode);
  const outWidth = poolOutSize(width, kernel[1], stride[1], padding[1], ceilMode);
  return build([n, channels, outHeight, outWidth], ([b, c, oy, ox]) => {
    const top = oy! * stride[0] - padding[0];
    const left = ox! * stride[1] - padding[1];
    let sum = 0;
    let inside = 0;
    let padded = 0;
    for (let y = top; y < top + kernel[0] && y < height + padding[0]; y++) {
      for (let xx = left; xx < left + kernel[1] && xx < width + padding[1]; xx++) {
        padded++;
        if (y < 0 || y >= height || xx < 0 || xx >= width) continue;
        inside++;
        sum += at(x, b!, c!, y, xx);
      }
    }
    return sum / (countIncludePad ? padded : inside);
  });
}

/** [N, C, H, W] -> [N, C, 1, 1] */
export function globalAvgPool2d(x: Nd): Nd {
  const [n, channels, height, width] = x.dims as [number, number, number, number];
  return build([n, channels, 1, 1], ([b, c]) => {
    let sum = 0;
    for (let y = 0; y < height; y++) for (let xx = 0; xx < width; xx++) sum += at(x, b!, c!, y, xx);
    return sum / (height * width);
  });
}

/** x [N, in], weight [out, in] -> [N, out] */
export function linear(x: Nd, weight: Nd, bias?: ArrayLike<number>): Nd {
  const [outFeatures, inFeatures] = weight.dims as [number, number];
  return build([x.dims[0]!, outFeatures], ([b, o]) => {
    let sum = bias ? bias[o!]! : 0;
    for (let i = 0; i < inFeatures; i++) sum += at(weight, o!, i) * at(x, b!, i);
    return sum;
  });
}

/** max(x, 0); of NaN it is NaN. */
export function relu(x: Nd): Nd {
  return { data: Float64Array.from(x.data, (v) => Math.max(v, 0)), dims: x.dims };
}

/** Along the last axis. */
export function softmax(x: Nd): Nd {
  const columns = x.dims[x.dims.length - 1]!;
  const data = new Float64Array(x.data.length);
  for (let row = 0; row < data.length; row += columns) {
    let largest = -Infinity;
    for (let i = 0; i < columns; i++) largest = Math.max(largest, x.data[row + i]!);
    let sum = 0;
    for (let i = 0; i < columns; i++) {
      data[row + i] = Math.exp(x.data[row + i]! - largest);
      sum += data[row + i]!;
    }
    for (let i = 0; i < columns; i++) data[row + i]! /= sum;
  }
  return { data, dims: x.dims };
}

export function add(a: Nd, b: Nd): Nd {
  return { data: Float64Array.from(a.data, (v, i) => v + b.data[i]!), dims: a.dims };
}

/** Along the channels. */
export function concat(parts: readonly Nd[]): Nd {
  const channels = parts.reduce((sum, part) => sum + part.dims[1]!, 0);
  return build([parts[0]!.dims[0]!, channels, ...parts[0]!.dims.slice(2)], (index) => {
    let c = index[1]!;
    for (const part of parts) {
      if (c < part.dims[1]!) return at(part, index[0]!, c, ...index.slice(2));
      c -= part.dims[1]!;
    }
    return Number.NaN;
  });
}

/** [N, ...] -> [N, the rest] */
export function flatten(x: Nd): Nd {
  return { data: x.data, dims: [x.dims[0]!, x.dims.slice(1).reduce((a, b) => a * b, 1)] };
}

/** What convolving the magnitudes gives: the scale to which the rounding of a float32 convolution is proportional. */
export function convolutionScale(x: Nd, weight: Nd, bias: ArrayLike<number> | undefined, options: ConvOptions): number {
  const magnitudes = (array: Nd) => ({ data: Float64Array.from(array.data, Math.abs), dims: array.dims });
  const sums = conv2d(magnitudes(x), magnitudes(weight), bias && Float64Array.from(bias, Math.abs), options);
  return largestMagnitude(sums.data);
}

export function largestMagnitude(values: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]!));
  return largest;
}
