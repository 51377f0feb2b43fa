/**
 * Packs convolution weights for the micro-kernels, as T (f32, or f64 for shallow products).
 *
 *   from  [outChannels][inChannels per group][taps]                    PyTorch's order, taps = height * width
 *   to    [groups][panels of tileColumns columns, in f32 the last may have 4][depth][columns]
 *
 * with depth = taps * input channels per group, the tap outermost, as im2col walks a channels-last image. Columns past
 * the last output channel of a group are zero.
 */

/** Columns of a whole panel, two vectors: 8 in f32, 4 in f64. */
export function tileColumns<T>(): i32 {
  return <i32>(32 / sizeof<T>());
}

/** Columns of the panel that holds the first of `columns` columns: a multiple of 4. */
export function panelColumns<T>(columns: i32): i32 {
  return min((columns + 3) & ~3, tileColumns<T>());
}

/** `scalePtr`: one f64 per output channel to multiply with (a folded BatchNorm), or 0. */
function pack<T>(
  weightPtr: usize,
  scalePtr: usize,
  packedPtr: usize,
  groups: i32,
  outChannels: i32,
  inChannels: i32,
  taps: i32,
): void {
  for (let g = 0; g < groups; ++g) {
    for (let j = 0; j < outChannels; j += tileColumns<T>()) {
      const columns = panelColumns<T>(outChannels - j);
      for (let t = 0; t < taps; ++t) {
        for (let c = 0; c < inChannels; ++c) {
          for (let column = 0; column < columns; ++column) {
            let value: f64 = 0;
            if (j + column < outChannels) {
              const channel = g * outChannels + j + column;
              value = scaledWeight(weightPtr, scalePtr, (channel * inChannels + c) * taps + t, channel);
            }
            store<T>(packedPtr, <T>value);
            packedPtr += sizeof<T>();
          }
        }
      }
    }
  }
}

function scaledWeight(weightPtr: usize, scalePtr: usize, index: i32, channel: i32): f64 {
  const value = <f64>load<f32>(weightPtr + ((<usize>index) << 2));
  return scalePtr === 0 ? value : value * load<f64>(scalePtr + ((<usize>channel) << 3));
}

export function packWeights(
  weightPtr: usize,
  scalePtr: usize,
  packedPtr: usize,
  groups: i32,
  outChannels: i32,
  inChannels: i32,
  taps: i32,
): void {
  pack<f32>(weightPtr, scalePtr, packedPtr, groups, outChannels, inChannels, taps);
}

export function packWeightsDouble(
  weightPtr: usize,
  scalePtr: usize,
  packedPtr: usize,
  groups: i32,
  outChannels: i32,
  inChannels: i32,
  taps: i32,
): void {
  pack<f64>(weightPtr, scalePtr, packedPtr, groups, outChannels, inChannels, taps);
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
