/**
 * GEMM micro-kernels. They alone know the register tile.
 *
 * C[rows][columns] = max(low, sum over k of A[k][rows] * B[k][columns] + bias + addend)
 *
 *   A panel  [depth][rows]     of T, packed by conv/im2col.ts
 *   B panel  [depth][columns]  of T, packed by gemm/pack.ts
 *   bias     [columns]         of T
 *   addend, C                  f32
 *
 * T is f32, or f64 for shallow products, which are then rounded once (EXACT_DEPTH in tuning.ts).
 *
 * The sum runs over k in ascending order, one product at a time, whatever the tile: a result does not depend on how
 * the work was cut. What is added to the sum is added last: a sum that starts small is rounded less.
 *
 * One source serves every height: `Rows` is a class as many words long as the tile has rows, so that each
 * `if (offsetof<Rows>() > 4 * r)` is decided at compile time (a generic function is compiled once per type).
 *
 * Why the loop looks as it does (V8, x86-64, 5 x 8, share of the register-only peak): one step of k per iteration, since
 * unrolled steps get interleaved and spill (0.66); the first step before the loop, since then V8 keeps the addresses
 * `memory + 4`, `memory + 8`, ... of the splats in registers instead of computing them in every iteration (0.81 -> 0.92).
 */
import { clampLow, multiplyAdd } from '../simd';
import { TILE_ROWS } from '../tuning';

class Rows1 {
  r0: i32;
}
class Rows2 extends Rows1 {
  r1: i32;
}
class Rows3 extends Rows2 {
  r2: i32;
}
class Rows4 extends Rows3 {
  r3: i32;
}
class Rows5 extends Rows4 {
  r4: i32;
}
class Rows6 extends Rows5 {
  r5: i32;
}

/** Bytes of one step of k in an A panel. */
function stepBytes<T, Rows>(): usize {
  return (offsetof<Rows>() / 4) * sizeof<T>();
}

/** Adds the addend's row, if there is one, and writes a row of a wide tile. */
function storeRow<T>(cPtr: usize, first: v128, second: v128, addendPtr: usize, lows: v128): void {
  if (sizeof<T>() === 8) {
    if (addendPtr !== 0) {
      const addend = v128.load(addendPtr);
      first = f64x2.add(first, f64x2.promote_low_f32x4(addend));
      second = f64x2.add(second, f64x2.promote_low_f32x4(v128.shuffle<f32>(addend, addend, 2, 3, 0, 1)));
    }
    const low2 = f32x4.demote_f64x2_zero(first);
    const high2 = f32x4.demote_f64x2_zero(second);
    v128.store(cPtr, clampLow(v128.shuffle<f32>(low2, high2, 0, 1, 4, 5), lows));
  } else {
    if (addendPtr !== 0) {
      first = f32x4.add(first, v128.load(addendPtr));
      second = f32x4.add(second, v128.load(addendPtr, 16));
    }
    v128.store(cPtr, clampLow(first, lows));
    v128.store(cPtr, clampLow(second, lows), 16);
  }
}

/**
 * A tile of `Rows` rows and two vectors of columns: 8 in float32, 4 in float64. Preconditions: depth >= 1; C rows, and
 * addend rows where there are any, have that many floats; C may be the same memory as the addend. A `biasPtr` or
 * `addendPtr` of 0 means none (with an `addendStride` of 0).
 */
