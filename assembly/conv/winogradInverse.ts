/**
 * The inverse transforms of Winograd tiles, y = A' m A with both passes, and out with the results: bias, addend, lower
 * bound. The matrices are derived in winograd.ts.
 *
 * Each does four channels of a tile: `fromPtr`: its products, `step` bytes apart; `betweenPtr`: room for what lies between
 * the passes, [rows][BETWEEN_ROW]; `rows` of the results count, and all columns. `row` and `pixel` are the distances of
 * rows and pixels of the output, `addendRow` and `addendPixel` those of the addend. Nothing is decided pixel by pixel
 * (16->16 @32: a quarter of the inverse's time less). Lanes past the last channel come out as zeros, since their weights
 * and bias are, and values small enough for a transform (see allBelow) times zero.
 */
import { clampLow } from '../simd';
import { BETWEEN_ROW, NARROW, SHORT } from './winogradBlock';
import { Nth0, Nth1, Nth2, Nth3, Nth4, Nth5, Nth6 } from './winogradNth';
import { A, B, P, Q, R, S, T } from './winogradPoints';

/** max(low, y + bias + addend) of four channels of a pixel. */
function finishPixel(toPtr: usize, y: v128, bias: v128, addendPtr: usize, lows: v128): void {
  v128.store(toPtr, clampLow(f32x4.add(f32x4.add(y, bias), v128.load(addendPtr)), lows));
}

/** F(4x4, 3x3), and its half tiles of the kinds NARROW and SHORT. */
export function invert4of6(
  fromPtr: usize,
  step: usize,
  betweenPtr: usize,
  kind: i32,
  rows: i32,
  toPtr: usize,
  row: usize,
  pixel: usize,
  addendPtr: usize,
  addendRow: usize,
  addendPixel: usize,
  bias: v128,
  lows: v128,
): void {
  // A narrow tile has no products in columns 3 and 4, and nothing reads what comes of them.
  if ((kind & SHORT) === 0) {
    column4of6<Nth0>(fromPtr, step * 6, betweenPtr);
    column4of6<Nth1>(fromPtr + step, step * 6, betweenPtr);
    column4of6<Nth2>(fromPtr + step * 2, step * 6, betweenPtr);
    column4of6<Nth3>(fromPtr + step * 3, step * 6, betweenPtr);
    column4of6<Nth4>(fromPtr + step * 4, step * 6, betweenPtr);
    column4of6<Nth5>(fromPtr + step * 5, step * 6, betweenPtr);
  } else {
    columnsHalf(fromPtr, step, betweenPtr);
  }
  if ((kind & NARROW) !== 0) {
    rowsHalf(betweenPtr, rows, toPtr, row, pixel, addendPtr, addendRow, addendPixel, bias, lows);
    return;
  }
  row4of6<Nth0>(betweenPtr, toPtr, pixel, addendPtr, addendPixel, bias, lows);
  if (rows < 2) return;
  row4of6<Nth1>(betweenPtr, toPtr + row, pixel, addendPtr + addendRow, addendPixel, bias, lows);
  if (rows < 3) return;
  row4of6<Nth2>(betweenPtr, toPtr + row * 2, pixel, addendPtr + addendRow * 2, addendPixel, bias, lows);
  if (rows < 4) return;
  row4of6<Nth3>(betweenPtr, toPtr + row * 3, pixel, addendPtr + addendRow * 3, addendPixel, bias, lows);
}

/** y = A' m of F(4, 3) down a column of products that are `rowStep` apart. */
function column4of6<Nth>(fromPtr: usize, rowStep: usize, toPtr: usize): void {
  const half = f32x4.splat(0.5);
  const two = f32x4.splat(2);
  const m0 = v128.load(fromPtr);
  const m1 = v128.load(fromPtr + rowStep);
  const m2 = v128.load(fromPtr + rowStep * 2);
  const m3 = v128.load(fromPtr + rowStep * 3);
  const m4 = v128.load(fromPtr + rowStep * 4);
  const m5 = v128.load(fromPtr + rowStep * 5);
  const even1 = f32x4.add(m1, m2);
  const even2 = f32x4.add(m3, m4);
  const odd1 = f32x4.mul(f32x4.splat(<f32>S), f32x4.sub(m1, m2));
  const odd2 = f32x4.mul(f32x4.splat(<f32>T), f32x4.sub(m3, m4));
  const y2 = f32x4.add(f32x4.mul(half, even1), f32x4.mul(two, even2));
  const y3 = f32x4.add(f32x4.add(f32x4.mul(half, odd1), f32x4.mul(two, odd2)), m5);
  v128.store(toPtr, f32x4.add(f32x4.add(m0, even1), even2), offsetof<Nth>());
  v128.store(toPtr, f32x4.add(odd1, odd2), offsetof<Nth>() + BETWEEN_ROW);
  v128.store(toPtr, y2, offsetof<Nth>() + BETWEEN_ROW * 2);
  v128.store(toPtr, y3, offsetof<Nth>() + BETWEEN_ROW * 3);
}

