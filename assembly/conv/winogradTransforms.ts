/**
 * The one-dimensional transforms of Winograd convolution on vectors in memory. Each function does as many as the tile
 * has columns or rows.
 * The matrices are derived in winograd.ts.
 */

import { clampLow } from '../simd';
import { BETWEEN_ROW } from './winogradBlock';

/*
 * What a function is compiled for: blocks of whole tiles only, or those with half tiles too. In the first case counts of
 * rows and columns are constants, and the only caller has the function inlined, its constants outside of the loop over
 * channels (4 % of 64->64 @32). `offsetof` tells the two apart at compile time.
 */
export class Whole {}
export class Mixed {
  count: i32;
}
/** Tiles of seven columns. */
export class Wide extends Mixed {
  isWide: i32;
}

/** Six or seven where that is known, else `count`. */
function countFor<For>(count: i32): i32 {
  if (offsetof<For>() === 0) return 6;
  return offsetof<For>() > 4 ? 7 : count;
}

const S: f32 = <f32>Math.SQRT1_2;
const T: f32 = <f32>Math.SQRT2;

/**
 * v = B' d down `columns` columns of a tile, with s = sqrt(1/2), t = sqrt(2): 2 s = t and t / 2 = s.
 * `seenPtr`: addresses of the tile's pixels; to six rows of as many vectors, BETWEEN_ROW apart.
 */
export function gatherTransform6<For>(seenPtr: usize, channelBytes: usize, columns: i32, toPtr: usize): void {
  const s = f32x4.splat(S);
  const t = f32x4.splat(T);
  const half = f32x4.splat(0.5);
  const two = f32x4.splat(2);
  const twoAndHalf = f32x4.splat(2.5);
  for (let i = 0; i < countFor<For>(columns); ++i) {
    const d0 = v128.load(load<usize>(seenPtr) + channelBytes);
    const d1 = v128.load(load<usize>(seenPtr, offsetof<For>() > 4 ? 28 : 24) + channelBytes);
    const d2 = v128.load(load<usize>(seenPtr, offsetof<For>() > 4 ? 56 : 48) + channelBytes);
    const d3 = v128.load(load<usize>(seenPtr, offsetof<For>() > 4 ? 84 : 72) + channelBytes);
    const d4 = v128.load(load<usize>(seenPtr, offsetof<For>() > 4 ? 112 : 96) + channelBytes);
    const d5 = v128.load(load<usize>(seenPtr, offsetof<For>() > 4 ? 140 : 120) + channelBytes);
    v128.store(toPtr, f32x4.add(f32x4.sub(d0, f32x4.mul(twoAndHalf, d2)), d4));
    const even1 = f32x4.sub(d4, f32x4.mul(two, d2));
    const odd1 = f32x4.mul(s, f32x4.sub(d3, f32x4.mul(two, d1)));
    v128.store(toPtr, f32x4.add(even1, odd1), BETWEEN_ROW);
    v128.store(toPtr, f32x4.sub(even1, odd1), BETWEEN_ROW * 2);
    const even2 = f32x4.sub(d4, f32x4.mul(half, d2));
    const odd2 = f32x4.mul(t, f32x4.sub(d3, f32x4.mul(half, d1)));
    v128.store(toPtr, f32x4.add(even2, odd2), BETWEEN_ROW * 3);
    v128.store(toPtr, f32x4.sub(even2, odd2), BETWEEN_ROW * 4);
    v128.store(toPtr, f32x4.add(f32x4.sub(d1, f32x4.mul(twoAndHalf, d3)), d5), BETWEEN_ROW * 5);
    seenPtr += 4;
    toPtr += 16;
  }
}

