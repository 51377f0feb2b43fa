/**
 * GEMM micro-kernels. They alone know the register tile.
 *
 * C[rows][columns] = max(low, start + sum over k of A[k][rows] * B[k][columns] + bias)
 *
 *   A panel  [depth][rows]     f32, packed by conv/im2col.ts
 *   B panel  [depth][columns]  f32, packed by gemm/pack.ts
 *
 * The sum runs over k in ascending order, one product at a time, whatever the tile: a result does not depend on how
 * the work was cut.
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

/**
 * A tile of `Rows` x 8. Preconditions: depth >= 1; `startPtr` rows (stride 0 repeats one row) and C rows have 8
 * readable floats; C may be the same memory as start. `biasPtr` 0 means no bias.
 */
function gemmMicroX8<Rows>(
  aPtr: usize,
  bPtr: usize,
  depth: i32,
  cPtr: usize,
  cStride: usize,
  startPtr: usize,
  startStride: usize,
  biasPtr: usize,
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
  acc0x0 = v128.load(startPtr);
  acc0x1 = v128.load(startPtr, 16);
  if (offsetof<Rows>() > 4) {
    startPtr += startStride;
    acc1x0 = v128.load(startPtr);
    acc1x1 = v128.load(startPtr, 16);
  }
  if (offsetof<Rows>() > 8) {
    startPtr += startStride;
    acc2x0 = v128.load(startPtr);
    acc2x1 = v128.load(startPtr, 16);
  }
  if (offsetof<Rows>() > 12) {
    startPtr += startStride;
    acc3x0 = v128.load(startPtr);
    acc3x1 = v128.load(startPtr, 16);
  }
  if (offsetof<Rows>() > 16) {
    startPtr += startStride;
    acc4x0 = v128.load(startPtr);
    acc4x1 = v128.load(startPtr, 16);
  }
  if (offsetof<Rows>() > 20) {
    startPtr += startStride;
    acc5x0 = v128.load(startPtr);
    acc5x1 = v128.load(startPtr, 16);
  }

  const endPtr = aPtr + offsetof<Rows>() * <usize>depth;
  let b0 = v128.load(bPtr);
  let b1 = v128.load(bPtr, 16);
  let a = v128.load32_splat(aPtr);
  acc0x0 = multiplyAdd(a, b0, acc0x0);
  acc0x1 = multiplyAdd(a, b1, acc0x1);
  if (offsetof<Rows>() > 4) {
    a = v128.load32_splat(aPtr, 4);
    acc1x0 = multiplyAdd(a, b0, acc1x0);
    acc1x1 = multiplyAdd(a, b1, acc1x1);
  }
  if (offsetof<Rows>() > 8) {
    a = v128.load32_splat(aPtr, 8);
    acc2x0 = multiplyAdd(a, b0, acc2x0);
    acc2x1 = multiplyAdd(a, b1, acc2x1);
  }
  if (offsetof<Rows>() > 12) {
    a = v128.load32_splat(aPtr, 12);
    acc3x0 = multiplyAdd(a, b0, acc3x0);
    acc3x1 = multiplyAdd(a, b1, acc3x1);
  }
  if (offsetof<Rows>() > 16) {
    a = v128.load32_splat(aPtr, 16);
    acc4x0 = multiplyAdd(a, b0, acc4x0);
    acc4x1 = multiplyAdd(a, b1, acc4x1);
  }
  if (offsetof<Rows>() > 20) {
    a = v128.load32_splat(aPtr, 20);
    acc5x0 = multiplyAdd(a, b0, acc5x0);
    acc5x1 = multiplyAdd(a, b1, acc5x1);
  }
  aPtr += offsetof<Rows>();
  bPtr += 32;
  while (aPtr < endPtr) {
    b0 = v128.load(bPtr);
    b1 = v128.load(bPtr, 16);
    a = v128.load32_splat(aPtr);
    acc0x0 = multiplyAdd(a, b0, acc0x0);
    acc0x1 = multiplyAdd(a, b1, acc0x1);
    if (offsetof<Rows>() > 4) {
      a = v128.load32_splat(aPtr, 4);
      acc1x0 = multiplyAdd(a, b0, acc1x0);
      acc1x1 = multiplyAdd(a, b1, acc1x1);
    }
    if (offsetof<Rows>() > 8) {
      a = v128.load32_splat(aPtr, 8);
      acc2x0 = multiplyAdd(a, b0, acc2x0);
      acc2x1 = multiplyAdd(a, b1, acc2x1);
    }
    if (offsetof<Rows>() > 12) {
      a = v128.load32_splat(aPtr, 12);
      acc3x0 = multiplyAdd(a, b0, acc3x0);
      acc3x1 = multiplyAdd(a, b1, acc3x1);
    }
    if (offsetof<Rows>() > 16) {
      a = v128.load32_splat(aPtr, 16);
      acc4x0 = multiplyAdd(a, b0, acc4x0);
      acc4x1 = multiplyAdd(a, b1, acc4x1);
    }
    if (offsetof<Rows>() > 20) {
      a = v128.load32_splat(aPtr, 20);
      acc5x0 = multiplyAdd(a, b0, acc5x0);
      acc5x1 = multiplyAdd(a, b1, acc5x1);
    }
    aPtr += offsetof<Rows>();
    bPtr += 32;
  }

  if (biasPtr !== 0) {
    b0 = v128.load(biasPtr);
    b1 = v128.load(biasPtr, 16);
    acc0x0 = f32x4.add(acc0x0, b0);
    acc0x1 = f32x4.add(acc0x1, b1);
    if (offsetof<Rows>() > 4) {
      acc1x0 = f32x4.add(acc1x0, b0);
      acc1x1 = f32x4.add(acc1x1, b1);
    }
    if (offsetof<Rows>() > 8) {
      acc2x0 = f32x4.add(acc2x0, b0);
      acc2x1 = f32x4.add(acc2x1, b1);
    }
    if (offsetof<Rows>() > 12) {
      acc3x0 = f32x4.add(acc3x0, b0);
      acc3x1 = f32x4.add(acc3x1, b1);
    }
    if (offsetof<Rows>() > 16) {
      acc4x0 = f32x4.add(acc4x0, b0);
      acc4x1 = f32x4.add(acc4x1, b1);
    }
    if (offsetof<Rows>() > 20) {
      acc5x0 = f32x4.add(acc5x0, b0);
      acc5x1 = f32x4.add(acc5x1, b1);
    }
  }

  const lows = f32x4.splat(low);
  v128.store(cPtr, clampLow(acc0x0, lows));
  v128.store(cPtr, clampLow(acc0x1, lows), 16);
  if (offsetof<Rows>() > 4) {
    cPtr += cStride;
    v128.store(cPtr, clampLow(acc1x0, lows));
    v128.store(cPtr, clampLow(acc1x1, lows), 16);
  }
  if (offsetof<Rows>() > 8) {
    cPtr += cStride;
    v128.store(cPtr, clampLow(acc2x0, lows));
    v128.store(cPtr, clampLow(acc2x1, lows), 16);
  }
  if (offsetof<Rows>() > 12) {
    cPtr += cStride;
    v128.store(cPtr, clampLow(acc3x0, lows));
    v128.store(cPtr, clampLow(acc3x1, lows), 16);
  }
  if (offsetof<Rows>() > 16) {
    cPtr += cStride;
    v128.store(cPtr, clampLow(acc4x0, lows));
    v128.store(cPtr, clampLow(acc4x1, lows), 16);
  }
  if (offsetof<Rows>() > 20) {
    cPtr += cStride;
    v128.store(cPtr, clampLow(acc5x0, lows));
    v128.store(cPtr, clampLow(acc5x1, lows), 16);
  }
}

