/**
 * Transforms and packs the weights of a Winograd convolution, in float64: U = G g G', stored as Panels of gemm/panels.ts
 * with the input lanes as depth (kernel row after kernel row where tiles are rows) and these columns:
 *
 *   [groups of GROUP_CHANNELS output channels][points][panels of 8, the last of 4 or 8][kernels]
 *
 * Two output channels at a time, and the points a and -a from the same even and odd half of G g: a plain product by a
 * table of G took 8 of the 21 ms of a first 64->64 @32, since V8 stays in its baseline compiler for such a call. Two input
 * channels of a whole panel are gathered before they are stored, as many cache lines as there are weights, each once:
 * these lines are a power of two apart and would drive each other out of the cache between their halves.
 */
import { distinct, GROUP_CHANNELS, winogradDepth } from './winogradBlock';
import { A, B, P, Q, R, S, T } from './winogradPoints';

/** Bytes of a row of G g: r vectors, at most 5. */
const ROW_BYTES: usize = 5 * 16;
/** Where in working memory G g and U lie, [high][r] and [high][wide] vectors, behind the kernels, [r][r] vectors. */
const HALF_OFFSET: usize = 5 * ROW_BYTES;
const U_OFFSET: usize = HALF_OFFSET + 6 * ROW_BYTES;
/** U of two input channels and a panel, [points][2][columns]; the columns of a point and both channels are a cache line. */
const LINES_OFFSET: usize = 2048;
const LINE_BYTES: usize = 64;
/** Most points that have weights of their own: F(2x3, 5x5). */
const MOST_POINTS: usize = 6 * 7;
export const WEIGHTS_BYTES: usize = LINES_OFFSET + MOST_POINTS * LINE_BYTES;

/**
 * Packs `channels` of `outChannels` output channels, from `first` on, a multiple of GROUP_CHANNELS; `weightPtr` are the
 * weights of the first, [channels][kernels][inChannels][r * r]. `scalePtr`: f64 for each to multiply with, or 0.
 * `packedPtr`: of all output channels, cut into segments of `segment` lanes. `workPtr`: working memory.
 */
export function packWinogradWeights(
  weightPtr: usize,
  scalePtr: usize,
  packedPtr: usize,
  first: i32,
  channels: i32,
  outChannels: i32,
  inChannels: i32,
  kernels: i32,
  r: i32,
  high: i32,
  wide: i32,
  segment: i32,
  workPtr: usize,
): void {
  const rows = high === 1 ? r : 1;
  const depth = winogradDepth(inChannels, rows);
  const lanes = depth / rows;
  const points = distinct(high) * distinct(wide);
  const outLanes = (outChannels + 3) & ~3;
  const allLanes = points * outLanes * kernels;
  const channelBytes = (<usize>(kernels * inChannels * r * r)) << 2;
  for (let j = 0; j < channels; j += 8) {
    const group = (first + j) / GROUP_CHANNELS;
    const inGroup = first + j - group * GROUP_CHANNELS;
    const groupLanes = min(GROUP_CHANNELS, outLanes - group * GROUP_CHANNELS);
    const width = min(8, groupLanes - inGroup);
    for (let k = 0; k < kernels; ++k) {
      const kernelPtr = weightPtr + <usize>j * channelBytes + ((<usize>(k * inChannels * r * r)) << 2);
      const before = (points * group * GROUP_CHANNELS + inGroup) * kernels + k * width;
      for (let p = 0; p < depth; p += 2) {
        const inSegment = p % segment;
        const segmentDepth = min(segment, depth - p + inSegment);
        const skipped = (p - inSegment) * allLanes + before * segmentDepth + inSegment * width;
        const pair = min(2, depth - p);
        transformLines(
          kernelPtr,
          channelBytes,
          scalePtr,
          j,
          channels,
          p,
          pair,
          lanes,
          inChannels,
          width,
          r,
          high,
          wide,
          workPtr,
        );
        const toPtr = packedPtr + ((<usize>skipped) << 2);
        const pointBytes = (<usize>(groupLanes * kernels * segmentDepth)) << 2;
        storeLines(workPtr + LINES_OFFSET, points, (pair * width) >> 2, toPtr, pointBytes);
      }
    }
  }
}

/**
 * U of `count` places of the depth, one or two, from `place` on, zero where there is no input channel, for `width` output
 * channels from the j-th on. Places are kernel rows, where tiles are rows, of `lanes` lanes.
 */
