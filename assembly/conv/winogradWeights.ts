/**
 * Transforms and packs the weights of a Winograd convolution, in float64: U = G g G', stored as B panels
 *
 *   [groups of GROUP_CHANNELS channels][n * n][panels of 8 output channels, the last of 4 or 8][lanes][columns]
 */
import { GROUP_CHANNELS } from './winograd';

/** sqrt(1/2) and sqrt(2), the finite points with 0. */
const S: f64 = Math.SQRT1_2;
const T: f64 = Math.SQRT2;

/** G[point][k] of the scheme with n = 6 (r = 3 or 5) or n = 4 (r = 3, row 0 with its sign changed); see winograd.ts. */
function kernelMatrix(n: i32, r: i32, point: i32, k: i32): f64 {
  if (point === n - 1) return k === r - 1 ? 1 : 0;
  if (point === 0) return k === 0 ? 1 : 0;
  const root: f64 = n === 4 ? 1 : point <= 2 ? S : T;
  const divisor: f64 = n === 4 ? 2 : point <= 2 ? -1.5 : 6;
  let power: f64 = 1;
  for (let i = 0; i < k; ++i) power *= (point & 1) === 1 ? root : -root;
  return power / divisor;
}

/** f64 of working memory: G [n][r], G g [n][r], U [n][n], for n up to 6 and r up to 5. */
const MATRIX_WORDS: usize = 30;

/**
 * From [outChannels][inChannels][r * r]; `scalePtr`: f64 per output channel to multiply with, or 0. `workPtr`: working
 * memory, 96 f64.
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
  for (let p = 0; p < n; ++p) {
    for (let k = 0; k < r; ++k) store<f64>(workPtr + ((<usize>(p * r + k)) << 3), kernelMatrix(n, r, p, k));
  }
  const transformedPtr = workPtr + MATRIX_WORDS * 16;
  const lanes = (inChannels + 3) & ~3;
  const outLanes = (outChannels + 3) & ~3;
  for (let first = 0; first < outChannels; first += GROUP_CHANNELS) {
    const groupLanes = min(GROUP_CHANNELS, outLanes - first);
    const pointBytes = (<usize>(lanes * groupLanes)) << 2;
    memory.fill(packedPtr, 0, pointBytes * <usize>(n * n));
    for (let inGroup = 0; inGroup < min(groupLanes, outChannels - first); ++inGroup) {
      const column = inGroup & 7;
      const width = min(8, groupLanes - (inGroup - column));
      const o = first + inGroup;
      const scale: f64 = scalePtr === 0 ? 1 : load<f64>(scalePtr + ((<usize>o) << 3));
      for (let c = 0; c < inChannels; ++c) {
        transformKernel(weightPtr + ((<usize>((o * inChannels + c) * r * r)) << 2), r, n, workPtr);
        let toPtr = packedPtr + ((<usize>((inGroup - column) * lanes + c * width + column)) << 2);
        for (let p: usize = 0; p < <usize>(n * n); ++p) {
          store<f32>(toPtr, <f32>(load<f64>(transformedPtr + (p << 3)) * scale));
          toPtr += pointBytes;
        }
      }
    }
    packedPtr += pointBytes * <usize>(n * n);
  }
}

/** One kernel g: (G g) G', from the matrix at the start of working memory to its end. */
function transformKernel(kernelPtr: usize, r: i32, n: i32, workPtr: usize): void {
  const halfPtr = workPtr + MATRIX_WORDS * 8;
  const toPtr = workPtr + MATRIX_WORDS * 16;
  for (let p = 0; p < n; ++p) {
    for (let k = 0; k < r; ++k) {
      let sum: f64 = 0;
      for (let i = 0; i < r; ++i) {
        sum +=
          load<f64>(workPtr + ((<usize>(p * r + i)) << 3)) * <f64>load<f32>(kernelPtr + ((<usize>(i * r + k)) << 2));
      }
      store<f64>(halfPtr + ((<usize>(p * r + k)) << 3), sum);
    }
  }
  for (let p = 0; p < n; ++p) {
    for (let q = 0; q < n; ++q) {
      let sum: f64 = 0;
      for (let k = 0; k < r; ++k) {
        sum += load<f64>(halfPtr + ((<usize>(p * r + k)) << 3)) * load<f64>(workPtr + ((<usize>(q * r + k)) << 3));
      }
      store<f64>(toPtr + ((<usize>(p * n + q)) << 3), sum);
    }
  }
}
