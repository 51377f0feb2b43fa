/**
 * The one-dimensional transforms of Winograd convolution on vectors in memory. Each function does as many as the tile
 * has columns or rows.
 * The matrices are derived in winograd.ts.
 */

import { BETWEEN_ROW } from './winogradBlock';
import { S, T } from './winogradPoints';

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
