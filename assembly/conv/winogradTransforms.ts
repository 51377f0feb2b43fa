/**
 * The forward transforms of Winograd convolution in one dimension, on vectors in memory, of four and six values. Each
 * function does as many as a run has columns or a tile has rows. The matrices are derived in winograd.ts.
 */
import { BETWEEN_ROW, RUN_COLUMNS } from './winogradBlock';
import { S, T } from './winogradPoints';

/** Bytes of a row of addresses. */
const SEEN_ROW: usize = (<usize>RUN_COLUMNS) << 2;

/**
 * v = B' d down `columns` columns, with s = sqrt(1/2), t = sqrt(2): 2 s = t and t / 2 = s. `seenPtr`: addresses of pixels,
 * row by row; to six rows of as many vectors, BETWEEN_ROW apart.
 */
export function gatherTransform6(seenPtr: usize, channelBytes: usize, columns: i32, toPtr: usize): void {
  const s = f32x4.splat(<f32>S);
  const t = f32x4.splat(<f32>T);
  const half = f32x4.splat(0.5);
  const two = f32x4.splat(2);
  const twoAndHalf = f32x4.splat(2.5);
  for (let i = 0; i < columns; ++i) {
    const d0 = v128.load(load<usize>(seenPtr) + channelBytes);
    const d1 = v128.load(load<usize>(seenPtr, SEEN_ROW) + channelBytes);
    const d2 = v128.load(load<usize>(seenPtr, SEEN_ROW * 2) + channelBytes);
    const d3 = v128.load(load<usize>(seenPtr, SEEN_ROW * 3) + channelBytes);
    const d4 = v128.load(load<usize>(seenPtr, SEEN_ROW * 4) + channelBytes);
    const d5 = v128.load(load<usize>(seenPtr, SEEN_ROW * 5) + channelBytes);
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

/**
 * The same where all rows are in the image, `rowStride` apart, from that at `fromPtr` on; `columnsPtr`: distances of the
 * columns, -1 where they are zeros.
 */
export function stridedTransform6(
  fromPtr: usize,
  rowStride: usize,
  columnsPtr: usize,
  columns: i32,
  toPtr: usize,
): void {
  const s = f32x4.splat(<f32>S);
  const t = f32x4.splat(<f32>T);
  const half = f32x4.splat(0.5);
  const two = f32x4.splat(2);
  const twoAndHalf = f32x4.splat(2.5);
  for (let i = 0; i < columns; ++i) {
    const column = load<i32>(columnsPtr + ((<usize>i) << 2));
    if (column < 0) {
      clearColumn6(toPtr);
      toPtr += 16;
      continue;
    }
    const pixelPtr = fromPtr + <usize>column;
    const d0 = v128.load(pixelPtr);
    const d1 = v128.load(pixelPtr + rowStride);
    const d2 = v128.load(pixelPtr + rowStride * 2);
    const d3 = v128.load(pixelPtr + rowStride * 3);
    const d4 = v128.load(pixelPtr + rowStride * 4);
    const d5 = v128.load(pixelPtr + rowStride * 5);
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
    toPtr += 16;
  }
}

function clearColumn6(toPtr: usize): void {
  const zeros = f32x4.splat(0);
  v128.store(toPtr, zeros);
  v128.store(toPtr, zeros, BETWEEN_ROW);
  v128.store(toPtr, zeros, BETWEEN_ROW * 2);
  v128.store(toPtr, zeros, BETWEEN_ROW * 3);
  v128.store(toPtr, zeros, BETWEEN_ROW * 4);
  v128.store(toPtr, zeros, BETWEEN_ROW * 5);
}

/**
 * The same for tiles two high, on the points 0, +-s, infinity: rows 0, 1, 2 and 5 of the result, each with the factor
 * by which F(2, 3)'s G differs from F(4, 3)'s there: -2, -3/2, -3/2, 1.
 */
export function gatherTransformHalf(seenPtr: usize, channelBytes: usize, columns: i32, toPtr: usize): void {
  const half = f32x4.splat(0.5);
  const two = f32x4.splat(2);
  const even = f32x4.splat(-1.5);
  const odd = f32x4.splat(<f32>1.5 * <f32>S);
  for (let i = 0; i < columns; ++i) {
    const d0 = v128.load(load<usize>(seenPtr) + channelBytes);
    const d1 = v128.load(load<usize>(seenPtr, SEEN_ROW) + channelBytes);
    const d2 = v128.load(load<usize>(seenPtr, SEEN_ROW * 2) + channelBytes);
    const d3 = v128.load(load<usize>(seenPtr, SEEN_ROW * 3) + channelBytes);
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

/** Blocks of whole tiles only, which take six rows at a time, and those with half tiles too. */
export class Whole {}
export class Mixed {
  isMixed: i32;
}

/**
 * v = B' d along `rows` rows of six vectors, BETWEEN_ROW apart; results are `toStep` apart, counted from `toPtr`, those at the points
 * +-t from `outerPtr`.
 */
export function inputTransform6<For>(fromPtr: usize, rows: i32, toPtr: usize, outerPtr: usize, toStep: usize): void {
  const s = f32x4.splat(<f32>S);
  const t = f32x4.splat(<f32>T);
  const half = f32x4.splat(0.5);
  const two = f32x4.splat(2);
  const twoAndHalf = f32x4.splat(2.5);
  outerPtr += toStep * 3;
  for (let i = 0; i < (offsetof<For>() === 0 ? 6 : rows); ++i) {
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
  const odd = f32x4.splat(<f32>1.5 * <f32>S);
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

/** v = B' d on the points 0, 1, -1, infinity, row 0 with its sign changed, down `columns` columns. */
export function gatherTransform4(seenPtr: usize, channelBytes: usize, columns: i32, toPtr: usize): void {
  for (let i = 0; i < columns; ++i) {
    const d0 = v128.load(load<usize>(seenPtr) + channelBytes);
    const d1 = v128.load(load<usize>(seenPtr, SEEN_ROW) + channelBytes);
    const d2 = v128.load(load<usize>(seenPtr, SEEN_ROW * 2) + channelBytes);
    const d3 = v128.load(load<usize>(seenPtr, SEEN_ROW * 3) + channelBytes);
    v128.store(toPtr, f32x4.sub(d0, d2));
    v128.store(toPtr, f32x4.add(d1, d2), BETWEEN_ROW);
    v128.store(toPtr, f32x4.sub(d2, d1), BETWEEN_ROW * 2);
    v128.store(toPtr, f32x4.sub(d3, d1), BETWEEN_ROW * 3);
    seenPtr += 4;
    toPtr += 16;
  }
}

/** The same along four rows of four vectors; results are `toStep` apart. */
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
