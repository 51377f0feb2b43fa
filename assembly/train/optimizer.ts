/** What an optimiser does to parameters, in place. */
import { multiplyAdd, storeFirst } from '../simd';

/**
 * A step of PyTorch's SGD:
 *
 *   g = gradScale * grad + weightDecay * p
 *   v = momentum * v + (1 - dampening) * g, or g at the first step
 *   p = p - lr * v, with nesterov p - lr * (g + momentum * v)
 *
 * `velocityPtr`: v, or 0 where momentum is 0. Values `first` to `last` (excluded).
 */
export function sgdStep(
  paramPtr: usize,
  gradPtr: usize,
  velocityPtr: usize,
  lr: f32,
  momentum: f32,
  dampening: f32,
  weightDecay: f32,
  gradScale: f32,
  nesterov: i32,
  isFirst: i32,
  first: i32,
  last: i32,
): void {
  const skipped = (<usize>first) << 2;
  paramPtr += skipped;
  gradPtr += skipped;
  if (velocityPtr !== 0) velocityPtr += skipped;
  const rates = f32x4.splat(-lr);
  const decays = f32x4.splat(weightDecay);
  const scales = f32x4.splat(gradScale);
  const momenta = f32x4.splat(momentum);
  const kept = f32x4.splat(1 - dampening);
  const bytes = (<usize>(last - first)) << 2;
  for (let at: usize = 0; at < bytes; at += 16) {
    const left = <i32>((bytes - at) >> 2);
    const p = v128.load(paramPtr + at);
    let g = multiplyAdd(decays, p, f32x4.mul(scales, v128.load(gradPtr + at)));
    if (velocityPtr !== 0) {
      let v = g;
      if (isFirst === 0) v = multiplyAdd(momenta, v128.load(velocityPtr + at), f32x4.mul(kept, g));
      storeUpTo(velocityPtr + at, v, left);
      g = nesterov !== 0 ? multiplyAdd(momenta, v, g) : v;
    }
    storeUpTo(paramPtr + at, multiplyAdd(rates, g, p), left);
  }
}

function storeUpTo(ptr: usize, values: v128, count: i32): void {
  if (count >= 4) v128.store(ptr, values);
  else storeFirst(values, count, ptr);
}

/** The sum of squares, in float64: of every other value, then both. */
export function squaredNorm(ptr: usize, count: i32): f64 {
  let sums = f64x2.splat(0);
  const pairs = (<usize>(count & ~1)) << 2;
  for (let at: usize = 0; at < pairs; at += 8) {
    const x = f64x2.promote_low_f32x4(v128.load64_zero(ptr + at));
    sums = f64x2.add(sums, f64x2.mul(x, x));
  }
  let sum = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
  if ((count & 1) !== 0) {
    const x = <f64>load<f32>(ptr + pairs);
    sum += x * x;
  }
  return sum;
}
