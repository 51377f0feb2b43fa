/**
 * Depthwise convolution (groups = input channels = output channels), computed directly: each vector of four channels of
 * a pixel is the sum of the vectors that its taps see, times the weights [taps][lanes].
 *
 * Except near borders, the columns of neighbouring windows follow each other in the image: a run of pixels is summed at a
 * time there (conv/depthwiseRuns.ts). For other pixels every tap is looked up. The order of sums is the same.
 */
import { clampLow, multiplyAdd } from '../simd';
import { hasRun, RUN_PIXELS, RUN_ROW_BYTES, sumRun } from './depthwiseRuns';
import { ConvDescriptor } from './descriptor';

/**
 * Like conv2d (conv/conv2d.ts), but always all channels. Scratch holds one address per tap, and behind them
 * RUN_ROW_BYTES for each row of the kernel.
 */
export function depthwiseConv2d(
  descriptorPtr: usize,
  inPtr: usize,
  outPtr: usize,
  residualPtr: usize,
  scratchPtr: usize,
  firstPixel: i32,
  lastPixel: i32,
): void {
  const d = changetype<ConvDescriptor>(descriptorPtr);
  const hasRuns = hasRun(d.kernelWidth, d.columnShift);
  const innerStart = hasRuns ? firstInner(d) : d.outWidth;
  const innerEnd = hasRuns ? lastInner(d, innerStart) + 1 : 0;
  const pixelStride = d.outPixelStride;
  while (firstPixel < lastPixel) {
    const row = firstPixel / d.outWidth;
    const image = row / d.outHeight;
    const y = row - image * d.outHeight;
    const imagePtr = inPtr + <usize>image * d.inImageStride;
    const rowPixel = row * d.outWidth;
    const start = firstPixel - rowPixel;
    const end = min(d.outWidth, lastPixel - rowPixel);
    const distance = <usize>rowPixel * pixelStride;
    const toPtr = outPtr + distance;
    const addendPtr: usize = residualPtr === 0 ? 0 : residualPtr + distance;
    const runsStart = max(start, innerStart);
    const runs = max(0, (min(end, innerEnd) - runsStart) / RUN_PIXELS);
    const runsEnd = runsStart + runs * RUN_PIXELS;
    sumPixels(d, scratchPtr, imagePtr, y, start, min(runsStart, end), toPtr, addendPtr);
    if (runs > 0) sumRuns(d, scratchPtr, imagePtr, y, runsStart, runsEnd, toPtr, addendPtr);
    sumPixels(d, scratchPtr, imagePtr, y, runsEnd, end, toPtr, addendPtr);
    firstPixel = rowPixel + end;
  }
}

/** Whether the columns that a window sees follow each other in the image. */
function isInner(d: ConvDescriptor, x: i32): bool {
  const ptr = d.columnsPtr + ((<usize>(x * d.kernelWidth)) << 2);
  const first = load<i32>(ptr);
  const last = load<i32>(ptr + ((<usize>(d.kernelWidth - 1)) << 2));
  return first >= 0 && last - first === (d.kernelWidth - 1) * <i32>d.outPixelStride;
}

function firstInner(d: ConvDescriptor): i32 {
  let x = 0;
  while (x < d.outWidth && !isInner(d, x)) ++x;
  return x;
}

function lastInner(d: ConvDescriptor, first: i32): i32 {
  let x = d.outWidth - 1;
  while (x >= first && !isInner(d, x)) --x;
  return x;
}

/** The pixels [start, end) of a row, in runs. */
function sumRuns(
  d: ConvDescriptor,
  scratchPtr: usize,
  imagePtr: usize,
  y: i32,
  start: i32,
  end: i32,
  outPtr: usize,
  residualPtr: usize,
): void {
  const step = d.columnShift;
  const lanesBytes = d.outPixelStride;
  const rowsPtr = scratchPtr + ((<usize>(d.kernelHeight * d.kernelWidth)) << 2);
  const column = load<i32>(d.columnsPtr + ((<usize>(start * d.kernelWidth)) << 2));
  for (let ky = 0; ky < d.kernelHeight; ++ky) {
    const row = load<i32>(d.rowsPtr + ((<usize>(y * d.kernelHeight + ky)) << 2));
    const rowPtr = rowsPtr + <usize>ky * RUN_ROW_BYTES;
    store<usize>(rowPtr, row < 0 ? d.zerosPtr : imagePtr + <usize>(row + column));
    store<usize>(rowPtr, row < 0 ? 0 : lanesBytes, 4);
  }
  const rowsEnd = rowsPtr + <usize>d.kernelHeight * RUN_ROW_BYTES;
  for (let x = start; x < end; x += RUN_PIXELS) {
    const distance = <usize>x * lanesBytes;
    sumRun(d, step, rowsPtr, outPtr + distance, residualPtr === 0 ? 0 : residualPtr + distance);
    for (let rowPtr = rowsPtr; rowPtr < rowsEnd; rowPtr += RUN_ROW_BYTES) {
      store<usize>(rowPtr, load<usize>(rowPtr) + load<usize>(rowPtr, 4) * <usize>(step * RUN_PIXELS));
    }
  }
}