/** The same along a row of six vectors, and out. */
function row4of6<Nth>(
  fromPtr: usize,
  toPtr: usize,
  pixel: usize,
  addendPtr: usize,
  addendPixel: usize,
  bias: v128,
  lows: v128,
): void {
  const half = f32x4.splat(0.5);
  const two = f32x4.splat(2);
  const m0 = v128.load(fromPtr, offsetof<Nth>() * 18);
  const m1 = v128.load(fromPtr, offsetof<Nth>() * 18 + 16);
  const m2 = v128.load(fromPtr, offsetof<Nth>() * 18 + 32);
  const m3 = v128.load(fromPtr, offsetof<Nth>() * 18 + 48);
  const m4 = v128.load(fromPtr, offsetof<Nth>() * 18 + 64);
  const m5 = v128.load(fromPtr, offsetof<Nth>() * 18 + 80);
  const even1 = f32x4.add(m1, m2);
  const even2 = f32x4.add(m3, m4);
  const odd1 = f32x4.mul(f32x4.splat(<f32>S), f32x4.sub(m1, m2));
  const odd2 = f32x4.mul(f32x4.splat(<f32>T), f32x4.sub(m3, m4));
  const y2 = f32x4.add(f32x4.mul(half, even1), f32x4.mul(two, even2));
  const y3 = f32x4.add(f32x4.add(f32x4.mul(half, odd1), f32x4.mul(two, odd2)), m5);
  finishPixel(toPtr, f32x4.add(f32x4.add(m0, even1), even2), bias, addendPtr, lows);
  finishPixel(toPtr + pixel, f32x4.add(odd1, odd2), bias, addendPtr + addendPixel, lows);
  finishPixel(toPtr + pixel * 2, y2, bias, addendPtr + addendPixel * 2, lows);
  finishPixel(toPtr + pixel * 3, y3, bias, addendPtr + addendPixel * 3, lows);
}

/** Down the columns of a tile two high, from rows 0, 1, 2 and 5 of the products. */
function columnsHalf(fromPtr: usize, step: usize, toPtr: usize): void {
  const s = f32x4.splat(<f32>S);
  const rowStep = step * 6;
  for (let i = 0; i < 6; ++i) {
    const m0 = v128.load(fromPtr);
    const m1 = v128.load(fromPtr + rowStep);
    const m2 = v128.load(fromPtr + rowStep * 2);
    const m5 = v128.load(fromPtr + rowStep * 5);
    v128.store(toPtr, f32x4.add(m0, f32x4.add(m1, m2)));
    v128.store(toPtr, f32x4.add(f32x4.mul(s, f32x4.sub(m1, m2)), m5), BETWEEN_ROW);
    fromPtr += step;
    toPtr += 16;
  }
}

/** Along the rows of a tile two wide, of which vectors 0, 1, 2 and 5 count, and out. */
function rowsHalf(
  fromPtr: usize,
  rows: i32,
  toPtr: usize,
  row: usize,
  pixel: usize,
  addendPtr: usize,
  addendRow: usize,
  addendPixel: usize,
  bias: v128,
  lows: v128,
): void {
  const s = f32x4.splat(<f32>S);
  for (let i = 0; i < rows; ++i) {
    const m0 = v128.load(fromPtr);
    const m1 = v128.load(fromPtr, 16);
    const m2 = v128.load(fromPtr, 32);
    const m5 = v128.load(fromPtr, 80);
    const y1 = f32x4.add(f32x4.mul(s, f32x4.sub(m1, m2)), m5);
    finishPixel(toPtr, f32x4.add(m0, f32x4.add(m1, m2)), bias, addendPtr, lows);
    finishPixel(toPtr + pixel, y1, bias, addendPtr + addendPixel, lows);
    fromPtr += BETWEEN_ROW;
    toPtr += row;
    addendPtr += addendRow;
  }
}

