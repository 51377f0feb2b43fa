/**
 * The gradient of the sum of several batch normalisations (normSum.ts) of channels-last images [pixels][lanes]. Of each
 * branch:
 *
 *   d beta = sum dy          d gamma = sum dy (z - mean) / sigma          sigma^2 = variance + eps
 *   d z = a dy - b - c (z - mean)    a = gamma / sigma    b = a d beta / P    c = a d gamma / (P sigma)
 *
 * One pass makes the sums of all branches, a second one every d z, where z is. `maskPtr`: the output of a ReLU behind the
 * sum, whose gradient is taken on the way, or 0. `windowsPtr`: PoolWindows where a max pool is behind it, too: then dy and
 * the output are those of the pool, `placesPtr` says where its values came from, and working memory takes the gradient of
 * a block; otherwise both are 0.
 *
 * Blocks of pixels are summed in float32, those sums in float64, in chunks of `chunkPixels` pixels, f64
 * [chunks][1 + branches][lanes], which threads share out, and added up in order: so a result depends on `chunkPixels` only.
 * `lanes` is a multiple of 4. `statisticsPtr`: f64 [branches][mean, variance][lanes].
 */
import { multiplyAdd } from '../simd';
import { gatherGrad, PoolWindows } from './normPool';
import { blockPixels } from './normStatistics';
import { addWidened, narrowed, promoteHigh } from './sums';
import { NORMED_BYTES } from './tuning';
import { maskGrad } from './unaryGrad';

/** So many branches, whose sums stay in registers together; more are summed in several goes. */
class One {}
class Two {}
class Three {}

const TOGETHER: i32 = 3;

/**
 * Sums of dy and of each branch's dy (z - mean), chunks `firstChunk` to `lastChunk` (excluded); the mean is rounded.
 * `imagesPtr`: addresses of the branches' z. `maskedPtr`: where dy is written as it comes out of the ReLU, or 0; it may be
 * dy.
 */
export function normGradSums(
  gradPtr: usize,
  maskPtr: usize,
  placesPtr: usize,
  windowsPtr: usize,
  maskedPtr: usize,
  imagesPtr: usize,
  branches: i32,
  statisticsPtr: usize,
  sumsPtr: usize,
  pixels: i32,
  lanes: i32,
  chunkPixels: i32,
  scratchPtr: usize,
  firstChunk: i32,
  lastChunk: i32,
): void {
  const stride = (<usize>lanes) << 2;
  const block = <usize>blockPixels(lanes) * stride;
  const sums = <usize>(1 + branches) * stride * 2;
  for (let chunk = firstChunk; chunk < lastChunk; ++chunk) {
    const toPtr = sumsPtr + <usize>chunk * sums;
    memory.fill(toPtr, 0, sums);
    const end = <usize>min(pixels, (chunk + 1) * chunkPixels) * stride;
    for (let first = <usize>(chunk * chunkPixels) * stride; first < end; first += block) {
      const last = min(end, first + block);
      let dPtr = gradPtr;
      let byPtr = maskPtr;
      if (windowsPtr !== 0) {
        gatherGrad(changetype<PoolWindows>(windowsPtr), gradPtr, maskPtr, placesPtr, scratchPtr, stride, first, last);
        dPtr = scratchPtr - first;
        byPtr = 0;
      }
      for (let branch = 0; branch < branches; branch += TOGETHER) {
        const left = branches - branch;
        const fromPtr = imagesPtr + ((<usize>branch) << 2);
        const ofPtr = statisticsPtr + <usize>branch * stride * 4;
        if (left === 1) sumBlock<One>(dPtr, byPtr, maskedPtr, fromPtr, ofPtr, branch, toPtr, stride, first, last);
        else if (left === 2) sumBlock<Two>(dPtr, byPtr, maskedPtr, fromPtr, ofPtr, branch, toPtr, stride, first, last);
        else sumBlock<Three>(dPtr, byPtr, maskedPtr, fromPtr, ofPtr, branch, toPtr, stride, first, last);
      }
    }
  }
}

