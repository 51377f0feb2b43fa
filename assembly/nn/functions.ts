/**
 * Functions of one number at a time, of AssemblyScript's own mathematics, for the same bits in every engine. Errors are
 * below 2 units in the last place, of erf and what is made of it also 1e-7 at most.
 */

const SQRT_HALF: f64 = NativeMath.SQRT1_2;
/** From here on log(1 + exp(x)) is x. */
const LARGE: f32 = 20;

export function softplus(x: f32): f32 {
  return x > LARGE ? x : NativeMathf.log1p(NativeMathf.exp(x));
}

/** beta (x > 0 ? x : alpha (exp(x) - 1)) */
export function selu(x: f32, alpha: f32, beta: f32): f32 {
  return beta * (x > 0 ? x : alpha * NativeMathf.expm1(x));
}

export function erf(x: f32): f32 {
  const magnitude = abs(<f64>x);
  const y = magnitude < 1 ? erfOfSmall(magnitude) : 1 - erfcOfLarge(magnitude);
  return <f32>copysign(y, <f64>x);
}

/** x (1 + erf(x / sqrt 2)) / 2; of negative numbers by erfc, which keeps all digits. */
export function gelu(x: f32): f32 {
  const z = <f64>x * SQRT_HALF;
  const magnitude = abs(z);
  const tail = magnitude < 1 ? 1 - erfOfSmall(magnitude) : erfcOfLarge(magnitude);
  // Not infinity times 0.
  if (tail === 0) return x > 0 ? x : 0;
  return <f32>(0.5 * <f64>x * (z < 0 ? tail : 2 - tail));
}

/** x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, which is x times the logistic function of twice that. */
export function geluTanh(x: f32): f32 {
  const z = 1.5957691216057308 * (<f64>x + 0.044715 * <f64>x * <f64>x * <f64>x);
  const power = <f64>NativeMathf.exp(<f32>-abs(z));
  if (power === 0) return x > 0 ? x : 0;
  return <f32>((<f64>x * (z < 0 ? power : 1)) / (1 + power));
}

/** x tanh(log(1 + exp(x))), as a quotient of powers of exp(x). */
export function mish(x: f32): f32 {
  if (x > LARGE) return x;
  const power = <f64>NativeMathf.exp(x);
  if (power === 0) return 0;
  const product = power * (power + 2);
  return <f32>((<f64>x * product) / (product + 2));
}

/** Its Taylor series, for 0 <= x < 1: 2 / sqrt(pi) times the sum of (-1)^n x^(2n + 1) / (n! (2n + 1)). */
function erfOfSmall(x: f64): f64 {
  const square = x * x;
  let term = 1.1283791670955126 * x;
  let sum = term;
  for (let n: f64 = 1; n < 13; n += 1) {
    term *= -square / n;
    sum += term / (2 * n + 1);
  }
  return sum;
}

/**
 * 1 - erf(x) for x >= 1, to 1.2e-7 of it: t exp(-x^2 + a polynomial in t), t = 1 / (1 + x / 2). Press and others,
 * Numerical Recipes, erfcc.
 */
function erfcOfLarge(x: f64): f64 {
  const t = 1 / (1 + 0.5 * x);
  let series: f64 = 0.17087277;
  series = series * t - 0.82215223;
  series = series * t + 1.48851587;
  series = series * t - 1.13520398;
  series = series * t + 0.27886807;
  series = series * t - 0.18628806;
  series = series * t + 0.09678418;
  series = series * t + 0.37409196;
  series = series * t + 1.00002368;
  series = series * t - 1.26551223;
  return t * <f64>NativeMathf.exp(<f32>(series - x * x));
}