/** The same down all columns of a tile whose pixels lie in the image as in the tile, the first at `fromPtr`. */
export function stridedTransform6<For>(fromPtr: usize, rowStride: usize, pixelStride: usize, toPtr: usize): void {
  const s = f32x4.splat(S);
  const t = f32x4.splat(T);
  const half = f32x4.splat(0.5);
  const two = f32x4.splat(2);
  const twoAndHalf = f32x4.splat(2.5);
  for (let i = 0; i < countFor<For>(6); ++i) {
    const d0 = v128.load(fromPtr);
    const d1 = v128.load(fromPtr + rowStride);
    const d2 = v128.load(fromPtr + rowStride * 2);
    const d3 = v128.load(fromPtr + rowStride * 3);
    const d4 = v128.load(fromPtr + rowStride * 4);
    const d5 = v128.load(fromPtr + rowStride * 5);
    v128.store(toPtr, f32x4.add(f32x4.sub(d0, f32x4.mul(twoAndHalf, d2)), d4));
    const even1 = f32x4.sub(d4, f32x4.mul(two, d2));
    const odd1 = f32x4.mul(s, f32x4.sub(d3, f32x4.mul(two, d1)));
    v128.store(toPtr, f32x4.add(even1, odd1), BETWEEN_ROW);
    v128.store(toPtr, f32x4.sub(even1, odd1), BETWEEN_ROW * 2);
    const even2 = f32x4.sub(d4, f32x4.mul(half, d2));
    const odd2 = f32x4.mul(t, f32x4.sub(d3, f32x4.mul(half, d1)));
    v128.store(toPtr, f32x4.add(even2, odd2), BETWEEN_ROW * 3);
    v128.store(toPtr, f32x4.sub(even2, odd2), BETWEEN_ROW * 4);
    v128.store(toPtr, f32x4.add(f32x4.sub(d1, f32x4.mul(twoAndHalf, d3)), d5), BETWEEN_ROW * 5);
    fromPtr += pixelStride;
    toPtr += 16;
  }
}

/**
 * The same for a tile two high, on the points 0, +-s, infinity: rows 0, 1, 2 and 5 of the result, each with the factor
 * by which F(2, 3)'s G differs from F(4, 3)'s there: -2, -3/2, -3/2, 1.
 */
export function gatherTransformHalf(seenPtr: usize, channelBytes: usize, columns: i32, toPtr: usize): void {
  const half = f32x4.splat(0.5);
  const two = f32x4.splat(2);
  const even = f32x4.splat(-1.5);
  const odd = f32x4.splat(<f32>1.5 * S);
  for (let i = 0; i < columns; ++i) {
    const d0 = v128.load(load<usize>(seenPtr) + channelBytes);
    const d1 = v128.load(load<usize>(seenPtr, 24) + channelBytes);
    const d2 = v128.load(load<usize>(seenPtr, 48) + channelBytes);
    const d3 = v128.load(load<usize>(seenPtr, 72) + channelBytes);
    const even1 = f32x4.mul(even, d2);
    const odd1 = f32x4.mul(odd, d1);
    v128.store(toPtr, f32x4.sub(d0, f32x4.mul(two, d2)));
    v128.store(toPtr, f32x4.sub(even1, odd1), BETWEEN_ROW);
    v128.store(toPtr, f32x4.add(even1, odd1), BETWEEN_ROW * 2);
    v128.store(toPtr, f32x4.sub(d3, f32x4.mul(half, d1)), BETWEEN_ROW * 5);
    seenPtr += 4;
    toPtr += 16;
  }
}

/**
 * v = B' d along `rows` rows of [6][6] vectors; results are `toStep` apart, counted from `toPtr`, those at the points
 * +-t from `outerPtr`.
 */
export function inputTransform6<For>(fromPtr: usize, rows: i32, toPtr: usize, outerPtr: usize, toStep: usize): void {
  const s = f32x4.splat(S);
  const t = f32x4.splat(T);
  const half = f32x4.splat(0.5);
  const two = f32x4.splat(2);
  const twoAndHalf = f32x4.splat(2.5);
  outerPtr += toStep * 3;
  for (let i = 0; i < countFor<For>(rows); ++i) {
    const d0 = v128.load(fromPtr);
    const d1 = v128.load(fromPtr, 16);
    const d2 = v128.load(fromPtr, 32);
    const d3 = v128.load(fromPtr, 48);
    const d4 = v128.load(fromPtr, 64);
    const d5 = v128.load(fromPtr, 80);
    v128.store(toPtr, f32x4.add(f32x4.sub(d0, f32x4.mul(twoAndHalf, d2)), d4));
    const even1 = f32x4.sub(d4, f32x4.mul(two, d2));
    const odd1 = f32x4.mul(s, f32x4.sub(d3, f32x4.mul(two, d1)));
    v128.store(toPtr + toStep, f32x4.add(even1, odd1));
    v128.store(toPtr + toStep * 2, f32x4.sub(even1, odd1));
    const even2 = f32x4.sub(d4, f32x4.mul(half, d2));
    const odd2 = f32x4.mul(t, f32x4.sub(d3, f32x4.mul(half, d1)));
    v128.store(outerPtr, f32x4.add(even2, odd2));
    v128.store(outerPtr + toStep, f32x4.sub(even2, odd2));
    v128.store(toPtr + toStep * 5, f32x4.add(f32x4.sub(d1, f32x4.mul(twoAndHalf, d3)), d5));
    fromPtr += BETWEEN_ROW;
    toPtr += toStep * 6;
    outerPtr += toStep * 6;
  }
}

