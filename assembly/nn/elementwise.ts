/** Elementwise kernels over whole buffers; `count` floats, a multiple of 4. */
import { clampLow } from '../simd';

/** out = max(low, a + b). Out may be a or b. */
export function add(aPtr: usize, bPtr: usize, outPtr: usize, count: i32, low: f32): void {
  const lows = f32x4.splat(low);
  const bytes = (<usize>count) << 2;
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(outPtr + at, clampLow(f32x4.add(v128.load(aPtr + at), v128.load(bPtr + at)), lows));
  }
}

/** out = max(0, x), NaN kept. Out may be x. */
export function relu(inPtr: usize, outPtr: usize, count: i32): void {
  const zeros = f32x4.splat(0);
  const bytes = (<usize>count) << 2;
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(outPtr + at, clampLow(v128.load(inPtr + at), zeros));
  }
}

/**
 * Whether every value is a number of magnitude below `limit`; neither NaN nor infinity is. `count` as above. Without
 * their sign, floats are ordered as integers are, NaN last, and integers have the cheaper maximum.
 */
export function allBelow(ptr: usize, count: i32, limit: f32): bool {
  const limits = i32x4.splat(reinterpret<i32>(limit));
  const magnitude = i32x4.splat(0x7fffffff);
  const endPtr = ptr + ((<usize>count) << 2);
  let largest = i32x4.splat(0);
  // Four at a time: a turn of a loop costs more than the work of one.
  for (; ptr + 64 <= endPtr; ptr += 64) {
    const first = i32x4.max_s(v128.and(v128.load(ptr), magnitude), v128.and(v128.load(ptr, 16), magnitude));
    const second = i32x4.max_s(v128.and(v128.load(ptr, 32), magnitude), v128.and(v128.load(ptr, 48), magnitude));
    largest = i32x4.max_s(largest, i32x4.max_s(first, second));
  }
  for (; ptr < endPtr; ptr += 16) largest = i32x4.max_s(largest, v128.and(v128.load(ptr), magnitude));
  return i32x4.all_true(i32x4.lt_s(largest, limits));
}
