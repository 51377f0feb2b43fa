/**
 * The gradient of a convolution's weights, an outer product over pixels:
 *
 *   dW[o, c, ky, kx] = sum over output pixels p of dy[p, o] * x[what tap (ky, kx) of p sees, c]
 *
 * Works on a block of pixels at a time, whole rows of the output where they are short, one part of a row where not:
 *
 *   for each block of about BLOCK_PIXELS pixels
 *     for each group, for each BLOCK_OUT of its output channels
 *       dy as panels [panels of 4 channels][pixels][4]                           in scratch
 *       for each kernel row (all at once where channels are few), for each part of the input channels
 *         what the rows see as lines [rows][positions][kernel rows][channels]    in scratch
 *         for each 8 columns of (kx, ky, c), for each 4 channels of dy
 *           sums += outer products over the block
 *
 * Neighbouring pixels share the positions of a line: those that a pixel's taps see are consecutive, so (kx, ky, c) of a
 * pixel is one run of floats, and the next pixel's begins a stride further. Padding of every mode is in the lines.
 *
 * Blocks form chunks, whose sums are apart: chunks are what threads share out. So the order of every sum is given by
 * the shape and by `chunkBlocks`, and not by who computes it. writeWeightGrad adds the chunks up.
 *
 *   sums  [chunks][groups][outChannels][(kernel row)(part of the channels)(kx)(ky)(c)]
 */

import { addOuter, OUTER_BYTES, OUTER_COLUMNS, OUTER_ROWS } from './outer';
import { BLOCK_IN, BLOCK_OUT, BLOCK_PIXELS, LINES_BYTES, THIN_ROWS } from './tuning';

/** What the kernels are told of a convolution; distances in bytes, tables as in conv/descriptor.ts. */
export class WeightGradDescriptor {
  rowsPtr: usize;
  columnsPtr: usize;
  /** A pixel of zeros, as many as x or dy have lanes. */
  zerosPtr: usize;
  batch: i32;
  outHeight: i32;
  outWidth: i32;
  kernelHeight: i32;
  kernelWidth: i32;
  groups: i32;
  /** Per group. */
  inChannels: i32;
  /** Per group. */
  outChannels: i32;
  inImageStride: usize;
  /** Between the pixels of dy. */
  gradPixelStride: usize;
  /** Pixels between the windows of neighbouring outputs, at most the kernel's width; 0 if columns are dilated. */
  columnShift: i32;
  /** Blocks of a chunk; the last chunk may have fewer. */
  chunkBlocks: i32;
}

/** Rows of a block: as many as have BLOCK_PIXELS pixels. */
function blockRows(outWidth: i32): i32 {
  return max(1, BLOCK_PIXELS / outWidth);
}

/** Pixels of a row of a block: rows that are longer than a block are cut into equal parts. */
function blockWidth(outWidth: i32): i32 {
  const segments = segmentsOf(outWidth);
  return (outWidth + segments - 1) / segments;
}

function segmentsOf(outWidth: i32): i32 {
  return (outWidth + BLOCK_PIXELS - 1) / BLOCK_PIXELS;
}

/** Blocks of pixels that the gradient is summed over. */
export function weightGradBlocks(batch: i32, outHeight: i32, outWidth: i32): i32 {
  const rows = blockRows(outWidth);
  return ((batch * outHeight + rows - 1) / rows) * segmentsOf(outWidth);
}

/** Kernel rows whose values lie side by side in a line. */
function rowsTogether(d: WeightGradDescriptor): i32 {
  return d.kernelHeight * d.inChannels <= THIN_ROWS ? d.kernelHeight : 1;
}

/** Positions between the windows of neighbouring outputs in a line. Windows with gaps share none. */
function shiftOf(d: WeightGradDescriptor): i32 {
  return d.columnShift === 0 ? d.kernelWidth : d.columnShift;
}

/** Positions of the lines of a block, in 64 bits, because the kernel's width and stride may come from a file. */
function blockPositions(d: WeightGradDescriptor): u64 {
  const positions = <u64>(blockWidth(d.outWidth) - 1) * <u64>shiftOf(d) + <u64>d.kernelWidth;
  return <u64>blockRows(d.outWidth) * positions;
}

