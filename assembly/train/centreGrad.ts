/**
 * The gradient dy of folded convolutions (foldNorm.ts) as they need it: through the ReLU and the max pool behind them, and
 * less its mean over all pixels, of each channel. Sums come first, in chunks of pixels as in normGrad.ts; those of pooled
 * values are those of all pixels, since each of them goes to one.
 */
import { gatherGrad, PoolWindows } from './normPool';
import { blockPixels } from './normStatistics';
import { addWidened } from './sums';
import { NORMED_BYTES } from './tuning';
import { maskGrad } from './unaryGrad';

/**
 * Chunks `firstChunk` to `lastChunk` (excluded), f64 [chunks][lanes]. `maskPtr`: what a ReLU has given, or 0.
 */
export function maskedSums(
  gradPtr: usize,
  maskPtr: usize,
  sumsPtr: usize,
  pixels: i32,
  lanes: i32,
  chunkPixels: i32,
  firstChunk: i32,
  lastChunk: i32,
): void {
  const stride = (<usize>lanes) << 2;
  const block = <usize>blockPixels(lanes) * stride;
  for (let chunk = firstChunk; chunk < lastChunk; ++chunk) {
    const toPtr = sumsPtr + <usize>chunk * stride * 2;
    memory.fill(toPtr, 0, stride * 2);
    const end = <usize>min(pixels, (chunk + 1) * chunkPixels) * stride;
    for (let first = <usize>(chunk * chunkPixels) * stride; first < end; first += block) {
      const last = min(end, first + block);
      for (let at: usize = 0; at < stride; at += 16) {
        let sum = f32x4.splat(0);
        for (let pixel = first + at; pixel < last; pixel += stride) {
          let d = v128.load(gradPtr + pixel);
          if (maskPtr !== 0) d = maskGrad(d, v128.load(maskPtr + pixel));
          sum = f32x4.add(sum, d);
        }
        addWidened(toPtr + at * 2, sum);
      }
    }
  }
}

/** Adds up chunks: f32[channels] sums, and f32[lanes] means over `count` pixels. */
export function writeGradMeans(
  sumsPtr: usize,
  chunks: i32,
  count: i32,
  channels: i32,
  lanes: i32,
  outPtr: usize,
  meansPtr: usize,
): void {
  for (let c: usize = 0; c < <usize>lanes; ++c) {
    let sum: f64 = 0;
    let ptr = sumsPtr + (c << 3);
    for (let chunk = 0; chunk < chunks; ++chunk) {
      sum += load<f64>(ptr);
      ptr += (<usize>lanes) << 3;
    }
    if (<i32>c < channels) store<f32>(outPtr + (c << 2), <f32>sum);
    store<f32>(meansPtr + (c << 2), <f32>(sum / <f64>count));
  }
}

/**
 * Writes pixels `firstPixel` to `lastPixel` (excluded) of dy less its means. `windowsPtr`: PoolWindows where a max pool is
 * behind it, and `placesPtr` its places, else 0; then out may be the gradient that comes in.
 */
export function centreGrad(
  gradPtr: usize,
  maskPtr: usize,
  placesPtr: usize,
  windowsPtr: usize,
  meansPtr: usize,
  outPtr: usize,
  lanes: i32,
  firstPixel: i32,
  lastPixel: i32,
): void {
  const stride = (<usize>lanes) << 2;
  const end = <usize>lastPixel * stride;
  // In blocks that stay in L1.
  const block = max(1, NORMED_BYTES / stride) * stride;
  for (let first = <usize>firstPixel * stride; first < end; first += block) {
    const last = min(end, first + block);
    let fromPtr = gradPtr;
    let byPtr = maskPtr;
    if (windowsPtr !== 0) {
      const toPtr = outPtr + first;
      gatherGrad(changetype<PoolWindows>(windowsPtr), gradPtr, maskPtr, placesPtr, toPtr, stride, first, last);
      fromPtr = outPtr;
      byPtr = 0;
    }
    for (let at: usize = 0; at < stride; at += 16) {
      const mean = v128.load(meansPtr + at);
      for (let pixel = first + at; pixel < last; pixel += stride) {
        let d = v128.load(fromPtr + pixel);
        if (byPtr !== 0) d = maskGrad(d, v128.load(byPtr + pixel));
        v128.store(outPtr + pixel, f32x4.sub(d, mean));
      }
    }
  }
}
