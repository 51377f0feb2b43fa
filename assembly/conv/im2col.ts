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
  for (let r: usize = 0; r < <usize>m; ++r) {
    packPixel<T>(d, scratchPtr + (r << 2), firstDepth, depth, panelPtr + r * DEPTH_CHUNK * sizeof<T>(), height);
  }
}

/**
 * One row of a panel. `slotPtr`: the pixel's entry in working memory. Where the taps of a kernel row see neighbouring
 * pixels, all of them are one run: nearly everywhere, unless columns are dilated or a group has but some of the channels.
 */
function packPixel<T>(
  d: ConvDescriptor,
  slotPtr: usize,
  firstDepth: i32,
  depth: i32,
  rowPtr: usize,
  height: usize,
): void {
  const imagePtr = load<usize>(slotPtr + IMAGES_OFFSET);
  const rowsPtr = load<usize>(slotPtr + ROWS_OFFSET);
  const columnsPtr = load<usize>(slotPtr + COLUMNS_OFFSET);
  const firstColumn = load<i32>(columnsPtr);
  const rowRun = d.kernelWidth * d.inChannels;
  const isOneRun = areNeighbours(d, columnsPtr);
  const tap = firstDepth / d.inChannels;
  let channel = firstDepth - tap * d.inChannels;
  let kernelRow = tap / d.kernelWidth;
  let kernelColumn = tap - kernelRow * d.kernelWidth;
  let packed = 0;
  while (packed < depth) {
    const row = load<i32>(rowsPtr + ((<usize>kernelRow) << 2));
    let run = min(d.inChannels - channel, depth - packed);
    let fromPtr = d.zerosPtr;
    if (isOneRun && row >= 0) {
      run = min(rowRun - kernelColumn * d.inChannels - channel, depth - packed);
      fromPtr = imagePtr + <usize>(row + firstColumn) + ((<usize>(kernelColumn * d.inChannels + channel)) << 2);
    } else {
      const column = load<i32>(columnsPtr + ((<usize>kernelColumn) << 2));
      if ((row | column) >= 0) fromPtr = imagePtr + <usize>(row + column);
      fromPtr += (<usize>channel) << 2;
    }
    copyToChunks<T>(fromPtr, run, rowPtr, packed, height);
    packed += run;
    channel += run;
    while (channel >= d.inChannels) {
      channel -= d.inChannels;
      if (++kernelColumn === d.kernelWidth) {
        kernelColumn = 0;
        ++kernelRow;
      }
    }
  }
}

/** Whether the taps of a kernel row see pixels that lie side by side, none of them in zero padding. */
function areNeighbours(d: ConvDescriptor, columnsPtr: usize): bool {
  let expected = load<i32>(columnsPtr);
  if (expected < 0) return false;
  for (let k: usize = 1; k < <usize>d.kernelWidth; ++k) {
    expected += d.inChannels << 2;
    if (load<i32>(columnsPtr + (k << 2)) !== expected) return false;
  }
  return true;
}

/** Copies `run` floats to place `packed` and on of a row that is cut into chunks. */
function copyToChunks<T>(fromPtr: usize, run: i32, rowPtr: usize, packed: i32, height: usize): void {
  while (run > 0) {
    const inChunk = packed & (DEPTH_CHUNK - 1);
    const part = min(run, DEPTH_CHUNK - inChunk);
    const place = <usize>(packed / DEPTH_CHUNK) * height * DEPTH_CHUNK + <usize>inChunk;
    copyRun<T>(fromPtr, part, rowPtr + place * sizeof<T>());
    fromPtr += (<usize>part) << 2;
    packed += part;
    run -= part;
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
