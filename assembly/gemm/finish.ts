/**
 * From a tile of sums to the output: adds bias and addend, in this order, then applies the lower bound.
 *
 * C[m][n] = max(low, tile + bias + addend)
 *
 * Adding bias and addend last keeps rounding errors small: a sum that starts small is rounded less.
 */
import { clampLow } from '../simd';
import { TILE_STRIDE } from '../tuning';

/**
 * A tile or a batch of tiles, m rows and 8 columns. Rows of the addend are `addendStride` bytes apart; 0 means that
 * there is none (adding zeros instead takes 1x1 16->96 @112 4 % longer). The addend may be C.
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
  if (addendStride === 0) {
    for (let i = 0; i < m; ++i) {
      v128.store(cPtr, clampLow(f32x4.add(v128.load(tilePtr), bias0), lows));
      v128.store(cPtr, clampLow(f32x4.add(v128.load(tilePtr, 16), bias1), lows), 16);
      tilePtr += TILE_STRIDE;
      cPtr += cStride;
    }
    return;
  }
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

/** A tile of m rows and n columns, value by value; columns n to `padTo` of C become zero. */
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