function transformLines(
  kernelPtr: usize,
  channelBytes: usize,
  scalePtr: usize,
  j: i32,
  channels: i32,
  place: i32,
  count: i32,
  lanes: i32,
  inChannels: i32,
  width: i32,
  r: i32,
  high: i32,
  wide: i32,
  workPtr: usize,
): void {
  const linesPtr = workPtr + LINES_OFFSET;
  for (let i = 0; i < count; ++i) {
    const kernelRow = (place + i) / lanes;
    const c = place + i - kernelRow * lanes;
    const inputPtr = kernelPtr + ((<usize>(min(c, inChannels - 1) * r * r)) << 2);
    const isThere = c < inChannels;
    for (let column = 0; column < width; column += 2) {
      const o = j + column;
      const scales = isThere
        ? f64x2(scaleOf(scalePtr, o, channels), scaleOf(scalePtr, o + 1, channels))
        : f64x2.splat(0);
      const firstPtr = inputPtr + <usize>(min(o, channels - 1) - j) * channelBytes;
      const secondPtr = inputPtr + <usize>(min(o + 1, channels - 1) - j) * channelBytes;
      const toPtr = linesPtr + ((<usize>(i * width + column)) << 2);
      if (high === 1) {
        const rowBytes = (<usize>(kernelRow * r)) << 2;
        transformRowPair(firstPtr + rowBytes, secondPtr + rowBytes, scales, r, wide, workPtr, toPtr);
      } else {
        transformPair(firstPtr, secondPtr, scales, r, high, wide, workPtr, toPtr);
      }
    }
  }
}

/** Copies one or two rows of a panel, one, two or four vectors, at each point; the points are `pointBytes` apart. */
function storeLines(linesPtr: usize, points: i32, vectors: i32, toPtr: usize, pointBytes: usize): void {
  for (let p = 0; p < points; ++p) {
    v128.store(toPtr, v128.load(linesPtr));
    if (vectors > 1) v128.store(toPtr, v128.load(linesPtr, 16), 16);
    if (vectors > 2) {
      v128.store(toPtr, v128.load(linesPtr, 32), 32);
      v128.store(toPtr, v128.load(linesPtr, 48), 48);
    }
    linesPtr += LINE_BYTES;
    toPtr += pointBytes;
  }
}

/** Channels past the last one become zero. */
function scaleOf(scalePtr: usize, channel: i32, channels: i32): f64 {
  if (channel >= channels) return 0;
  return scalePtr === 0 ? 1 : load<f64>(scalePtr + ((<usize>channel) << 3));
}

/** U of two kernels, one in each lane; the first point goes to `toPtr`, the others a line apart. */
function transformPair(
  firstPtr: usize,
  secondPtr: usize,
  scales: v128,
  r: i32,
  high: i32,
  wide: i32,
  workPtr: usize,
  toPtr: usize,
): void {
  for (let i: usize = 0; i < <usize>r; ++i) {
    const skipped = (i * <usize>r) << 2;
    scalePair(firstPtr + skipped, secondPtr + skipped, scales, r, workPtr + i * ROW_BYTES);
  }
  for (let k: usize = 0; k < <usize>r; ++k) {
    evaluate(workPtr + (k << 4), ROW_BYTES, r, high, workPtr + HALF_OFFSET + (k << 4), ROW_BYTES);
  }
  const rows = distinct(high);
  const columns = distinct(wide);
  for (let p: usize = 0; p < <usize>rows; ++p) {
    evaluate(workPtr + HALF_OFFSET + p * ROW_BYTES, 16, r, wide, workPtr + U_OFFSET + p * <usize>(columns << 4), 16);
  }
  storePairs(workPtr + U_OFFSET, rows * columns, toPtr);
}

/** The same of a row of each kernel. */
function transformRowPair(
  firstPtr: usize,
  secondPtr: usize,
  scales: v128,
  r: i32,
  n: i32,
  workPtr: usize,
  toPtr: usize,
): void {
  scalePair(firstPtr, secondPtr, scales, r, workPtr);
  evaluate(workPtr, 16, r, n, workPtr + U_OFFSET, 16);
  storePairs(workPtr + U_OFFSET, n, toPtr);
}

/** G of F(4, 2) on +-1/2, +-5/4, infinity times the first and last of three values, then the middle one. */
function evaluateStrided(fromPtr: usize, fromStride: usize, toPtr: usize, toStride: usize): void {
  const g0 = v128.load(fromPtr);
  const g1 = v128.load(fromPtr + 2 * fromStride);
  const none = f64x2.splat(0);
  evaluatePair(g0, g1, none, none, none, A, 2 * A * (A * A - B * B), toPtr, toStride);
  evaluatePair(g0, g1, none, none, none, B, 2 * B * (B * B - A * A), toPtr + 2 * toStride, toStride);
  v128.store(toPtr + 4 * toStride, g1);
  v128.store(toPtr + 5 * toStride, v128.load(fromPtr + fromStride));
}

