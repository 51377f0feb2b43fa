/**
 * The exponential of four numbers at once, with the same bits in every engine: only products and sums.
 *
 * exp(x) = 2^n exp(r), n = round(x / ln 2), r = x - n ln 2 computed in two parts, |r| <= ln 2 / 2. exp(r) is its Taylor
 * series up to r^7, whose remainder is below 1e-8.
 */

const LOG2_E: f32 = <f32>NativeMath.LOG2E;
/** ln 2 in two parts; the first times a whole number below 2^9 is exact. */
const LN2_HIGH: f32 = 0.693359375;
const LN2_LOW: f32 = -2.1219444005469057e-4;
/** Below this, 2^n is not a normal number and the result is 0. */
const LEAST: f32 = -87;

/** exp(x) for x <= 0; NaN stays NaN. */
export function expOfNegative(x: v128): v128 {
  const isTiny = f32x4.lt(x, f32x4.splat(LEAST));
  const bounded = f32x4.pmax(x, f32x4.splat(LEAST));
  const n = f32x4.nearest(f32x4.mul(bounded, f32x4.splat(LOG2_E)));
  const high = f32x4.sub(bounded, f32x4.mul(n, f32x4.splat(LN2_HIGH)));
  const r = f32x4.sub(high, f32x4.mul(n, f32x4.splat(LN2_LOW)));
  let series = f32x4.splat(1.0 / 5040.0);
  series = f32x4.add(f32x4.mul(series, r), f32x4.splat(1.0 / 720.0));
  series = f32x4.add(f32x4.mul(series, r), f32x4.splat(1.0 / 120.0));
  series = f32x4.add(f32x4.mul(series, r), f32x4.splat(1.0 / 24.0));
  series = f32x4.add(f32x4.mul(series, r), f32x4.splat(1.0 / 6.0));
  series = f32x4.add(f32x4.mul(series, r), f32x4.splat(0.5));
  series = f32x4.add(f32x4.mul(f32x4.mul(r, r), series), r);
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  return v128.andnot(f32x4.mul(f32x4.add(series, f32x4.splat(1)), power), isTiny);
}
