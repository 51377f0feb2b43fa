/**
 * The v128 arithmetic peak of the machine in this engine: twelve independent chains of multiply-add in registers, no
 * memory. Benchmarks state their share of it. A step is 12 * 8 floating-point operations.
 */
import { multiplyAdd } from './simd';

/** Runs `steps` steps and returns their sum, so that nothing is optimised away. */
export function multiplyAddPeak(steps: i32, factor: f32, addend: f32): f32 {
  const a = f32x4.splat(factor);
  const b = f32x4.splat(addend);
  let s0 = f32x4.splat(addend);
  let s1 = f32x4.add(s0, s0);
  let s2 = f32x4.add(s1, s0);
  let s3 = f32x4.add(s2, s0);
  let s4 = f32x4.add(s3, s0);
  let s5 = f32x4.add(s4, s0);
  let s6 = f32x4.add(s5, s0);
  let s7 = f32x4.add(s6, s0);
  let s8 = f32x4.add(s7, s0);
  let s9 = f32x4.add(s8, s0);
  let s10 = f32x4.add(s9, s0);
  let s11 = f32x4.add(s10, s0);
  for (let i = 0; i < steps; ++i) {
    s0 = multiplyAdd(s0, a, b);
    s1 = multiplyAdd(s1, a, b);
    s2 = multiplyAdd(s2, a, b);
    s3 = multiplyAdd(s3, a, b);
    s4 = multiplyAdd(s4, a, b);
    s5 = multiplyAdd(s5, a, b);
    s6 = multiplyAdd(s6, a, b);
    s7 = multiplyAdd(s7, a, b);
    s8 = multiplyAdd(s8, a, b);
    s9 = multiplyAdd(s9, a, b);
    s10 = multiplyAdd(s10, a, b);
    s11 = multiplyAdd(s11, a, b);
  }
  s0 = f32x4.add(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)), f32x4.add(f32x4.add(s4, s5), f32x4.add(s6, s7)));
  s0 = f32x4.add(s0, f32x4.add(f32x4.add(s8, s9), f32x4.add(s10, s11)));
  return f32x4.extract_lane(s0, 0) + f32x4.extract_lane(s0, 1) + f32x4.extract_lane(s0, 2) + f32x4.extract_lane(s0, 3);
}
