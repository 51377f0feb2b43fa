/**
 * The transforms of Winograd tiles that are seven to nine values long, on vectors in memory:
 *
 *   F(3, 5)            n = 7  points +-5/16, +-7/8, +-7/4, infinity
 *   F(4, 5)            n = 8  points 0, +-1, +-1/2, +-2, infinity
 *   F(4, 3), stride 2  n = 9  F(4, 2) on the points +-1/2, +-5/4, infinity for the even values, whose taps are the first
 *                             and last; the odd ones times the middle tap as they are, four products with the same U
 *
 * The matrices are derived in winograd.ts. Pairs of points without 0 err least where there is an odd number of values.
 */
import { BETWEEN_ROW } from './winogradBlock';
import { finishPixel } from './winogradTransforms';

/** The finite points of F(4, 2): with 0, +-1, 2 its errors in two dimensions are twice as large. */
const A: f32 = 0.5;
const B: f32 = 1.25;
/** Those of F(3, 5). */
const P: f32 = 0.3125;
const Q: f32 = 0.875;
const R: f32 = 1.75;

/** Where a transform finds its values: side by side, or at addresses in a column of a table of nine columns. */
export class Vectors {}
export class Column {
  isColumn: i32;
}

/** Value `i`: the i-th vector, or that `channelBytes` from the i-th address of the column at `fromPtr`. */
function value<From>(fromPtr: usize, i: usize, channelBytes: usize): v128 {
  if (offsetof<From>() === 0) return v128.load(fromPtr + (i << 4));
  return v128.load(load<usize>(fromPtr + i * (9 * 4)) + channelBytes);
}

/**
 * v = B' d along seven vectors on the points +-5/16, +-7/8, +-7/4, infinity, those of -5/16, -7/8 and -7/4 with their sign
 * changed; results are `toStep` apart.
 */
export function transform7(fromPtr: usize, toPtr: usize, toStep: usize): void {
  const d0 = v128.load(fromPtr);
  const d1 = v128.load(fromPtr, 16);
  const d2 = v128.load(fromPtr, 32);
  const d3 = v128.load(fromPtr, 48);
  const d4 = v128.load(fromPtr, 64);
  const d5 = v128.load(fromPtr, 80);
  const d6 = v128.load(fromPtr, 96);
  const sum1 = f32x4.splat(Q * Q + R * R);
  const product1 = f32x4.splat(Q * Q * R * R);
  const odd1 = f32x4.add(f32x4.sub(d5, f32x4.mul(sum1, d3)), f32x4.mul(product1, d1));
  const even1 = f32x4.add(f32x4.sub(d4, f32x4.mul(sum1, d2)), f32x4.mul(product1, d0));
  const first = f32x4.mul(f32x4.splat(P), even1);
  v128.store(toPtr, f32x4.add(first, odd1));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(first, odd1));
  const sum2 = f32x4.splat(P * P + R * R);
  const product2 = f32x4.splat(P * P * R * R);
  const odd2 = f32x4.add(f32x4.sub(d5, f32x4.mul(sum2, d3)), f32x4.mul(product2, d1));
  const even2 = f32x4.add(f32x4.sub(d4, f32x4.mul(sum2, d2)), f32x4.mul(product2, d0));
  const second = f32x4.mul(f32x4.splat(Q), even2);
  toPtr += toStep;
  v128.store(toPtr, f32x4.add(second, odd2));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(second, odd2));
  const sum3 = f32x4.splat(P * P + Q * Q);
  const product3 = f32x4.splat(P * P * Q * Q);
  const odd3 = f32x4.add(f32x4.sub(d5, f32x4.mul(sum3, d3)), f32x4.mul(product3, d1));
  const even3 = f32x4.add(f32x4.sub(d4, f32x4.mul(sum3, d2)), f32x4.mul(product3, d0));
  const third = f32x4.mul(f32x4.splat(R), even3);
  toPtr += toStep;
  v128.store(toPtr, f32x4.add(third, odd3));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(third, odd3));
  const high = f32x4.sub(d6, f32x4.mul(f32x4.splat(P * P + Q * Q + R * R), d4));
  const pairs = f32x4.mul(f32x4.splat(P * P * Q * Q + P * P * R * R + Q * Q * R * R), d2);
  const low = f32x4.sub(pairs, f32x4.mul(f32x4.splat(P * P * Q * Q * R * R), d0));
  toPtr += toStep;
  v128.store(toPtr, f32x4.add(high, low));
}