function microWide<T, Rows>(
  aPtr: usize,
  bPtr: usize,
  depth: i32,
  cPtr: usize,
  cStride: usize,
  biasPtr: usize,
  addendPtr: usize,
  addendStride: usize,
  low: f32,
): void {
  let acc0x0: v128 = f32x4.splat(0);
  let acc0x1: v128 = f32x4.splat(0);
  let acc1x0: v128 = f32x4.splat(0);
  let acc1x1: v128 = f32x4.splat(0);
  let acc2x0: v128 = f32x4.splat(0);
  let acc2x1: v128 = f32x4.splat(0);
  let acc3x0: v128 = f32x4.splat(0);
  let acc3x1: v128 = f32x4.splat(0);
  let acc4x0: v128 = f32x4.splat(0);
  let acc4x1: v128 = f32x4.splat(0);
  let acc5x0: v128 = f32x4.splat(0);
  let acc5x1: v128 = f32x4.splat(0);

  const endPtr = aPtr + stepBytes<T, Rows>() * <usize>depth;
  let b0 = v128.load(bPtr);
  let b1 = v128.load(bPtr, 16);
  let a = v128.load_splat<T>(aPtr);
  acc0x0 = v128.mul<T>(a, b0);
  acc0x1 = v128.mul<T>(a, b1);
  if (offsetof<Rows>() > 4) {
    a = v128.load_splat<T>(aPtr, 1 * sizeof<T>());
    acc1x0 = v128.mul<T>(a, b0);
    acc1x1 = v128.mul<T>(a, b1);
  }
  if (offsetof<Rows>() > 8) {
    a = v128.load_splat<T>(aPtr, 2 * sizeof<T>());
    acc2x0 = v128.mul<T>(a, b0);
    acc2x1 = v128.mul<T>(a, b1);
  }
  if (offsetof<Rows>() > 12) {
    a = v128.load_splat<T>(aPtr, 3 * sizeof<T>());
    acc3x0 = v128.mul<T>(a, b0);
    acc3x1 = v128.mul<T>(a, b1);
  }
  if (offsetof<Rows>() > 16) {
    a = v128.load_splat<T>(aPtr, 4 * sizeof<T>());
    acc4x0 = v128.mul<T>(a, b0);
    acc4x1 = v128.mul<T>(a, b1);
  }
  if (offsetof<Rows>() > 20) {
    a = v128.load_splat<T>(aPtr, 5 * sizeof<T>());
    acc5x0 = v128.mul<T>(a, b0);
    acc5x1 = v128.mul<T>(a, b1);
  }
  aPtr += stepBytes<T, Rows>();
  bPtr += 32;
  while (aPtr < endPtr) {
    b0 = v128.load(bPtr);
    b1 = v128.load(bPtr, 16);
    a = v128.load_splat<T>(aPtr);
    acc0x0 = multiplyAdd<T>(a, b0, acc0x0);
    acc0x1 = multiplyAdd<T>(a, b1, acc0x1);
    if (offsetof<Rows>() > 4) {
      a = v128.load_splat<T>(aPtr, 1 * sizeof<T>());
      acc1x0 = multiplyAdd<T>(a, b0, acc1x0);
      acc1x1 = multiplyAdd<T>(a, b1, acc1x1);
    }
    if (offsetof<Rows>() > 8) {
      a = v128.load_splat<T>(aPtr, 2 * sizeof<T>());
      acc2x0 = multiplyAdd<T>(a, b0, acc2x0);
      acc2x1 = multiplyAdd<T>(a, b1, acc2x1);
    }
    if (offsetof<Rows>() > 12) {
      a = v128.load_splat<T>(aPtr, 3 * sizeof<T>());
      acc3x0 = multiplyAdd<T>(a, b0, acc3x0);
      acc3x1 = multiplyAdd<T>(a, b1, acc3x1);
    }
    if (offsetof<Rows>() > 16) {
      a = v128.load_splat<T>(aPtr, 4 * sizeof<T>());
      acc4x0 = multiplyAdd<T>(a, b0, acc4x0);
      acc4x1 = multiplyAdd<T>(a, b1, acc4x1);
    }
    if (offsetof<Rows>() > 20) {
      a = v128.load_splat<T>(aPtr, 5 * sizeof<T>());
      acc5x0 = multiplyAdd<T>(a, b0, acc5x0);
      acc5x1 = multiplyAdd<T>(a, b1, acc5x1);
    }
    aPtr += stepBytes<T, Rows>();
    bPtr += 32;
  }

  if (biasPtr !== 0) {
    b0 = v128.load(biasPtr);
    b1 = v128.load(biasPtr, 16);
    acc0x0 = v128.add<T>(acc0x0, b0);
    acc0x1 = v128.add<T>(acc0x1, b1);
    if (offsetof<Rows>() > 4) {
      acc1x0 = v128.add<T>(acc1x0, b0);
      acc1x1 = v128.add<T>(acc1x1, b1);
    }
    if (offsetof<Rows>() > 8) {
      acc2x0 = v128.add<T>(acc2x0, b0);
      acc2x1 = v128.add<T>(acc2x1, b1);
    }
    if (offsetof<Rows>() > 12) {
      acc3x0 = v128.add<T>(acc3x0, b0);
      acc3x1 = v128.add<T>(acc3x1, b1);
    }
    if (offsetof<Rows>() > 16) {
      acc4x0 = v128.add<T>(acc4x0, b0);
      acc4x1 = v128.add<T>(acc4x1, b1);
    }
    if (offsetof<Rows>() > 20) {
      acc5x0 = v128.add<T>(acc5x0, b0);
      acc5x1 = v128.add<T>(acc5x1, b1);
    }
  }
  const lows = f32x4.splat(low);
  storeRow<T>(cPtr, acc0x0, acc0x1, addendPtr, lows);
  if (offsetof<Rows>() > 4) {
    cPtr += cStride;
    addendPtr += addendStride;
    storeRow<T>(cPtr, acc1x0, acc1x1, addendPtr, lows);
  }
  if (offsetof<Rows>() > 8) {
    cPtr += cStride;
    addendPtr += addendStride;
    storeRow<T>(cPtr, acc2x0, acc2x1, addendPtr, lows);
  }
  if (offsetof<Rows>() > 12) {
    cPtr += cStride;
    addendPtr += addendStride;
    storeRow<T>(cPtr, acc3x0, acc3x1, addendPtr, lows);
  }
  if (offsetof<Rows>() > 16) {
    cPtr += cStride;
    addendPtr += addendStride;
    storeRow<T>(cPtr, acc4x0, acc4x1, addendPtr, lows);
  }
  if (offsetof<Rows>() > 20) {
    cPtr += cStride;
    addendPtr += addendStride;
    storeRow<T>(cPtr, acc5x0, acc5x1, addendPtr, lows);
  }
}

