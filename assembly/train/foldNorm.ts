/**
 * A convolution and the batch normalisation behind it, folded by the statistics of the batch, without the convolution being
 * computed: its output's mean and variance follow from its weights W and the moments of what its taps see (tapMoments.ts),
 * means m and covariances C,
 *
 *   mean = W m     variance = W C W     scale a = gamma / sigma     sigma^2 = variance + eps
 *
 * and it comes to the weights a W and the summand beta - a W m. Branches of one image add up. Backward, with G the sum over
 * pixels of dy, less its mean, times what the taps see:
 *
 *   d gamma = <W, G> / sigma     d W = a (G - d gamma / sigma C W)
 *
 * which is how a normalisation's gradient comes out when z = W x is put into it. All of it is computed in float64, once for
 * a step.
 *
 *   momentsPtr  f64 [taps] m | [taps] m less the centre | [taps][taps] C      of the window that holds those of all branches
 *   tapsPtr     i32 [count]  which of its taps the weights of a filter belong to
 *   weightPtr   f32 [channels][count]
 */

/** Variance of a filter's output. */
function varianceOf(covariancesPtr: usize, taps: i32, weightPtr: usize, tapsPtr: usize, count: i32): f64 {
  let variance: f64 = 0;
  for (let i: usize = 0; i < <usize>count; ++i) {
    const rowPtr = covariancesPtr + ((<usize>(load<i32>(tapsPtr + (i << 2)) * taps)) << 3);
    let sum: f64 = 0;
    for (let j: usize = 0; j < i; ++j) sum += covariance(rowPtr, weightPtr, tapsPtr, j);
    sum = 2 * sum + covariance(rowPtr, weightPtr, tapsPtr, i);
    variance += <f64>load<f32>(weightPtr + (i << 2)) * sum;
  }
  // Rounding may leave less than nothing of what does not vary; NaN stays.
  return variance < 0 ? 0 : variance;
}

function covariance(rowPtr: usize, weightPtr: usize, tapsPtr: usize, i: usize): f64 {
  return load<f64>(rowPtr + ((<usize>load<i32>(tapsPtr + (i << 2))) << 3)) * <f64>load<f32>(weightPtr + (i << 2));
}

function scaleOf(gammaPtr: usize, channel: usize, sigma: f64): f64 {
  return (gammaPtr === 0 ? 1 : <f64>load<f32>(gammaPtr + (channel << 2))) / sigma;
}

/**
 * Adds a branch to `sumsPtr`, f64 [channels][taps of the weights, then the summand's beta], and writes its statistics, f64
 * [mean][variance] of `lanes` each: output channels `first` to `last` (excluded). `gammaPtr`, `betaPtr`: 0 for none.
 * `isFirst`: 1 where there are no sums yet.
 */
export function foldNorm(
  momentsPtr: usize,
  taps: i32,
  weightPtr: usize,
  tapsPtr: usize,
  count: i32,
  gammaPtr: usize,
  betaPtr: usize,
  eps: f64,
  isFirst: i32,
  sumsPtr: usize,
  statisticsPtr: usize,
  lanes: i32,
  first: i32,
  last: i32,
): void {
  const covariancesPtr = momentsPtr + ((<usize>taps) << 4);
  const rowBytes = (<usize>(taps + 1)) << 3;
  for (let channel = <usize>first; channel < <usize>last; ++channel) {
    const toPtr = sumsPtr + channel * rowBytes;
    if (isFirst !== 0) memory.fill(toPtr, 0, rowBytes);
    const filterPtr = weightPtr + ((channel * <usize>count) << 2);
    const variance = varianceOf(covariancesPtr, taps, filterPtr, tapsPtr, count);
    const scale = scaleOf(gammaPtr, channel, sqrt(variance + eps));
    let mean: f64 = 0;
    for (let i: usize = 0; i < <usize>count; ++i) {
      const weight = <f64>load<f32>(filterPtr + (i << 2));
      const at = (<usize>load<i32>(tapsPtr + (i << 2))) << 3;
      mean += weight * load<f64>(momentsPtr + at);
      store<f64>(toPtr + at, load<f64>(toPtr + at) + scale * weight);
    }
    const summandPtr = toPtr + rowBytes - 8;
    if (betaPtr !== 0) store<f64>(summandPtr, load<f64>(summandPtr) + <f64>load<f32>(betaPtr + (channel << 2)));
    store<f64>(statisticsPtr + (channel << 3), mean);
    store<f64>(statisticsPtr + ((<usize>lanes + channel) << 3), variance);
  }
}