/** Those of the branches from `branch` on over a block; with the first branch comes the sum of dy. */
function sumBlock<Branches>(
  gradPtr: usize,
  maskPtr: usize,
  maskedPtr: usize,
  imagesPtr: usize,
  statisticsPtr: usize,
  branch: i32,
  sumsPtr: usize,
  stride: usize,
  first: usize,
  last: usize,
): void {
  const row = stride << 1;
  const z0Ptr = load<usize>(imagesPtr);
  let z1Ptr: usize = 0;
  let z2Ptr: usize = 0;
  if (idof<Branches>() !== idof<One>()) z1Ptr = load<usize>(imagesPtr, 4);
  if (idof<Branches>() === idof<Three>()) z2Ptr = load<usize>(imagesPtr, 8);
  for (let at: usize = 0; at < stride; at += 16) {
    const byPtr = statisticsPtr + at * 2;
    const mean0 = narrowed(byPtr);
    let mean1 = mean0;
    let mean2 = mean0;
    if (idof<Branches>() !== idof<One>()) mean1 = narrowed(byPtr + row * 2);
    if (idof<Branches>() === idof<Three>()) mean2 = narrowed(byPtr + row * 4);
    let sum = f32x4.splat(0);
    let products0 = sum;
    let products1 = sum;
    let products2 = sum;
    for (let pixel = first + at; pixel < last; pixel += stride) {
      let d = v128.load(gradPtr + pixel);
      if (maskPtr !== 0) d = maskGrad(d, v128.load(maskPtr + pixel));
      if (maskedPtr !== 0) v128.store(maskedPtr + pixel, d);
      sum = f32x4.add(sum, d);
      products0 = multiplyAdd(d, f32x4.sub(v128.load(z0Ptr + pixel), mean0), products0);
      if (idof<Branches>() !== idof<One>()) {
        products1 = multiplyAdd(d, f32x4.sub(v128.load(z1Ptr + pixel), mean1), products1);
      }
      if (idof<Branches>() === idof<Three>()) {
        products2 = multiplyAdd(d, f32x4.sub(v128.load(z2Ptr + pixel), mean2), products2);
      }
    }
    if (branch === 0) addWidened(sumsPtr + at * 2, sum);
    const toPtr = sumsPtr + at * 2 + <usize>(branch + 1) * row;
    addWidened(toPtr, products0);
    if (idof<Branches>() !== idof<One>()) addWidened(toPtr + row, products1);
    if (idof<Branches>() === idof<Three>()) addWidened(toPtr + row * 2, products2);
  }
}

/** A channel's sum in that row of a chunk over all chunks. */
function sumOf(sumsPtr: usize, chunks: i32, sums: usize, row: i32, lanes: i32, c: usize): f64 {
  let sum: f64 = 0;
  let ptr = sumsPtr + ((<usize>(row * lanes) + c) << 3);
  for (let chunk = 0; chunk < chunks; ++chunk) {
    sum += load<f64>(ptr);
    ptr += sums;
  }
  return sum;
}

/** d beta of all branches, f32[channels], from the sums of all chunks. */
export function writeBetaGrad(
  sumsPtr: usize,
  chunks: i32,
  branches: i32,
  channels: i32,
  lanes: i32,
  betaGradPtr: usize,
): void {
  const sums = (<usize>((1 + branches) * lanes)) << 3;
  for (let c: usize = 0; c < <usize>channels; ++c) {
    store<f32>(betaGradPtr + (c << 2), <f32>sumOf(sumsPtr, chunks, sums, 0, lanes, c));
  }
}

/**
 * d gamma of a branch, f32[channels], and its coefficients for applyNormGrad, f32 [a][b][c][mean] of `lanes` each, from
 * the sums of all chunks. `gammaPtr`: 0 where there is none. `statisticsPtr`: the branch's. `usesBatch`: 0 where they are
 * running ones, which do not depend on z.
 */