/** `r` values of two kernels, as vectors of both. */
function scalePair(firstPtr: usize, secondPtr: usize, scales: v128, r: i32, toPtr: usize): void {
  for (let k: usize = 0; k < <usize>r; ++k) {
    const pair = f64x2(<f64>load<f32>(firstPtr + (k << 2)), <f64>load<f32>(secondPtr + (k << 2)));
    v128.store(toPtr + (k << 4), f64x2.mul(pair, scales));
  }
}

/** Rounds pairs, and stores them a line apart. */
function storePairs(fromPtr: usize, count: i32, toPtr: usize): void {
  for (const endPtr = fromPtr + ((<usize>count) << 4); fromPtr < endPtr; fromPtr += 16) {
    v128.store64_lane(toPtr, f32x4.demote_f64x2_zero(v128.load(fromPtr)), 0);
    toPtr += LINE_BYTES;
  }
}

/**
 * G times a vector of r values, that is the polynomial with these coefficients at each of n points, divided by the product
 * of the point's distances to the others (with changed sign, as their B' has them: row 0 of n = 4 and 8, those of -a of n = 7 and 9).
 */
function evaluate(fromPtr: usize, fromStride: usize, r: i32, n: i32, toPtr: usize, toStride: usize): void {
  if (n === 9) {
    evaluateStrided(fromPtr, fromStride, toPtr, toStride);
    return;
  }
  const g0 = v128.load(fromPtr);
  const g1 = v128.load(fromPtr + fromStride);
  const g2 = v128.load(fromPtr + 2 * fromStride);
  let g3 = f64x2.splat(0);
  let g4 = f64x2.splat(0);
  if (r === 5) {
    g3 = v128.load(fromPtr + 3 * fromStride);
    g4 = v128.load(fromPtr + 4 * fromStride);
  }
  if (n === 7) {
    evaluatePair(g0, g1, g2, g3, g4, P, 2 * P * (P * P - Q * Q) * (P * P - R * R), toPtr, toStride);
    evaluatePair(g0, g1, g2, g3, g4, Q, 2 * Q * (Q * Q - P * P) * (Q * Q - R * R), toPtr + 2 * toStride, toStride);
    evaluatePair(g0, g1, g2, g3, g4, R, 2 * R * (R * R - P * P) * (R * R - Q * Q), toPtr + 4 * toStride, toStride);
    v128.store(toPtr + 6 * toStride, g4);
    return;
  }
  v128.store(toPtr, g0);
  if (n === 4) {
    evaluatePair(g0, g1, g2, g3, g4, 1, 2, toPtr + toStride, toStride);
  } else if (n === 6) {
    evaluatePair(g0, g1, g2, g3, g4, S, -1.5, toPtr + toStride, toStride);
    evaluatePair(g0, g1, g2, g3, g4, T, 6, toPtr + 3 * toStride, toStride);
  } else {
    evaluatePair(g0, g1, g2, g3, g4, 1, -4.5, toPtr + toStride, toStride);
    evaluatePair(g0, g1, g2, g3, g4, 0.5, 45.0 / 32, toPtr + 3 * toStride, toStride);
    evaluatePair(g0, g1, g2, g3, g4, 2, 90, toPtr + 5 * toStride, toStride);
  }
  v128.store(toPtr + <usize>(n - 1) * toStride, r === 5 ? g4 : g2);
}

/** At `root` and at -`root`. */
function evaluatePair(
  g0: v128,
  g1: v128,
  g2: v128,
  g3: v128,
  g4: v128,
  root: f64,
  divisor: f64,
  toPtr: usize,
  toStride: usize,
): void {
  const square = f64x2.splat(root * root);
  const even = f64x2.add(g0, f64x2.mul(square, f64x2.add(g2, f64x2.mul(square, g4))));
  const odd = f64x2.mul(f64x2.splat(root), f64x2.add(g1, f64x2.mul(square, g3)));
  const factor = f64x2.splat(1 / divisor);
  v128.store(toPtr, f64x2.mul(factor, f64x2.add(even, odd)));
  v128.store(toPtr + toStride, f64x2.mul(factor, f64x2.sub(even, odd)));
}
