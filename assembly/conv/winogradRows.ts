/**
 * Winograd along rows: a tile is one row of four outputs, and kernel rows add to the depth. See winograd.ts.
 *
 *   F(4, 5)  n = 8  points 0, +-1, +-1/2, +-2, infinity
 *
 * Needs 10 multiplications per output where F(2x3, 5x5) needs 7, but transforms 2 values per output instead of 7:
 * better for few channels.
 */
import { DEPTH_CHUNK } from '../tuning';
import { ConvDescriptor } from './descriptor';
import { Block, chunkStrideOf, membersOf, PLACE_WORDS, tableEntry } from './winogradBlock';
import { alongF4K5 } from './winogradInput';

/**
 * B' d of tile `t` of the block, at output row `y` and column `x`, for each kernel row. All but the last kernel row see
 * what the tile above sees with the next kernel row, and are copied from it.
 */
export function transformRow(d: ConvDescriptor, b: Block, t: i32, imagePtr: usize, y: i32, x: i32): void {
  const placePtr = b.placePtr + ((<usize>(t * PLACE_WORDS)) << 2);
  const rowPtr = load<usize>(placePtr, 16);
  const lanes = b.depthLanes;
  const step = b.panelStep;
  const chunkGap = chunkStrideOf(membersOf(b, 0)) - ((<usize>DEPTH_CHUNK) << 2);
  const hasAbove = t >= b.across && y > 0;
  const first = hasAbove ? d.kernelHeight - 1 : 0;
  if (hasAbove) {
    const abovePtr = placeInRow(load<usize>(placePtr - ((<usize>(b.across * PLACE_WORDS)) << 2), 16), lanes, chunkGap);
    copyAbove(b, abovePtr, lanes, rowPtr, first * lanes, step, chunkGap);
  }
  for (let i = first; i < d.kernelHeight; ++i) {
    const row = load<i32>(d.rowsPtr + ((<usize>(y * d.kernelHeight + i)) << 2));
    for (let j = 0; j < b.wide; ++j) {
      const column = tableEntry(b, d.columnsPtr, x, j, d.kernelWidth, d.outWidth);
      const seen = (row | column) < 0 ? d.zerosPtr : imagePtr + <usize>(row + column);
      store<usize>(b.seenPtr + ((<usize>j) << 2), seen);
    }
    let place = i * lanes;
    let toPtr = placeInRow(rowPtr, place, chunkGap);
    for (let channel = 0; channel < b.lanes; channel += 4) {
      alongF4K5(b.seenPtr, (<usize>channel) << 2, toPtr, step);
      place += 4;
      toPtr += 16 + (isChunk(place) ? chunkGap : 0);
    }
  }
}

/** Address of a place in a row; `chunkGap` bytes lie between chunks. */
function placeInRow(rowPtr: usize, place: i32, chunkGap: usize): usize {
  return rowPtr + ((<usize>place) << 2) + <usize>(place / DEPTH_CHUNK) * chunkGap;
}

/** Whether a place starts a chunk. */
function isChunk(place: i32): bool {
  return (place & (DEPTH_CHUNK - 1)) === 0;
}

/** Copies `depth` values at each point from the tile above, starting at its place `above`. */
function copyAbove(
  b: Block,
  abovePtr: usize,
  above: i32,
  rowPtr: usize,
  depth: i32,
  step: usize,
  chunkGap: usize,
): void {
  for (let place = 4; place <= depth; place += 4) {
    let fromPtr = abovePtr;
    let toPtr = rowPtr;
    for (let point = 0; point < b.wide; ++point) {
      v128.store(toPtr, v128.load(fromPtr));
      fromPtr += step;
      toPtr += step;
    }
    abovePtr += 16 + (isChunk(above + place) ? chunkGap : 0);
    rowPtr += 16 + (isChunk(place) ? chunkGap : 0);
  }
}