/**
 * The folded weights f32 [channels][taps] and biases for images less the centre, which take off what the rounded weights make
 * of the means of the taps: output channels `first` to `last` (excluded).
 */
export function writeFolded(
  momentsPtr: usize,
  taps: i32,
  sumsPtr: usize,
  weightPtr: usize,
  biasPtr: usize,
  first: i32,
  last: i32,
): void {
  const centredPtr = momentsPtr + ((<usize>taps) << 3);
  for (let channel = <usize>first; channel < <usize>last; ++channel) {
    let fromPtr = sumsPtr + ((channel * <usize>(taps + 1)) << 3);
    const toPtr = weightPtr + ((channel * <usize>taps) << 2);
    let mean: f64 = 0;
    for (let i: usize = 0; i < <usize>taps; ++i) {
      const weight = <f32>load<f64>(fromPtr);
      store<f32>(toPtr + (i << 2), weight);
      mean += <f64>weight * load<f64>(centredPtr + (i << 3));
      fromPtr += 8;
    }
    store<f32>(biasPtr + (channel << 2), <f32>(load<f64>(fromPtr) - mean));
  }
}

/**
 * d W and d gamma of a branch: output channels `first` to `last` (excluded). `gradPtr`: G, f32 [channels][taps].
 * `scratchPtr`: f64 [count].
 */
export function foldNormGrad(
  momentsPtr: usize,
  taps: i32,
  weightPtr: usize,
  tapsPtr: usize,
  count: i32,
  gammaPtr: usize,
  eps: f64,
  gradPtr: usize,
  weightGradPtr: usize,
  gammaGradPtr: usize,
  scratchPtr: usize,
  first: i32,
  last: i32,
): void {
  const covariancesPtr = momentsPtr + ((<usize>taps) << 4);
  for (let channel = <usize>first; channel < <usize>last; ++channel) {
    const filterPtr = weightPtr + ((channel * <usize>count) << 2);
    const ofChannelPtr = gradPtr + ((channel * <usize>taps) << 2);
    const toPtr = weightGradPtr + ((channel * <usize>count) << 2);
    let variance: f64 = 0;
    let product: f64 = 0;
    for (let i: usize = 0; i < <usize>count; ++i) {
      const tap = load<i32>(tapsPtr + (i << 2));
      const rowPtr = covariancesPtr + ((<usize>(tap * taps)) << 3);
      let sum: f64 = 0;
      for (let j: usize = 0; j < <usize>count; ++j) sum += covariance(rowPtr, filterPtr, tapsPtr, j);
      const weight = <f64>load<f32>(filterPtr + (i << 2));
      variance += weight * sum;
      product += weight * <f64>load<f32>(ofChannelPtr + ((<usize>tap) << 2));
      store<f64>(scratchPtr + (i << 3), sum);
    }
    const sigma = sqrt((variance < 0 ? 0 : variance) + eps);
    const gammaGrad = product / sigma;
    const scale = scaleOf(gammaPtr, channel, sigma);
    for (let i: usize = 0; i < <usize>count; ++i) {
      const grad = <f64>load<f32>(ofChannelPtr + ((<usize>load<i32>(tapsPtr + (i << 2))) << 2));
      const spread = (gammaGrad / sigma) * load<f64>(scratchPtr + (i << 3));
      store<f32>(toPtr + (i << 2), <f32>(scale * (grad - spread)));
    }
    store<f32>(gammaGradPtr + (channel << 2), <f32>gammaGrad);
  }
}
