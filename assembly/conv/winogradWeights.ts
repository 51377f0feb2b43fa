/**
 * Transforms and packs the weights of a Winograd convolution, in float64: U = G g G', stored as B panels
 *
 *   [groups of GROUP_CHANNELS channels][n * n][panels of 8 output channels, the last of 4 or 8][lanes][columns]
 *
 * Two output channels at a time, and the points a and -a from the same even and odd half of G g: a plain product by a
 * table of G took 8 of the 21 ms of a first 64->64 @32, since V8 stays in its baseline compiler for such a call.
 */
import { GROUP_CHANNELS } from './winograd';

/** sqrt(1/2) and sqrt(2), the finite points with 0 where n = 6. */
const S: f64 = Math.SQRT1_2;
const T: f64 = Math.SQRT2;

/** Bytes of a row of G g: r vectors, at most 5. */
const ROW_BYTES: usize = 5 * 16;
/** Where in working memory G g and U lie, [n][r] and [n][n] vectors, behind the kernels, [r][r] vectors. */
const HALF_OFFSET: usize = 5 * ROW_BYTES;
const U_OFFSET: usize = HALF_OFFSET + 6 * ROW_BYTES;

/**
 * From [outChannels][inChannels][r * r]; `scalePtr`: f64 per output channel to multiply with, or 0. `workPtr`: working
 * memory, 2 KiB.
 */
export function packWinogradWeights(
  weightPtr: usize,
  scalePtr: usize,
  packedPtr: usize,
  outChannels: i32,
  inChannels: i32,
  r: i32,
  n: i32,
  workPtr: usize,
): void {
  const lanes = (inChannels + 3) & ~3;
  const outLanes = (outChannels + 3) & ~3;
  const kernelBytes = (<usize>(r * r)) << 2;
  for (let first = 0; first < outChannels; first += GROUP_CHANNELS) {
    const groupLanes = min(GROUP_CHANNELS, outLanes - first);
    const pointBytes = (<usize>(lanes * groupLanes)) << 2;
    if (lanes !== inChannels) memory.fill(packedPtr, 0, pointBytes * <usize>(n * n));
    for (let inGroup = 0; inGroup < groupLanes; inGroup += 2) {
      const column = inGroup & 7;
      const width = min(8, groupLanes - (inGroup - column));
      const o = first + inGroup;
      const scales = f64x2(scaleOf(scalePtr, o, outChannels), scaleOf(scalePtr, o + 1, outChannels));
      let firstPtr = weightPtr + <usize>(min(o, outChannels - 1) * inChannels) * kernelBytes;
      let secondPtr = weightPtr + <usize>(min(o + 1, outChannels - 1) * inChannels) * kernelBytes;
      let toPtr = packedPtr + ((<usize>((inGroup - column) * lanes + column)) << 2);
      for (let c = 0; c < inChannels; ++c) {
        transformPair(firstPtr, secondPtr, scales, r, n, workPtr, toPtr, pointBytes);
        firstPtr += kernelBytes;
        secondPtr += kernelBytes;
        toPtr += (<usize>width) << 2;
      }
    }
    packedPtr += pointBytes * <usize>(n * n);
  }
}

/** Channels past the last one become zero. */
function scaleOf(scalePtr: usize, channel: i32, outChannels: i32): f64 {
  if (channel >= outChannels) return 0;
  return scalePtr === 0 ? 1 : load<f64>(scalePtr + ((<usize>channel) << 3));
}

/** U of two kernels, one in each lane; the first point goes to `toPtr`, the others `pointBytes` apart. */
function transformPair(
  firstPtr: usize,
  secondPtr: usize,
  scales: v128,
  r: i32,
  n: i32,
  workPtr: usize,
  toPtr: usize,
  pointBytes: usize,
): void {
  for (let i = 0; i < r; ++i) {
    for (let k = 0; k < r; ++k) {
      const at = (<usize>(i * r + k)) << 2;
      const pair = f64x2(<f64>load<f32>(firstPtr + at), <f64>load<f32>(secondPtr + at));
      v128.store(workPtr + <usize>i * ROW_BYTES + ((<usize>k) << 4), f64x2.mul(pair, scales));
    }
  }
  for (let k: usize = 0; k < <usize>r; ++k) {
    evaluate(workPtr + (k << 4), ROW_BYTES, r, n, workPtr + HALF_OFFSET + (k << 4), ROW_BYTES);
  }
  for (let p: usize = 0; p < <usize>n; ++p) {
    evaluate(workPtr + HALF_OFFSET + p * ROW_BYTES, 16, r, n, workPtr + U_OFFSET + p * <usize>(n << 4), 16);
  }
  const endPtr = workPtr + U_OFFSET + ((<usize>(n * n)) << 4);
  for (let fromPtr = workPtr + U_OFFSET; fromPtr < endPtr; fromPtr += 16) {
    v128.store64_lane(toPtr, f32x4.demote_f64x2_zero(v128.load(fromPtr)), 0);
    toPtr += pointBytes;
  }
}

/**
 * G times a vector of r values, that is the polynomial with these coefficients at each of n points, divided by the product
 * of the point's distances to the others (row 0 of n = 4 with its sign changed, as winograd.ts has it).
 */
function evaluate(fromPtr: usize, fromStride: usize, r: i32, n: i32, toPtr: usize, toStride: usize): void {
  const g0 = v128.load(fromPtr);
  const g1 = v128.load(fromPtr + fromStride);
  const g2 = v128.load(fromPtr + 2 * fromStride);
  let g3 = f64x2.splat(0);
  let g4 = f64x2.splat(0);
  if (r === 5) {
    g3 = v128.load(fromPtr + 3 * fromStride);
    g4 = v128.load(fromPtr + 4 * fromStride);
  }
  v128.store(toPtr, g0);
  if (n === 4) {
    evaluatePair(g0, g1, g2, g3, g4, 1, 2, toPtr + toStride, toStride);
  } else {
    evaluatePair(g0, g1, g2, g3, g4, S, -1.5, toPtr + toStride, toStride);
    evaluatePair(g0, g1, g2, g3, g4, T, 6, toPtr + 3 * toStride, toStride);
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