/** F(2x2, 3x3). */
export function invert2of4(
  fromPtr: usize,
  step: usize,
  betweenPtr: usize,
  rows: i32,
  toPtr: usize,
  row: usize,
  pixel: usize,
  addendPtr: usize,
  addendRow: usize,
  addendPixel: usize,
  bias: v128,
  lows: v128,
): void {
  column2of4<Nth0>(fromPtr, step * 4, betweenPtr);
  column2of4<Nth1>(fromPtr + step, step * 4, betweenPtr);
  column2of4<Nth2>(fromPtr + step * 2, step * 4, betweenPtr);
  column2of4<Nth3>(fromPtr + step * 3, step * 4, betweenPtr);
  row2of4<Nth0>(betweenPtr, toPtr, pixel, addendPtr, addendPixel, bias, lows);
  if (rows < 2) return;
  row2of4<Nth1>(betweenPtr, toPtr + row, pixel, addendPtr + addendRow, addendPixel, bias, lows);
}

/** y = A' m of F(2, 3) down a column. */
function column2of4<Nth>(fromPtr: usize, rowStep: usize, toPtr: usize): void {
  const m0 = v128.load(fromPtr);
  const m1 = v128.load(fromPtr + rowStep);
  const m2 = v128.load(fromPtr + rowStep * 2);
  const m3 = v128.load(fromPtr + rowStep * 3);
  v128.store(toPtr, f32x4.add(f32x4.add(m0, m1), m2), offsetof<Nth>());
  v128.store(toPtr, f32x4.add(f32x4.sub(m1, m2), m3), offsetof<Nth>() + BETWEEN_ROW);
}

/** The same along a row of four vectors, and out. */
function row2of4<Nth>(
  fromPtr: usize,
  toPtr: usize,
  pixel: usize,
  addendPtr: usize,
  addendPixel: usize,
  bias: v128,
  lows: v128,
): void {
  const m0 = v128.load(fromPtr, offsetof<Nth>() * 18);
  const m1 = v128.load(fromPtr, offsetof<Nth>() * 18 + 16);
  const m2 = v128.load(fromPtr, offsetof<Nth>() * 18 + 32);
  const m3 = v128.load(fromPtr, offsetof<Nth>() * 18 + 48);
  finishPixel(toPtr, f32x4.add(f32x4.add(m0, m1), m2), bias, addendPtr, lows);
  finishPixel(toPtr + pixel, f32x4.add(f32x4.sub(m1, m2), m3), bias, addendPtr + addendPixel, lows);
}

/** F(2x3, 5x5): F(2, 5) down on the points of F(4, 3), F(3, 5) along on those of transform7. */
export function invert2x3(
  fromPtr: usize,
  step: usize,
  betweenPtr: usize,
  rows: i32,
  toPtr: usize,
  row: usize,
  pixel: usize,
  addendPtr: usize,
  addendRow: usize,
  addendPixel: usize,
  bias: v128,
  lows: v128,
): void {
  column2of6<Nth0>(fromPtr, step * 7, betweenPtr);
  column2of6<Nth1>(fromPtr + step, step * 7, betweenPtr);
  column2of6<Nth2>(fromPtr + step * 2, step * 7, betweenPtr);
  column2of6<Nth3>(fromPtr + step * 3, step * 7, betweenPtr);
  column2of6<Nth4>(fromPtr + step * 4, step * 7, betweenPtr);
  column2of6<Nth5>(fromPtr + step * 5, step * 7, betweenPtr);
  column2of6<Nth6>(fromPtr + step * 6, step * 7, betweenPtr);
  row3of7<Nth0>(betweenPtr, toPtr, pixel, addendPtr, addendPixel, bias, lows);
  if (rows < 2) return;
  row3of7<Nth1>(betweenPtr, toPtr + row, pixel, addendPtr + addendRow, addendPixel, bias, lows);
}

/** y = A' m of F(2, 5) down a column. */
function column2of6<Nth>(fromPtr: usize, rowStep: usize, toPtr: usize): void {
  const m0 = v128.load(fromPtr);
  const m1 = v128.load(fromPtr + rowStep);
  const m2 = v128.load(fromPtr + rowStep * 2);
  const m3 = v128.load(fromPtr + rowStep * 3);
  const m4 = v128.load(fromPtr + rowStep * 4);
  const m5 = v128.load(fromPtr + rowStep * 5);
  const odd1 = f32x4.mul(f32x4.splat(<f32>S), f32x4.sub(m1, m2));
  const odd2 = f32x4.mul(f32x4.splat(<f32>T), f32x4.sub(m3, m4));
  const even = f32x4.add(f32x4.add(m0, f32x4.add(m1, m2)), f32x4.add(m3, m4));
  v128.store(toPtr, even, offsetof<Nth>());
  v128.store(toPtr, f32x4.add(f32x4.add(odd1, odd2), m5), offsetof<Nth>() + BETWEEN_ROW);
}