/**
 * A tile of `Rows` x 4. Preconditions: depth >= 1; `startPtr` rows (stride 0 repeats one row) and C rows have 4
 * readable floats; C may be the same memory as start. `biasPtr` 0 means no bias.
 */
function gemmMicroX4<Rows>(
  aPtr: usize,
  bPtr: usize,
  depth: i32,
  cPtr: usize,
  cStride: usize,
  startPtr: usize,
  startStride: usize,
  biasPtr: usize,
  low: f32,
): void {
  let acc0x0: v128 = f32x4.splat(0);
  let acc1x0: v128 = f32x4.splat(0);
  let acc2x0: v128 = f32x4.splat(0);
  let acc3x0: v128 = f32x4.splat(0);
  let acc4x0: v128 = f32x4.splat(0);
  let acc5x0: v128 = f32x4.splat(0);
  acc0x0 = v128.load(startPtr);
  if (offsetof<Rows>() > 4) {
    startPtr += startStride;
    acc1x0 = v128.load(startPtr);
  }
  if (offsetof<Rows>() > 8) {
    startPtr += startStride;
    acc2x0 = v128.load(startPtr);
  }
  if (offsetof<Rows>() > 12) {
    startPtr += startStride;
    acc3x0 = v128.load(startPtr);
  }
  if (offsetof<Rows>() > 16) {
    startPtr += startStride;
    acc4x0 = v128.load(startPtr);
  }
  if (offsetof<Rows>() > 20) {
    startPtr += startStride;
    acc5x0 = v128.load(startPtr);
  }

  const endPtr = aPtr + offsetof<Rows>() * <usize>depth;
  let b0 = v128.load(bPtr);
  let a = v128.load32_splat(aPtr);
  acc0x0 = multiplyAdd(a, b0, acc0x0);
  if (offsetof<Rows>() > 4) {
    a = v128.load32_splat(aPtr, 4);
    acc1x0 = multiplyAdd(a, b0, acc1x0);
  }
  if (offsetof<Rows>() > 8) {
    a = v128.load32_splat(aPtr, 8);
    acc2x0 = multiplyAdd(a, b0, acc2x0);
  }
  if (offsetof<Rows>() > 12) {
    a = v128.load32_splat(aPtr, 12);
    acc3x0 = multiplyAdd(a, b0, acc3x0);
  }
  if (offsetof<Rows>() > 16) {
    a = v128.load32_splat(aPtr, 16);
    acc4x0 = multiplyAdd(a, b0, acc4x0);
  }
  if (offsetof<Rows>() > 20) {
    a = v128.load32_splat(aPtr, 20);
    acc5x0 = multiplyAdd(a, b0, acc5x0);
  }
  aPtr += offsetof<Rows>();
  bPtr += 16;
  while (aPtr < endPtr) {
    b0 = v128.load(bPtr);
    a = v128.load32_splat(aPtr);
    acc0x0 = multiplyAdd(a, b0, acc0x0);
    if (offsetof<Rows>() > 4) {
      a = v128.load32_splat(aPtr, 4);
      acc1x0 = multiplyAdd(a, b0, acc1x0);
    }
    if (offsetof<Rows>() > 8) {
      a = v128.load32_splat(aPtr, 8);
      acc2x0 = multiplyAdd(a, b0, acc2x0);
    }
    if (offsetof<Rows>() > 12) {
      a = v128.load32_splat(aPtr, 12);
      acc3x0 = multiplyAdd(a, b0, acc3x0);
    }
    if (offsetof<Rows>() > 16) {
      a = v128.load32_splat(aPtr, 16);
      acc4x0 = multiplyAdd(a, b0, acc4x0);
    }
    if (offsetof<Rows>() > 20) {
      a = v128.load32_splat(aPtr, 20);
      acc5x0 = multiplyAdd(a, b0, acc5x0);
    }
    aPtr += offsetof<Rows>();
    bPtr += 16;
  }

  if (biasPtr !== 0) {
    b0 = v128.load(biasPtr);
    acc0x0 = f32x4.add(acc0x0, b0);
    if (offsetof<Rows>() > 4) {
      acc1x0 = f32x4.add(acc1x0, b0);
    }
    if (offsetof<Rows>() > 8) {
      acc2x0 = f32x4.add(acc2x0, b0);
    }
    if (offsetof<Rows>() > 12) {
      acc3x0 = f32x4.add(acc3x0, b0);
    }
    if (offsetof<Rows>() > 16) {
      acc4x0 = f32x4.add(acc4x0, b0);
    }
    if (offsetof<Rows>() > 20) {
      acc5x0 = f32x4.add(acc5x0, b0);
    }
  }

  const lows = f32x4.splat(low);
  v128.store(cPtr, clampLow(acc0x0, lows));
  if (offsetof<Rows>() > 4) {
    cPtr += cStride;
    v128.store(cPtr, clampLow(acc1x0, lows));
  }
  if (offsetof<Rows>() > 8) {
    cPtr += cStride;
    v128.store(cPtr, clampLow(acc2x0, lows));
  }
  if (offsetof<Rows>() > 12) {
    cPtr += cStride;
    v128.store(cPtr, clampLow(acc3x0, lows));
  }
  if (offsetof<Rows>() > 16) {
    cPtr += cStride;
    v128.store(cPtr, clampLow(acc4x0, lows));
  }
  if (offsetof<Rows>() > 20) {
    cPtr += cStride;
    v128.store(cPtr, clampLow(acc5x0, lows));
  }
}

