/**
 * From a tile of sums to the output: bias, addend, lower bound, in this order.
 *
 * C[m][n] = max(low, tile + bias + addend)
 *
 * What is added to a sum is added last: a sum that starts small is rounded less. In float64 the result is rounded once.
 */
import { clampLow } from '../simd';
import { TILE_STRIDE } from '../tuning';

/**
 * A whole tile, or a few that follow each other, of m rows and tileColumns columns. Rows of the addend are `addendStride`
 * bytes apart; 0 repeats one row. The addend may be C.
 */
export function finishWide<T>(
  m: i32,
  tilePtr: usize,
  cPtr: usize,
  cStride: usize,
  biasPtr: usize,
  addendPtr: usize,
  addendStride: usize,
  low: f32,
): void {
  const lows = f32x4.splat(low);
  const bias0 = v128.load(biasPtr);
  const bias1 = v128.load(biasPtr, 16);
  for (let i = 0; i < m; ++i) {
    const sum0 = v128.add<T>(v128.load(tilePtr), bias0);
    const sum1 = v128.add<T>(v128.load(tilePtr, 16), bias1);
    const addend = v128.load(addendPtr);
    if (sizeof<T>() === 8) {
      const first = f64x2.add(sum0, f64x2.promote_low_f32x4(addend));
      const second = f64x2.add(sum1, f64x2.promote_low_f32x4(v128.shuffle<f32>(addend, addend, 2, 3, 0, 1)));
      const rounded = v128.shuffle<f32>(f32x4.demote_f64x2_zero(first), f32x4.demote_f64x2_zero(second), 0, 1, 4, 5);
      v128.store(cPtr, clampLow(rounded, lows));
    } else {
      v128.store(cPtr, clampLow(f32x4.add(sum0, addend), lows));
      v128.store(cPtr, clampLow(f32x4.add(sum1, v128.load(addendPtr, 16)), lows), 16);
    }
    tilePtr += TILE_STRIDE;
    cPtr += cStride;
    addendPtr += addendStride;
  }
}

/** Any tile of m rows and n columns, value by value; columns n to `padTo` of C, which may be further, become zero. */
export function finishEdge<T>(
  m: i32,
  n: i32,
  padTo: i32,
  tilePtr: usize,
  cPtr: usize,
  cStride: usize,
  biasPtr: usize,
  addendPtr: usize,
  addendStride: usize,
  low: f32,
): void {
  for (let i = 0; i < m; ++i) {
    for (let j = 0; j < padTo; ++j) {
      const at = (<usize>j) << 2;
      let value: f32 = 0;
      if (j < n) {
        const inT = <usize>j * sizeof<T>();
        const sum = load<T>(tilePtr + inT) + load<T>(biasPtr + inT) + <T>load<f32>(addendPtr + at);
        value = <f32>sum;
        if (value < low) value = low;
      }
      store<f32>(cPtr + at, value);
    }
    tilePtr += TILE_STRIDE;
    cPtr += cStride;
    addendPtr += addendStride;
  }
}
