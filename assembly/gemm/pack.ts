/**
 * Packs convolution weights for the micro-kernels.
 *
 *   from  [channels][inChannels][taps]         PyTorch's order, taps = height * width
 *   to    Panels of gemm/panels.ts             of 8 columns, the last of 8 or 4
 *
 * with depth = taps * inChannels, the tap outermost, as im2col walks a channels-last image. Columns past the last
 * output channel are zero.
 */
import { TILE_COLUMNS } from '../tuning';

/** Width of the next panel when `columns` columns remain: a multiple of 4, at most 8. */
export function panelColumns(columns: i32): i32 {
  return min((columns + 3) & ~3, TILE_COLUMNS);
}

/**
 * Packs output channels `first` (a multiple of 8) to `first + channels` of `outChannels`. `weightPtr`: weights of
 * channel `first`. `scalePtr`: one f64 factor per channel (a folded BatchNorm), or 0. `packedPtr`: start of the packed
 * weights of all channels, cut into segments of `segment` rows.
 */
export function packWeights(
  weightPtr: usize,
  scalePtr: usize,
  packedPtr: usize,
  first: i32,
  channels: i32,
  outChannels: i32,
  inChannels: i32,
  taps: i32,
  segment: i32,
): void {
  const depth = taps * inChannels;
  const lanes = (outChannels + 3) & ~3;
  const rowBytes = (<usize>depth) << 2;
  for (let j = 0; j < channels; j += TILE_COLUMNS) {
    const columns = panelColumns(channels - j);
    // Unscaled weights, four at a time (3x3 512->512: 28 ms became 14 the first time, later 7.5 became 3).
    const isPlain = scalePtr === 0 && j + columns <= channels;
    let t = 0;
    let c = 0;
    for (let k = 0; k < depth; k += segment) {
      const steps = min(depth - k, segment);
      let toPtr = packedPtr + ((<usize>(k * lanes + (first + j) * steps)) << 2);
      for (let step = 0; step < steps; ++step) {
        if (isPlain) {
          const fromPtr = weightPtr + ((<usize>((j * inChannels + c) * taps + t)) << 2);
          v128.store(toPtr, gatherFour(fromPtr, rowBytes));
          if (columns === 8) v128.store(toPtr, gatherFour(fromPtr + rowBytes * 4, rowBytes), 16);
          toPtr += (<usize>columns) << 2;
        } else {
          for (let column = 0; column < columns; ++column) {
            let value: f64 = 0;
            if (j + column < channels) {
              value = scaledWeight(weightPtr, scalePtr, ((j + column) * inChannels + c) * taps + t, j + column);
            }
            store<f32>(toPtr, <f32>value);
            toPtr += 4;
          }
        }
        if (++c === inChannels) {
          c = 0;
          ++t;
        }
      }
    }
  }
}

/** Loads one float from each of four rows. */
function gatherFour(fromPtr: usize, rowBytes: usize): v128 {
  let quad = v128.load32_zero(fromPtr);
  quad = v128.load32_lane(fromPtr + rowBytes, quad, 1);
  quad = v128.load32_lane(fromPtr + rowBytes * 2, quad, 2);
  return v128.load32_lane(fromPtr + rowBytes * 3, quad, 3);
}

function scaledWeight(weightPtr: usize, scalePtr: usize, index: i32, channel: i32): f64 {
  const value = <f64>load<f32>(weightPtr + ((<usize>index) << 2));
  return scalePtr === 0 ? value : value * load<f64>(scalePtr + ((<usize>channel) << 3));
}

/** Packs depthwise weights [channels][taps] to [taps][channels rounded up to 4]. */
export function packDepthwiseWeights(
  weightPtr: usize,
  scalePtr: usize,
  packedPtr: usize,
  channels: i32,
  taps: i32,
): void {
  const lanes = (channels + 3) & ~3;
  for (let t = 0; t < taps; ++t) {
    for (let c = 0; c < lanes; ++c) {
      store<f32>(packedPtr, c < channels ? <f32>scaledWeight(weightPtr, scalePtr, c * taps + t, c) : 0);
      packedPtr += 4;
    }
  }
}