/** The same of a tile two wide: points 0, 1, 2 and 5, with the factors of gatherTransformHalf. */
export function inputTransformHalf(fromPtr: usize, rows: i32, toPtr: usize, toStep: usize): void {
  const half = f32x4.splat(0.5);
  const two = f32x4.splat(2);
  const even = f32x4.splat(-1.5);
  const odd = f32x4.splat(<f32>1.5 * S);
  for (let i = 0; i < rows; ++i) {
    const d0 = v128.load(fromPtr);
    const d1 = v128.load(fromPtr, 16);
    const d2 = v128.load(fromPtr, 32);
    const d3 = v128.load(fromPtr, 48);
    const even1 = f32x4.mul(even, d2);
    const odd1 = f32x4.mul(odd, d1);
    v128.store(toPtr, f32x4.sub(d0, f32x4.mul(two, d2)));
    v128.store(toPtr + toStep, f32x4.sub(even1, odd1));
    v128.store(toPtr + toStep * 2, f32x4.add(even1, odd1));
    v128.store(toPtr + toStep * 5, f32x4.sub(d3, f32x4.mul(half, d1)));
    fromPtr += BETWEEN_ROW;
    toPtr += toStep * 6;
  }
}

/** v = B' d on the points 0, 1, -1, infinity, row 0 with its sign changed, down the four columns of a tile. */
export function gatherTransform4(seenPtr: usize, channelBytes: usize, toPtr: usize): void {
  for (let i = 0; i < 4; ++i) {
    const d0 = v128.load(load<usize>(seenPtr) + channelBytes);
    const d1 = v128.load(load<usize>(seenPtr, 16) + channelBytes);
    const d2 = v128.load(load<usize>(seenPtr, 32) + channelBytes);
    const d3 = v128.load(load<usize>(seenPtr, 48) + channelBytes);
    v128.store(toPtr, f32x4.sub(d0, d2));
    v128.store(toPtr, f32x4.add(d1, d2), BETWEEN_ROW);
    v128.store(toPtr, f32x4.sub(d2, d1), BETWEEN_ROW * 2);
    v128.store(toPtr, f32x4.sub(d3, d1), BETWEEN_ROW * 3);
    seenPtr += 4;
    toPtr += 16;
  }
}

/** The same along the four rows of [4][4] vectors; results are `toStep` apart. */
export function inputTransform4(fromPtr: usize, toPtr: usize, toStep: usize): void {
  for (let i = 0; i < 4; ++i) {
    const d0 = v128.load(fromPtr);
    const d1 = v128.load(fromPtr, 16);
    const d2 = v128.load(fromPtr, 32);
    const d3 = v128.load(fromPtr, 48);
    v128.store(toPtr, f32x4.sub(d0, d2));
    v128.store(toPtr + toStep, f32x4.add(d1, d2));
    v128.store(toPtr + toStep * 2, f32x4.sub(d2, d1));
    v128.store(toPtr + toStep * 3, f32x4.sub(d3, d1));
    fromPtr += BETWEEN_ROW;
    toPtr += toStep * 4;
  }
}

