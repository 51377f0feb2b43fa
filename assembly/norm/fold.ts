/**
 * Folding a BatchNorm into the convolution before it, and merging the branches of an Asymmetric Convolution Block
 * (Ding, Guo, Ding, Han: ACNet, ICCV 2019, section 3.3), in float64.
 *
 *   t = gamma / sqrt(variance + eps)     W' = W * t     b' = beta - mean * t
 */

/** Writes t and b' as f64[channels]. `gammaPtr` and `betaPtr` are f32[channels], or 0 for 1 and 0. */
export function foldBatchNorm(
  gammaPtr: usize,
  betaPtr: usize,
  meanPtr: usize,
  variancePtr: usize,
  eps: f64,
  channels: i32,
  scalePtr: usize,
  shiftPtr: usize,
): void {
  for (let c = 0; c < channels; ++c) {
    const at = (<usize>c) << 2;
    const gamma: f64 = gammaPtr === 0 ? 1 : <f64>load<f32>(gammaPtr + at);
    const beta: f64 = betaPtr === 0 ? 0 : <f64>load<f32>(betaPtr + at);
    const scale = gamma / Math.sqrt(<f64>load<f32>(variancePtr + at) + eps);
    store<f64>(scalePtr + (at << 1), scale);
    store<f64>(shiftPtr + (at << 1), beta - <f64>load<f32>(meanPtr + at) * scale);
  }
}

/**
 * Adds a branch kernel f32[filters][height][width], each output channel's times its scale, to the f64
 * [filters][fullHeight][fullWidth] kernel with its corner at [row][column]. filters = outChannels * inChannels.
 */
export function addBranch(
  branchPtr: usize,
  scalePtr: usize,
  kernelPtr: usize,
  outChannels: i32,
  inChannels: i32,
  height: i32,
  width: i32,
  fullHeight: i32,
  fullWidth: i32,
  row: i32,
  column: i32,
): void {
  for (let o = 0; o < outChannels; ++o) {
    const scale = load<f64>(scalePtr + ((<usize>o) << 3));
    for (let c = 0; c < inChannels; ++c) {
      const filter = o * inChannels + c;
      for (let y = 0; y < height; ++y) {
        const fromPtr = branchPtr + ((<usize>((filter * height + y) * width)) << 2);
        const toPtr = kernelPtr + ((<usize>((filter * fullHeight + row + y) * fullWidth + column)) << 3);
        for (let x: usize = 0; x < <usize>width; ++x) {
          store<f64>(toPtr + (x << 3), load<f64>(toPtr + (x << 3)) + <f64>load<f32>(fromPtr + (x << 2)) * scale);
        }
      }
    }
  }
}

/** Adds f64[count] to f64[count]. */
export function addDoubles(fromPtr: usize, toPtr: usize, count: i32): void {
  for (let i: usize = 0; i < <usize>count; ++i) {
    store<f64>(toPtr + (i << 3), load<f64>(toPtr + (i << 3)) + load<f64>(fromPtr + (i << 3)));
  }
}

/** Rounds f64[count] to f32[count]. */
export function roundDoubles(fromPtr: usize, toPtr: usize, count: i32): void {
  for (let i: usize = 0; i < <usize>count; ++i) store<f32>(toPtr + (i << 2), <f32>load<f64>(fromPtr + (i << 3)));
}
