/** Multiply-add: fused in the relaxed build, a rounded product and a rounded sum in the baseline one. */

export function multiplyAdd(a: v128, b: v128, sum: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, sum) : f32x4.add(sum, f32x4.mul(a, b));
}

/**
 * max(x, low) that keeps NaN in x, as PyTorch's ReLU does: a single instruction on x86-64, where f32x4.max is seven.
 */
export function clampLow(x: v128, low: v128): v128 {
  return f32x4.pmax(x, low);
}
