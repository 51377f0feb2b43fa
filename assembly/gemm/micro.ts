/**
 * GEMM micro-kernels. They alone know the register tile; gemm/registerTiles.ts has one for each of its sizes,
 * generated.
 *
 * tile[rows][columns] = start[rows][columns] + sum over k of A[rows][k] * B[k][columns]
 *
 *   A panel      [rows][DEPTH_CHUNK]   packed by conv/im2col.ts and conv/winograd.ts
 *   B panel      [depth][columns]      packed by gemm/pack.ts and conv/winogradWeights.ts
 *   start, tile  [rows][32 bytes]      may be the same memory
 *
 * Products are added one at a time, in an order that does not depend on the tile, so a result does not depend on how
 * the work is cut. The order is ascending, except in streamed products (STREAMS in tuning.ts).
 *
 * Why the loops look as they do (V8 of Node 20, x86-64, 5 x 8, share of the register-only peak):
 * - Rows of A are a constant distance apart, so that one pointer serves them all. With a pointer per row the loop runs
 *   out of registers.
 * - One step of k per iteration, since unrolled steps get interleaved and spill (0.66).
 * - The first step before the loop, since then V8 keeps the addresses `memory + 256`, `memory + 512`, ... of the splats
 *   in registers instead of computing them in every iteration (0.81 -> 0.92).
 * - Nothing but stores behind the loop: with arithmetic there, bias or clamping, V8 schedules the rows of the loop
 *   backwards, behind all of its loads, and spills two accumulators (0.5). gemm/finish.ts does that instead.
 */
import { TILE_COLUMNS, TILE_ROWS, TILE_STRIDE } from '../tuning';
import {
  BATCH_TILES,
  MAX_BATCH_ROWS,
  MAX_TILE_ROWS,
  micro5x8,
  micro6x8,
  microBatch4x8,
  microBatch5x8,
  microBatch6x8,
  microNarrow,
  microWide,
} from './registerTiles';

/** The usual start of a sum: zeros for the largest tile. */
export const zeroTilePtr: usize = memory.data(MAX_TILE_ROWS * <i32>TILE_STRIDE, 16);

/**
 * microWide, exported from the module so that the optimiser does not inline it into gemmMicro. There its micro-kernels
 * (all but the full tile's, which has enough other callers) would get only the registers that V8 has left (relaxed, 5
 * rows: 0.42 of the peak instead of 0.90).
 */
export function microAnyRows(m: i32, aPtr: usize, bPtr: usize, depth: i32, startPtr: usize, tilePtr: usize): void {
  microWide(m, aPtr, bPtr, depth, startPtr, tilePtr);
}

/** A full tile, the usual case. */
export function microFull(aPtr: usize, bPtr: usize, depth: i32, startPtr: usize, tilePtr: usize): void {
  if (TILE_ROWS === 6) micro6x8(aPtr, bPtr, depth, startPtr, tilePtr);
  else micro5x8(aPtr, bPtr, depth, startPtr, tilePtr);
}

/** A tile of m <= TILE_ROWS rows over at most DEPTH_CHUNK. `columns`: the panel's, 8 or 4. */
export function gemmMicroChunk(
  m: i32,
  columns: i32,
  aPtr: usize,
  bPtr: usize,
  depth: i32,
  startPtr: usize,
  tilePtr: usize,
): void {
  if (columns !== TILE_COLUMNS) microNarrow(m, aPtr, bPtr, depth, startPtr, tilePtr);
  else if (m === TILE_ROWS) microFull(aPtr, bPtr, depth, startPtr, tilePtr);
  else microWide(m, aPtr, bPtr, depth, startPtr, tilePtr);
}

/** Bytes of the largest batch of tiles. */
export const BATCH_BYTES: usize = <usize>(BATCH_TILES * MAX_BATCH_ROWS) * TILE_STRIDE;

/** Whether tiles of m rows come in batches. */
export function hasBatch(m: i32): bool {
  return m >= 4;
}

/**
 * One to four wide tiles of m rows (see hasBatch) over at most DEPTH_CHUNK in one call. Compared with four calls, four
 * tiles take a sixth less time at a depth of 16 or 32 and a twentieth less at 64 (six rows in the relaxed build: a
 * quarter and a twelfth). Their sums start from nothing; their results follow each other. Within a pair of tiles the
 * second is `aStep` and `bStep` bytes behind the first; the second pair is `aPairStep` and `bPairStep` behind the first
 * pair.
 */
export function gemmMicroBatch(
  m: i32,
  count: i32,
  aPtr: usize,
  aStep: usize,
  aPairStep: usize,
  bPtr: usize,
  bStep: usize,
  bPairStep: usize,
  depth: i32,
  tilePtr: usize,
): void {
  if (m === 4) microBatch4x8(count, aPtr, aStep, aPairStep, bPtr, bStep, bPairStep, depth, tilePtr);
  else if (m === 5) microBatch5x8(count, aPtr, aStep, aPairStep, bPtr, bStep, bPairStep, depth, tilePtr);
  else microBatch6x8(count, aPtr, aStep, aPairStep, bPtr, bStep, bPairStep, depth, tilePtr);
}