/** Input channels of a line, but for the last part: equal parts, of whole vectors; few where windows have wide gaps. */
function partOf(d: WeightGradDescriptor): i32 {
  let most = BLOCK_IN;
  while (most > 4 && blockPositions(d) * <u64>most * 4 > LINES_BYTES) most >>= 1;
  const parts = (d.inChannels + most - 1) / most;
  return min(d.inChannels, ((d.inChannels + parts - 1) / parts + 3) & ~3);
}

/** Bytes of a panel of dy: an odd number of cache lines keeps panels out of the same few sets of L1. */
function panelBytes(outWidth: i32): usize {
  const bytes = (<usize>(blockRows(outWidth) * blockWidth(outWidth))) << 4;
  return ((bytes + 127) & ~127) + 64;
}

/** Bytes of scratch that the gradient of such a convolution needs. */
export function weightGradScratchBytes(descriptorPtr: usize): usize {
  const d = changetype<WeightGradDescriptor>(descriptorPtr);
  const record = (<u64>(rowsTogether(d) * partOf(d))) << 2;
  const panels = (min(BLOCK_OUT, d.outChannels) + OUTER_ROWS - 1) / OUTER_ROWS;
  const lines = blockPositions(d) * record;
  // Lines are written, and read by register tiles, in whole vectors.
  const bytes = OUTER_BYTES + <u64>panels * panelBytes(d.outWidth) + lines + 32;
  return <usize>min(bytes, <u64>i32.MAX_VALUE);
}

/**
 * Sums of chunks `firstChunk` to `lastChunk` (excluded), for output channels `firstChannel` to `lastChannel` (excluded;
 * ranges start at multiples of 4, and with groups they are all channels). `outPtr`: the sums, see above. `gradPtr`: dy.
 * `scratchPtr`: weightGradScratchBytes().
 */
export function conv2dWeightGrad(
  descriptorPtr: usize,
  inPtr: usize,
  outPtr: usize,
  gradPtr: usize,
  scratchPtr: usize,
  firstChunk: i32,
  lastChunk: i32,
  firstChannel: i32,
  lastChannel: i32,
): void {
  const d = changetype<WeightGradDescriptor>(descriptorPtr);
  const depthBytes = (<usize>(d.kernelHeight * d.kernelWidth * d.inChannels)) << 2;
  const last = d.groups > 1 ? d.outChannels : lastChannel;
  const blocks = weightGradBlocks(d.batch, d.outHeight, d.outWidth);
  for (let chunk = firstChunk; chunk < lastChunk; ++chunk) {
    const sumsPtr = outPtr + <usize>(chunk * d.groups * d.outChannels) * depthBytes;
    const end = min(blocks, (chunk + 1) * d.chunkBlocks);
    for (let g = 0; g < d.groups; ++g) {
      const groupPtr = sumsPtr + <usize>(g * d.outChannels) * depthBytes;
      memory.fill(groupPtr + <usize>firstChannel * depthBytes, 0, <usize>(last - firstChannel) * depthBytes);
    }
    for (let block = chunk * d.chunkBlocks; block < end; ++block) {
      for (let g = 0; g < d.groups; ++g) {
        const seenPtr = inPtr + ((<usize>(g * d.inChannels)) << 2);
        for (let o = firstChannel; o < last; o += BLOCK_OUT) {
          const channels = min(BLOCK_OUT, last - o);
          const fromPtr = gradPtr + ((<usize>(g * d.outChannels + o)) << 2);
          addBlock(
            d,
            block,
            seenPtr,
            fromPtr,
            channels,
            sumsPtr + <usize>(g * d.outChannels + o) * depthBytes,
            scratchPtr,
          );
        }
      }
    }
  }
}

