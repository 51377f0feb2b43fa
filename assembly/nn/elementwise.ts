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
