/** The layout of B, and register tiles over any depth. */
import { DEPTH_CHUNK, STREAMS, TILE_COLUMNS, TILE_ROWS } from '../tuning';
import { microFull } from './micro';
import { microNarrow, microStreamed, microWide } from './registerTiles';

/**
 * The layout of B: [segments of `segment` rows, the last may be shorter][panels, `lanes` columns in all][rows of the
 * segment][columns]. A segment is one chunk where B may be streamed, else the whole depth.
 */
export class Panels {
  depth: i32;
  lanes: i32;
  segment: i32;
}

/**
 * A tile of m <= TILE_ROWS rows over `depth` steps of k from `firstDepth` on, a multiple of DEPTH_CHUNK. The sum starts
 * from the tile at `startPtr`. A is [chunks, `chunkStride` bytes apart][rows][DEPTH_CHUNK]. `before`: columns of B
 * before the tile's panel.
 */
export function gemmMicro(
  m: i32,
  columns: i32,
  aPtr: usize,
  chunkStride: usize,
  bPtr: usize,
  b: Panels,
  before: i32,
  firstDepth: i32,
  depth: i32,
  startPtr: usize,
  tilePtr: usize,
): void {
  const isWide = columns === TILE_COLUMNS;
  const segment = b.segment;
  const end = firstDepth + depth;
  let k = firstDepth;
  while (k < end) {
    const inSegment = k % segment;
    const segmentDepth = min(segment, b.depth - k + inSegment);
    const segmentEnd = min(end, k - inSegment + segmentDepth);
    const skipped = (k - inSegment) * b.lanes + before * segmentDepth + inSegment * columns;
    let panelPtr = bPtr + ((<usize>skipped) << 2);
    for (; k < segmentEnd; k += DEPTH_CHUNK) {
      const chunk = min(segmentEnd - k, DEPTH_CHUNK);
      // Repeats gemmMicroChunk, to save a call for every chunk.
      if (isWide) {
        if (m === TILE_ROWS) microFull(aPtr, panelPtr, chunk, startPtr, tilePtr);
        else microWide(m, aPtr, panelPtr, chunk, startPtr, tilePtr);
      } else {
        microNarrow(m, aPtr, panelPtr, chunk, startPtr, tilePtr);
      }
      aPtr += chunkStride;
      panelPtr += (<usize>(DEPTH_CHUNK * columns)) << 2;
      startPtr = tilePtr;
    }
    k = segmentEnd;
  }
}

/**
 * The same for m <= STREAM_ROWS and segments of one chunk: takes chunks of all streams at once while there are enough,
 * then the rest in order.
 */
export function gemmMicroStreamed(
  m: i32,
  columns: i32,
  aPtr: usize,
  chunkStride: usize,
  bPtr: usize,
  b: Panels,
  before: i32,
  firstDepth: i32,
  depth: i32,
  startPtr: usize,
  tilePtr: usize,
): void {
  const chunks = depth / DEPTH_CHUNK;
  if (chunks > 1 && columns === TILE_COLUMNS) {
    const streams = min(STREAMS, chunks);
    const passes = chunks / streams;
    const chunkBytes = (<usize>(DEPTH_CHUNK * b.lanes)) << 2;
    const aStep = <usize>passes * chunkStride;
    const bStep = <usize>passes * chunkBytes;
    let panelPtr = bPtr + ((<usize>(firstDepth * b.lanes + before * DEPTH_CHUNK)) << 2);
    let rowsPtr = aPtr;
    for (let pass = 0; pass < passes; ++pass) {
      microStreamed(m, streams, rowsPtr, aStep, panelPtr, bStep, startPtr, tilePtr);
      startPtr = tilePtr;
      rowsPtr += chunkStride;
      panelPtr += chunkBytes;
    }
    aPtr += <usize>streams * aStep;
    firstDepth += streams * passes * DEPTH_CHUNK;
    depth -= streams * passes * DEPTH_CHUNK;
  }
  gemmMicro(m, columns, aPtr, chunkStride, bPtr, b, before, firstDepth, depth, startPtr, tilePtr);
}
