/**
 * The input transform of a block of Winograd tiles, V = B' d B, to the A panels of the micro-kernels. See winograd.ts.
 *
 * Works on a run of neighbouring tiles at a time, because neighbours share columns, which are then transformed once
 * (four tiles of F(4x4, 3x3): 18 columns instead of 24; of F(2x3, 5x5): 16 instead of 28).
 */
import { DEPTH_CHUNK } from '../tuning';
import { ConvDescriptor } from './descriptor';
import {
  BETWEEN_ROW,
  Block,
  chunkStrideOf,
  inRows,
  isWhole,
  kindStart,
  membersOf,
  NARROW,
  PLACE_WORDS,
  RUN_COLUMNS,
  rowOf,
  SHORT,
  tableEntry,
} from './winogradBlock';
import {
  alongF2K3,
  alongF2K3Half,
  alongF3K5,
  alongF4K3,
  alongF4K3S2,
  alongMixedF4K3,
  downF2K3,
  downF2K3Half,
  downF4K3,
  downF4K3S2,
  downInsideF4K3,
} from './winogradInput';
import { transformRow } from './winogradRows';

/**
 * Transforms the run that starts at tile `t` of the block, which is tile `tile` of the convolution. Returns its length.
 */
export function transformRun(d: ConvDescriptor, b: Block, inPtr: usize, tile: i32, t: i32): i32 {
  let kind = NARROW;
  if (t >= membersOf(b, SHORT).end) kind = t >= membersOf(b, NARROW).end ? SHORT | NARROW : SHORT;
  else if (t >= membersOf(b, NARROW).first) kind = 0;
  const across = (kind & NARROW) === 0 ? b.across : 1;
  const down = (kind & SHORT) === 0 ? b.down : 1;
  const ofKind = tile - kindStart(d, b, kind);
  const image = ofKind / (across * down);
  const inImage = ofKind - image * across * down;
  const tileRow = inImage / across;
  const tileColumn = inImage - tileRow * across;
  const y = b.tileHeight * ((kind & SHORT) === 0 ? tileRow : b.down);
  const x = b.tileWidth * ((kind & NARROW) === 0 ? tileColumn : b.across);
  const imagePtr = inPtr + <usize>image * d.inImageStride;
  const firstPixel = (image * d.outHeight + y) * d.outWidth;
  if (inRows(b)) {
    place(d, b, t, firstPixel + x, y, x, kind);
    transformRow(d, b, t, imagePtr, y, x);
    return 1;
  }
  const distance = b.tileWidth * b.shift;
  const most = 1 + (RUN_COLUMNS - b.wide) / distance;
  const tiles = min(min(across - tileColumn, b.tiles - t), most);
  for (let k = 0; k < tiles; ++k) {
    place(d, b, t + k, firstPixel + x + k * b.tileWidth, y, x + k * b.tileWidth, kind);
  }
  const columns = (tiles - 1) * distance + ((kind & NARROW) === 0 ? b.wide : 4);
  const firstRow = tabulateSeen(d, b, kind, imagePtr, y, x, columns);
  const fromPtr: usize = firstRow < 0 ? 0 : imagePtr + <usize>firstRow;
  transformTiles(d, b, kind, fromPtr, t, tiles, columns);
  return tiles;
}

/**
 * A tile's entry in the table: first output pixel, rows and columns inside the image, kind, and its row in the A panels
 * of points that all tiles have.
 */
function place(d: ConvDescriptor, b: Block, t: i32, pixel: i32, y: i32, x: i32, kind: i32): void {
  const placePtr = b.placePtr + ((<usize>(t * PLACE_WORDS)) << 2);
  store<i32>(placePtr, pixel);
  store<i32>(placePtr, min(b.tileHeight, d.outHeight - y), 4);
  store<i32>(placePtr, min(b.tileWidth, d.outWidth - x), 8);
  store<i32>(placePtr, kind, 12);
  store<usize>(placePtr, rowOf(b, membersOf(b, 0), t), 16);
}

/**
 * Writes what a run sees: the distances of its columns, and the addresses of its pixels unless it sees six consecutive
 * rows of the image. In that case returns the distance of the first row, else -1. Entries of a table move by at most
 * one pixel per step (or wrap around, backwards), so first and last row tell whether all are consecutive.
 */
function tabulateSeen(d: ConvDescriptor, b: Block, kind: i32, imagePtr: usize, y: i32, x: i32, columns: i32): i32 {
  const columnsPtr = b.seenPtr;
  for (let j = 0; j < columns; ++j) {
    store<i32>(columnsPtr + ((<usize>j) << 2), tableEntry(b, d.columnsPtr, x, j, d.kernelWidth, d.outWidth));
  }
  const firstRow = tableEntry(b, d.rowsPtr, y, 0, d.kernelHeight, d.outHeight);
  const lastRow = tableEntry(b, d.rowsPtr, y, b.high - 1, d.kernelHeight, d.outHeight);
  const areNeighbours = firstRow >= 0 && lastRow - firstRow === (b.high - 1) * d.inRowStride;
  if (areNeighbours && b.high === 6 && (kind & SHORT) === 0) return firstRow;
  let rowPtr = seenRows(b);
  for (let i = 0; i < b.high; ++i) {
    const row = tableEntry(b, d.rowsPtr, y, i, d.kernelHeight, d.outHeight);
    for (let j = 0; j < columns; ++j) {
      const column = load<i32>(columnsPtr + ((<usize>j) << 2));
      const seen = (row | column) < 0 ? d.zerosPtr : imagePtr + <usize>(row + column);
      store<usize>(rowPtr + ((<usize>j) << 2), seen);
    }
    rowPtr += (<usize>RUN_COLUMNS) << 2;
  }
  return -1;
}

