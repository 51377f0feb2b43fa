/**
 * From a tile of sums to the output: bias, addend, lower bound, in this order.
 *
 * C[m][n] = max(low, tile + bias + addend)
 *
 * What is added to a sum is added last: a sum that starts small is rounded less.
 */
import { clampLow } from '../simd';
import { TILE_STRIDE } from '../tuning';

/**
 * A whole tile, or a few that follow each other, of m rows and 8 columns. Rows of the addend are `addendStride`
 * bytes apart; 0 repeats one row. The addend may be C.
 */
export function finishWide(
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
    const sum0 = f32x4.add(v128.load(tilePtr), bias0);
    const sum1 = f32x4.add(v128.load(tilePtr, 16), bias1);
    v128.store(cPtr, clampLow(f32x4.add(sum0, v128.load(addendPtr)), lows));
    v128.store(cPtr, clampLow(f32x4.add(sum1, v128.load(addendPtr, 16)), lows), 16);
    tilePtr += TILE_STRIDE;
    cPtr += cStride;
    addendPtr += addendStride;
  }
}

/** Any tile of m rows and n columns, value by value; columns n to `padTo` of C, which may be further, become zero. */
export function finishEdge(
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
        value = load<f32>(tilePtr + at) + load<f32>(biasPtr + at) + load<f32>(addendPtr + at);
        if (value < low) value = low;
      }
      store<f32>(cPtr + at, value);
    }
    tilePtr += TILE_STRIDE;
    cPtr += cStride;
    addendPtr += addendStride;
  }
}
