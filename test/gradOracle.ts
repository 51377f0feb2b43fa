/**
 * The naive reference for gradients, in float64, written to be read. Shares no code with src/ or assembly/. Arrays are
 * row-major, images [N, C, H, W].
 */
import type { ConvOptions, Nd, PaddingMode } from './oracle.js';
import { convOutSize } from './oracle.js';

function zeros(dims: readonly number[]): Nd & { data: Float64Array } {
  return { data: new Float64Array(dims.reduce((a, b) => a * b, 1)), dims };
}

/** The place in a line of `size` elements that position `i` reads, or -1 for a zero. */
function sourceOf(i: number, size: number, mode: PaddingMode): number {
  if (i >= 0 && i < size) return i;
  if (mode === 'zeros') return -1;
  if (mode === 'replicate') return i < 0 ? 0 : size - 1;
  if (mode === 'circular') return (i + size) % size;
  return i < 0 ? -i : 2 * (size - 1) - i;
}

/** Dims of a convolution's output. */
export function convDims(x: Nd, weight: Nd, { stride, dilation, pads }: ConvOptions): number[] {
  const [n, , height, width] = x.dims as [number, number, number, number];
  const [outChannels, , kh, kw] = weight.dims as [number, number, number, number];
  return [
    n,
    outChannels,
    convOutSize(height, pads[0], pads[2], kh, stride[0], dilation[0]),
    convOutSize(width, pads[1], pads[3], kw, stride[1], dilation[1]),
  ];
}

/** Gradients of a convolution's input and weight, from that of its output. */
export function conv2dBackward(
  x: Nd,
  weight: Nd,
  dy: Nd,
  options: ConvOptions,
): { dx: Nd & { data: Float64Array }; dw: Nd & { data: Float64Array } } {
  const { stride, dilation, pads, paddingMode, groups } = options;
  const [n, channels, height, width] = x.dims as [number, number, number, number];
  const [outChannels, groupChannels, kh, kw] = weight.dims as [number, number, number, number];
  const [, , outHeight, outWidth] = dy.dims as [number, number, number, number];
  const [dx, dw] = [zeros(x.dims), zeros(weight.dims)];
  for (let image = 0; image < n; image++) {
    for (let o = 0; o < outChannels; o++) {
      const group = Math.floor(o / (outChannels / groups));
      for (let y = 0; y < outHeight; y++) {
        for (let column = 0; column < outWidth; column++) {
          const d = dy.data[((image * outChannels + o) * outHeight + y) * outWidth + column]!;
          for (let ky = 0; ky < kh; ky++) {
            const row = sourceOf(y * stride[0] - pads[0] + ky * dilation[0], height, paddingMode);
            if (row < 0) continue;
            for (let kx = 0; kx < kw; kx++) {
              const place = sourceOf(column * stride[1] - pads[1] + kx * dilation[1], width, paddingMode);
              if (place < 0) continue;
              for (let c = 0; c < groupChannels; c++) {
                const at = ((image * channels + group * groupChannels + c) * height + row) * width + place;
                const tap = ((o * groupChannels + c) * kh + ky) * kw + kx;
                dw.data[tap]! += d * x.data[at]!;
                dx.data[at]! += d * weight.data[tap]!;
              }
            }
          }
        }
      }
    }
  }
  return { dx, dw };
}

/** dy times the derivative, as PyTorch takes it at kinks. `value`: the output of relu and sigmoid, the others' input. */
export function unaryBackward(op: string, value: number, dy: number, alpha: number, beta: number): number {
  switch (op) {
    case 'relu':
      return value <= 0 ? 0 : dy;
    case 'leakyRelu':
      return value > 0 ? dy : dy * Math.fround(alpha);
    case 'clip':
      return value >= alpha && value <= beta ? dy : 0;
    case 'sigmoid':
      return dy * value * (1 - value);
    case 'hardSigmoid':
      return value > -3 && value < 3 ? dy / 6 : 0;
    case 'hardSwish':
      return value <= -3 ? 0 : value >= 3 ? dy : dy * (value / 3 + 0.5);
    default:
      throw new Error(`no oracle for ${op}`);
  }
}