/**
 * v = B' d on the points 0, +-1, +-1/2, +-2, infinity, row 0 with its sign changed, along one row. `seenPtr`: addresses of
 * its eight pixels; results are `toStep` apart.
 */
export function gatherTransform8(seenPtr: usize, channelBytes: usize, toPtr: usize, toStep: usize): void {
  const d0 = v128.load(load<usize>(seenPtr) + channelBytes);
  const d1 = v128.load(load<usize>(seenPtr, 4) + channelBytes);
  const d2 = v128.load(load<usize>(seenPtr, 8) + channelBytes);
  const d3 = v128.load(load<usize>(seenPtr, 12) + channelBytes);
  const d4 = v128.load(load<usize>(seenPtr, 16) + channelBytes);
  const d5 = v128.load(load<usize>(seenPtr, 20) + channelBytes);
  const d6 = v128.load(load<usize>(seenPtr, 24) + channelBytes);
  const d7 = v128.load(load<usize>(seenPtr, 28) + channelBytes);
  const both = f32x4.splat(5.25);
  v128.store(toPtr, f32x4.add(f32x4.sub(d0, d6), f32x4.mul(both, f32x4.sub(d4, d2))));
  const middle = f32x4.splat(4.25);
  const even1 = f32x4.add(f32x4.sub(d6, f32x4.mul(middle, d4)), d2);
  const odd1 = f32x4.add(f32x4.sub(d5, f32x4.mul(middle, d3)), d1);
  toPtr += toStep;
  v128.store(toPtr, f32x4.add(even1, odd1));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(even1, odd1));
  const four = f32x4.splat(4);
  const five = f32x4.splat(5);
  const half = f32x4.splat(0.5);
  const even2 = f32x4.add(f32x4.sub(d6, f32x4.mul(five, d4)), f32x4.mul(four, d2));
  const odd2 = f32x4.mul(half, f32x4.add(f32x4.sub(d5, f32x4.mul(five, d3)), f32x4.mul(four, d1)));
  toPtr += toStep;
  v128.store(toPtr, f32x4.add(even2, odd2));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(even2, odd2));
  const quarter = f32x4.splat(0.25);
  const fiveQuarters = f32x4.splat(1.25);
  const two = f32x4.splat(2);
  const even3 = f32x4.add(f32x4.sub(d6, f32x4.mul(fiveQuarters, d4)), f32x4.mul(quarter, d2));
  const odd3 = f32x4.mul(two, f32x4.add(f32x4.sub(d5, f32x4.mul(fiveQuarters, d3)), f32x4.mul(quarter, d1)));
  toPtr += toStep;
  v128.store(toPtr, f32x4.add(even3, odd3));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(even3, odd3));
  toPtr += toStep;
  v128.store(toPtr, f32x4.add(f32x4.sub(d7, d1), f32x4.mul(both, f32x4.sub(d3, d5))));
}

/**
 * Along nine values of a convolution with stride 2: the even ones on the points +-1/2, +-5/4, infinity, those of -1/2 and
 * -5/4 with their sign changed, the odd ones as they are.
 */