/** y = A' m of F(3, 5) along a row of seven vectors, and out. */
function row3of7<Nth>(
  fromPtr: usize,
  toPtr: usize,
  pixel: usize,
  addendPtr: usize,
  addendPixel: usize,
  bias: v128,
  lows: v128,
): void {
  const m0 = v128.load(fromPtr, offsetof<Nth>() * 18);
  const m1 = v128.load(fromPtr, offsetof<Nth>() * 18 + 16);
  const m2 = v128.load(fromPtr, offsetof<Nth>() * 18 + 32);
  const m3 = v128.load(fromPtr, offsetof<Nth>() * 18 + 48);
  const m4 = v128.load(fromPtr, offsetof<Nth>() * 18 + 64);
  const m5 = v128.load(fromPtr, offsetof<Nth>() * 18 + 80);
  const m6 = v128.load(fromPtr, offsetof<Nth>() * 18 + 96);
  const even1 = f32x4.add(m0, m1);
  const even2 = f32x4.add(m2, m3);
  const even3 = f32x4.add(m4, m5);
  const odd1 = f32x4.mul(f32x4.splat(<f32>P), f32x4.sub(m0, m1));
  const odd2 = f32x4.mul(f32x4.splat(<f32>Q), f32x4.sub(m2, m3));
  const odd3 = f32x4.mul(f32x4.splat(<f32>R), f32x4.sub(m4, m5));
  const square1 = f32x4.mul(f32x4.splat(<f32>(P * P)), even1);
  const square2 = f32x4.mul(f32x4.splat(<f32>(Q * Q)), even2);
  const square3 = f32x4.mul(f32x4.splat(<f32>(R * R)), even3);
  const y2 = f32x4.add(f32x4.add(square1, square2), f32x4.add(square3, m6));
  finishPixel(toPtr, f32x4.add(f32x4.add(even1, even2), even3), bias, addendPtr, lows);
  finishPixel(toPtr + pixel, f32x4.add(f32x4.add(odd1, odd2), odd3), bias, addendPtr + addendPixel, lows);
  finishPixel(toPtr + pixel * 2, y2, bias, addendPtr + addendPixel * 2, lows);
}

/** Stride 2, the products of transform9: y = A' m of F(4, 2), and the odd pixels' products added. */
export function invert4of9(
  fromPtr: usize,
  step: usize,
  betweenPtr: usize,
  rows: i32,
  toPtr: usize,
  row: usize,
  pixel: usize,
  addendPtr: usize,
  addendRow: usize,
  addendPixel: usize,
  bias: v128,
  lows: v128,
): void {
  for (let i = 0; i < 9; ++i) {
    column4of9(fromPtr, step * 9, betweenPtr + ((<usize>i) << 4));
    fromPtr += step;
  }
  for (let i = 0; i < rows; ++i) {
    row4of9(betweenPtr, toPtr, pixel, addendPtr, addendPixel, bias, lows);
    betweenPtr += BETWEEN_ROW;
    toPtr += row;
    addendPtr += addendRow;
  }
}

function column4of9(fromPtr: usize, rowStep: usize, toPtr: usize): void {
  const inner = f32x4.splat(<f32>(A * A));
  const outer = f32x4.splat(<f32>(B * B));
  const m0 = v128.load(fromPtr);
  const m1 = v128.load(fromPtr + rowStep);
  const m2 = v128.load(fromPtr + rowStep * 2);
  const m3 = v128.load(fromPtr + rowStep * 3);
  const even1 = f32x4.add(m0, m1);
  const odd1 = f32x4.mul(f32x4.splat(<f32>A), f32x4.sub(m0, m1));
  const even2 = f32x4.add(m2, m3);
  const odd2 = f32x4.mul(f32x4.splat(<f32>B), f32x4.sub(m2, m3));
  const y2 = f32x4.add(f32x4.mul(inner, even1), f32x4.mul(outer, even2));
  const y3 = f32x4.add(f32x4.mul(inner, odd1), f32x4.mul(outer, odd2));
  const last = f32x4.add(y3, v128.load(fromPtr + rowStep * 4));
  const y0 = f32x4.add(f32x4.add(even1, even2), v128.load(fromPtr + rowStep * 5));
  const y1 = f32x4.add(f32x4.add(odd1, odd2), v128.load(fromPtr + rowStep * 6));
  v128.store(toPtr, y0);
  v128.store(toPtr, y1, BETWEEN_ROW);
  v128.store(toPtr, f32x4.add(y2, v128.load(fromPtr + rowStep * 7)), BETWEEN_ROW * 2);
  v128.store(toPtr, f32x4.add(last, v128.load(fromPtr + rowStep * 8)), BETWEEN_ROW * 3);
}