/** Addresses of pixels; they follow the distances of the columns. */
function seenRows(b: Block): usize {
  return b.seenPtr + ((<usize>RUN_COLUMNS) << 2);
}

/**
 * B' d B of all channels of a run: first down its columns, then along the rows of each tile. `fromPtr`: the first of
 * six consecutive rows, or 0 if pixels are found by their addresses. In a block with half tiles, each class of points
 * has its own panels.
 */
function transformTiles(
  d: ConvDescriptor,
  b: Block,
  kind: i32,
  fromPtr: usize,
  t: i32,
  tiles: i32,
  columns: i32,
): void {
  const allWhole = isWhole(b);
  const step = b.panelStep;
  const chunkStride = chunkStrideOf(membersOf(b, 0));
  const tileBytes = (<usize>(b.tileWidth * b.shift)) << 4;
  const seenPtr = seenRows(b);
  for (let channel = 0; channel < b.lanes; channel += 4) {
    const channelBytes = (<usize>channel) << 2;
    if (fromPtr !== 0) {
      downInsideF4K3(fromPtr + channelBytes, d.inRowStride, b.seenPtr, columns, b.betweenPtr);
    } else if ((kind & SHORT) !== 0) {
      downF2K3Half(seenPtr, channelBytes, columns, b.betweenPtr);
    } else if (b.high === 6) {
      downF4K3(seenPtr, channelBytes, columns, b.betweenPtr);
    } else if (b.high === 4) {
      downF2K3(seenPtr, channelBytes, columns, b.betweenPtr);
    } else {
      for (let j: usize = 0; j < <usize>columns; ++j) {
        downF4K3S2(seenPtr + (j << 2), channelBytes, b.betweenPtr + (j << 4));
      }
    }
    const inRow = <usize>(channel / DEPTH_CHUNK) * chunkStride + ((<usize>(channel & (DEPTH_CHUNK - 1))) << 2);
    let betweenPtr = b.betweenPtr;
    let placePtr = b.placePtr + ((<usize>(t * PLACE_WORDS)) << 2);
    for (let k = 0; k < tiles; ++k) {
      const toPtr = load<usize>(placePtr, 16) + inRow;
      if (!allWhole) alongRows(b, kind, betweenPtr, t + k, channel);
      else if (b.wide === 6) alongF4K3(betweenPtr, toPtr, step);
      else if (b.wide === 4) alongF2K3(betweenPtr, toPtr, step);
      else if (b.wide === 7) {
        for (let i: usize = 0; i < 6; ++i) alongF3K5(betweenPtr + i * BETWEEN_ROW, toPtr + i * 7 * step, step);
      } else {
        for (let i: usize = 0; i < 9; ++i) {
          alongF4K3S2(betweenPtr + i * BETWEEN_ROW, toPtr + i * 9 * step, step);
        }
      }
      betweenPtr += tileBytes;
      placePtr += PLACE_WORDS * 4;
    }
  }
}

/** The second pass where classes of points have panels of their own. */
function alongRows(b: Block, kind: i32, fromPtr: usize, t: i32, channel: i32): void {
  const toPtr = quadOf(b, 0, t, channel);
  const narrowPtr = quadOf(b, NARROW, t, channel);
  rowsFrom(b, kind, 0, 3, fromPtr, toPtr, narrowPtr);
  if ((kind & SHORT) === 0) {
    rowsFrom(b, kind, 3, 2, fromPtr, quadOf(b, SHORT, t, channel), quadOf(b, SHORT | NARROW, t, channel));
  }
  rowsFrom(b, kind, 5, 1, fromPtr, toPtr, narrowPtr);
}

/**
 * `rows` rows of the second pass, from row `first` on. `toPtr`, `outerPtr`: where results of the first point would go,
 * for columns that half tiles have and for those they lack.
 */
function rowsFrom(b: Block, kind: i32, first: usize, rows: i32, fromPtr: usize, toPtr: usize, outerPtr: usize): void {
  const step = b.panelStep;
  const distance = first * 6 * step;
  fromPtr += first * BETWEEN_ROW;
  if ((kind & NARROW) === 0) alongMixedF4K3(fromPtr, rows, toPtr + distance, outerPtr + distance, step);
  else alongF2K3Half(fromPtr, rows, toPtr + distance, step);
}

/**
 * Address of four channels of a tile, counted from the first point, in the panels of points that kinds `without` lack.
 */
function quadOf(b: Block, without: i32, t: i32, channel: i32): usize {
  const members = membersOf(b, without);
  const inChunk = (<usize>(channel & (DEPTH_CHUNK - 1))) << 2;
  return rowOf(b, members, t) + <usize>(channel / DEPTH_CHUNK) * chunkStrideOf(members) + inChunk;
}
