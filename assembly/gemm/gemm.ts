/**
 * The loops around the micro-kernels: one block of packed rows against all packed columns.
 *
 *   A  [tiles of TILE_ROWS rows, the last of fewer][depth][rows]      packed by conv/im2col.ts
 *   B  [panels of 8 columns, the last of 4 or 8][fullDepth][columns]  packed by gemm/pack.ts
 *   C  [m][cStride bytes]
 *
 * A weight panel stays in L1 while the rows of the block stream past it from L2.
 */
import { TILE_COLUMNS, TILE_ROWS } from '../tuning';
import { gemmMicroEdgeX4, gemmMicroEdgeX8, gemmMicroTile } from './micro';
import { paddedColumns } from './pack';

/** Room for one tile on its way to C: the widest tile, 6 rows x 8 columns. */
const edgeTilePtr: usize = memory.data(6 * 8 * 4, 16);

/**
 * C = max(low, start + A * B + bias) for m rows and n columns, B being rows `firstDepth` to `firstDepth + depth` of
 * panels that are `fullDepth` deep.
 * `padTo`: columns of C to fill with zeros behind the n-th, up to the next multiple of 4 (n itself fills none).
 * Start and C may be the same memory. Start rows must be readable for 8 floats at any column below n.
 */
export function gemmBlock(
  m: i32,
  n: i32,
  padTo: i32,
  aPtr: usize,
  depth: i32,
  panelPtr: usize,
  firstDepth: i32,
  fullDepth: i32,
  cPtr: usize,
  cStride: usize,
  startPtr: usize,
  startStride: usize,
  biasPtr: usize,
  low: f32,
): void {
  for (let j = 0; j < n; j += TILE_COLUMNS) {
    const columns = min(n - j, TILE_COLUMNS);
    const panelColumns = min(paddedColumns(n - j), TILE_COLUMNS);
    const bPtr = panelPtr + ((<usize>(firstDepth * panelColumns)) << 2);
    let tilePtr = aPtr;
    let rowPtr = cPtr;
    let fromPtr = startPtr;
    for (let i = 0; i < m; i += TILE_ROWS) {
      const rows = min(m - i, TILE_ROWS);
      if (columns === TILE_COLUMNS && rows === TILE_ROWS) {
        gemmMicroTile(tilePtr, bPtr, depth, rowPtr, cStride, fromPtr, startStride, biasPtr, low);
      } else {
        gemmTile(rows, columns, padTo - j, tilePtr, bPtr, depth, rowPtr, cStride, fromPtr, startStride, biasPtr, low);
      }
      tilePtr += (<usize>(depth * TILE_ROWS)) << 2;
      rowPtr += <usize>TILE_ROWS * cStride;
      fromPtr += <usize>TILE_ROWS * startStride;
    }
    panelPtr += (<usize>(fullDepth * panelColumns)) << 2;
    cPtr += TILE_COLUMNS * 4;
    startPtr += TILE_COLUMNS * 4;
    if (biasPtr !== 0) biasPtr += TILE_COLUMNS * 4;
  }
}

/** One tile of m <= TILE_ROWS rows and n <= 8 columns; see gemmBlock. */
export function gemmTile(
  m: i32,
  n: i32,
  padTo: i32,
  aPtr: usize,
  bPtr: usize,
  depth: i32,
  cPtr: usize,
  cStride: usize,
  startPtr: usize,
  startStride: usize,
  biasPtr: usize,
  low: f32,
): void {
  if (n === 8) {
    gemmMicroEdgeX8(m, aPtr, bPtr, depth, cPtr, cStride, startPtr, startStride, biasPtr, low);
  } else if (n === 4) {
    gemmMicroEdgeX4(m, aPtr, bPtr, depth, cPtr, cStride, startPtr, startStride, biasPtr, low);
  } else {
    if (n > 4) gemmMicroEdgeX8(m, aPtr, bPtr, depth, edgeTilePtr, 32, startPtr, startStride, biasPtr, low);
    else gemmMicroEdgeX4(m, aPtr, bPtr, depth, edgeTilePtr, 32, startPtr, startStride, biasPtr, low);
    copyEdgeTile(m, n, min(padTo, 8), cPtr, cStride);
  }
}

function copyEdgeTile(m: i32, n: i32, padTo: i32, cPtr: usize, cStride: usize): void {
  for (let i = 0; i < m; ++i) {
    const rowPtr = edgeTilePtr + <usize>i * 32;
    for (let j = 0; j < n; ++j) store<f32>(cPtr + ((<usize>j) << 2), load<f32>(rowPtr + ((<usize>j) << 2)));
    for (let j = n; j < padTo; ++j) store<f32>(cPtr + ((<usize>j) << 2), 0);
    cPtr += cStride;
  }
}