/** The full tile, the one that runs nearly all of the time. */
export function gemmMicroTile(
  aPtr: usize,
  bPtr: usize,
  depth: i32,
  cPtr: usize,
  cStride: usize,
  startPtr: usize,
  startStride: usize,
  biasPtr: usize,
  low: f32,
): void {
  if (TILE_ROWS === 6) {
    gemmMicroX8<Rows6>(aPtr, bPtr, depth, cPtr, cStride, startPtr, startStride, biasPtr, low);
  } else {
    gemmMicroX8<Rows5>(aPtr, bPtr, depth, cPtr, cStride, startPtr, startStride, biasPtr, low);
  }
}

/** A tile of m <= TILE_ROWS rows and 8 columns. */
export function gemmMicroEdgeX8(
  m: i32,
  aPtr: usize,
  bPtr: usize,
  depth: i32,
  cPtr: usize,
  cStride: usize,
  startPtr: usize,
  startStride: usize,
  biasPtr: usize,
  low: f32,
): void {
  switch (m) {
    case 1:
      gemmMicroX8<Rows1>(aPtr, bPtr, depth, cPtr, cStride, startPtr, startStride, biasPtr, low);
      break;
    case 2:
      gemmMicroX8<Rows2>(aPtr, bPtr, depth, cPtr, cStride, startPtr, startStride, biasPtr, low);
      break;
    case 3:
      gemmMicroX8<Rows3>(aPtr, bPtr, depth, cPtr, cStride, startPtr, startStride, biasPtr, low);
      break;
    case 4:
      gemmMicroX8<Rows4>(aPtr, bPtr, depth, cPtr, cStride, startPtr, startStride, biasPtr, low);
      break;
    case 5:
      gemmMicroX8<Rows5>(aPtr, bPtr, depth, cPtr, cStride, startPtr, startStride, biasPtr, low);
      break;
    default:
      gemmMicroTile(aPtr, bPtr, depth, cPtr, cStride, startPtr, startStride, biasPtr, low);
  }
}

