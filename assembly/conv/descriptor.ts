import { BATCH_BYTES } from '../gemm/micro';
import { Panels } from '../gemm/panels';
import { BLOCK_DEPTH, BLOCK_PIXELS, DEPTH_CHUNK, STREAM_DEPTH, STREAM_ROWS, TILE_ROWS } from '../tuning';

/**
 * What a convolution kernel is told, written once by the plan (src/plan/convolution.ts mirrors the order of the
 * fields). All are 32 bits wide; distances are in bytes.
 *
 * Images are channels-last with the channels padded to a multiple of four by zeros: [batch][height][width][lanes].
 *
 * The two tables hold, for each output row (column) and each kernel row (column), the distance of the input row
 * (column) that meets it, or -1 where that is zero padding:
 *
 *   rows     [outHeight][kernelHeight]      columns  [outWidth][kernelWidth]
 *
 * Stride, dilation, every padding mode, cropping and asymmetric padding are all in the tables; kernels see none of them.
 */
export class ConvDescriptor {
  /** Packed weights. */
  weightsPtr: usize;
  /** Bias [groups][output channels per group rounded up to 4], zeros where there is none. */
  biasPtr: usize;
  rowsPtr: usize;
  columnsPtr: usize;
  /** Zeros, as many as input channels per group: what a tap in the padding reads. */
  zerosPtr: usize;
  outHeight: i32;
  outWidth: i32;
  kernelHeight: i32;
  kernelWidth: i32;
  groups: i32;
  /** Per group; for GEMM perhaps rounded up to 4. */
  inChannels: i32;
  /** Per group. */
  outChannels: i32;
  inImageStride: usize;
  outPixelStride: usize;
  batch: i32;
  inRowStride: i32;
  /** Pixels from one output's window to the next, at most the kernel's width; 0 where columns are dilated. */
  columnShift: i32;
  /** Kernels whose products with the same input are summed; more than one in Winograd only. */
  kernels: i32;
  /** How the packed weights lie: depth, lanes, segment. */
  weightsDepth: i32;
  weightsLanes: i32;
  weightsSegment: i32;
  /** Whether they are read in several streams: 1 or 0. */
  streamed: i32;
  /** Output rows and columns of a Winograd tile. */
  tileHeight: i32;
  tileWidth: i32;
  /** Lower bound of the result: 0 for a fused ReLU, else -infinity. */
  low: f32;

  get panels(): Panels {
    return changetype<Panels>(changetype<usize>(this) + offsetof<ConvDescriptor>('weightsDepth'));
  }
}

/**
 * Working memory of a GEMM convolution, one for each thread:
 *
 *   | a few tiles | per pixel of a tile, a word each: image, rows, columns | packed pixels | a line ... |
 */
export const TILE_OFFSET: usize = 0;
export const IMAGES_OFFSET: usize = BATCH_BYTES;
const HIGHEST: i32 = max(TILE_ROWS, STREAM_ROWS);
const WORDS_BYTES: usize = (<usize>HIGHEST) << 2;
export const ROWS_OFFSET: usize = IMAGES_OFFSET + WORDS_BYTES;
export const COLUMNS_OFFSET: usize = ROWS_OFFSET + WORDS_BYTES;
export const PANEL_OFFSET: usize = (COLUMNS_OFFSET + WORDS_BYTES + 63) & ~63;
/** A last panel may be packed as if it were whole, and a last chunk too. */
const PACKED_ROWS: i32 = BLOCK_PIXELS + HIGHEST - 1;
const PACKED_DEPTH: i32 = ((max(BLOCK_DEPTH, STREAM_DEPTH) + DEPTH_CHUNK - 1) / DEPTH_CHUNK) * DEPTH_CHUNK;
export const LINE_OFFSET: usize = PANEL_OFFSET + <usize>(PACKED_ROWS * PACKED_DEPTH * 4);
/** All of it but the line, for which the other way of packing needs no room. */
export const CONVOLUTION_BYTES: usize = LINE_OFFSET;
