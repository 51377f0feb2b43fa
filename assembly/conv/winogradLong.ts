/**
 * The forward transforms of seven to nine values, one at a time:
 *
 *   F(3, 5)            n = 7  points +-5/16, +-7/8, +-7/4, infinity
 *   F(4, 5)            n = 8  points 0, +-1, +-1/2, +-2, infinity
 *   F(4, 3), stride 2  n = 9  F(4, 2) on the points +-1/2, +-5/4, infinity for the even values, whose taps are the first
 *                             and last; the odd ones times the middle tap as they are, four products with the same U
 *
 * The matrices are derived in winograd.ts. Pairs of points without 0 err least where there is an odd number of values.
 */
import { RUN_COLUMNS } from './winogradBlock';
import { A, B, P, Q, R } from './winogradPoints';

/** Where a transform finds its values: side by side, or at addresses in a column of what a run sees. */
export class Vectors {}
export class Column {
  isColumn: i32;
}

/** Value `i`: the i-th vector, or that `channelBytes` from the i-th address of the column at `fromPtr`. */
function value<From>(fromPtr: usize, i: usize, channelBytes: usize): v128 {
  if (offsetof<From>() === 0) return v128.load(fromPtr + (i << 4));
  return v128.load(load<usize>(fromPtr + i * ((<usize>RUN_COLUMNS) << 2)) + channelBytes);
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
  const sum1 = f32x4.splat(<f32>(Q * Q + R * R));
  const product1 = f32x4.splat(<f32>(Q * Q * R * R));
  const odd1 = f32x4.add(f32x4.sub(d5, f32x4.mul(sum1, d3)), f32x4.mul(product1, d1));
  const even1 = f32x4.add(f32x4.sub(d4, f32x4.mul(sum1, d2)), f32x4.mul(product1, d0));
  const first = f32x4.mul(f32x4.splat(<f32>P), even1);
  v128.store(toPtr, f32x4.add(first, odd1));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(first, odd1));
  const sum2 = f32x4.splat(<f32>(P * P + R * R));
  const product2 = f32x4.splat(<f32>(P * P * R * R));
  const odd2 = f32x4.add(f32x4.sub(d5, f32x4.mul(sum2, d3)), f32x4.mul(product2, d1));
  const even2 = f32x4.add(f32x4.sub(d4, f32x4.mul(sum2, d2)), f32x4.mul(product2, d0));
  const second = f32x4.mul(f32x4.splat(<f32>Q), even2);
  toPtr += toStep;
  v128.store(toPtr, f32x4.add(second, odd2));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(second, odd2));
  const sum3 = f32x4.splat(<f32>(P * P + Q * Q));
  const product3 = f32x4.splat(<f32>(P * P * Q * Q));
  const odd3 = f32x4.add(f32x4.sub(d5, f32x4.mul(sum3, d3)), f32x4.mul(product3, d1));
  const even3 = f32x4.add(f32x4.sub(d4, f32x4.mul(sum3, d2)), f32x4.mul(product3, d0));
  const third = f32x4.mul(f32x4.splat(<f32>R), even3);
  toPtr += toStep;
  v128.store(toPtr, f32x4.add(third, odd3));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(third, odd3));
  const high = f32x4.sub(d6, f32x4.mul(f32x4.splat(<f32>(P * P + Q * Q + R * R)), d4));
  const pairs = f32x4.mul(f32x4.splat(<f32>(P * P * Q * Q + P * P * R * R + Q * Q * R * R)), d2);
  const low = f32x4.sub(pairs, f32x4.mul(f32x4.splat(<f32>(P * P * Q * Q * R * R)), d0));
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
  const outer = f32x4.splat(<f32>(B * B));
  const odd1 = f32x4.sub(d3, f32x4.mul(outer, d1));
  const even1 = f32x4.mul(f32x4.splat(<f32>A), f32x4.sub(d2, f32x4.mul(outer, d0)));
  v128.store(toPtr, f32x4.add(even1, odd1));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(even1, odd1));
  const inner = f32x4.splat(<f32>(A * A));
  const odd2 = f32x4.sub(d3, f32x4.mul(inner, d1));
  const even2 = f32x4.mul(f32x4.splat(<f32>B), f32x4.sub(d2, f32x4.mul(inner, d0)));
  toPtr += toStep;
  v128.store(toPtr, f32x4.add(even2, odd2));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(even2, odd2));
  const all = f32x4.sub(d4, f32x4.mul(f32x4.splat(<f32>(A * A + B * B)), d2));
  toPtr += toStep;
  v128.store(toPtr, f32x4.add(all, f32x4.mul(f32x4.splat(<f32>(A * A * B * B)), d0)));
  toPtr += toStep;
  v128.store(toPtr, value<From>(fromPtr, 1, channelBytes));
  toPtr += toStep;
  v128.store(toPtr, value<From>(fromPtr, 3, channelBytes));
  toPtr += toStep;
  v128.store(toPtr, value<From>(fromPtr, 5, channelBytes));
  toPtr += toStep;
  v128.store(toPtr, value<From>(fromPtr, 7, channelBytes));
}
