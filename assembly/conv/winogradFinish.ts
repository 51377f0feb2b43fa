/** Writes the results of Winograd tiles: bias, addend, lower bound, for four channels of a pixel at a time. */
import { clampLow } from '../simd';
import { BETWEEN_ROW } from './winogradBlock';

/** Stands in for a missing addend. */
export const zerosPtr: usize = memory.data(16, 16);

/** max(low, y + bias + addend) of four channels of a pixel. */
export function finishPixel(toPtr: usize, y: v128, bias: v128, addendPtr: usize, lows: v128): void {
  v128.store(toPtr, clampLow(f32x4.add(f32x4.add(y, bias), v128.load(addendPtr)), lows));
}

/** The same for `rows` x `columns` vectors in memory, whose rows are BETWEEN_ROW apart. */
export function finishPart(
  fromPtr: usize,
  rows: i32,
  columns: i32,
  toPtr: usize,
  row: usize,
  pixel: usize,
  addendPtr: usize,
  addendRow: usize,
  addendPixel: usize,
  bias: v128,
  lows: v128,
): void {
  for (let i = 0; i < rows; ++i) {
    for (let j: usize = 0; j < <usize>columns; ++j) {
      finishPixel(toPtr + j * pixel, v128.load(fromPtr + (j << 4)), bias, addendPtr + j * addendPixel, lows);
    }
    fromPtr += BETWEEN_ROW;
    toPtr += row;
    addendPtr += addendRow;
  }
}
