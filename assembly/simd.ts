/** Operations that differ between builds or engines, and a store for which there is no instruction. */

/** Tells the loader which build this is. */
export const IS_RELAXED: i32 = ASC_FEATURE_RELAXED_SIMD ? 1 : 0;

/** Fused in the relaxed build; a rounded product and a rounded sum in the baseline build. */
export function multiplyAdd(a: v128, b: v128, sum: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return v128.relaxed_madd<f32>(a, b, sum);
  return f32x4.add(sum, f32x4.mul(a, b));
}

/**
 * max(x, low), but NaN in x stays NaN, as in PyTorch's ReLU. One instruction on x86-64, where f32x4.max takes seven.
 */
export function clampLow(x: v128, low: v128): v128 {
  return f32x4.pmax(x, low);
}

/** Stores the first `count` floats of a vector, at most three. */
export function storeFirst(values: v128, count: i32, ptr: usize): void {
  if (count > 0) v128.store32_lane(ptr, values, 0);
  if (count > 1) v128.store32_lane(ptr, values, 1, 4);
  if (count > 2) v128.store32_lane(ptr, values, 2, 8);
}
