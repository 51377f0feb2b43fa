/**
 * Packs convolution weights for the micro-kernels.
 *
 *   from  [outChannels][inChannels per group][taps]                    PyTorch's order, taps = height * width
 *   to    [groups][panels of 8 columns, the last of 4 or 8][depth][columns]
 *
 * with depth = taps * inChannels per group, the tap outermost, as im2col walks a channels-last image. Columns past the
 * last output channel of a group are zero.
 */
import { TILE_COLUMNS } from '../tuning';

/** Columns that a group's panels hold in all: its output channels rounded up to 4. */
export function paddedColumns(columns: i32): i32 {
  return (columns + 3) & ~3;
}

/** `scalePtr`: one f64 per output channel to multiply with (a folded BatchNorm), or 0. */
export function packWeights(
  weightPtr: usize,
  scalePtr: usize,
  packedPtr: usize,
  groups: i32,
  outChannels: i32,
  inChannels: i32,
  taps: i32,
): void {
  for (let g = 0; g < groups; ++g) {
    for (let j = 0; j < outChannels; j += TILE_COLUMNS) {
      const columns = min(paddedColumns(outChannels - j), TILE_COLUMNS);
      for (let t = 0; t < taps; ++t) {
        for (let c = 0; c < inChannels; ++c) {
          for (let column = 0; column < columns; ++column) {
            let value: f32 = 0;
            if (j + column < outChannels) {
              const channel = g * outChannels + j + column;
              value = load<f32>(weightPtr + ((<usize>((channel * inChannels + c) * taps + t)) << 2));
              if (scalePtr !== 0) value = <f32>(<f64>value * load<f64>(scalePtr + ((<usize>channel) << 3)));
            }
            store<f32>(packedPtr, value);
            packedPtr += 4;
          }
        }
      }
    }
  }
}

/** Packs depthwise weights [channels][taps] to [taps][channels rounded up to 4]. */
export function packDepthwiseWeights(
  weightPtr: usize,
  scalePtr: usize,
  packedPtr: usize,
  channels: i32,
  taps: i32,
): void {
  const padded = paddedColumns(channels);
  for (let t = 0; t < taps; ++t) {
    for (let c = 0; c < padded; ++c) {
      let value: f32 = 0;
      if (c < channels) {
        value = load<f32>(weightPtr + ((<usize>(c * taps + t)) << 2));
        if (scalePtr !== 0) value = <f32>(<f64>value * load<f64>(scalePtr + ((<usize>c) << 3)));
      }
      store<f32>(packedPtr, value);
      packedPtr += 4;
    }
  }
}
