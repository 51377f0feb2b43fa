/** From float32 to float64 and back, four channels at a time: how blocks are summed, and what sums of them are kept in. */

/** Adds four floats to f64[4]. */
export function addWidened(toPtr: usize, x: v128): void {
  v128.store(toPtr, f64x2.add(v128.load(toPtr), f64x2.promote_low_f32x4(x)));
  v128.store(toPtr, f64x2.add(v128.load(toPtr, 16), promoteHigh(x)), 16);
}

/** f64[4], rounded. */
export function narrowed(ptr: usize): v128 {
  const low = f32x4.demote_f64x2_zero(v128.load(ptr));
  const high = f32x4.demote_f64x2_zero(v128.load(ptr, 16));
  return v128.shuffle<i64>(low, high, 0, 2);
}

/** The last two floats of a vector. */
export function promoteHigh(x: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 1));
}