export function transform9<From>(fromPtr: usize, channelBytes: usize, toPtr: usize, toStep: usize): void {
  const d0 = value<From>(fromPtr, 0, channelBytes);
  const d1 = value<From>(fromPtr, 2, channelBytes);
  const d2 = value<From>(fromPtr, 4, channelBytes);
  const d3 = value<From>(fromPtr, 6, channelBytes);
  const d4 = value<From>(fromPtr, 8, channelBytes);
  const outer = f32x4.splat(B * B);
  const odd1 = f32x4.sub(d3, f32x4.mul(outer, d1));
  const even1 = f32x4.mul(f32x4.splat(A), f32x4.sub(d2, f32x4.mul(outer, d0)));
  v128.store(toPtr, f32x4.add(even1, odd1));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(even1, odd1));
  const inner = f32x4.splat(A * A);
  const odd2 = f32x4.sub(d3, f32x4.mul(inner, d1));
  const even2 = f32x4.mul(f32x4.splat(B), f32x4.sub(d2, f32x4.mul(inner, d0)));
  toPtr += toStep;
  v128.store(toPtr, f32x4.add(even2, odd2));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(even2, odd2));
  const all = f32x4.sub(d4, f32x4.mul(f32x4.splat(A * A + B * B), d2));
  toPtr += toStep;
  v128.store(toPtr, f32x4.add(all, f32x4.mul(f32x4.splat(A * A * B * B), d0)));
  toPtr += toStep;
  v128.store(toPtr, value<From>(fromPtr, 1, channelBytes));
  toPtr += toStep;
  v128.store(toPtr, value<From>(fromPtr, 3, channelBytes));
  toPtr += toStep;
  v128.store(toPtr, value<From>(fromPtr, 5, channelBytes));
  toPtr += toStep;
  v128.store(toPtr, value<From>(fromPtr, 7, channelBytes));
}

/** y = A' m of F(4, 5) along a row of products that are `step` apart, and out with `columns` of them. */
export function finish4of8(
  fromPtr: usize,
  step: usize,
  columns: i32,
  toPtr: usize,
  pixelStride: usize,
  addendPtr: usize,
  biasPtr: usize,
  low: f32,
  keep: v128,
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
  finishColumns(y0, y1, y2, y3, columns, toPtr, pixelStride, addendPtr, v128.load(biasPtr), f32x4.splat(low), keep);
}

/** y = A' m of F(3, 5) along seven vectors, the products of transform7, and out with `columns` <= 3 of them. */
export function finish3of7(
  fromPtr: usize,
  columns: i32,
  toPtr: usize,
  pixelStride: usize,
  addendPtr: usize,
  biasPtr: usize,
  low: f32,
  keep: v128,
): void {
  const m0 = v128.load(fromPtr);
  const m1 = v128.load(fromPtr, 16);
  const m2 = v128.load(fromPtr, 32);
  const m3 = v128.load(fromPtr, 48);
  const m4 = v128.load(fromPtr, 64);
  const m5 = v128.load(fromPtr, 80);
  const even1 = f32x4.add(m0, m1);
  const even2 = f32x4.add(m2, m3);
  const even3 = f32x4.add(m4, m5);
  const odd1 = f32x4.mul(f32x4.splat(P), f32x4.sub(m0, m1));
  const odd2 = f32x4.mul(f32x4.splat(Q), f32x4.sub(m2, m3));
  const odd3 = f32x4.mul(f32x4.splat(R), f32x4.sub(m4, m5));
  const square1 = f32x4.mul(f32x4.splat(P * P), even1);
  const square2 = f32x4.mul(f32x4.splat(Q * Q), even2);
  const square3 = f32x4.mul(f32x4.splat(R * R), even3);
  const y0 = f32x4.add(f32x4.add(even1, even2), even3);
  const y1 = f32x4.add(f32x4.add(odd1, odd2), odd3);
  const y2 = f32x4.add(f32x4.add(square1, square2), f32x4.add(square3, v128.load(fromPtr, 96)));
  finishColumns(y0, y1, y2, y2, columns, toPtr, pixelStride, addendPtr, v128.load(biasPtr), f32x4.splat(low), keep);
}

