/**
 * The loops around the micro-kernels: one block of packed rows against all packed columns.
 *
 *   A  [panels of panelRows rows][chunks of DEPTH_CHUNK][rows][DEPTH_CHUNK]   packed by conv/im2col.ts
 *   B  see Panels in gemm/panels.ts                                           packed by gemm/pack.ts
 *   C  [m][cStride bytes]
 *
 * A weight panel stays in L1 while the rows of the block stream past it from L2.
 */
import { DEPTH_CHUNK, STREAM_ROWS, TILE_COLUMNS, TILE_ROWS } from '../tuning';
import { finishEdge, finishWide } from './finish';
import { gemmMicroBatch, hasBatch, zeroTilePtr } from './micro';
import { panelColumns } from './pack';
import { gemmMicro, gemmMicroStreamed, Panels } from './panels';
import { BATCH_TILES } from './registerTiles';

/**
 * Height of the panels that m rows are packed into: as few panels as the tile allows, of about equal height, because a
 * low last panel would leave registers idle.
 */
export function panelRows(m: i32, streamed: bool): i32 {
  const most = streamed ? STREAM_ROWS : TILE_ROWS;
  const panels = (m + most - 1) / most;
  return (m + panels - 1) / panels;
}

/** Number of chunks in a row of A. */
export function chunksOf(depth: i32): i32 {
  return (depth + DEPTH_CHUNK - 1) / DEPTH_CHUNK;
}

/** Whether tiles are computed in batches: those of first layers and of 1x1 convolutions with few channels. */
function takesBatches(height: i32, depth: i32): bool {
  return depth <= DEPTH_CHUNK && hasBatch(height);
}

/** Stands in for a missing bias or addend. */
const zeroRowPtr: usize = memory.data(8 * 4, 16);

/**
 * C = max(low, A * B + bias + addend) for m rows of A and n columns of B, starting at column `before`, over rows
 * `firstDepth` to `firstDepth + depth` of B. `streamed`: uses gemmMicroStreamed, for which the panels of A are packed.
 *
 * `padTo`: fills columns n to `padTo` of C with zeros, at most up to the next multiple of 4 (n itself fills none).
 * `biasPtr`: one float per panel column, or 0. `addendPtr`: rows laid out like those of C, or 0; may be C. `tilePtr`:
 * BATCH_BYTES of scratch.
 */
export function gemmBlock(
  m: i32,
  n: i32,
  padTo: i32,
  aPtr: usize,
  depth: i32,
  bPtr: usize,
  b: Panels,
  before: i32,
  firstDepth: i32,
  streamed: bool,
  cPtr: usize,
  cStride: usize,
  biasPtr: usize,
  addendPtr: usize,
  low: f32,
  tilePtr: usize,
): void {
  const addendStride: usize = addendPtr === 0 ? 0 : cStride;
  const height = panelRows(m, streamed);
  const chunkStride = (<usize>(height * DEPTH_CHUNK)) << 2;
  const panelStride = chunkStride * <usize>chunksOf(depth);
  for (let j = 0; j < n; j += TILE_COLUMNS) {
    const columns = min(n - j, TILE_COLUMNS);
    const width = panelColumns(n - j);
    const tileBiasPtr = biasPtr === 0 ? zeroRowPtr : biasPtr + ((<usize>j) << 2);
    let fromPtr = addendPtr === 0 ? zeroRowPtr : addendPtr + ((<usize>j) << 2);
    let packedPtr = aPtr;
    let rowPtr = cPtr + ((<usize>j) << 2);
    const inBatches = !streamed && depth === b.depth && width === TILE_COLUMNS && takesBatches(height, depth);
    let rows = 0;
    for (let i = 0; i < m; i += rows) {
      let panels = 1;
      rows = min(m - i, height);
      if (streamed) {
        gemmMicroStreamed(
          rows,
          width,
          packedPtr,
          chunkStride,
          bPtr,
          b,
          before + j,
          firstDepth,
          depth,
          zeroTilePtr,
          tilePtr,
        );
      } else if (inBatches && rows === height) {
        panels = min((m - i) / height, BATCH_TILES);
        rows = panels * height;
        const weightsPtr = bPtr + ((<usize>((before + j) * depth)) << 2);
        gemmMicroBatch(height, panels, packedPtr, panelStride, 2 * panelStride, weightsPtr, 0, 0, depth, tilePtr);
      } else {
        gemmMicro(rows, width, packedPtr, chunkStride, bPtr, b, before + j, firstDepth, depth, zeroTilePtr, tilePtr);
      }
      if (columns === TILE_COLUMNS) {
        finishWide(rows, tilePtr, rowPtr, cStride, tileBiasPtr, fromPtr, addendStride, low);
      } else {
        finishEdge(rows, columns, padTo - j, tilePtr, rowPtr, cStride, tileBiasPtr, fromPtr, addendStride, low);
      }
      packedPtr += <usize>panels * panelStride;
      rowPtr += <usize>rows * cStride;
      fromPtr += <usize>rows * addendStride;
    }
  }
}