/** Adds a block's products for some channels of one group. */
function addBlock(
  d: WeightGradDescriptor,
  block: i32,
  inPtr: usize,
  gradPtr: usize,
  channels: i32,
  sumsPtr: usize,
  scratchPtr: usize,
): void {
  const segments = segmentsOf(d.outWidth);
  const firstRow = (block / segments) * blockRows(d.outWidth);
  const rows = min(blockRows(d.outWidth), d.batch * d.outHeight - firstRow);
  const x = (block % segments) * blockWidth(d.outWidth);
  const width = min(blockWidth(d.outWidth), d.outWidth - x);
  const panelsPtr = scratchPtr + OUTER_BYTES;
  const panelStride = panelBytes(d.outWidth);
  const pixels = rows * width;
  packGradients(
    gradPtr + <usize>(firstRow * d.outWidth + x) * d.gradPixelStride,
    d.gradPixelStride,
    pixels,
    channels,
    panelsPtr,
    panelStride,
  );
  const linesPtr = panelsPtr + <usize>((channels + OUTER_ROWS - 1) / OUTER_ROWS) * panelStride;
  const depthBytes = (<usize>(d.kernelHeight * d.kernelWidth * d.inChannels)) << 2;
  const together = rowsTogether(d);
  const part = partOf(d);
  const gradRow = (<usize>width) << 4;
  for (let ky = 0; ky < d.kernelHeight; ky += together) {
    for (let c = 0; c < d.inChannels; c += part) {
      const count = min(part, d.inChannels - c);
      writeLines(d, inPtr + ((<usize>c) << 2), firstRow, rows, x, width, ky, together, count, linesPtr);
      const record = together * count;
      const run = d.kernelWidth * record;
      const step = (<usize>(shiftOf(d) * record)) << 2;
      const lineBytes = (<usize>(((width - 1) * shiftOf(d) + d.kernelWidth) * record)) << 2;
      const gap = lineBytes - step * <usize>width;
      const outPtr = sumsPtr + ((<usize>(d.kernelWidth * (ky * d.inChannels + c))) << 2);
      for (let column = 0; column < run; column += OUTER_COLUMNS) {
        const distance = (<usize>column) << 2;
        let panelPtr = panelsPtr;
        let toPtr = outPtr + distance;
        for (let o = 0; o < channels; o += OUTER_ROWS) {
          addOuter(
            min(OUTER_ROWS, channels - o),
            min(OUTER_COLUMNS, run - column),
            panelPtr,
            gradRow,
            panelPtr + gradRow * <usize>rows,
            linesPtr + distance,
            step,
            gap,
            scratchPtr,
            toPtr,
            depthBytes,
          );
          panelPtr += panelStride;
          toPtr += depthBytes * OUTER_ROWS;
        }
      }
    }
  }
}

/** dy of consecutive pixels as panels of four channels. What is beyond the last channel is never stored. */
export function packGradients(
  fromPtr: usize,
  pixelStride: usize,
  pixels: i32,
  channels: i32,
  panelsPtr: usize,
  panelStride: usize,
): void {
  for (let o = 0; o < channels; o += OUTER_ROWS) {
    let pixelPtr = fromPtr + ((<usize>o) << 2);
    let toPtr = panelsPtr;
    const endPtr = toPtr + ((<usize>pixels) << 4);
    while (toPtr < endPtr) {
      v128.store(toPtr, v128.load(pixelPtr));
      pixelPtr += pixelStride;
      toPtr += 16;
    }
    panelsPtr += panelStride;
  }
}

/**
 * What `rows` rows of the output (counted over the batch), columns x to x + width, see of `count` channels through
 * `together` kernel rows from `ky` on: [rows][positions][together][count].
 */
function writeLines(
  d: WeightGradDescriptor,
  inPtr: usize,
  firstRow: i32,
  rows: i32,
  x: i32,
  width: i32,
  ky: i32,
  together: i32,
  count: i32,
  linesPtr: usize,
): void {
  const lineBytes = (<usize>(((width - 1) * shiftOf(d) + d.kernelWidth) * together * count)) << 2;
  let image = firstRow / d.outHeight;
  let y = firstRow - image * d.outHeight;
  for (let r = 0; r < rows; ++r) {
    const rowsPtr = d.rowsPtr + ((<usize>(y * d.kernelHeight + ky)) << 2);
    writeLine(d, inPtr + <usize>image * d.inImageStride, rowsPtr, together, x, width, count, linesPtr);
    linesPtr += lineBytes;
    if (++y === d.outHeight) {
      y = 0;
      ++image;
    }
  }
}

