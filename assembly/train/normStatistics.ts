/**
 * Mean and biased variance of each channel of a channels-last image [pixels][lanes], in one pass.
 *
 * Pixels are taken in chunks, which threads share out, and those in blocks. A block is summed in float32, less the mean of
 * the chunk's first block, so that no sum is of large values; sums of blocks are float64. What a chunk leaves, f64
 *
 *   [chunks] | what was taken off | mean | sum of squared deviations from it |      of [lanes] each,
 *
 * is put together in order (Chan, Golub, LeVeque 1979): a result depends on `chunkPixels` only. `lanes` is a multiple of 4.
 */
import { addWidened, narrowed } from './sums';
import { SUMMED_BYTES, SUMMED_PIXELS } from './tuning';

/** Pixels that are summed in float32. */
export function blockPixels(lanes: i32): i32 {
  return max(2, min(SUMMED_PIXELS, SUMMED_BYTES / (lanes << 2)));
}

/** Bytes that chunks leave. */
export function normMomentsBytes(chunks: i32, lanes: i32): i32 {
  return chunks * lanes * 24;
}

/** Chunks `firstChunk` to `lastChunk` (excluded). */
export function normMoments(
  inPtr: usize,
  momentsPtr: usize,
  pixels: i32,
  lanes: i32,
  chunkPixels: i32,
  firstChunk: i32,
  lastChunk: i32,
): void {
  const stride = (<usize>lanes) << 2;
  const block = <usize>blockPixels(lanes) * stride;
  for (let chunk = firstChunk; chunk < lastChunk; ++chunk) {
    const count = min(chunkPixels, pixels - chunk * chunkPixels);
    const toPtr = momentsPtr + <usize>chunk * stride * 6;
    memory.fill(toPtr, 0, stride * 6);
    const startPtr = inPtr + <usize>(chunk * chunkPixels) * stride;
    const endPtr = startPtr + <usize>count * stride;
    meanOfBlock(startPtr, min(endPtr, startPtr + block), stride, toPtr);
    for (let ptr = startPtr; ptr < endPtr; ptr += block) addBlock(ptr, min(endPtr, ptr + block), stride, toPtr);
    finishChunk(<f64>count, stride, toPtr);
  }
}

function meanOfBlock(startPtr: usize, endPtr: usize, stride: usize, toPtr: usize): void {
  const count = f32x4.splat(<f32>((endPtr - startPtr) / stride));
  for (let at: usize = 0; at < stride; at += 16) {
    let sum = f32x4.splat(0);
    for (let ptr = startPtr + at; ptr < endPtr; ptr += stride) sum = f32x4.add(sum, v128.load(ptr));
    addWidened(toPtr + at * 2, f32x4.div(sum, count));
  }
}

/** Adds a block's sums of differences from what is taken off, and of their squares. */
function addBlock(blockPtr: usize, endPtr: usize, stride: usize, toPtr: usize): void {
  const pair = stride << 1;
  const lastPair = endPtr - stride;
  for (let at: usize = 0; at < stride; at += 16) {
    const centre = narrowed(toPtr + at * 2);
    // Two sums of each: an addition takes longer than what else there is to do for a pixel.
    let sum = f32x4.splat(0);
    let squares = sum;
    let otherSum = sum;
    let otherSquares = sum;
    let ptr = blockPtr + at;
    for (; ptr < lastPair; ptr += pair) {
      const x = f32x4.sub(v128.load(ptr), centre);
      const other = f32x4.sub(v128.load(ptr + stride), centre);
      sum = f32x4.add(sum, x);
      otherSum = f32x4.add(otherSum, other);
      squares = f32x4.add(squares, f32x4.mul(x, x));
      otherSquares = f32x4.add(otherSquares, f32x4.mul(other, other));
    }
    if (ptr < endPtr) {
      const x = f32x4.sub(v128.load(ptr), centre);
      sum = f32x4.add(sum, x);
      squares = f32x4.add(squares, f32x4.mul(x, x));
    }
    addWidened(toPtr + (stride + at) * 2, f32x4.add(sum, otherSum));
    addWidened(toPtr + (pair + at) * 2, f32x4.add(squares, otherSquares));
  }
}

/** From sums to the mean and the sum of squared deviations. */
function finishChunk(count: f64, stride: usize, toPtr: usize): void {
  const counts = f64x2.splat(count);
  const row = stride << 1;
  for (const endPtr = toPtr + row; toPtr < endPtr; toPtr += 16) {
    const sum = v128.load(toPtr + row);
    const difference = f64x2.div(sum, counts);
    v128.store(toPtr + row, f64x2.add(v128.load(toPtr), difference));
    const deviations = f64x2.sub(v128.load(toPtr + row * 2), f64x2.mul(sum, difference));
    v128.store(toPtr + row * 2, f64x2.max(deviations, f64x2.splat(0)));
  }
}

/** From what all chunks left to f64 [mean][biased variance] of `lanes` each, there and in a copy. */
export function gatherMoments(
  momentsPtr: usize,
  pixels: i32,
  lanes: i32,
  chunkPixels: i32,
  statisticsPtr: usize,
  copyPtr: usize,
): void {
  const row = (<usize>lanes) << 3;
  const count = f64x2.splat(<f64>pixels);
  const whole = <f64>chunkPixels;
  for (let at: usize = 0; at < row; at += 16) {
    let mean = f64x2.splat(0);
    let ptr = momentsPtr + at;
    for (let left = <f64>pixels; left > 0; left -= whole) {
      mean = f64x2.add(mean, f64x2.mul(f64x2.splat(min(left, whole)), v128.load(ptr + row)));
      ptr += row * 3;
    }
    mean = f64x2.div(mean, count);
    let deviations = f64x2.splat(0);
    ptr = momentsPtr + at;
    for (let left = <f64>pixels; left > 0; left -= whole) {
      const difference = f64x2.sub(v128.load(ptr + row), mean);
      const between = f64x2.mul(f64x2.mul(difference, difference), f64x2.splat(min(left, whole)));
      deviations = f64x2.add(deviations, f64x2.add(v128.load(ptr + row * 2), between));
      ptr += row * 3;
    }
    v128.store(statisticsPtr + at, mean);
    v128.store(statisticsPtr + at + row, f64x2.div(deviations, count));
  }
  memory.copy(copyPtr, statisticsPtr, row * 2);
}
