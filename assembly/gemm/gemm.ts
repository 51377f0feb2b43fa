/**
 * The loops around the micro-kernels: one block of packed rows against all packed columns.
 *
 *   A  [panels of panelRows rows, the last of fewer][depth][rows]          of T, packed by conv/im2col.ts
 *   B  [panels, see gemm/pack.ts][fullDepth][columns]                     of T
 *   C  [m][cStride bytes]                                                 f32
 *
 * A weight panel stays in L1 while the rows of the block stream past it from L2.
 */
import { TILE_ROWS } from '../tuning';
import { finishEdge, finishWide } from './finish';
import { gemmMicroNarrow, gemmMicroTile, gemmMicroWide } from './micro';
import { panelColumns, tileColumns } from './pack';

/**
 * Height of the panels into which m rows are packed: as few as the tile allows, of about equal height, since a low last
 * panel would not fill the registers.
 */
export function panelRows(m: i32): i32 {
  const panels = (m + TILE_ROWS - 1) / TILE_ROWS;
  return (m + panels - 1) / panels;
}

/** A bias or addend where there is none. */
const zeroRowPtr: usize = memory.data(8 * 4, 16);

/**
 * C = max(low, A * B + bias + addend) for m rows and n columns, B being rows `firstDepth` to `firstDepth + depth` of
 * panels that are `fullDepth` deep.
 *
 * `padTo`: columns of C to fill with zeros behind the n-th, up to the next multiple of 4 (n itself fills none).
 * `biasPtr`: T for every panel column, or 0. `addendPtr`: rows laid out like C's, or 0; it may be C. `tilePtr`: room for
 * one tile.
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
  tilePtr: usize,
): void {
  const addendStride: usize = addendPtr === 0 ? 0 : cStride;
  const height = panelRows(m);
  const packedTileBytes = <usize>(depth * height) * sizeof<T>();
  for (let j = 0; j < n; j += tileColumns<T>()) {
    const columns = min(n - j, tileColumns<T>());
    const panelWidth = panelColumns<T>(n - j);
    const bPtr = panelPtr + <usize>(firstDepth * panelWidth) * sizeof<T>();
    const tileBiasPtr = biasPtr === 0 ? zeroRowPtr : biasPtr + <usize>j * sizeof<T>();
    let fromPtr = addendPtr === 0 ? zeroRowPtr : addendPtr + ((<usize>j) << 2);
    let packedPtr = aPtr;
    let rowPtr = cPtr + ((<usize>j) << 2);
    for (let i = 0; i < m; i += height) {
      const rows = min(m - i, height);
      if (columns === tileColumns<T>() && rows === TILE_ROWS) {
        gemmMicroTile<T>(packedPtr, bPtr, depth, tilePtr);
        finishWide<T>(TILE_ROWS, tilePtr, rowPtr, cStride, tileBiasPtr, fromPtr, addendStride, low);
      } else {
        const pad = padTo - j;
        gemmTile<T>(
          rows,
          columns,
          pad,
          packedPtr,
          bPtr,
          depth,
          rowPtr,
          cStride,
          tileBiasPtr,
          fromPtr,
          addendStride,
          low,
          tilePtr,
        );
      }
      packedPtr += packedTileBytes;
      rowPtr += <usize>height * cStride;
      fromPtr += <usize>height * addendStride;
    }
    panelPtr += <usize>(fullDepth * panelWidth) * sizeof<T>();
  }
}

/** One tile of m <= TILE_ROWS rows and n <= tileColumns columns; bias and addend must be there. See gemmBlock. */
export function gemmTile<T>(
  m: i32,
  n: i32,
  padTo: i32,
  packedPtr: usize,
  bPtr: usize,
  depth: i32,
  cPtr: usize,
  cStride: usize,
  biasPtr: usize,
  addendPtr: usize,
  addendStride: usize,
  low: f32,
  tilePtr: usize,
): void {
  if (panelColumns<T>(n) === tileColumns<T>()) gemmMicroWide<T>(m, packedPtr, bPtr, depth, tilePtr);
  else if (sizeof<T>() === 4) gemmMicroNarrow<T>(m, packedPtr, bPtr, depth, tilePtr);
  if (n === tileColumns<T>()) finishWide<T>(m, tilePtr, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
  else finishEdge<T>(m, n, padTo, tilePtr, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
}

/** gemmTile for the tests of the micro-kernels. */
export function gemmTileFloat(
  m: i32,
  n: i32,
  padTo: i32,
  packedPtr: usize,
  bPtr: usize,
  depth: i32,
  cPtr: usize,
  cStride: usize,
  biasPtr: usize,
  addendPtr: usize,
  addendStride: usize,
  low: f32,
  tilePtr: usize,
): void {
  gemmTile<f32>(m, n, padTo, packedPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low, tilePtr);
}

/** gemmTile in float64 for the tests of the micro-kernels. */
export function gemmTileDouble(
  m: i32,
  n: i32,
  padTo: i32,
  packedPtr: usize,
  bPtr: usize,
  depth: i32,
  cPtr: usize,
  cStride: usize,
  biasPtr: usize,
  addendPtr: usize,
  addendStride: usize,
  low: f32,
  tilePtr: usize,
): void {
  gemmTile<f64>(m, n, padTo, packedPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low, tilePtr);
}
