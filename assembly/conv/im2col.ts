/**
 * im2col for one block of output pixels: gathers what each pixel's window sees into the A panels of the micro-kernels.
 *
 *   [panels of panelRows pixels][chunks of DEPTH_CHUNK][pixels][DEPTH_CHUNK]   depth = taps x channels, tap outermost
 *
 * The channels of one tap are contiguous in a channels-last image and stay so, except where a chunk ends. Images of one
 * to three channels have padding lanes in between: what a kernel row sees of an image row is first written as a line
 * without them; each pixel's part of the line is then one run.
 */
import { chunksOf, panelRows } from '../gemm/gemm';
import { scratchBytes } from '../scratch';
import { BLOCK_PIXELS, DEPTH_CHUNK } from '../tuning';
import { COLUMNS_OFFSET, ConvDescriptor, IMAGES_OFFSET, LINE_OFFSET, ROWS_OFFSET } from './descriptor';

/**
 * Packs output pixels `firstPixel` (counted over the batch) to `firstPixel + pixelCount`, steps `firstDepth` to
 * `firstDepth + depth`, of the group whose first input channel is at `inPtr`.
 */
export function packPixels(
  d: ConvDescriptor,
  inPtr: usize,
  scratchPtr: usize,
  firstPixel: i32,
  pixelCount: i32,
  firstDepth: i32,
  depth: i32,
  packedPtr: usize,
): void {
  if (isThin(d)) {
    packThinPixels(d, inPtr, scratchPtr + LINE_OFFSET, firstPixel, pixelCount, firstDepth, depth, packedPtr);
    return;
  }
  const height = panelRows(pixelCount, d.streamed !== 0);
  for (let i = 0; i < pixelCount; i += height) {
    const m = min(pixelCount - i, height);
    locatePixels(d, inPtr, scratchPtr, firstPixel + i, m);
    packPanel(d, scratchPtr, m, firstDepth, depth, packedPtr, <usize>height);
    packedPtr += (<usize>(chunksOf(depth) * height * DEPTH_CHUNK)) << 2;
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

/** Finds the first tap and channel once for all rows of a panel (1x1 32->16 @112: 3 % less time). */
function packPanel(
  d: ConvDescriptor,
  scratchPtr: usize,
  m: i32,
  firstDepth: i32,
  depth: i32,
  panelPtr: usize,
  height: usize,
): void {
  const tap = firstDepth / d.inChannels;
  const channel = firstDepth - tap * d.inChannels;
  const kernelRow = tap / d.kernelWidth;
  const kernelColumn = tap - kernelRow * d.kernelWidth;
  for (let r: usize = 0; r < <usize>m; ++r) {
    const rowPtr = panelPtr + r * DEPTH_CHUNK * 4;
    packPixel(d, scratchPtr + (r << 2), kernelRow, kernelColumn, channel, depth, rowPtr, height);
  }
}

/**
 * One row of a panel, starting at the given tap and channel. `slotPtr`: the pixel's entry in scratch. Where the taps of
 * a kernel row see neighbouring pixels, they form one run: nearly everywhere, unless columns are dilated or the
 * convolution has groups.
 */
function packPixel(
  d: ConvDescriptor,
  slotPtr: usize,
  kernelRow: i32,
  kernelColumn: i32,
  channel: i32,
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
    copyToChunks(fromPtr, run, rowPtr, packed, height);
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

/** Whether the taps of a kernel row see adjacent pixels, none of them in zero padding. */
function areNeighbours(d: ConvDescriptor, columnsPtr: usize): bool {
  let expected = load<i32>(columnsPtr);
  if (expected < 0) return false;
  for (let k: usize = 1; k < <usize>d.kernelWidth; ++k) {
    expected += d.inChannels << 2;
    if (load<i32>(columnsPtr + (k << 2)) !== expected) return false;
  }
  return true;
}

/** Whether to pack by lines: one to three channels, windows without gaps, and room in scratch for the longest line. */
function isThin(d: ConvDescriptor): bool {
  // In 64 bits, because the kernel's width and stride may come from a file.
  const columns = <u64>BLOCK_PIXELS * <u64>d.columnShift + <u64>d.kernelWidth;
  const longest = <u64>LINE_OFFSET + columns * 12 + 64;
  return d.inChannels < 4 && d.streamed === 0 && d.columnShift > 0 && longest <= <u64>scratchBytes();
}

/**
 * packPixels for one to three channels (5x5 3->32 @32: 0.23 ms became 0.15).
 * Precondition: firstDepth and depth are multiples of the channels, as BLOCK_DEPTH is of 1, 2 and 3.
 */
function packThinPixels(
  d: ConvDescriptor,
  inPtr: usize,
  linePtr: usize,
  firstPixel: i32,
  pixelCount: i32,
  firstDepth: i32,
  depth: i32,
  packedPtr: usize,
): void {
  const pixelsPerImage = d.outHeight * d.outWidth;
  let done = 0;
  while (done < pixelCount) {
    const pixel = firstPixel + done;
    const image = pixel / pixelsPerImage;
    const y = (pixel - image * pixelsPerImage) / d.outWidth;
    const x = pixel - image * pixelsPerImage - y * d.outWidth;
    const count = min(d.outWidth - x, pixelCount - done);
    const imagePtr = inPtr + <usize>image * d.inImageStride;
    let packed = 0;
    while (packed < depth) {
      const tap = (firstDepth + packed) / d.inChannels;
      const kernelRow = tap / d.kernelWidth;
      const kernelColumn = tap - kernelRow * d.kernelWidth;
      const run = min((d.kernelWidth - kernelColumn) * d.inChannels, depth - packed);
      const row = load<i32>(d.rowsPtr + ((<usize>(y * d.kernelHeight + kernelRow)) << 2));
      writeLine(d, imagePtr, row, x, count, linePtr);
      const fromPtr = linePtr + ((<usize>(kernelColumn * d.inChannels)) << 2);
      spreadLine(d, fromPtr, run, done, count, packed, panelRows(pixelCount, false), depth, packedPtr);
      packed += run;
    }
    done += count;
  }
}

/** Writes what a kernel row sees of the image row at distance `row`, for output columns `x` to `x + count`. */
function writeLine(d: ConvDescriptor, imagePtr: usize, row: i32, x: i32, count: i32, linePtr: usize): void {
  const pixelBytes = (<usize>d.inChannels) << 2;
  const skipped = (<usize>(d.kernelWidth - d.columnShift)) << 2;
  let columnPtr = d.columnsPtr + ((<usize>(x * d.kernelWidth)) << 2);
  // All columns of the first window, then the new ones of each further window.
  let left = d.kernelWidth;
  for (let n = d.kernelWidth + (count - 1) * d.columnShift; n > 0; --n) {
    const column = load<i32>(columnPtr);
    // Also writes the padding lanes, which the next pixel overwrites.
    v128.store(linePtr, v128.load((row | column) < 0 ? d.zerosPtr : imagePtr + <usize>(row + column)));
    linePtr += pixelBytes;
    columnPtr += 4;
    if (--left === 0) {
      left = d.columnShift;
      columnPtr += skipped;
    }
  }
}

/**
 * Copies each pixel's `run` floats of a line to place `packed` of its row. May write a few floats too many; the next
 * rows of the kernel overwrite them.
 */
function spreadLine(
  d: ConvDescriptor,
  fromPtr: usize,
  run: i32,
  firstRow: i32,
  count: i32,
  packed: i32,
  height: i32,
  depth: i32,
  packedPtr: usize,
): void {
  const shiftBytes = (<usize>(d.columnShift * d.inChannels)) << 2;
  const inChunk = packed & (DEPTH_CHUNK - 1);
  const panelBytes = (<usize>(chunksOf(depth) * height * DEPTH_CHUNK)) << 2;
  const place = (<usize>((packed / DEPTH_CHUNK) * height * DEPTH_CHUNK + inChunk)) << 2;
  const rowBytes = (<usize>DEPTH_CHUNK) << 2;
  const isShort = run <= 16 && inChunk <= DEPTH_CHUNK - 16;
  let panelPtr = packedPtr + <usize>(firstRow / height) * panelBytes;
  let row = firstRow % height;
  while (count > 0) {
    const rows = min(height - row, count);
    let rowPtr = panelPtr + <usize>row * rowBytes;
    const endPtr = rowPtr + <usize>rows * rowBytes;
    if (isShort) {
      for (; rowPtr < endPtr; rowPtr += rowBytes) {
        const toPtr = rowPtr + place;
        v128.store(toPtr, v128.load(fromPtr));
        v128.store(toPtr, v128.load(fromPtr, 16), 16);
        v128.store(toPtr, v128.load(fromPtr, 32), 32);
        v128.store(toPtr, v128.load(fromPtr, 48), 48);
        fromPtr += shiftBytes;
      }
    } else {
      for (; rowPtr < endPtr; rowPtr += rowBytes) {
        copyToChunks(fromPtr, run, rowPtr, packed, <usize>height);
        fromPtr += shiftBytes;
      }
    }
    count -= rows;
    row = 0;
    panelPtr += panelBytes;
  }
}

/** Copies `run` floats to place `packed` of a row that is cut into chunks. */
function copyToChunks(fromPtr: usize, run: i32, rowPtr: usize, packed: i32, height: usize): void {
  while (run > 0) {
    const inChunk = packed & (DEPTH_CHUNK - 1);
    const part = min(run, DEPTH_CHUNK - inChunk);
    const place = <usize>(packed / DEPTH_CHUNK) * height * DEPTH_CHUNK + <usize>inChunk;
    copyRun(fromPtr, part, rowPtr + (place << 2));
    fromPtr += (<usize>part) << 2;
    packed += part;
    run -= part;
  }
}

/** Copies `run` floats. */
function copyRun(fromPtr: usize, run: i32, toPtr: usize): void {
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
  for (; run > 0; --run) {
    store<f32>(toPtr, load<f32>(fromPtr));
    fromPtr += 4;
    toPtr += 4;
  }
}
