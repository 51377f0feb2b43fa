/**
 * The sum over pixels of outer products, a register tile at a time: what weight gradients are made of.
 *
 *   tile[m][8] = sum over pixels of gradients[pixel][m] * seen[pixel][8]
 *
 *   gradients  [pixels][4]            packed by train/gradPanels.ts
 *   seen       [rows][pixels]...      `seenStep` bytes from pixel to pixel, and `seenGap` more from row to row
 *   tile       [m][32 bytes]          in scratch
 *
 * The tile is 4 x 8 in both builds. Shares of the register-only peak, rows of 8 to 32 pixels, 256 in all (Node 20, Zen 4):
 *
 *              4x8  5x8  6x8  3x12 2x16
 *   baseline   101   49   53   41  101     relaxed  87   37   44   90   86
 *
 * Two nested loops leave V8 too few registers for larger tiles. One loop would take them (5x8 103, relaxed 6x8 96), but
 * needs what each tap sees as a copy of its own, which costs as much as it brings. A sum starts at zero for each call,
 * and the caller adds tiles up (addTile): arithmetic behind the loops makes V8 spill, see gemm/micro.ts; and sums of
 * sums are rounded less.
 */
import { outerNarrow, outerWide } from './outerTiles';

/** Rows and columns of a tile. */
export const OUTER_ROWS: i32 = 4;
export const OUTER_COLUMNS: i32 = 8;
/** Bytes of a tile. */
export const OUTER_BYTES: usize = 128;

/**
 * Adds m <= 4 rows and n <= 8 columns of sums to `outPtr`, whose rows are `outStride` bytes apart. `gradRow`: bytes of
 * a row of pixels among the gradients. Reads whole vectors, so up to three floats behind the last column.
 */
export function addOuter(
  m: i32,
  n: i32,
  gradPtr: usize,
  gradRow: usize,
  gradEnd: usize,
  seenPtr: usize,
  seenStep: usize,
  seenGap: usize,
  tilePtr: usize,
  outPtr: usize,
  outStride: usize,
): void {
  if (n > 4) outerWide(m, gradPtr, gradRow, gradEnd, seenPtr, seenStep, seenGap, tilePtr);
  else outerNarrow(m, gradPtr, gradRow, gradEnd, seenPtr, seenStep, seenGap, tilePtr);
  addTile(m, n, tilePtr, outPtr, outStride);
}

function addTile(m: i32, n: i32, tilePtr: usize, outPtr: usize, outStride: usize): void {
  for (let i = 0; i < m; ++i) {
    if (n === OUTER_COLUMNS) {
      v128.store(outPtr, f32x4.add(v128.load(outPtr), v128.load(tilePtr)));
      v128.store(outPtr, f32x4.add(v128.load(outPtr, 16), v128.load(tilePtr, 16)), 16);
    } else {
      for (let j: usize = 0; j < (<usize>n) << 2; j += 4) {
        store<f32>(outPtr + j, load<f32>(outPtr + j) + load<f32>(tilePtr + j));
      }
    }
    tilePtr += 32;
    outPtr += outStride;
  }
}