export function normGrad(
  sumsPtr: usize,
  chunks: i32,
  branches: i32,
  branch: i32,
  pixels: i32,
  channels: i32,
  lanes: i32,
  gammaPtr: usize,
  statisticsPtr: usize,
  eps: f64,
  usesBatch: i32,
  gammaGradPtr: usize,
  coefficientsPtr: usize,
): void {
  const stride = (<usize>lanes) << 2;
  const sums = <usize>(1 + branches) * stride * 2;
  memory.fill(coefficientsPtr, 0, stride * 4);
  for (let channel: usize = 0; channel < <usize>channels; ++channel) {
    const at = channel << 2;
    const gamma: f64 = gammaPtr === 0 ? 1 : <f64>load<f32>(gammaPtr + at);
    const mean = load<f64>(statisticsPtr + at * 2);
    const rounded = <f32>mean;
    const sigma = sqrt(load<f64>(statisticsPtr + (stride + at) * 2) + eps);
    const sum = sumOf(sumsPtr, chunks, sums, 0, lanes, channel);
    const product = sumOf(sumsPtr, chunks, sums, branch + 1, lanes, channel) + (<f64>rounded - mean) * sum;
    const gammaGrad = product / sigma;
    store<f32>(gammaGradPtr + at, <f32>gammaGrad);
    const a = gamma / sigma;
    const toPtr = coefficientsPtr + at;
    store<f32>(toPtr, <f32>a);
    if (usesBatch !== 0) {
      const c = (a * gammaGrad) / (<f64>pixels * sigma);
      // With what rounding took off the mean.
      store<f32>(toPtr + stride, <f32>((a * sum) / <f64>pixels + c * (<f64>rounded - mean)));
      store<f32>(toPtr + stride * 2, <f32>c);
      store<f32>(toPtr + stride * 3, rounded);
    }
  }
}

/**
 * dz = a dy - b - c (z - mean) of all branches, pixels `firstPixel` to `lastPixel` (excluded). `imagesPtr`: addresses of
 * z, then those of dz, which may be z's. `coefficientsPtr`: [branches][a, b, c, mean][lanes]. Takes the mean off first:
 * folded into b, a large one would take the digits that it shares with z.
 */
export function applyNormGrad(
  gradPtr: usize,
  maskPtr: usize,
  placesPtr: usize,
  windowsPtr: usize,
  imagesPtr: usize,
  branches: i32,
  coefficientsPtr: usize,
  lanes: i32,
  scratchPtr: usize,
  firstPixel: i32,
  lastPixel: i32,
): void {
  const stride = (<usize>lanes) << 2;
  const end = <usize>lastPixel * stride;
  // In blocks that stay in L1 while each four channels of each branch go through them.
  const block = max(1, NORMED_BYTES / stride) * stride;
  for (let first = <usize>firstPixel * stride; first < end; first += block) {
    const last = min(end, first + block);
    let dPtr = gradPtr;
    let byPtr = maskPtr;
    if (windowsPtr !== 0) {
      gatherGrad(changetype<PoolWindows>(windowsPtr), gradPtr, maskPtr, placesPtr, scratchPtr, stride, first, last);
      dPtr = scratchPtr - first;
      byPtr = 0;
    }
    for (let branch: usize = 0; branch < <usize>branches; ++branch) {
      const inPtr = load<usize>(imagesPtr + (branch << 2));
      const outPtr = load<usize>(imagesPtr + ((<usize>branches + branch) << 2));
      applyBlock(dPtr, byPtr, inPtr, coefficientsPtr + branch * stride * 4, outPtr, stride, first, last);
    }
  }
}

function applyBlock(
  gradPtr: usize,
  maskPtr: usize,
  inPtr: usize,
  coefficientsPtr: usize,
  outPtr: usize,
  stride: usize,
  first: usize,
  last: usize,
): void {
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

/** Adds up the chunks of columnSums and writes f32[channels]. */
export function writeColumnSums(sumsPtr: usize, chunks: i32, channels: i32, lanes: i32, outPtr: usize): void {
  for (let c: usize = 0; c < <usize>channels; ++c) {
    let sum: f64 = 0;
    let ptr = sumsPtr + (c << 3);
    for (let chunk = 0; chunk < chunks; ++chunk) {
      sum += load<f64>(ptr);
      ptr += (<usize>lanes) << 3;
    }
    store<f32>(outPtr + (c << 2), <f32>sum);
  }
}