/** The same along a row of nine vectors, and out. */
function row4of9(
  fromPtr: usize,
  toPtr: usize,
  pixel: usize,
  addendPtr: usize,
  addendPixel: usize,
  bias: v128,
  lows: v128,
): void {
  const inner = f32x4.splat(<f32>(A * A));
  const outer = f32x4.splat(<f32>(B * B));
  const m0 = v128.load(fromPtr);
  const m1 = v128.load(fromPtr, 16);
  const m2 = v128.load(fromPtr, 32);
  const m3 = v128.load(fromPtr, 48);
  const even1 = f32x4.add(m0, m1);
  const odd1 = f32x4.mul(f32x4.splat(<f32>A), f32x4.sub(m0, m1));
  const even2 = f32x4.add(m2, m3);
  const odd2 = f32x4.mul(f32x4.splat(<f32>B), f32x4.sub(m2, m3));
  const last = f32x4.add(f32x4.mul(inner, odd1), f32x4.mul(outer, odd2));
  const y0 = f32x4.add(f32x4.add(even1, even2), v128.load(fromPtr, 80));
  const y1 = f32x4.add(f32x4.add(odd1, odd2), v128.load(fromPtr, 96));
  const square = f32x4.add(f32x4.mul(inner, even1), f32x4.mul(outer, even2));
  const y2 = f32x4.add(square, v128.load(fromPtr, 112));
  const cube = f32x4.add(last, v128.load(fromPtr, 64));
  const y3 = f32x4.add(cube, v128.load(fromPtr, 128));
  finishPixel(toPtr, y0, bias, addendPtr, lows);
  finishPixel(toPtr + pixel, y1, bias, addendPtr + addendPixel, lows);
  finishPixel(toPtr + pixel * 2, y2, bias, addendPtr + addendPixel * 2, lows);
  finishPixel(toPtr + pixel * 3, y3, bias, addendPtr + addendPixel * 3, lows);
}

/** F(4, 5) along one row. */
export function invert4of8(
  fromPtr: usize,
  step: usize,
  toPtr: usize,
  pixel: usize,
  addendPtr: usize,
  addendPixel: usize,
  bias: v128,
  lows: v128,
): void {
  const m0 = v128.load(fromPtr);
  const m1 = v128.load(fromPtr + step);
  const m2 = v128.load(fromPtr + step * 2);
  const m3 = v128.load(fromPtr + step * 3);
  const m4 = v128.load(fromPtr + step * 4);
  const m5 = v128.load(fromPtr + step * 5);
  const m6 = v128.load(fromPtr + step * 6);
  const m7 = v128.load(fromPtr + step * 7);
  const even1 = f32x4.add(m1, m2);
  const odd1 = f32x4.sub(m1, m2);
  const even2 = f32x4.add(m3, m4);
  const odd2 = f32x4.mul(f32x4.splat(0.5), f32x4.sub(m3, m4));
  const even3 = f32x4.add(m5, m6);
  const odd3 = f32x4.mul(f32x4.splat(2), f32x4.sub(m5, m6));
  const quarter = f32x4.splat(0.25);
  const four = f32x4.splat(4);
  const y0 = f32x4.add(f32x4.add(m0, even1), f32x4.add(even2, even3));
  const y1 = f32x4.add(odd1, f32x4.add(odd2, odd3));
  const y2 = f32x4.add(even1, f32x4.add(f32x4.mul(quarter, even2), f32x4.mul(four, even3)));
  const y3 = f32x4.add(f32x4.add(odd1, m7), f32x4.add(f32x4.mul(quarter, odd2), f32x4.mul(four, odd3)));
  finishPixel(toPtr, y0, bias, addendPtr, lows);
  finishPixel(toPtr + pixel, y1, bias, addendPtr + addendPixel, lows);
  finishPixel(toPtr + pixel * 2, y2, bias, addendPtr + addendPixel * 2, lows);
  finishPixel(toPtr + pixel * 3, y3, bias, addendPtr + addendPixel * 3, lows);
}

/** Out with `rows` x `columns` results that are vectors in memory, their rows BETWEEN_ROW apart. */
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