/** y = A' m of stride 2 down the nine columns of products, which are [9][9] with `step` bytes between two; to [4][9] vectors. */
export function inverseTransform4of9(productPtr: usize, step: usize, toPtr: usize): void {
  const rowStep = step * 9;
  for (let i = 0; i < 9; ++i) {
    const m0 = v128.load(productPtr);
    const m1 = v128.load(productPtr + rowStep);
    const m2 = v128.load(productPtr + rowStep * 2);
    const m3 = v128.load(productPtr + rowStep * 3);
    const even1 = f32x4.add(m0, m1);
    const odd1 = f32x4.mul(f32x4.splat(A), f32x4.sub(m0, m1));
    const even2 = f32x4.add(m2, m3);
    const odd2 = f32x4.mul(f32x4.splat(B), f32x4.sub(m2, m3));
    const inner = f32x4.splat(A * A);
    const outer = f32x4.splat(B * B);
    const y2 = f32x4.add(f32x4.mul(inner, even1), f32x4.mul(outer, even2));
    const y3 = f32x4.add(f32x4.mul(inner, odd1), f32x4.mul(outer, odd2));
    const last = f32x4.add(y3, v128.load(productPtr + rowStep * 4));
    v128.store(toPtr, f32x4.add(f32x4.add(even1, even2), v128.load(productPtr + rowStep * 5)));
    v128.store(toPtr, f32x4.add(f32x4.add(odd1, odd2), v128.load(productPtr + rowStep * 6)), BETWEEN_ROW);
    v128.store(toPtr, f32x4.add(y2, v128.load(productPtr + rowStep * 7)), BETWEEN_ROW * 2);
    v128.store(toPtr, f32x4.add(last, v128.load(productPtr + rowStep * 8)), BETWEEN_ROW * 3);
    productPtr += step;
    toPtr += 16;
  }
}

/** The same of stride 2 along nine vectors, the products of transform9: y = A' m of F(4, 2), and the odd pixels' products added. */
export function finish4of9(
  fromPtr: usize,
  columns: i32,
  toPtr: usize,
  pixelStride: usize,
  addendPtr: usize,
  biasPtr: usize,
  low: f32,
  keep: v128,
): void {
  const m0 = v128.load(fromPtr);
  const m1 = v128.load(fromPtr, 16);
  const m2 = v128.load(fromPtr, 32);
  const m3 = v128.load(fromPtr, 48);
  const even1 = f32x4.add(m0, m1);
  const odd1 = f32x4.mul(f32x4.splat(A), f32x4.sub(m0, m1));
  const even2 = f32x4.add(m2, m3);
  const odd2 = f32x4.mul(f32x4.splat(B), f32x4.sub(m2, m3));
  const inner = f32x4.splat(A * A);
  const outer = f32x4.splat(B * B);
  const last = f32x4.add(f32x4.mul(inner, odd1), f32x4.mul(outer, odd2));
  const y0 = f32x4.add(f32x4.add(even1, even2), v128.load(fromPtr, 80));
  const y1 = f32x4.add(f32x4.add(odd1, odd2), v128.load(fromPtr, 96));
  const y2 = f32x4.add(f32x4.add(f32x4.mul(inner, even1), f32x4.mul(outer, even2)), v128.load(fromPtr, 112));
  const y3 = f32x4.add(f32x4.add(last, v128.load(fromPtr, 64)), v128.load(fromPtr, 128));
  finishColumns(y0, y1, y2, y3, columns, toPtr, pixelStride, addendPtr, v128.load(biasPtr), f32x4.splat(low), keep);
}

/** Out with `columns` of four pixels. */
function finishColumns(
  y0: v128,
  y1: v128,
  y2: v128,
  y3: v128,
  columns: i32,
  toPtr: usize,
  pixelStride: usize,
  addendPtr: usize,
  bias: v128,
  lows: v128,
  keep: v128,
): void {
  finishPixel(toPtr, y0, bias, addendPtr, lows, keep);
  if (columns > 1) {
    const distance = pixelStride;
    finishPixel(toPtr + distance, y1, bias, addendPtr === 0 ? 0 : addendPtr + distance, lows, keep);
  }
  if (columns > 2) {
    const distance = pixelStride * 2;
    finishPixel(toPtr + distance, y2, bias, addendPtr === 0 ? 0 : addendPtr + distance, lows, keep);
  }
  if (columns > 3) {
    const distance = pixelStride * 3;
    finishPixel(toPtr + distance, y3, bias, addendPtr === 0 ? 0 : addendPtr + distance, lows, keep);
  }
}