/** y = A' m of F(4, 3) down the 6 columns of products, which are [6][6] with `step` bytes between two; to [4][6] vectors. */
export function inverseTransform4of6(productPtr: usize, step: usize, toPtr: usize): void {
  const s = f32x4.splat(S);
  const t = f32x4.splat(T);
  const half = f32x4.splat(0.5);
  const two = f32x4.splat(2);
  let fromPtr = productPtr;
  const rowStep = step * 6;
  for (let i = 0; i < 6; ++i) {
    const m0 = v128.load(fromPtr);
    const m1 = v128.load(fromPtr + rowStep);
    const m2 = v128.load(fromPtr + rowStep * 2);
    const m3 = v128.load(fromPtr + rowStep * 3);
    const m4 = v128.load(fromPtr + rowStep * 4);
    const m5 = v128.load(fromPtr + rowStep * 5);
    const even1 = f32x4.add(m1, m2);
    const even2 = f32x4.add(m3, m4);
    const odd1 = f32x4.mul(s, f32x4.sub(m1, m2));
    const odd2 = f32x4.mul(t, f32x4.sub(m3, m4));
    const y0 = f32x4.add(f32x4.add(m0, even1), even2);
    const y1 = f32x4.add(odd1, odd2);
    const y2 = f32x4.add(f32x4.mul(half, even1), f32x4.mul(two, even2));
    const y3 = f32x4.add(f32x4.add(f32x4.mul(half, odd1), f32x4.mul(two, odd2)), m5);
    v128.store(toPtr, y0);
    v128.store(toPtr, y1, BETWEEN_ROW);
    v128.store(toPtr, y2, BETWEEN_ROW * 2);
    v128.store(toPtr, y3, BETWEEN_ROW * 3);
    fromPtr += step;
    toPtr += 16;
  }
}