/** A tile of m <= TILE_ROWS rows and 4 columns. */
export function gemmMicroEdgeX4(
  m: i32,
  aPtr: usize,
  bPtr: usize,
  depth: i32,
  cPtr: usize,
  cStride: usize,
  startPtr: usize,
  startStride: usize,
  biasPtr: usize,
  low: f32,
): void {
  switch (m) {
    case 1:
      gemmMicroX4<Rows1>(aPtr, bPtr, depth, cPtr, cStride, startPtr, startStride, biasPtr, low);
      break;
    case 2:
      gemmMicroX4<Rows2>(aPtr, bPtr, depth, cPtr, cStride, startPtr, startStride, biasPtr, low);
      break;
    case 3:
      gemmMicroX4<Rows3>(aPtr, bPtr, depth, cPtr, cStride, startPtr, startStride, biasPtr, low);
      break;
    case 4:
      gemmMicroX4<Rows4>(aPtr, bPtr, depth, cPtr, cStride, startPtr, startStride, biasPtr, low);
      break;
    case 5:
      gemmMicroX4<Rows5>(aPtr, bPtr, depth, cPtr, cStride, startPtr, startStride, biasPtr, low);
      break;
    default:
      if (TILE_ROWS === 6) {
        gemmMicroX4<Rows6>(aPtr, bPtr, depth, cPtr, cStride, startPtr, startStride, biasPtr, low);
      }
  }
}