/** For [channels][pixels], with the statistics of the values or with given ones. */
export function batchNormBackward(
  z: ArrayLike<number>,
  dy: ArrayLike<number>,
  channels: number,
  pixels: number,
  gamma: ArrayLike<number> | undefined,
  eps: number,
  running: { mean: ArrayLike<number>; variance: ArrayLike<number>; usesBatch: boolean },
) {
  const [mean, variance, scale, gammaGrad, betaGrad] = Array.from({ length: 5 }, () => new Float64Array(channels)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const dz = new Float64Array(channels * pixels);
  for (let c = 0; c < channels; c++) {
    const indices = Array.from({ length: pixels }, (_, i) => c * pixels + i);
    const meanOf = (value: (i: number) => number): number => indices.reduce((sum, i) => sum + value(i), 0) / pixels;
    const m = running.usesBatch ? meanOf((i) => z[i]!) : running.mean[c]!;
    const v = running.usesBatch ? meanOf((i) => (z[i]! - m) ** 2) : running.variance[c]!;
    const sigma = Math.sqrt(v + eps);
    const g = gamma?.[c] ?? 1;
    const normal = (i: number): number => (z[i]! - m) / sigma;
    [mean[c], variance[c], scale[c]] = [m, v, g / sigma];
    gammaGrad[c] = pixels * meanOf((i) => dy[i]! * normal(i));
    betaGrad[c] = pixels * meanOf((i) => dy[i]!);
    for (const i of indices) {
      const through = running.usesBatch ? (betaGrad[c]! + normal(i) * gammaGrad[c]!) / pixels : 0;
      dz[i] = (g / sigma) * (dy[i]! - through);
    }
  }
  return { mean, variance, scale, gammaGrad, betaGrad, dz };
}

interface PoolWindow {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly pads: readonly [number, number, number, number];
}

/** Calls `visit` with every window of every channel: the place of its gradient, and those it sees in the image. */
function eachWindow(
  [batch, channels, height, width]: readonly [number, number, number, number],
  [outHeight, outWidth]: readonly [number, number],
  { kernel, stride, pads }: PoolWindow,
  visit: (at: number, seen: number[]) => void,
): void {
  for (let plane = 0; plane < batch * channels; plane++) {
    for (let y = 0; y < outHeight; y++) {
      for (let x = 0; x < outWidth; x++) {
        const seen: number[] = [];
        for (let ky = 0; ky < kernel[0]; ky++) {
          for (let kx = 0; kx < kernel[1]; kx++) {
            const [row, column] = [y * stride[0] - pads[0] + ky, x * stride[1] - pads[1] + kx];
            if (row < 0 || row >= height || column < 0 || column >= width) continue;
            seen.push((plane * height + row) * width + column);
          }
        }
        visit((plane * outHeight + y) * outWidth + x, seen);
      }
    }
  }
}

/** PyTorch goes through a window in order and takes a value that is larger than before, or NaN. */
export function maxPoolBackward(x: Nd, dy: Nd, window: PoolWindow): Float64Array {
  const dx = new Float64Array(x.data.length);
  const dims = x.dims as unknown as readonly [number, number, number, number];
  eachWindow(dims, [dy.dims[2]!, dy.dims[3]!], window, (at, seen) => {
    let [largest, place] = [Number.NEGATIVE_INFINITY, seen[0]!];
    for (const i of seen) if (x.data[i]! > largest || Number.isNaN(x.data[i])) [largest, place] = [x.data[i]!, i];
    dx[place]! += dy.data[at]!;
  });
  return dx;
}

export function avgPoolBackward(
  dims: readonly [number, number, number, number],
  dy: Nd,
  window: PoolWindow,
  countIncludePad: boolean,
): Float64Array {
  const dx = new Float64Array(dims.reduce((a, b) => a * b, 1));
  const { kernel, stride, pads } = window;
  const [outHeight, outWidth] = [dy.dims[2]!, dy.dims[3]!];
  const inside = (out: number, axis: 0 | 1): number => {
    const start = out * stride[axis] - pads[axis];
    const end = Math.min(start + kernel[axis], dims[axis + 2]! + pads[axis + 2]!);
    return end - start;
  };
  eachWindow(dims, [outHeight, outWidth], window, (at, seen) => {
    const [y, x] = [Math.floor(at / outWidth) % outHeight, at % outWidth];
    const divisor = countIncludePad ? inside(y, 0) * inside(x, 1) : seen.length;
    for (const i of seen) dx[i]! += dy.data[at]! / divisor;
  });
  return dx;
}

/** Losses and gradients of each row of [rows][classes]. */
export function crossEntropy(
  logits: ArrayLike<number>,
  labels: readonly number[],
  classes: number,
  smoothing: number,
): { losses: number[]; grad: number[] } {
  const losses: number[] = [];
  const grad: number[] = [];
  labels.forEach((label, row) => {
    const values = Array.from({ length: classes }, (_, c) => logits[row * classes + c]!);
    const largest = Math.max(...values);
    const sum = values.reduce((total, value) => total + Math.exp(value - largest), 0);
    const logs = values.map((value) => value - largest - Math.log(sum));
    const targets = values.map((_, c) => smoothing / classes + (c === label ? 1 - smoothing : 0));
    losses.push(-logs.reduce((total, log, c) => total + (targets[c] === 0 ? 0 : targets[c]! * log), 0));
    grad.push(...logs.map((log, c) => Math.exp(log) - targets[c]!));
  });
  return { losses, grad };
}

/** For [outer][axis][inner], over the axis. */
export function softmaxBackward(
  x: ArrayLike<number>,
  dy: ArrayLike<number>,
  outer: number,
  axis: number,
  inner: number,
  isLog: boolean,
): { y: Float64Array; dx: Float64Array } {
  const [y, dx] = [new Float64Array(x.length), new Float64Array(x.length)];
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const places = Array.from({ length: axis }, (_, a) => (o * axis + a) * inner + i);
      const sum = places.reduce((total, at) => total + Math.exp(x[at]!), 0);
      for (const at of places) y[at] = isLog ? x[at]! - Math.log(sum) : Math.exp(x[at]!) / sum;
      const dot = places.reduce((total, at) => total + (isLog ? dy[at]! : dy[at]! * y[at]!), 0);
      for (const at of places) dx[at] = isLog ? dy[at]! - Math.exp(y[at]!) * dot : y[at]! * (dy[at]! - dot);
    }
  }
  return { y, dx };
}
