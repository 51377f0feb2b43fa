/**
 * The loops around the micro-kernels: one block of packed rows against all packed columns.
 *
 *   A  [tiles of TILE_ROWS rows, the last of fewer][depth][rows]          of T, packed by conv/im2col.ts
 *   B  [panels, see gemm/pack.ts][fullDepth][columns]                     of T
 *   C  [m][cStride bytes]                                                 f32
 *
 * A weight panel stays in L1 while the rows of the block stream past it from L2.
 */
import { TILE_ROWS } from '../tuning';
import { gemmMicroNarrow, gemmMicroTile, gemmMicroWide } from './micro';
import { panelColumns, tileColumns } from './pack';

/** Room for one tile on its way to C: the largest, 6 rows of 8 columns. */
const edgeTilePtr: usize = memory.data(6 * 8 * 4, 16);

/**
 * C = max(low, A * B + bias + addend) for m rows and n columns, B being rows `firstDepth` to `firstDepth + depth` of
 * panels that are `fullDepth` deep.
 *
 * `padTo`: columns of C to fill with zeros behind the n-th, up to the next multiple of 4 (n itself fills none).
 * `biasPtr`: T for every panel column, or 0. `addendPtr`: rows laid out like C's, or 0; it may be C. Its rows must be
 * readable for a whole tile at any column below n.
 */
export function gemmBlock<T>(
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
  biasPtr: usize,
  addendPtr: usize,
  low: f32,
): void {
  const addendStride: usize = addendPtr === 0 ? 0 : cStride;
  const tileBytes = <usize>(depth * TILE_ROWS) * sizeof<T>();
  for (let j = 0; j < n; j += tileColumns<T>()) {
    const columns = min(n - j, tileColumns<T>());
    const panelWidth = panelColumns<T>(n - j);
    const bPtr = panelPtr + <usize>(firstDepth * panelWidth) * sizeof<T>();
    let tilePtr = aPtr;
    let rowPtr = cPtr;
    let fromPtr = addendPtr;
    for (let i = 0; i < m; i += TILE_ROWS) {
      const rows = min(m - i, TILE_ROWS);
      if (columns === tileColumns<T>() && rows === TILE_ROWS) {
        gemmMicroTile<T>(tilePtr, bPtr, depth, rowPtr, cStride, biasPtr, fromPtr, addendStride, low);
      } else {
        gemmTile<T>(
          rows,
          columns,
          padTo - j,
          tilePtr,
          bPtr,
          depth,
          rowPtr,
          cStride,
          biasPtr,
          fromPtr,
          addendStride,
          low,
        );
      }
      tilePtr += tileBytes;
      rowPtr += <usize>TILE_ROWS * cStride;
      fromPtr += <usize>TILE_ROWS * addendStride;
    }
    panelPtr += <usize>(fullDepth * panelWidth) * sizeof<T>();
    cPtr += (<usize>tileColumns<T>()) << 2;
    if (addendPtr !== 0) addendPtr += (<usize>tileColumns<T>()) << 2;
    if (biasPtr !== 0) biasPtr += <usize>tileColumns<T>() * sizeof<T>();
  }
}

/** One tile of m <= TILE_ROWS rows and n <= tileColumns columns; see gemmBlock. */
export function gemmTile<T>(
  m: i32,
  n: i32,
  padTo: i32,
  aPtr: usize,
  bPtr: usize,
  depth: i32,
  cPtr: usize,
  cStride: usize,
  biasPtr: usize,
  addendPtr: usize,
  addendStride: usize,
  low: f32,
): void {
  const isWide = panelColumns<T>(n) === tileColumns<T>();
  const isWhole = n === panelColumns<T>(n);
  const toPtr = isWhole ? cPtr : edgeTilePtr;
  const toStride = isWhole ? cStride : 32;
  if (isWide) gemmMicroWide<T>(m, aPtr, bPtr, depth, toPtr, toStride, biasPtr, addendPtr, addendStride, low);
  else if (sizeof<T>() === 4) {
    gemmMicroNarrow<T>(m, aPtr, bPtr, depth, toPtr, toStride, biasPtr, addendPtr, addendStride, low);
  }
  if (!isWhole) copyEdgeTile(m, n, min(padTo, panelColumns<T>(n)), cPtr, cStride);
}

function copyEdgeTile(m: i32, n: i32, padTo: i32, cPtr: usize, cStride: usize): void {
  for (let i = 0; i < m; ++i) {
    const rowPtr = edgeTilePtr + <usize>i * 32;
    for (let j = 0; j < n; ++j) store<f32>(cPtr + ((<usize>j) << 2), load<f32>(rowPtr + ((<usize>j) << 2)));
    for (let j = n; j < padTo; ++j) store<f32>(cPtr + ((<usize>j) << 2), 0);
    cPtr += cStride;
  }
}

/** gemmTile for the tests of the micro-kernels. */
export function gemmTileFloat(
  m: i32,
  n: i32,
  padTo: i32,
  aPtr: usize,
  bPtr: usize,
  depth: i32,
  cPtr: usize,
  cStride: usize,
  biasPtr: usize,
  addendPtr: usize,
  addendStride: usize,
  low: f32,
): void {
  gemmTile<f32>(m, n, padTo, aPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
}

/** gemmTile in float64 for the tests of the micro-kernels. */
export function gemmTileDouble(
  m: i32,
  n: i32,
  padTo: i32,
  aPtr: usize,
  bPtr: usize,
  depth: i32,
  cPtr: usize,
  cStride: usize,
  biasPtr: usize,
  addendPtr: usize,
  addendStride: usize,
  low: f32,
): void {
  gemmTile<f64>(m, n, padTo, aPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
}