/** The same with one vector of columns: 4 in float32. */
function microNarrow<T, Rows>(
  aPtr: usize,
  bPtr: usize,
  depth: i32,
  cPtr: usize,
  cStride: usize,
  biasPtr: usize,
  addendPtr: usize,
  addendStride: usize,
  low: f32,
): void {
  let acc0x0: v128 = f32x4.splat(0);
  let acc1x0: v128 = f32x4.splat(0);
  let acc2x0: v128 = f32x4.splat(0);
  let acc3x0: v128 = f32x4.splat(0);
  let acc4x0: v128 = f32x4.splat(0);
  let acc5x0: v128 = f32x4.splat(0);

  const endPtr = aPtr + stepBytes<T, Rows>() * <usize>depth;
  let b0 = v128.load(bPtr);
  let a = v128.load_splat<T>(aPtr);
  acc0x0 = v128.mul<T>(a, b0);
  if (offsetof<Rows>() > 4) {
    a = v128.load_splat<T>(aPtr, 1 * sizeof<T>());
    acc1x0 = v128.mul<T>(a, b0);
  }
  if (offsetof<Rows>() > 8) {
    a = v128.load_splat<T>(aPtr, 2 * sizeof<T>());
    acc2x0 = v128.mul<T>(a, b0);
  }
  if (offsetof<Rows>() > 12) {
    a = v128.load_splat<T>(aPtr, 3 * sizeof<T>());
    acc3x0 = v128.mul<T>(a, b0);
  }
  if (offsetof<Rows>() > 16) {
    a = v128.load_splat<T>(aPtr, 4 * sizeof<T>());
    acc4x0 = v128.mul<T>(a, b0);
  }
  if (offsetof<Rows>() > 20) {
    a = v128.load_splat<T>(aPtr, 5 * sizeof<T>());
    acc5x0 = v128.mul<T>(a, b0);
  }
  aPtr += stepBytes<T, Rows>();
  bPtr += 16;
  while (aPtr < endPtr) {
    b0 = v128.load(bPtr);
    a = v128.load_splat<T>(aPtr);
    acc0x0 = multiplyAdd<T>(a, b0, acc0x0);
    if (offsetof<Rows>() > 4) {
      a = v128.load_splat<T>(aPtr, 1 * sizeof<T>());
      acc1x0 = multiplyAdd<T>(a, b0, acc1x0);
    }
    if (offsetof<Rows>() > 8) {
      a = v128.load_splat<T>(aPtr, 2 * sizeof<T>());
      acc2x0 = multiplyAdd<T>(a, b0, acc2x0);
    }
    if (offsetof<Rows>() > 12) {
      a = v128.load_splat<T>(aPtr, 3 * sizeof<T>());
      acc3x0 = multiplyAdd<T>(a, b0, acc3x0);
    }
    if (offsetof<Rows>() > 16) {
      a = v128.load_splat<T>(aPtr, 4 * sizeof<T>());
      acc4x0 = multiplyAdd<T>(a, b0, acc4x0);
    }
    if (offsetof<Rows>() > 20) {
      a = v128.load_splat<T>(aPtr, 5 * sizeof<T>());
      acc5x0 = multiplyAdd<T>(a, b0, acc5x0);
    }
    aPtr += stepBytes<T, Rows>();
    bPtr += 16;
  }

  if (biasPtr !== 0) {
    b0 = v128.load(biasPtr);
    acc0x0 = v128.add<T>(acc0x0, b0);
    if (offsetof<Rows>() > 4) {
      acc1x0 = v128.add<T>(acc1x0, b0);
    }
    if (offsetof<Rows>() > 8) {
      acc2x0 = v128.add<T>(acc2x0, b0);
    }
    if (offsetof<Rows>() > 12) {
      acc3x0 = v128.add<T>(acc3x0, b0);
    }
    if (offsetof<Rows>() > 16) {
      acc4x0 = v128.add<T>(acc4x0, b0);
    }
    if (offsetof<Rows>() > 20) {
      acc5x0 = v128.add<T>(acc5x0, b0);
    }
  }
  const lows = f32x4.splat(low);
  if (addendPtr !== 0) acc0x0 = v128.add<T>(acc0x0, v128.load(addendPtr));
  v128.store(cPtr, clampLow(acc0x0, lows));
  if (offsetof<Rows>() > 4) {
    cPtr += cStride;
    addendPtr += addendStride;
    if (addendPtr !== 0) acc1x0 = v128.add<T>(acc1x0, v128.load(addendPtr));
    v128.store(cPtr, clampLow(acc1x0, lows));
  }
  if (offsetof<Rows>() > 8) {
    cPtr += cStride;
    addendPtr += addendStride;
    if (addendPtr !== 0) acc2x0 = v128.add<T>(acc2x0, v128.load(addendPtr));
    v128.store(cPtr, clampLow(acc2x0, lows));
  }
  if (offsetof<Rows>() > 12) {
    cPtr += cStride;
    addendPtr += addendStride;
    if (addendPtr !== 0) acc3x0 = v128.add<T>(acc3x0, v128.load(addendPtr));
    v128.store(cPtr, clampLow(acc3x0, lows));
  }
  if (offsetof<Rows>() > 16) {
    cPtr += cStride;
    addendPtr += addendStride;
    if (addendPtr !== 0) acc4x0 = v128.add<T>(acc4x0, v128.load(addendPtr));
    v128.store(cPtr, clampLow(acc4x0, lows));
  }
  if (offsetof<Rows>() > 20) {
    cPtr += cStride;
    addendPtr += addendStride;
    if (addendPtr !== 0) acc5x0 = v128.add<T>(acc5x0, v128.load(addendPtr));
    v128.store(cPtr, clampLow(acc5x0, lows));
  }
}

