/**
 * Weights of kernels of one column or row, transformed and packed for lineConv.ts:
 *
 *   U = G g     [panels of 8 output channels][points][lanes of x][8]
 */
import { weightTransform } from '../conv/winogradWeight';
import { lanesOf } from './lineConv';

/** The most points. */
const MAX_POINTS: usize = 8;

/** Scratch of packLineWeights: the taps of two filters, and their points. */
export const LINE_WEIGHTS_BYTES: i32 = 2 * <i32>MAX_POINTS * 16;

/**
 * U of weights [outChannels][inChannels][taps], panels `first` to `last` (excluded) of 8 output channels, in float64, rounded
 * once; zeros behind the last channels. `workPtr`: LINE_WEIGHTS_BYTES.
 */
export function packLineWeights(
  weightPtr: usize,
  toPtr: usize,
  outChannels: i32,
  inChannels: i32,
  taps: i32,
  tile: i32,
  workPtr: usize,
  first: i32,
  last: i32,
): void {
  const points = taps + tile - 1;
  const depth = lanesOf(inChannels);
  const pointsPtr = workPtr + MAX_POINTS * 16;
  const filterBytes = (<usize>(inChannels * taps)) << 2;
  const pointBytes = (<usize>depth) << 5;
  for (let panel = first; panel < last; ++panel) {
    const o = panel * 8;
    const panelPtr = toPtr + <usize>(panel * points) * pointBytes;
    memory.fill(panelPtr, 0, <usize>points * pointBytes);
    for (let i = 0; i < min(8, outChannels - o); ++i) {
      let kernelPtr = weightPtr + <usize>(o + i) * filterBytes;
      let columnPtr = panelPtr + ((<usize>i) << 2);
      for (let c = 0; c < inChannels; ++c) {
        for (let k: usize = 0; k < <usize>taps; ++k) {
          v128.store(workPtr + (k << 4), f64x2.splat(<f64>load<f32>(kernelPtr + (k << 2))));
        }
        weightTransform(taps, points, workPtr, 16, pointsPtr, 16);
        for (let p: usize = 0; p < <usize>points; ++p) {
          store<f32>(columnPtr + p * pointBytes, <f32>load<f64>(pointsPtr + (p << 4)));
        }
        kernelPtr += (<usize>taps) << 2;
        columnPtr += 32;
      }
    }
  }
}
