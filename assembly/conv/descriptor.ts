import { BATCH_BYTES } from '../gemm/micro';
import { Panels } from '../gemm/panels';
import { BLOCK_DEPTH, BLOCK_PIXELS, DEPTH_CHUNK, STREAM_DEPTH, STREAM_ROWS, TILE_ROWS } from '../tuning';

/**
 * The parameters of a convolution kernel. The plan writes them once (CONV_DESCRIPTOR in src/plan/steps/records.ts is
 * generated from this class). All fields are 32 bits wide; distances are in bytes.
 *
 * Images are channels-last, with channels padded by zeros to a multiple of four: [batch][height][width][lanes].
 *
 * Two tables hold, for each output row (column) and each kernel row (column), the distance of the input row (column)
 * that they meet, or -1 in zero padding:
 *
 *   rows     [outHeight][kernelHeight]      columns  [outWidth][kernelWidth]
 *
 * Stride, dilation, every padding mode, cropping and asymmetric padding are all in the tables; kernels know none of
 * them.
 */
export class ConvDescriptor {
  /** Packed weights. */
  weightsPtr: usize;
  /** Bias [groups][output channels per group rounded up to 4], zeros where there is none. */
  biasPtr: usize;
  rowsPtr: usize;
  columnsPtr: usize;
  /** A pixel of zeros, which taps in the padding read. */
  zerosPtr: usize;
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
  outPixelStride: usize;
  batch: i32;
  inRowStride: i32;
  /** Pixels between the windows of neighbouring outputs, at most the kernel's width; 0 if columns are dilated. */
  columnShift: i32;
  /** Kernels applied to the same input, whose results are added; more than one only in Winograd. */
  kernels: i32;
  /** Layout of the packed weights, see Panels: depth, lanes, segment. */
  weightsDepth: i32;
  weightsLanes: i32;
  weightsSegment: i32;
  /** 1 if weights are read as several streams, else 0. */
  streamed: i32;
  /** Output rows and columns of a Winograd tile. */
  tileHeight: i32;
  tileWidth: i32;
  /** Winograd tiles that are computed at a time. */
  blockTiles: i32;
  /** Lower bound of the result: 0 for a fused ReLU, else -infinity. */
  low: f32;

  get panels(): Panels {
    return changetype<Panels>(changetype<usize>(this) + offsetof<ConvDescriptor>('weightsDepth'));
  }
}

/**
 * Scratch of a GEMM convolution, one per thread:
 *
 *   | a batch of tiles | one word per pixel of a tile each: image, rows, columns | packed pixels | a line ... |
 */
export const TILE_OFFSET: usize = 0;
export const IMAGES_OFFSET: usize = BATCH_BYTES;
const HIGHEST: i32 = max(TILE_ROWS, STREAM_ROWS);
const WORDS_BYTES: usize = (<usize>HIGHEST) << 2;
export const ROWS_OFFSET: usize = IMAGES_OFFSET + WORDS_BYTES;
export const COLUMNS_OFFSET: usize = ROWS_OFFSET + WORDS_BYTES;
export const PANEL_OFFSET: usize = (COLUMNS_OFFSET + WORDS_BYTES + 63) & ~63;
/** The last panel and the last chunk may be packed at full size. */
const PACKED_ROWS: i32 = BLOCK_PIXELS + HIGHEST - 1;
const PACKED_DEPTH: i32 = ((max(BLOCK_DEPTH, STREAM_DEPTH) + DEPTH_CHUNK - 1) / DEPTH_CHUNK) * DEPTH_CHUNK;
export const LINE_OFFSET: usize = PANEL_OFFSET + <usize>(PACKED_ROWS * PACKED_DEPTH * 4);
/** All of it except the line: without room for a line, im2col packs the other way. */
export const CONVOLUTION_BYTES: usize = LINE_OFFSET;