/** The full tile, the one that runs nearly all of the time. */
export function gemmMicroTile<T>(
  aPtr: usize,
  bPtr: usize,
  depth: i32,
  cPtr: usize,
  cStride: usize,
  biasPtr: usize,
  addendPtr: usize,
  addendStride: usize,
  low: f32,
): void {
  if (TILE_ROWS === 6) microWide<T, Rows6>(aPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
  else microWide<T, Rows5>(aPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
}

/** A wide tile of m <= TILE_ROWS rows. */
export function gemmMicroWide<T>(
  m: i32,
  aPtr: usize,
  bPtr: usize,
  depth: i32,
  cPtr: usize,
  cStride: usize,
  biasPtr: usize,
  addendPtr: usize,
  addendStride: usize,
  low: f32,
): void {
  switch (m) {
    case 1:
      microWide<T, Rows1>(aPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
      break;
    case 2:
      microWide<T, Rows2>(aPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
      break;
    case 3:
      microWide<T, Rows3>(aPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
      break;
    case 4:
      microWide<T, Rows4>(aPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
      break;
    case 5:
      microWide<T, Rows5>(aPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
      break;
    default:
      gemmMicroTile<T>(aPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
  }
}

/** A narrow tile of m <= TILE_ROWS rows. */
export function gemmMicroNarrow<T>(
  m: i32,
  aPtr: usize,
  bPtr: usize,
  depth: i32,
  cPtr: usize,
  cStride: usize,
  biasPtr: usize,
  addendPtr: usize,
  addendStride: usize,
  low: f32,
): void {
  switch (m) {
    case 1:
      microNarrow<T, Rows1>(aPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
      break;
    case 2:
      microNarrow<T, Rows2>(aPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
      break;
    case 3:
      microNarrow<T, Rows3>(aPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
      break;
    case 4:
      microNarrow<T, Rows4>(aPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
      break;
    case 5:
      microNarrow<T, Rows5>(aPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
      break;
    default:
      if (TILE_ROWS === 6)
        microNarrow<T, Rows6>(aPtr, bPtr, depth, cPtr, cStride, biasPtr, addendPtr, addendStride, low);
  }
}
