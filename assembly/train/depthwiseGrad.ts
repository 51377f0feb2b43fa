/**
 * The gradient of the weights of a depthwise convolution (groups = input channels = output channels):
 *
 *   dW[c, tap] = sum over output pixels p of dy[p, c] * x[what the tap of p sees, c]
 *
 * Four channels at a time. Sums are made in chunks of rows, [chunks][taps][lanes], which threads share out and
 * writeDepthwiseWeightGrad adds up; the sum of a row is made first, so that long sums are rounded less.
 */
import { multiplyAdd } from '../simd';
import { WeightGradDescriptor } from './weightGrad';

/** Bytes of the channels that share one lookup of what a tap sees: four vectors. */
const WIDE: usize = 64;

/**
 * Chunks `firstChunk` to `lastChunk` (excluded) of `chunkBlocks` rows of the output each, counted over the batch. The
 * descriptor is that of weightGrad.ts; the pixels of dy follow each other. Needs no scratch, but has its place like all
 * kernels that threads share out.
 */
export function depthwiseWeightGrad(
  descriptorPtr: usize,
  inPtr: usize,
  outPtr: usize,
  gradPtr: usize,
  _scratchPtr: usize,
  firstChunk: i32,
  lastChunk: i32,
): void {
  const d = changetype<WeightGradDescriptor>(descriptorPtr);
  const lanesBytes = d.gradPixelStride;
  const chunkBytes = <usize>(d.kernelHeight * d.kernelWidth) * lanesBytes;
  const allRows = d.batch * d.outHeight;
  for (let chunk = firstChunk; chunk < lastChunk; ++chunk) {
    const sumsPtr = outPtr + <usize>chunk * chunkBytes;
    memory.fill(sumsPtr, 0, chunkBytes);
    const end = min(allRows, (chunk + 1) * d.chunkBlocks);
    for (let r = chunk * d.chunkBlocks; r < end; ++r) {
      const image = r / d.outHeight;
      const y = r - image * d.outHeight;
      const rowPtr = gradPtr + <usize>(r * d.outWidth) * lanesBytes;
      const imagePtr = inPtr + <usize>image * d.inImageStride;
      for (let ky = 0; ky < d.kernelHeight; ++ky) {
        const row = load<i32>(d.rowsPtr + ((<usize>(y * d.kernelHeight + ky)) << 2));
        if (row < 0) continue;
        const tapsPtr = sumsPtr + <usize>(ky * d.kernelWidth) * lanesBytes;
        addRow(d, imagePtr + <usize>row, rowPtr, tapsPtr);
      }
    }
  }
}

/** The products of a row of dy with what the taps of a kernel row see. */
function addRow(d: WeightGradDescriptor, imageRowPtr: usize, gradRowPtr: usize, tapsPtr: usize): void {
  const lanesBytes = d.gradPixelStride;
  for (let kx = 0; kx < d.kernelWidth; ++kx) {
    const columnPtr = d.columnsPtr + ((<usize>kx) << 2);
    let at: usize = 0;
    for (; at + WIDE <= lanesBytes; at += WIDE) {
      addWide(d, columnPtr, imageRowPtr + at, gradRowPtr + at, tapsPtr + at);
    }
    for (; at < lanesBytes; at += 16) addQuad(d, columnPtr, imageRowPtr + at, gradRowPtr + at, tapsPtr + at);
    tapsPtr += lanesBytes;
  }
}

/** Adds the sums over a row for a tap and 16 channels. `columnPtr`: the tap's first entry in the table. */
function addWide(d: WeightGradDescriptor, columnPtr: usize, imageRowPtr: usize, pixelPtr: usize, toPtr: usize): void {
  const columnStep = (<usize>d.kernelWidth) << 2;
  let sum0 = f32x4.splat(0);
  let sum1 = sum0;
  let sum2 = sum0;
  let sum3 = sum0;
  for (let x = 0; x < d.outWidth; ++x) {
    const column = load<i32>(columnPtr);
    if (column >= 0) {
      const seenPtr = imageRowPtr + <usize>column;
      sum0 = multiplyAdd(v128.load(pixelPtr), v128.load(seenPtr), sum0);
      sum1 = multiplyAdd(v128.load(pixelPtr, 16), v128.load(seenPtr, 16), sum1);
      sum2 = multiplyAdd(v128.load(pixelPtr, 32), v128.load(seenPtr, 32), sum2);
      sum3 = multiplyAdd(v128.load(pixelPtr, 48), v128.load(seenPtr, 48), sum3);
    }
    pixelPtr += d.gradPixelStride;
    columnPtr += columnStep;
  }
  v128.store(toPtr, f32x4.add(v128.load(toPtr), sum0));
  v128.store(toPtr, f32x4.add(v128.load(toPtr, 16), sum1), 16);
  v128.store(toPtr, f32x4.add(v128.load(toPtr, 32), sum2), 32);
  v128.store(toPtr, f32x4.add(v128.load(toPtr, 48), sum3), 48);
}

/** The same of four channels. */
function addQuad(d: WeightGradDescriptor, columnPtr: usize, imageRowPtr: usize, pixelPtr: usize, toPtr: usize): void {
  const columnStep = (<usize>d.kernelWidth) << 2;
  let sum = f32x4.splat(0);
  for (let x = 0; x < d.outWidth; ++x) {
    const column = load<i32>(columnPtr);
    if (column >= 0) sum = multiplyAdd(v128.load(pixelPtr), v128.load(imageRowPtr + <usize>column), sum);
    pixelPtr += d.gradPixelStride;
    columnPtr += columnStep;
  }
  v128.store(toPtr, f32x4.add(v128.load(toPtr), sum));
}

/** Adds up chunks, in float64, and writes (`accumulate` 0) or adds them to dW [channels][taps]. */
export function writeDepthwiseWeightGrad(
  sumsPtr: usize,
  outPtr: usize,
  chunks: i32,
  accumulate: i32,
  channels: i32,
  taps: i32,
): void {
  const lanes = (channels + 3) & ~3;
  const chunkBytes = (<usize>(taps * lanes)) << 2;
  for (let c = 0; c < channels; ++c) {
    for (let tap = 0; tap < taps; ++tap) {
      let sum: f64 = 0;
      let ptr = sumsPtr + ((<usize>(tap * lanes + c)) << 2);
      for (let chunk = 0; chunk < chunks; ++chunk) {
        sum += <f64>load<f32>(ptr);
        ptr += chunkBytes;
      }
      store<f32>(outPtr, <f32>(accumulate !== 0 ? <f64>load<f32>(outPtr) + sum : sum));
      outPtr += 4;
    }
  }
}