/** y = A' m of a tile two high, from rows 0, 1, 2 and 5 of the products; to [2][6] vectors. */
export function inverseTransformHalf(productPtr: usize, step: usize, toPtr: usize): void {
  const s = f32x4.splat(S);
  let fromPtr = productPtr;
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

/** y = A' m of F(2, 5) down the 7 columns of products, which are [6][7] with `step` bytes between two; to [2][7] vectors. */
export function inverseTransform2of6(productPtr: usize, step: usize, toPtr: usize): void {
  const s = f32x4.splat(S);
  const t = f32x4.splat(T);
  let fromPtr = productPtr;
  const rowStep = step * 7;
  for (let i = 0; i < 7; ++i) {
    const m0 = v128.load(fromPtr);
    const m1 = v128.load(fromPtr + rowStep);
    const m2 = v128.load(fromPtr + rowStep * 2);
    const m3 = v128.load(fromPtr + rowStep * 3);
    const m4 = v128.load(fromPtr + rowStep * 4);
    const m5 = v128.load(fromPtr + rowStep * 5);
    const odd = f32x4.add(f32x4.mul(s, f32x4.sub(m1, m2)), f32x4.mul(t, f32x4.sub(m3, m4)));
    v128.store(toPtr, f32x4.add(f32x4.add(m0, f32x4.add(m1, m2)), f32x4.add(m3, m4)));
    v128.store(toPtr, f32x4.add(odd, m5), BETWEEN_ROW);
    fromPtr += step;
    toPtr += 16;
  }
}

/** y = A' m of F(2, 3) down the 4 columns of products, which are [4][4] with `step` bytes between two; to [2][4] vectors. */
export function inverseTransform2of4(productPtr: usize, step: usize, toPtr: usize): void {
  let fromPtr = productPtr;
  const rowStep = step * 4;
  for (let i = 0; i < 4; ++i) {
    const m0 = v128.load(fromPtr);
    const m1 = v128.load(fromPtr + rowStep);
    const m2 = v128.load(fromPtr + rowStep * 2);
    const m3 = v128.load(fromPtr + rowStep * 3);
    const y0 = f32x4.add(f32x4.add(m0, m1), m2);
    const y1 = f32x4.add(f32x4.sub(m1, m2), m3);
    v128.store(toPtr, y0);
    v128.store(toPtr, y1, BETWEEN_ROW);
    fromPtr += step;
    toPtr += 16;
  }
}

/** max(low, y + bias + addend) of four channels of a pixel; lanes that are not to be kept become zero. */
export function finishPixel(toPtr: usize, y: v128, bias: v128, addendPtr: usize, lows: v128, keep: v128): void {
  let value = f32x4.add(y, bias);
  if (addendPtr !== 0) value = f32x4.add(value, v128.load(addendPtr));
  v128.store(toPtr, v128.and(clampLow(value, lows), keep));
}

/** y = A' m of F(4, 3) along `rows` rows of [4][6] vectors, and out with `columns` of them, as `finishPixel` says. */
export function finish4of6(
  fromPtr: usize,
  rows: i32,
  columns: i32,
  toPtr: usize,
  rowStride: usize,
  pixelStride: usize,
  addendPtr: usize,
  biasPtr: usize,
  low: f32,
  keep: v128,
): void {
  const s = f32x4.splat(S);
  const t = f32x4.splat(T);
  const half = f32x4.splat(0.5);
  const two = f32x4.splat(2);
  const bias = v128.load(biasPtr);
  const lows = f32x4.splat(low);
  for (let i = 0; i < rows; ++i) {
    const m0 = v128.load(fromPtr);
    const m1 = v128.load(fromPtr, 16);
    const m2 = v128.load(fromPtr, 32);
    const m3 = v128.load(fromPtr, 48);
    const m4 = v128.load(fromPtr, 64);
    const m5 = v128.load(fromPtr, 80);
    const even1 = f32x4.add(m1, m2);
    const even2 = f32x4.add(m3, m4);
    const odd1 = f32x4.mul(s, f32x4.sub(m1, m2));
    const odd2 = f32x4.mul(t, f32x4.sub(m3, m4));
    const y0 = f32x4.add(f32x4.add(m0, even1), even2);
    const y1 = f32x4.add(odd1, odd2);
    const y2 = f32x4.add(f32x4.mul(half, even1), f32x4.mul(two, even2));
    const y3 = f32x4.add(f32x4.add(f32x4.mul(half, odd1), f32x4.mul(two, odd2)), m5);
    // As in finishColumns of winogradLong.ts, which with a further caller would not be inlined (16->16 @32: 5 % more time).
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
    fromPtr += BETWEEN_ROW;
    toPtr += rowStride;
    if (addendPtr !== 0) addendPtr += rowStride;
  }
}

/** y = A' m of a tile two wide along `rows` rows of [.][6] vectors, of which 0, 1, 2 and 5 count; the rest as finish4of6. */
export function finishHalf(
  fromPtr: usize,
  rows: i32,
  columns: i32,
  toPtr: usize,
  rowStride: usize,
  pixelStride: usize,
  addendPtr: usize,
  biasPtr: usize,
  low: f32,
  keep: v128,
): void {
  const s = f32x4.splat(S);
  const bias = v128.load(biasPtr);
  const lows = f32x4.splat(low);
  for (let i = 0; i < rows; ++i) {
    const m0 = v128.load(fromPtr);
    const m1 = v128.load(fromPtr, 16);
    const m2 = v128.load(fromPtr, 32);
    const m5 = v128.load(fromPtr, 80);
    finishPixel(toPtr, f32x4.add(m0, f32x4.add(m1, m2)), bias, addendPtr, lows, keep);
    if (columns > 1) {
      const y1 = f32x4.add(f32x4.mul(s, f32x4.sub(m1, m2)), m5);
      finishPixel(toPtr + pixelStride, y1, bias, addendPtr === 0 ? 0 : addendPtr + pixelStride, lows, keep);
    }
    fromPtr += BETWEEN_ROW;
    toPtr += rowStride;
    if (addendPtr !== 0) addendPtr += rowStride;
  }
}

/** y = A' m of F(2, 3) along `rows` rows of [2][4] vectors, and out with `columns` of them, as `finishPixel` says. */
export function finish2of4(
  fromPtr: usize,
  rows: i32,
  columns: i32,
  toPtr: usize,
  rowStride: usize,
  pixelStride: usize,
  addendPtr: usize,
  biasPtr: usize,
  low: f32,
  keep: v128,
): void {
  const bias = v128.load(biasPtr);
  const lows = f32x4.splat(low);
  for (let i = 0; i < rows; ++i) {
    const m0 = v128.load(fromPtr);
    const m1 = v128.load(fromPtr, 16);
    const m2 = v128.load(fromPtr, 32);
    const m3 = v128.load(fromPtr, 48);
    const y0 = f32x4.add(f32x4.add(m0, m1), m2);
    const y1 = f32x4.add(f32x4.sub(m1, m2), m3);
    finishPixel(toPtr, y0, bias, addendPtr, lows, keep);
    if (columns > 1) {
      const distance = pixelStride;
      finishPixel(toPtr + distance, y1, bias, addendPtr === 0 ? 0 : addendPtr + distance, lows, keep);
    }
    fromPtr += BETWEEN_ROW;
    toPtr += rowStride;
    if (addendPtr !== 0) addendPtr += rowStride;
  }
}
