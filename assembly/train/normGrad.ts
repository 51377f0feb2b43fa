/**
 * The gradient of batch normalisation (Ioffe, Szegedy 2015) of channels-last images
 * [pixels][lanes].
 *
 *   d beta = sum dy          d gamma = sum dy (z - mean) / sigma          sigma^2 = variance + eps
 *   d z = a dy - b - c (z - mean)    a = gamma / sigma    b = a d beta / P    c = a d gamma / (P sigma)
 *
 * Sums are float64. They are made in chunks of `chunkPixels` pixels, [chunks][2][lanes], which threads share out, and
 * added up in order: so a result depends on `chunkPixels` only. `lanes` is a multiple of 4.
 */
import { multiplyAdd } from '../simd';
import { maskGrad } from './unaryGrad';

/** The last two floats of a vector. */
function promoteHigh(x: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 1));
}

function storeSums(toPtr: usize, stride: usize, low: v128, high: v128, lowSecond: v128, highSecond: v128): void {
  v128.store(toPtr, low);
  v128.store(toPtr, high, 16);
  toPtr += stride * 2;
  v128.store(toPtr, lowSecond);
  v128.store(toPtr, highSecond, 16);
}

/** The first (`which` 0) or second sum of a channel over all chunks. */
function sumOf(sumsPtr: usize, chunks: i32, lanes: i32, which: i32, c: usize): f64 {
  let sum: f64 = 0;
  let ptr = sumsPtr + ((<usize>(which * lanes) + c) << 3);
  for (let chunk = 0; chunk < chunks; ++chunk) {
    sum += load<f64>(ptr);
    ptr += (<usize>lanes) << 4;
  }
  return sum;
}

/**
 * Sums of dy and of dy (z - mean), chunks `firstChunk` to `lastChunk` (excluded). `maskPtr`: the output of a ReLU behind
 * the normalisation, whose gradient is taken on the way, or 0. `inPtr`: z. `meanPtr`: f64[lanes].
 */
export function normGradSums(
  gradPtr: usize,
  maskPtr: usize,
  inPtr: usize,
  meanPtr: usize,
  sumsPtr: usize,
  pixels: i32,
  lanes: i32,
  chunkPixels: i32,
  firstChunk: i32,
  lastChunk: i32,
): void {
  const stride = (<usize>lanes) << 2;
  for (let chunk = firstChunk; chunk < lastChunk; ++chunk) {
    const skipped = <usize>(chunk * chunkPixels) * stride;
    const count = min(chunkPixels, pixels - chunk * chunkPixels);
    let toPtr = sumsPtr + <usize>chunk * stride * 4;
    for (let at: usize = 0; at < stride; at += 16) {
      const lowMean = v128.load(meanPtr + at * 2);
      const highMean = v128.load(meanPtr + at * 2, 16);
      let pixel = skipped + at;
      let low = f64x2.splat(0);
      let high = f64x2.splat(0);
      let lowProducts = f64x2.splat(0);
      let highProducts = f64x2.splat(0);
      for (let i = 0; i < count; ++i) {
        let d = v128.load(gradPtr + pixel);
        if (maskPtr !== 0) d = maskGrad(d, v128.load(maskPtr + pixel));
        const z = v128.load(inPtr + pixel);
        const lowD = f64x2.promote_low_f32x4(d);
        const highD = promoteHigh(d);
        low = f64x2.add(low, lowD);
        high = f64x2.add(high, highD);
        lowProducts = f64x2.add(lowProducts, f64x2.mul(lowD, f64x2.sub(f64x2.promote_low_f32x4(z), lowMean)));
        highProducts = f64x2.add(highProducts, f64x2.mul(highD, f64x2.sub(promoteHigh(z), highMean)));
        pixel += stride;
      }
      storeSums(toPtr, stride, low, high, lowProducts, highProducts);
      toPtr += 32;
    }
  }
}

/**
 * d gamma and d beta, f32[channels], and the coefficients of applyNormGrad, f32 [a][b][c][mean] of `lanes` each, from
 * the sums of all chunks. `gammaPtr`, `gammaGradPtr`, `betaGradPtr`: 0 where there is none. `accumulate`: 1 adds to the
 * gradients that are there. `usesBatch`: 0 where mean and variance are running ones, which do not depend on z.
 */
