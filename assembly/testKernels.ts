/** Kernels that only tests and benchmarks call, compiled to a binary that is not shipped: build/test-kernels.*.wasm. */

import { zeroTilePtr } from './gemm/micro';
import { gemmMicro, gemmMicroStreamed, Panels } from './gemm/panels';
import { DEPTH_CHUNK } from './tuning';

export { gemmMicroBatch, microAnyRows } from './gemm/micro';
export { microBatch4x8, microBatch5x8, microBatch6x8 } from './gemm/registerTiles';
export { multiplyAddPeak } from './peak';
export { DEPTH_CHUNK, STREAM_ROWS, TILE_ROWS } from './tuning';

/** First byte that the module's own data does not use. */
export function heapBase(): usize {
  return __heap_base;
}

const panels: usize = memory.data(offsetof<Panels>(), 4);

function onePanel(depth: i32, columns: i32, segment: i32): Panels {
  const b = changetype<Panels>(panels);
  b.depth = depth;
  b.lanes = columns;
  b.segment = segment;
  return b;
}

/** A tile of m rows: its A in chunks of m rows, its panel the only one of B. */
export function gemmTile(m: i32, columns: i32, aPtr: usize, bPtr: usize, depth: i32, tilePtr: usize): void {
  const chunkStride = (<usize>(m * DEPTH_CHUNK)) << 2;
  const b = onePanel(depth, columns, depth);
  gemmMicro(m, columns, aPtr, chunkStride, bPtr, b, 0, 0, depth, zeroTilePtr, tilePtr);
}

/** The same, streamed: m <= STREAM_ROWS. */
export function streamedTile(m: i32, columns: i32, aPtr: usize, bPtr: usize, depth: i32, tilePtr: usize): void {
  const chunkStride = (<usize>(m * DEPTH_CHUNK)) << 2;
  const b = onePanel(depth, columns, DEPTH_CHUNK);
  gemmMicroStreamed(m, columns, aPtr, chunkStride, bPtr, b, 0, 0, depth, zeroTilePtr, tilePtr);
}
