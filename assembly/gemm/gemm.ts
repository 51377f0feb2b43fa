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
 * Height of the panels into which m rows are packed: as few as the tile allows, of about equal height, since a low last
 * panel would not fill the registers.
 */
export function panelRows(m: i32, streamed: bool): i32 {
  const most = streamed ? STREAM_ROWS : TILE_ROWS;
  const panels = (m + most - 1) / most;
  return (m + panels - 1) / panels;
}

/** Chunks into which rows of A of that depth are cut. */
export function chunksOf(depth: i32): i32 {
  return (depth + DEPTH_CHUNK - 1) / DEPTH_CHUNK;
}

/** Whether tiles of that height and depth are done a few at a time: first layers, 1x1 convolutions of few channels. */
function takesBatches(height: i32, depth: i32): bool {
  return depth <= DEPTH_CHUNK && hasBatch(height);
}

/** A bias or addend where there is none. */
const zeroRowPtr: usize = memory.data(8 * 4, 16);

/**
 * C = max(low, A * B + bias + addend) for m rows and n columns of B, before which are `before` others; of its rows
 * `firstDepth` to `firstDepth + depth`. `streamed`: by gemmMicroStreamed, with panels of A that suit it.
 *
 * `padTo`: columns of C to fill with zeros behind the n-th, up to the next multiple of 4 (n itself fills none).
 * `biasPtr`: one for every panel column, or 0. `addendPtr`: rows laid out like C's, or 0; it may be C. `tilePtr`: room for
 * a few tiles (BATCH_BYTES).
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