/** One line: all columns of the first window, then the new ones of each further one. */
function writeLine(
  d: WeightGradDescriptor,
  imagePtr: usize,
  rowsPtr: usize,
  together: i32,
  x: i32,
  width: i32,
  count: i32,
  toPtr: usize,
): void {
  const shift = shiftOf(d);
  const bytes = (<usize>count) << 2;
  const rowsEnd = rowsPtr + ((<usize>together) << 2);
  const skipped = (<usize>(d.kernelWidth - shift)) << 2;
  let columnPtr = d.columnsPtr + ((<usize>(x * d.kernelWidth)) << 2);
  let left = d.kernelWidth;
  for (let n = d.kernelWidth + (width - 1) * shift; n > 0; --n) {
    const column = load<i32>(columnPtr);
    for (let rowPtr = rowsPtr; rowPtr < rowsEnd; rowPtr += 4) {
      const row = load<i32>(rowPtr);
      const fromPtr = (row | column) < 0 ? d.zerosPtr : imagePtr + <usize>(row + column);
      // Whole vectors: what is too much is overwritten by what follows.
      for (let at: usize = 0; at < bytes; at += 16) v128.store(toPtr + at, v128.load(fromPtr + at));
      toPtr += bytes;
    }
    columnPtr += 4;
    if (--left === 0) {
      left = shift;
      columnPtr += skipped;
    }
  }
}

/**
 * Adds up `chunks` chunks of sums, in float64, and writes (`accumulate` 0) or adds them to dW [outChannels][inChannels]
 * [kernelHeight][kernelWidth], for filters `first` to `last` (excluded), counted over all groups.
 */
export function writeWeightGrad(
  descriptorPtr: usize,
  sumsPtr: usize,
  outPtr: usize,
  chunks: i32,
  accumulate: i32,
  first: i32,
  last: i32,
): void {
  const d = changetype<WeightGradDescriptor>(descriptorPtr);
  const taps = d.kernelHeight * d.kernelWidth;
  const depthBytes = (<usize>(taps * d.inChannels)) << 2;
  const chunkBytes = <usize>(d.groups * d.outChannels) * depthBytes;
  if (taps === 1 && chunks === 1 && accumulate === 0) {
    // A linear layer's sums have the order of its weight.
    const skipped = <usize>first * depthBytes;
    memory.copy(outPtr + skipped, sumsPtr + skipped, <usize>(last - first) * depthBytes);
    return;
  }
  const together = rowsTogether(d);
  const part = partOf(d);
  for (let o = first; o < last; ++o) {
    let fromPtr = sumsPtr + <usize>o * depthBytes;
    const filterPtr = outPtr + <usize>o * depthBytes;
    for (let ky0 = 0; ky0 < d.kernelHeight; ky0 += together) {
      for (let c0 = 0; c0 < d.inChannels; c0 += part) {
        const count = min(part, d.inChannels - c0);
        for (let kx = 0; kx < d.kernelWidth; ++kx) {
          for (let k = 0; k < together; ++k) {
            for (let c = 0; c < count; ++c) {
              let sum: f64 = 0;
              let chunkPtr = fromPtr;
              for (let chunk = 0; chunk < chunks; ++chunk) {
                sum += <f64>load<f32>(chunkPtr);
                chunkPtr += chunkBytes;
              }
              const tap = (ky0 + k) * d.kernelWidth + kx;
              const toPtr = filterPtr + ((<usize>((c0 + c) * taps + tap)) << 2);
              store<f32>(toPtr, <f32>(accumulate !== 0 ? <f64>load<f32>(toPtr) + sum : sum));
              fromPtr += 4;
            }
          }
        }
      }
    }
  }
}