export function normGrad(
  sumsPtr: usize,
  chunks: i32,
  pixels: i32,
  channels: i32,
  lanes: i32,
  gammaPtr: usize,
  meanPtr: usize,
  variancePtr: usize,
  eps: f64,
  usesBatch: i32,
  accumulate: i32,
  gammaGradPtr: usize,
  betaGradPtr: usize,
  coefficientsPtr: usize,
): void {
  const stride = (<usize>lanes) << 2;
  memory.fill(coefficientsPtr, 0, stride * 4);
  for (let c: usize = 0; c < <usize>channels; ++c) {
    const at = c << 2;
    const gamma: f64 = gammaPtr === 0 ? 1 : <f64>load<f32>(gammaPtr + at);
    const sigma = sqrt(load<f64>(variancePtr + (c << 3)) + eps);
    const sum = sumOf(sumsPtr, chunks, lanes, 0, c);
    const product = sumOf(sumsPtr, chunks, lanes, 1, c) / sigma;
    if (gammaGradPtr !== 0) writeGrad(gammaGradPtr + at, product, accumulate);
    if (betaGradPtr !== 0) writeGrad(betaGradPtr + at, sum, accumulate);
    const a = gamma / sigma;
    const toPtr = coefficientsPtr + at;
    store<f32>(toPtr, <f32>a);
    if (usesBatch !== 0) {
      store<f32>(toPtr + stride, <f32>((a * sum) / <f64>pixels));
      store<f32>(toPtr + stride * 2, <f32>((a * product) / (<f64>pixels * sigma)));
      store<f32>(toPtr + stride * 3, <f32>load<f64>(meanPtr + (c << 3)));
    }
  }
}

function writeGrad(ptr: usize, value: f64, accumulate: i32): void {
  store<f32>(ptr, <f32>(accumulate !== 0 ? <f64>load<f32>(ptr) + value : value));
}

/**
 * dz = a dy - b - c (z - mean), pixels `firstPixel` to `lastPixel` (excluded). Out may be dy or z. `maskPtr`: as for
 * normGradSums. Takes the mean off first: folded into b, a large one would take the digits that it shares with z.
 */
export function applyNormGrad(
  gradPtr: usize,
  maskPtr: usize,
  inPtr: usize,
  coefficientsPtr: usize,
  outPtr: usize,
  lanes: i32,
  firstPixel: i32,
  lastPixel: i32,
): void {
  const stride = (<usize>lanes) << 2;
  const end = <usize>lastPixel * stride;
  // Blocks that stay in L1 while each four channels go through them with their coefficients in registers.
  const block = max(1, APPLIED_BYTES / stride) * stride;
  for (let first = <usize>firstPixel * stride; first < end; first += block) {
    const last = min(end, first + block);
    for (let at: usize = 0; at < stride; at += 16) {
      const fromPtr = coefficientsPtr + at;
      const a = v128.load(fromPtr);
      const b = v128.load(fromPtr + stride);
      const c = f32x4.neg(v128.load(fromPtr + stride * 2));
      const mean = v128.load(fromPtr + stride * 3);
      for (let pixel = first + at; pixel < last; pixel += stride) {
        let d = v128.load(gradPtr + pixel);
        if (maskPtr !== 0) d = maskGrad(d, v128.load(maskPtr + pixel));
        const centred = f32x4.sub(v128.load(inPtr + pixel), mean);
        v128.store(outPtr + pixel, multiplyAdd(c, centred, f32x4.sub(f32x4.mul(a, d), b)));
      }
    }
  }
}

/** Bytes of an image that are written at once: with dy, z and a mask a quarter of them is in L1. */
const APPLIED_BYTES: usize = 4096;

/** Sums over pixels, the gradient of a bias: chunks `firstChunk` to `lastChunk` (excluded), f64 [chunks][lanes]. */
export function columnSums(
  inPtr: usize,
  sumsPtr: usize,
  pixels: i32,
  lanes: i32,
  chunkPixels: i32,
  firstChunk: i32,
  lastChunk: i32,
): void {
  const stride = (<usize>lanes) << 2;
  for (let chunk = firstChunk; chunk < lastChunk; ++chunk) {
    const first = chunk * chunkPixels;
    const count = min(chunkPixels, pixels - first);
    const toPtr = sumsPtr + <usize>chunk * stride * 2;
    for (let at: usize = 0; at < stride; at += 16) {
      let pixelPtr = inPtr + <usize>first * stride + at;
      let low = f64x2.splat(0);
      let high = f64x2.splat(0);
      for (let i = 0; i < count; ++i) {
        const x = v128.load(pixelPtr);
        low = f64x2.add(low, f64x2.promote_low_f32x4(x));
        high = f64x2.add(high, promoteHigh(x));
        pixelPtr += stride;
      }
      v128.store(toPtr + at * 2, low);
      v128.store(toPtr + at * 2, high, 16);
    }
  }
}

/** Adds up the chunks of columnSums and writes f32[channels], or adds to what is there. */
export function writeColumnSums(
  sumsPtr: usize,
  chunks: i32,
  channels: i32,
  lanes: i32,
  accumulate: i32,
  outPtr: usize,
): void {
  for (let c: usize = 0; c < <usize>channels; ++c) {
    let sum: f64 = 0;
    let ptr = sumsPtr + (c << 3);
    for (let chunk = 0; chunk < chunks; ++chunk) {
      sum += load<f64>(ptr);
      ptr += (<usize>lanes) << 3;
    }
    writeGrad(outPtr + (c << 2), sum, accumulate);
  }
}
