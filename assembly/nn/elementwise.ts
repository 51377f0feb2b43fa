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

/** Whether every value is a number of magnitude below `limit`; neither NaN nor infinity is. `count` as above. */
export function allBelow(ptr: usize, count: i32, limit: f32): bool {
  const limits = f32x4.splat(limit);
  const endPtr = ptr + ((<usize>count) << 2);
  let largest = f32x4.splat(0);
  for (; ptr < endPtr; ptr += 16) largest = f32x4.max(largest, f32x4.abs(v128.load(ptr)));
  return i32x4.all_true(f32x4.lt(largest, limits));
}
