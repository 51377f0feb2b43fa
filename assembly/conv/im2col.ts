/**
 * im2col for one block of output pixels: gathers what each pixel's window sees into the A panels of the micro-kernels.
 *
 *   [panels of panelRows pixels][chunks of DEPTH_CHUNK][pixels][DEPTH_CHUNK]   of T; depth = taps x channels, tap outermost
 *
 * A run of channels of one tap is contiguous in a channels-last image and stays so, but for the ends of chunks.
 */
import { chunksOf, panelRows } from '../gemm/gemm';
import { DEPTH_CHUNK } from '../tuning';
import { COLUMNS_OFFSET, ConvDescriptor, IMAGES_OFFSET, ROWS_OFFSET } from './descriptor';

/**
 * Packs `pixelCount` output pixels from `firstPixel` (counted over the batch) on, depth `firstDepth` to
 * `firstDepth + depth`, of the group whose first input channel is at `inPtr`.
 */
export function packPixels<T>(
  d: ConvDescriptor,
  inPtr: usize,
  scratchPtr: usize,
  firstPixel: i32,
  pixelCount: i32,
  firstDepth: i32,
  depth: i32,
  packedPtr: usize,
): void {
  const height = panelRows(pixelCount);
  for (let i = 0; i < pixelCount; i += height) {
    const m = min(pixelCount - i, height);
    locatePixels(d, inPtr, scratchPtr, firstPixel + i, m);
    packPanel<T>(d, scratchPtr, m, firstDepth, depth, packedPtr, <usize>height);
    packedPtr += <usize>(chunksOf(depth) * height * DEPTH_CHUNK) * sizeof<T>();
  }
}

function locatePixels(d: ConvDescriptor, inPtr: usize, scratchPtr: usize, firstPixel: i32, m: i32): void {
  const pixelsPerImage = d.outHeight * d.outWidth;
  let image = firstPixel / pixelsPerImage;
  let y = (firstPixel - image * pixelsPerImage) / d.outWidth;
  let x = firstPixel - image * pixelsPerImage - y * d.outWidth;
  for (let r = 0; r < m; ++r) {
    const slot = scratchPtr + ((<usize>r) << 2);
    store<usize>(slot + IMAGES_OFFSET, inPtr + <usize>image * d.inImageStride);
    store<usize>(slot + ROWS_OFFSET, d.rowsPtr + ((<usize>(y * d.kernelHeight)) << 2));
    store<usize>(slot + COLUMNS_OFFSET, d.columnsPtr + ((<usize>(x * d.kernelWidth)) << 2));
    if (++x === d.outWidth) {
      x = 0;
      if (++y === d.outHeight) {
        y = 0;
        ++image;
      }
    }
  }
}

function packPanel<T>(
  d: ConvDescriptor,
  scratchPtr: usize,
  m: i32,
  firstDepth: i32,
  depth: i32,
  panelPtr: usize,
  height: usize,
): void {
  const tap = firstDepth / d.inChannels;
  let channel = firstDepth - tap * d.inChannels;
  let kernelRow = tap / d.kernelWidth;
  let kernelColumn = tap - kernelRow * d.kernelWidth;
  let packed = 0;
  while (packed < depth) {
    const run = min(min(d.inChannels - channel, depth - packed), DEPTH_CHUNK - (packed & (DEPTH_CHUNK - 1)));
    const chunk = <usize>(packed / DEPTH_CHUNK) * height * DEPTH_CHUNK + <usize>(packed & (DEPTH_CHUNK - 1));
    let toPtr = panelPtr + chunk * sizeof<T>();
    for (let r = 0; r < m; ++r) {
      const slot = scratchPtr + ((<usize>r) << 2);
      const row = load<i32>(load<usize>(slot + ROWS_OFFSET) + ((<usize>kernelRow) << 2));
      const column = load<i32>(load<usize>(slot + COLUMNS_OFFSET) + ((<usize>kernelColumn) << 2));
      const seenPtr = load<usize>(slot + IMAGES_OFFSET) + <usize>(row + column);
      copyRun<T>(((row | column) < 0 ? d.zerosPtr : seenPtr) + ((<usize>channel) << 2), run, toPtr);
      toPtr += DEPTH_CHUNK * sizeof<T>();
    }
    packed += run;
    channel += run;
    if (channel === d.inChannels) {
      channel = 0;
      if (++kernelColumn === d.kernelWidth) {
        kernelColumn = 0;
        ++kernelRow;
      }
    }
  }
}

/** Copies `run` floats as T. */
function copyRun<T>(fromPtr: usize, run: i32, toPtr: usize): void {
  if (sizeof<T>() === 4) {
    for (; run >= 16; run -= 16) {
      v128.store(toPtr, v128.load(fromPtr));
      v128.store(toPtr, v128.load(fromPtr, 16), 16);
      v128.store(toPtr, v128.load(fromPtr, 32), 32);
      v128.store(toPtr, v128.load(fromPtr, 48), 48);
      fromPtr += 64;
      toPtr += 64;
    }
    for (; run >= 4; run -= 4) {
      v128.store(toPtr, v128.load(fromPtr));
      fromPtr += 16;
      toPtr += 16;
    }
  }
  for (; run > 0; --run) {
    store<T>(toPtr, <T>load<f32>(fromPtr));
    fromPtr += 4;
    toPtr += sizeof<T>();
  }
}
