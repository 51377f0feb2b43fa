/**
 * Product of two row-major matrices: out[m][n] = a[m][depth] * b[depth][n]. Packs both on the way, block by block, for
 * the loops of gemm/. (Weights are packed once and go through conv/.)
 *
 *   for each block of depth, for each block of columns      pack b
 *     for each block of rows                                pack a, multiply, add to out
 */
import { chunksOf, gemmBlock, panelRows } from '../gemm/gemm';
import { BATCH_BYTES } from '../gemm/micro';
import { panelColumns } from '../gemm/pack';
import { Panels } from '../gemm/panels';
import { BLOCK_DEPTH, BLOCK_PIXELS, DEPTH_CHUNK, MATRIX_COLUMNS, TILE_ROWS } from '../tuning';

/**
 * Scratch: packed rows, a batch of tiles, the layout of the columns, packed columns. The last panel of rows and the
 * last chunk may be packed at full size.
 */
const A_DEPTH: i32 = ((BLOCK_DEPTH + DEPTH_CHUNK - 1) / DEPTH_CHUNK) * DEPTH_CHUNK;
const A_BYTES: usize = (<usize>((BLOCK_PIXELS + TILE_ROWS - 1) * A_DEPTH)) << 2;
const PANELS_BYTES: usize = 16;
const B_BYTES: usize = (<usize>(BLOCK_DEPTH * ((MATRIX_COLUMNS + 3) & ~3))) << 2;
export const MATRICES_BYTES: usize = A_BYTES + BATCH_BYTES + PANELS_BYTES + B_BYTES;

export function matMul(aPtr: usize, bPtr: usize, outPtr: usize, m: i32, depth: i32, n: i32, scratchPtr: usize): void {
  const aStride = (<usize>depth) << 2;
  const bStride = (<usize>n) << 2;
  const tilePtr = scratchPtr + A_BYTES;
  const panels = changetype<Panels>(tilePtr + BATCH_BYTES);
  const packedPtr = tilePtr + BATCH_BYTES + PANELS_BYTES;
  for (let k = 0; k < depth; k += BLOCK_DEPTH) {
    const steps = min(depth - k, BLOCK_DEPTH);
    for (let j = 0; j < n; j += MATRIX_COLUMNS) {
      const columns = min(n - j, MATRIX_COLUMNS);
      panels.depth = steps;
      panels.lanes = (columns + 3) & ~3;
      panels.segment = steps;
      packColumns(bPtr + <usize>k * bStride + ((<usize>j) << 2), bStride, steps, columns, packedPtr);
      for (let i = 0; i < m; i += BLOCK_PIXELS) {
        const rows = min(m - i, BLOCK_PIXELS);
        packRows(aPtr + <usize>i * aStride + ((<usize>k) << 2), aStride, rows, steps, scratchPtr);
        const cPtr = outPtr + <usize>i * bStride + ((<usize>j) << 2);
        const addendPtr: usize = k === 0 ? 0 : cPtr;
        gemmBlock(
          rows,
          columns,
          columns,
          scratchPtr,
          steps,
          packedPtr,
          panels,
          0,
          0,
          false,
          cPtr,
          bStride,
          0,
          addendPtr,
          -Infinity,
          tilePtr,
        );
      }
    }
  }
}

/** Packs B panels. Copies what follows the last column, too; its products are never read. */
function packColumns(fromPtr: usize, stride: usize, depth: i32, columns: i32, toPtr: usize): void {
  for (let j = 0; j < columns; j += 8) {
    const width = panelColumns(columns - j);
    let rowPtr = fromPtr + ((<usize>j) << 2);
    for (let k = 0; k < depth; ++k) {
      v128.store(toPtr, v128.load(rowPtr));
      if (width > 4) v128.store(toPtr, v128.load(rowPtr, 16), 16);
      rowPtr += stride;
      toPtr += (<usize>width) << 2;
    }
  }
}

/** Packs A panels, see gemm/gemm.ts. */
function packRows(fromPtr: usize, stride: usize, rows: i32, depth: i32, toPtr: usize): void {
  const height = panelRows(rows, false);
  const chunkStride = (<usize>(height * DEPTH_CHUNK)) << 2;
  const panelStride = chunkStride * <usize>chunksOf(depth);
  for (let first = 0; first < rows; first += height) {
    const last = min(rows, first + height);
    let rowPtr = toPtr;
    for (let i = first; i < last; ++i) {
      let chunkPtr = rowPtr;
      for (let k = 0; k < depth; k += DEPTH_CHUNK) {
        memory.copy(chunkPtr, fromPtr + ((<usize>k) << 2), (<usize>min(depth - k, DEPTH_CHUNK)) << 2);
        chunkPtr += chunkStride;
      }
      rowPtr += (<usize>DEPTH_CHUNK) << 2;
      fromPtr += stride;
    }
    toPtr += panelStride;
  }
}