/** The pixels [start, end) of a row, one at a time. */
function sumPixels(
  d: ConvDescriptor,
  scratchPtr: usize,
  imagePtr: usize,
  y: i32,
  start: i32,
  end: i32,
  outPtr: usize,
  residualPtr: usize,
): void {
  for (let x = start; x < end; ++x) {
    locateTaps(d, scratchPtr, imagePtr, y, x);
    const distance = <usize>x * d.outPixelStride;
    sumTaps(d, scratchPtr, outPtr + distance, residualPtr === 0 ? 0 : residualPtr + distance);
  }
}

function locateTaps(d: ConvDescriptor, scratchPtr: usize, imagePtr: usize, y: i32, x: i32): void {
  let tapPtr = scratchPtr;
  for (let ky = 0; ky < d.kernelHeight; ++ky) {
    const row = load<i32>(d.rowsPtr + ((<usize>(y * d.kernelHeight + ky)) << 2));
    for (let kx = 0; kx < d.kernelWidth; ++kx) {
      const column = load<i32>(d.columnsPtr + ((<usize>(x * d.kernelWidth + kx)) << 2));
      store<usize>(tapPtr, (row | column) < 0 ? d.zerosPtr : imagePtr + <usize>(row + column));
      tapPtr += 4;
    }
  }
}

function sumTaps(d: ConvDescriptor, scratchPtr: usize, outPtr: usize, residualPtr: usize): void {
  const lows = f32x4.splat(d.low);
  const lanesBytes = d.outPixelStride;
  const tapsEnd = scratchPtr + ((<usize>(d.kernelHeight * d.kernelWidth)) << 2);
  let channel: usize = 0;
  // Four sums at a time: they share the addresses, and none waits for another.
  for (; channel + 64 <= lanesBytes; channel += 64) {
    const biasPtr = d.biasPtr + channel;
    let sum0 = v128.load(biasPtr);
    let sum1 = v128.load(biasPtr, 16);
    let sum2 = v128.load(biasPtr, 32);
    let sum3 = v128.load(biasPtr, 48);
    let weightPtr = d.weightsPtr + channel;
    for (let tapPtr = scratchPtr; tapPtr < tapsEnd; tapPtr += 4) {
      const inPtr = load<usize>(tapPtr) + channel;
      sum0 = multiplyAdd(v128.load(inPtr), v128.load(weightPtr), sum0);
      sum1 = multiplyAdd(v128.load(inPtr, 16), v128.load(weightPtr, 16), sum1);
      sum2 = multiplyAdd(v128.load(inPtr, 32), v128.load(weightPtr, 32), sum2);
      sum3 = multiplyAdd(v128.load(inPtr, 48), v128.load(weightPtr, 48), sum3);
      weightPtr += lanesBytes;
    }
    finishChannels(outPtr, residualPtr, channel, sum0, lows);
    finishChannels(outPtr, residualPtr, channel + 16, sum1, lows);
    finishChannels(outPtr, residualPtr, channel + 32, sum2, lows);
    finishChannels(outPtr, residualPtr, channel + 48, sum3, lows);
  }
  for (; channel < lanesBytes; channel += 16) {
    let sum = v128.load(d.biasPtr + channel);
    let weightPtr = d.weightsPtr + channel;
    for (let tapPtr = scratchPtr; tapPtr < tapsEnd; tapPtr += 4) {
      sum = multiplyAdd(v128.load(load<usize>(tapPtr) + channel), v128.load(weightPtr), sum);
      weightPtr += lanesBytes;
    }
    finishChannels(outPtr, residualPtr, channel, sum, lows);
  }
}

function finishChannels(outPtr: usize, residualPtr: usize, channel: usize, sum: v128, lows: v128): void {
  if (residualPtr !== 0) sum = f32x4.add(sum, v128.load(residualPtr + channel));
  v128.store(outPtr + channel, clampLow(sum, lows));
}
