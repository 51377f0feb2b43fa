/**
 * The loops around the micro-kernels: one block of packed rows against all packed columns.
 *
 *   A  [panels of panelRows rows][chunks of DEPTH_CHUNK][rows][DEPTH_CHUNK]   of T, packed by conv/im2col.ts
 *   B  [panels, see gemm/pack.ts][fullDepth][columns]                         of T
 *   C  [m][cStride bytes]                                                     f32
 *
 * A weight panel stays in L1 while the rows of the block stream past it from L2.
 */
import { DEPTH_CHUNK, TILE_ROWS } from '../tuning';
import { finishEdge, finishWide } from './finish';
import { gemmMicro, zeroTilePtr } from './micro';
import { panelColumns, tileColumns } from './pack';

/**
 * Height of the panels into which m rows are packed: as few as the tile allows, of about equal height, since a low last
 * panel would not fill the registers.
 */
export function panelRows(m: i32): i32 {
  const panels = (m + TILE_ROWS - 1) / TILE_ROWS;
  return (m + panels - 1) / panels;
}

/** Chunks into which rows of A of that depth are cut. */
export function chunksOf(depth: i32): i32 {
  return (depth + DEPTH_CHUNK - 1) / DEPTH_CHUNK;
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
  const chunkStride = <usize>(height * DEPTH_CHUNK) * sizeof<T>();
  const panelStride = chunkStride * <usize>chunksOf(depth);
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
      gemmMicro<T>(rows, panelWidth, packedPtr, chunkStride, bPtr, depth, zeroTilePtr, tilePtr);
      if (columns === tileColumns<T>()) {
        finishWide<T>(rows, tilePtr, rowPtr, cStride, tileBiasPtr, fromPtr, addendStride, low);
      } else {
        finishEdge<T>(rows, columns, padTo - j, tilePtr, rowPtr, cStride, tileBiasPtr, fromPtr, addendStride, low);
      }
      packedPtr += panelStride;
      rowPtr += <usize>height * cStride;
      fromPtr += <usize>height * addendStride;
    }
    panelPtr += <usize>(fullDepth * panelWidth) * sizeof<T>();
  }
}

/** The micro-kernels as tests call them: a tile of m rows, its A in chunks of m rows. */
export function gemmMicroFloat(m: i32, columns: i32, aPtr: usize, bPtr: usize, depth: i32, tilePtr: usize): void {
  gemmMicro<f32>(m, columns, aPtr, <usize>(m * DEPTH_CHUNK) * 4, bPtr, depth, zeroTilePtr, tilePtr);
}

/** The same in float64, where a tile has 4 columns. */
export function gemmMicroDouble(m: i32, columns: i32, aPtr: usize, bPtr: usize, depth: i32, tilePtr: usize): void {
  gemmMicro<f64>(m, columns, aPtr, <usize>(m * DEPTH_CHUNK) * 8, bPtr, depth, zeroTilePtr, tilePtr);
}
