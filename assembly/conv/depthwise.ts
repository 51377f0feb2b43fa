/**
 * Depthwise convolution (groups = input channels = output channels), computed directly: each vector of four channels of
 * a pixel is the sum of the vectors that its taps see, times the weights [taps][lanes].
 */
import { clampLow, multiplyAdd } from '../simd';
import { ConvDescriptor } from './descriptor';

/** Like conv2d (conv/conv2d.ts), but always all channels. Scratch holds one address per tap. */
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
  const firstRow = firstPixel / d.outWidth;
  let image = firstRow / d.outHeight;
  let y = firstRow - image * d.outHeight;
  let x = firstPixel - firstRow * d.outWidth;
  for (let pixel = firstPixel; pixel < lastPixel; ++pixel) {
    locateTaps(d, scratchPtr, inPtr + <usize>image * d.inImageStride, y, x);
    const distance = <usize>pixel * d.outPixelStride;
    sumTaps(d, scratchPtr, outPtr + distance, residualPtr === 0 ? 0 : residualPtr + distance);
    if (++x === d.outWidth) {
      x = 0;
      if (++y === d.outHeight) {
        y = 0;
        ++image;
      }
    }
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
