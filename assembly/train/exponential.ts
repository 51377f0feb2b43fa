/**
 * exp and log in float64, of sums and products only: the same bits in every engine, and no table, for which this binary
 * has no memory.
 */

/** ln 2 in two parts; the first times a whole number below 2^20 is exact. */
const LN2_HIGH: f64 = 0.6931471803691238;
const LN2_LOW: f64 = 1.9082149292705877e-10;
/** Below this, 2^n is not a normal number and the result is 0. */
const LEAST: f64 = -708;
/** Terms of that of the logarithm, |s| <= 0.172: the remainder is below 3e-18. */
const LOG_TERMS: i32 = 10;

/** exp(x) for x <= 0; NaN stays NaN. exp(r), |r| <= ln 2 / 2, is its Taylor series up to r^13, which lacks 5e-18. */
export function expOf(x: f64): f64 {
  // NaN is not below either.
  if (!(x >= LEAST)) return x < LEAST ? 0 : x;
  const n = nearest(x * Math.LOG2E);
  const r = x - n * LN2_HIGH - n * LN2_LOW;
  let series = r * (1.0 / 6227020800.0) + 1.0 / 479001600.0;
  series = series * r + 1.0 / 39916800.0;
  series = series * r + 1.0 / 3628800.0;
  series = series * r + 1.0 / 362880.0;
  series = series * r + 1.0 / 40320.0;
  series = series * r + 1.0 / 5040.0;
  series = series * r + 1.0 / 720.0;
  series = series * r + 1.0 / 120.0;
  series = series * r + 1.0 / 24.0;
  series = series * r + 1.0 / 6.0;
  series = series * r + 0.5;
  series = series * r + 1;
  series = series * r + 1;
  return series * reinterpret<f64>((<i64>n + 1023) << 52);
}

/** log(x) for normal x > 0; NaN and infinity stay what they are. */
export function logOf(x: f64): f64 {
  if (!(x < Infinity)) return x;
  const bits = reinterpret<i64>(x);
  // x = 2^n m, m between sqrt(1/2) and sqrt(2); log m = 2 atanh s.
  const offset = (bits - reinterpret<i64>(Math.SQRT1_2)) >> 52;
  const m = reinterpret<f64>(bits - (offset << 52));
  const s = (m - 1) / (m + 1);
  const square = s * s;
  let series: f64 = 0;
  for (let k = LOG_TERMS; k >= 0; --k) series = series * square + 1 / <f64>(2 * k + 1);
  const n = <f64>offset;
  return n * LN2_HIGH + (2 * s * series + n * LN2_LOW);
}
