/**
 * Transforms and packs the weights of a Winograd convolution, in float64: U = G g G', stored as Panels (gemm/panels.ts)
 * with the input lanes as depth (kernel row by kernel row where tiles are rows) and these columns:
 *
 *   [groups of GROUP_CHANNELS output channels][points][panels of 8, the last of 4 or 8][kernels]
 *
 * Takes two output channels at a time, and computes the points a and -a from the same even and odd half of G g.
 * (Multiplying by a table of G took 8 of the 21 ms of a first 64->64 @32, because V8 stays in its baseline compiler for
 * such a call.) Gathers two input channels of a whole panel before storing them, one cache line per point: these lines
 * are a power of two apart and would otherwise evict each other half-written.
 */
import { distinct, GROUP_CHANNELS, winogradDepth } from './winogradBlock';
import { weightTransform } from './winogradWeight';

/** Bytes of a row of G g: r vectors, at most 5. */
const ROW_BYTES: usize = 5 * 16;
/** Scratch: the kernels, [r][r] vectors, then G g, [high][r], then U, [high][wide]. */
const HALF_OFFSET: usize = 5 * ROW_BYTES;
const U_OFFSET: usize = HALF_OFFSET + 6 * ROW_BYTES;
/** U of two input channels of a panel, [points][2][columns]; each point is one cache line. */
const LINES_OFFSET: usize = 2048;
const LINE_BYTES: usize = 64;
/** The most points with weights of their own: F(2x3, 5x5). */
const MAX_POINTS: usize = 6 * 7;
export const WEIGHTS_BYTES: usize = LINES_OFFSET + MAX_POINTS * LINE_BYTES;

/**
 * Packs output channels `first` (a multiple of GROUP_CHANNELS) to `first + channels` of `outChannels`. `weightPtr`:
 * weights of channel `first`, [channels][kernels][inChannels][r * r]. `scalePtr`: one f64 factor per channel, or 0.
 * `packedPtr`: start of the packed weights of all channels, cut into segments of `segment` lanes. `workPtr`:
 * WEIGHTS_BYTES of scratch.
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
 * U of `count` places of the depth (one or two) from `place` on, for `width` output channels from the j-th on; zero
 * where there is no input channel. Where tiles are rows, the depth is made of kernel rows of `lanes` lanes.
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

/** Copies one or two rows of a panel (one, two or four vectors) to each point; points are `pointBytes` apart. */
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

/** The factor of a channel; 0 past the last one. */
function scaleOf(scalePtr: usize, channel: i32, channels: i32): f64 {
  if (channel >= channels) return 0;
  return scalePtr === 0 ? 1 : load<f64>(scalePtr + ((<usize>channel) << 3));
}

/** U of two kernels, one in each lane; points are written a cache line apart from `toPtr` on. */
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
    weightTransform(r, high, workPtr + (k << 4), ROW_BYTES, workPtr + HALF_OFFSET + (k << 4), ROW_BYTES);
  }
  const rows = distinct(high);
  const columns = distinct(wide);
  for (let p: usize = 0; p < <usize>rows; ++p) {
    weightTransform(
      r,
      wide,
      workPtr + HALF_OFFSET + p * ROW_BYTES,
      16,
      workPtr + U_OFFSET + p * <usize>(columns << 4),
      16,
    );
  }
  storePairs(workPtr + U_OFFSET, rows * columns, toPtr);
}

/** The same for one row of each kernel. */
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
  weightTransform(r, n, workPtr, 16, workPtr + U_OFFSET, 16);
  storePairs(workPtr + U_OFFSET, n, toPtr);
}

/** Loads `r` values of two kernels as vectors of both. */
function scalePair(firstPtr: usize, secondPtr: usize, scales: v128, r: i32, toPtr: usize): void {
  for (let k: usize = 0; k < <usize>r; ++k) {
    const pair = f64x2(<f64>load<f32>(firstPtr + (k << 2)), <f64>load<f32>(secondPtr + (k << 2)));
    v128.store(toPtr + (k << 4), f64x2.mul(pair, scales));
  }
}

/** Rounds pairs and stores them a cache line apart. */
function storePairs(fromPtr: usize, count: i32, toPtr: usize): void {
  for (const endPtr = fromPtr + ((<usize>count) << 4); fromPtr < endPtr; fromPtr += 16) {
    v128.store64_lane(toPtr, f32x4.demote_f64x2_zero(v128.load(fromPtr)), 0);
    toPtr += LINE_BYTES;
  }
}
