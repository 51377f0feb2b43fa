/**
 * GEMM micro-kernels. They alone know the register tile.
 *
 * tile[rows][columns] = start[rows][columns] + sum over k of A[rows][k] * B[k][columns]
 *
 *   A panel      [rows][DEPTH_CHUNK]   packed by conv/im2col.ts and conv/winograd.ts
 *   B panel      [depth][columns]      packed by gemm/pack.ts and conv/winogradWeights.ts
 *   start, tile  [rows][32 bytes]      may be the same memory
 *
 * The sum runs over k one product at a time, in an order that does not depend on the tile: a result does not depend on
 * how the work was cut. The order is ascending, but for streamed products (STREAMS in tuning.ts).
 *
 * One source serves every height: `Rows` is a class as many words long as the tile has rows, so that each
 * `if (offsetof<Rows>() > 4 * r)` is decided at compile time (a generic function is compiled once per type).
 *
 * Why it looks as it does (V8 of Node 20, x86-64, 5 x 8, share of the register-only peak):
 * - Rows of A are a constant distance apart, so that one pointer serves them all; with a pointer for each row the loop
 *   runs out of registers.
 * - One step of k per iteration, since unrolled steps get interleaved and spill (0.66).
 * - The first step before the loop, since then V8 keeps the addresses `memory + 256`, `memory + 512`, ... of the splats
 *   in registers instead of computing them in every iteration (0.81 -> 0.92).
 * - Nothing but stores behind the loop: with arithmetic there, bias or clamping, V8 schedules the rows of the loop
 *   backwards, behind all of its loads, and spills two accumulators (0.5). gemm/finish.ts does that instead.
 */
import { multiplyAdd } from '../simd';
import { DEPTH_CHUNK, STREAM_RUN, TILE_COLUMNS, TILE_ROWS, TILE_STRIDE } from '../tuning';

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

/** Which one of a few tiles, whose results follow each other from `tilePtr` on; they start from nothing. Or a single one. */
class Single {}
class First extends Single {
  n0: i32;
}
class Second extends First {
  n1: i32;
}
class Third extends Second {
  n2: i32;
}
class Fourth extends Third {
  n3: i32;
}

/**
 * The first product of a sum, added to what it starts from if it starts from anything. Added to zeros it would be the same
 * but for the sign of a zero, which no bias lets through (writeBias in src/plan/weights.ts), and take 5 % more time.
 */
function multiplyFirst<Nth>(a: v128, b: v128, start: v128): v128 {
  return offsetof<Nth>() === 0 ? multiplyAdd(a, b, start) : f32x4.mul(a, b);
}

/**
 * A tile of `Rows` rows and 8 columns. Precondition: 1 <= depth <= DEPTH_CHUNK.
 */
function microWide<Rows, Nth>(aPtr: usize, bPtr: usize, depth: i32, startPtr: usize, tilePtr: usize): void {
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

  if (offsetof<Nth>() === 0) {
    acc0x0 = v128.load(startPtr);
    acc0x1 = v128.load(startPtr, 16);
    if (offsetof<Rows>() > 4) {
      acc1x0 = v128.load(startPtr, 32);
      acc1x1 = v128.load(startPtr, 48);
    }
    if (offsetof<Rows>() > 8) {
      acc2x0 = v128.load(startPtr, 64);
      acc2x1 = v128.load(startPtr, 80);
    }
    if (offsetof<Rows>() > 12) {
      acc3x0 = v128.load(startPtr, 96);
      acc3x1 = v128.load(startPtr, 112);
    }
    if (offsetof<Rows>() > 16) {
      acc4x0 = v128.load(startPtr, 128);
      acc4x1 = v128.load(startPtr, 144);
    }
    if (offsetof<Rows>() > 20) {
      acc5x0 = v128.load(startPtr, 160);
      acc5x1 = v128.load(startPtr, 176);
    }
  } else {
    // Its results follow those of the tiles before it.
    tilePtr += TILE_STRIDE * (offsetof<Rows>() >> 2) * ((offsetof<Nth>() >> 2) - 1);
  }

  const endPtr = aPtr + ((<usize>depth) << 2);
  let b0 = v128.load(bPtr);
  let b1 = v128.load(bPtr, 16);
  let a = v128.load32_splat(aPtr);
  acc0x0 = multiplyFirst<Nth>(a, b0, acc0x0);
  acc0x1 = multiplyFirst<Nth>(a, b1, acc0x1);
  if (offsetof<Rows>() > 4) {
    a = v128.load32_splat(aPtr, 1 * DEPTH_CHUNK * 4);
    acc1x0 = multiplyFirst<Nth>(a, b0, acc1x0);
    acc1x1 = multiplyFirst<Nth>(a, b1, acc1x1);
  }
  if (offsetof<Rows>() > 8) {
    a = v128.load32_splat(aPtr, 2 * DEPTH_CHUNK * 4);
    acc2x0 = multiplyFirst<Nth>(a, b0, acc2x0);
    acc2x1 = multiplyFirst<Nth>(a, b1, acc2x1);
  }
  if (offsetof<Rows>() > 12) {
    a = v128.load32_splat(aPtr, 3 * DEPTH_CHUNK * 4);
    acc3x0 = multiplyFirst<Nth>(a, b0, acc3x0);
    acc3x1 = multiplyFirst<Nth>(a, b1, acc3x1);
  }
  if (offsetof<Rows>() > 16) {
    a = v128.load32_splat(aPtr, 4 * DEPTH_CHUNK * 4);
    acc4x0 = multiplyFirst<Nth>(a, b0, acc4x0);
    acc4x1 = multiplyFirst<Nth>(a, b1, acc4x1);
  }
  if (offsetof<Rows>() > 20) {
    a = v128.load32_splat(aPtr, 5 * DEPTH_CHUNK * 4);
    acc5x0 = multiplyFirst<Nth>(a, b0, acc5x0);
    acc5x1 = multiplyFirst<Nth>(a, b1, acc5x1);
  }
  aPtr += 4;
  bPtr += 32;
  while (aPtr < endPtr) {
    b0 = v128.load(bPtr);
    b1 = v128.load(bPtr, 16);
    a = v128.load32_splat(aPtr);
    acc0x0 = multiplyAdd(a, b0, acc0x0);
    acc0x1 = multiplyAdd(a, b1, acc0x1);
    if (offsetof<Rows>() > 4) {
      a = v128.load32_splat(aPtr, 1 * DEPTH_CHUNK * 4);
      acc1x0 = multiplyAdd(a, b0, acc1x0);
      acc1x1 = multiplyAdd(a, b1, acc1x1);
    }
    if (offsetof<Rows>() > 8) {
      a = v128.load32_splat(aPtr, 2 * DEPTH_CHUNK * 4);
      acc2x0 = multiplyAdd(a, b0, acc2x0);
      acc2x1 = multiplyAdd(a, b1, acc2x1);
    }
    if (offsetof<Rows>() > 12) {
      a = v128.load32_splat(aPtr, 3 * DEPTH_CHUNK * 4);
      acc3x0 = multiplyAdd(a, b0, acc3x0);
      acc3x1 = multiplyAdd(a, b1, acc3x1);
    }
    if (offsetof<Rows>() > 16) {
      a = v128.load32_splat(aPtr, 4 * DEPTH_CHUNK * 4);
      acc4x0 = multiplyAdd(a, b0, acc4x0);
      acc4x1 = multiplyAdd(a, b1, acc4x1);
    }
    if (offsetof<Rows>() > 20) {
      a = v128.load32_splat(aPtr, 5 * DEPTH_CHUNK * 4);
      acc5x0 = multiplyAdd(a, b0, acc5x0);
      acc5x1 = multiplyAdd(a, b1, acc5x1);
    }
    aPtr += 4;
    bPtr += 32;
  }

  v128.store(tilePtr, acc0x0);
  v128.store(tilePtr, acc0x1, 16);
  if (offsetof<Rows>() > 4) {
    v128.store(tilePtr, acc1x0, 32);
    v128.store(tilePtr, acc1x1, 48);
  }
  if (offsetof<Rows>() > 8) {
    v128.store(tilePtr, acc2x0, 64);
    v128.store(tilePtr, acc2x1, 80);
  }
  if (offsetof<Rows>() > 12) {
    v128.store(tilePtr, acc3x0, 96);
    v128.store(tilePtr, acc3x1, 112);
  }
  if (offsetof<Rows>() > 16) {
    v128.store(tilePtr, acc4x0, 128);
    v128.store(tilePtr, acc4x1, 144);
  }
  if (offsetof<Rows>() > 20) {
    v128.store(tilePtr, acc5x0, 160);
    v128.store(tilePtr, acc5x1, 176);
  }
}

/**
 * A tile of `Rows` <= STREAM_ROWS rows and 8 columns over a whole chunk of each of `streams` streams, the next
 * one `aStep` and `bStep` bytes ahead.
 */
function microStreams<Rows>(
  streams: i32,
  aPtr: usize,
  aStep: usize,
  bPtr: usize,
  bStep: usize,
  startPtr: usize,
  tilePtr: usize,
): void {
  let acc0x0 = v128.load(startPtr);
  let acc0x1 = v128.load(startPtr, 16);
  let acc1x0: v128 = f32x4.splat(0);
  let acc1x1: v128 = f32x4.splat(0);
  let acc2x0: v128 = f32x4.splat(0);
  let acc2x1: v128 = f32x4.splat(0);
  let acc3x0: v128 = f32x4.splat(0);
  let acc3x1: v128 = f32x4.splat(0);
  if (offsetof<Rows>() > 4) {
    acc1x0 = v128.load(startPtr, 32);
    acc1x1 = v128.load(startPtr, 48);
  }
  if (offsetof<Rows>() > 8) {
    acc2x0 = v128.load(startPtr, 64);
    acc2x1 = v128.load(startPtr, 80);
  }
  if (offsetof<Rows>() > 12) {
    acc3x0 = v128.load(startPtr, 96);
    acc3x1 = v128.load(startPtr, 112);
  }

  const chunkEndPtr = aPtr + DEPTH_CHUNK * 4;
  while (aPtr < chunkEndPtr) {
    const nextPtr = aPtr + STREAM_RUN * 4;
    const nextWeightsPtr = bPtr + STREAM_RUN * 32;
    const lastPtr = aPtr + <usize>streams * aStep;
    do {
      let rowPtr = aPtr;
      let weightsPtr = bPtr;
      const endPtr = aPtr + STREAM_RUN * 4;
      do {
        const b0 = v128.load(weightsPtr);
        const b1 = v128.load(weightsPtr, 16);
        let a = v128.load32_splat(rowPtr);
        acc0x0 = multiplyAdd(a, b0, acc0x0);
        acc0x1 = multiplyAdd(a, b1, acc0x1);
        if (offsetof<Rows>() > 4) {
          a = v128.load32_splat(rowPtr, 1 * DEPTH_CHUNK * 4);
          acc1x0 = multiplyAdd(a, b0, acc1x0);
          acc1x1 = multiplyAdd(a, b1, acc1x1);
        }
        if (offsetof<Rows>() > 8) {
          a = v128.load32_splat(rowPtr, 2 * DEPTH_CHUNK * 4);
          acc2x0 = multiplyAdd(a, b0, acc2x0);
          acc2x1 = multiplyAdd(a, b1, acc2x1);
        }
        if (offsetof<Rows>() > 12) {
          a = v128.load32_splat(rowPtr, 3 * DEPTH_CHUNK * 4);
          acc3x0 = multiplyAdd(a, b0, acc3x0);
          acc3x1 = multiplyAdd(a, b1, acc3x1);
        }
        rowPtr += 4;
        weightsPtr += 32;
      } while (rowPtr < endPtr);
      aPtr += aStep;
      bPtr += bStep;
    } while (aPtr < lastPtr);
    aPtr = nextPtr;
    bPtr = nextWeightsPtr;
  }

  v128.store(tilePtr, acc0x0);
  v128.store(tilePtr, acc0x1, 16);
  if (offsetof<Rows>() > 4) {
    v128.store(tilePtr, acc1x0, 32);
    v128.store(tilePtr, acc1x1, 48);
  }
  if (offsetof<Rows>() > 8) {
    v128.store(tilePtr, acc2x0, 64);
    v128.store(tilePtr, acc2x1, 80);
  }
  if (offsetof<Rows>() > 12) {
    v128.store(tilePtr, acc3x0, 96);
    v128.store(tilePtr, acc3x1, 112);
  }
}

/** The same with 4 columns. */
function microNarrow<Rows>(aPtr: usize, bPtr: usize, depth: i32, startPtr: usize, tilePtr: usize): void {
  let acc0x0: v128 = f32x4.splat(0);
  let acc1x0: v128 = f32x4.splat(0);
  let acc2x0: v128 = f32x4.splat(0);
  let acc3x0: v128 = f32x4.splat(0);
  let acc4x0: v128 = f32x4.splat(0);
  let acc5x0: v128 = f32x4.splat(0);

  acc0x0 = v128.load(startPtr);
  if (offsetof<Rows>() > 4) {
    acc1x0 = v128.load(startPtr, 32);
  }
  if (offsetof<Rows>() > 8) {
    acc2x0 = v128.load(startPtr, 64);
  }
  if (offsetof<Rows>() > 12) {
    acc3x0 = v128.load(startPtr, 96);
  }
  if (offsetof<Rows>() > 16) {
    acc4x0 = v128.load(startPtr, 128);
  }
  if (offsetof<Rows>() > 20) {
    acc5x0 = v128.load(startPtr, 160);
  }

  const endPtr = aPtr + ((<usize>depth) << 2);
  let b0 = v128.load(bPtr);
  let a = v128.load32_splat(aPtr);
  acc0x0 = multiplyAdd(a, b0, acc0x0);
  if (offsetof<Rows>() > 4) {
    a = v128.load32_splat(aPtr, 1 * DEPTH_CHUNK * 4);
    acc1x0 = multiplyAdd(a, b0, acc1x0);
  }
  if (offsetof<Rows>() > 8) {
    a = v128.load32_splat(aPtr, 2 * DEPTH_CHUNK * 4);
    acc2x0 = multiplyAdd(a, b0, acc2x0);
  }
  if (offsetof<Rows>() > 12) {
    a = v128.load32_splat(aPtr, 3 * DEPTH_CHUNK * 4);
    acc3x0 = multiplyAdd(a, b0, acc3x0);
  }
  if (offsetof<Rows>() > 16) {
    a = v128.load32_splat(aPtr, 4 * DEPTH_CHUNK * 4);
    acc4x0 = multiplyAdd(a, b0, acc4x0);
  }
  if (offsetof<Rows>() > 20) {
    a = v128.load32_splat(aPtr, 5 * DEPTH_CHUNK * 4);
    acc5x0 = multiplyAdd(a, b0, acc5x0);
  }
  aPtr += 4;
  bPtr += 16;
  while (aPtr < endPtr) {
    b0 = v128.load(bPtr);
    a = v128.load32_splat(aPtr);
    acc0x0 = multiplyAdd(a, b0, acc0x0);
    if (offsetof<Rows>() > 4) {
      a = v128.load32_splat(aPtr, 1 * DEPTH_CHUNK * 4);
      acc1x0 = multiplyAdd(a, b0, acc1x0);
    }
    if (offsetof<Rows>() > 8) {
      a = v128.load32_splat(aPtr, 2 * DEPTH_CHUNK * 4);
      acc2x0 = multiplyAdd(a, b0, acc2x0);
    }
    if (offsetof<Rows>() > 12) {
      a = v128.load32_splat(aPtr, 3 * DEPTH_CHUNK * 4);
      acc3x0 = multiplyAdd(a, b0, acc3x0);
    }
    if (offsetof<Rows>() > 16) {
      a = v128.load32_splat(aPtr, 4 * DEPTH_CHUNK * 4);
      acc4x0 = multiplyAdd(a, b0, acc4x0);
    }
    if (offsetof<Rows>() > 20) {
      a = v128.load32_splat(aPtr, 5 * DEPTH_CHUNK * 4);
      acc5x0 = multiplyAdd(a, b0, acc5x0);
    }
    aPtr += 4;
    bPtr += 16;
  }

  v128.store(tilePtr, acc0x0);
  if (offsetof<Rows>() > 4) {
    v128.store(tilePtr, acc1x0, 32);
  }
  if (offsetof<Rows>() > 8) {
    v128.store(tilePtr, acc2x0, 64);
  }
  if (offsetof<Rows>() > 12) {
    v128.store(tilePtr, acc3x0, 96);
  }
  if (offsetof<Rows>() > 16) {
    v128.store(tilePtr, acc4x0, 128);
  }
  if (offsetof<Rows>() > 20) {
    v128.store(tilePtr, acc5x0, 160);
  }
}

/** A wide tile of m <= TILE_ROWS rows. */
export function microWideOf(m: i32, aPtr: usize, bPtr: usize, depth: i32, startPtr: usize, tilePtr: usize): void {
  switch (m) {
    case 1:
      microWide<Rows1, Single>(aPtr, bPtr, depth, startPtr, tilePtr);
      break;
    case 2:
      microWide<Rows2, Single>(aPtr, bPtr, depth, startPtr, tilePtr);
      break;
    case 3:
      microWide<Rows3, Single>(aPtr, bPtr, depth, startPtr, tilePtr);
      break;
    case 4:
      microWide<Rows4, Single>(aPtr, bPtr, depth, startPtr, tilePtr);
      break;
    case 5:
      microWide<Rows5, Single>(aPtr, bPtr, depth, startPtr, tilePtr);
      break;
    default:
      if (TILE_ROWS === 6) microWide<Rows6, Single>(aPtr, bPtr, depth, startPtr, tilePtr);
  }
}

/** A narrow tile of m <= TILE_ROWS rows. */
export function microNarrowOf(m: i32, aPtr: usize, bPtr: usize, depth: i32, startPtr: usize, tilePtr: usize): void {
  switch (m) {
    case 1:
      microNarrow<Rows1>(aPtr, bPtr, depth, startPtr, tilePtr);
      break;
    case 2:
      microNarrow<Rows2>(aPtr, bPtr, depth, startPtr, tilePtr);
      break;
    case 3:
      microNarrow<Rows3>(aPtr, bPtr, depth, startPtr, tilePtr);
      break;
    case 4:
      microNarrow<Rows4>(aPtr, bPtr, depth, startPtr, tilePtr);
      break;
    case 5:
      microNarrow<Rows5>(aPtr, bPtr, depth, startPtr, tilePtr);
      break;
    default:
      if (TILE_ROWS === 6) microNarrow<Rows6>(aPtr, bPtr, depth, startPtr, tilePtr);
  }
}

/**
 * microWideOf, exported from the module. With a second caller the optimiser leaves it a function of its own; as
 * a part of gemmMicro, its micro-kernels (all but the full tile's, which has callers enough) get the registers that V8 has
 * left there (relaxed, 5 rows: 0.42 of the peak instead of 0.90).
 */
export function microFloat(m: i32, aPtr: usize, bPtr: usize, depth: i32, startPtr: usize, tilePtr: usize): void {
  microWideOf(m, aPtr, bPtr, depth, startPtr, tilePtr);
}

/** A streamed tile of m <= STREAM_ROWS rows. */
export function microStreamsOf(
  m: i32,
  streams: i32,
  aPtr: usize,
  aStep: usize,
  bPtr: usize,
  bStep: usize,
  startPtr: usize,
  tilePtr: usize,
): void {
  switch (m) {
    case 1:
      microStreams<Rows1>(streams, aPtr, aStep, bPtr, bStep, startPtr, tilePtr);
      break;
    case 2:
      microStreams<Rows2>(streams, aPtr, aStep, bPtr, bStep, startPtr, tilePtr);
      break;
    case 3:
      microStreams<Rows3>(streams, aPtr, aStep, bPtr, bStep, startPtr, tilePtr);
      break;
    default:
      microStreams<Rows4>(streams, aPtr, aStep, bPtr, bStep, startPtr, tilePtr);
  }
}

/** Where a sum mostly starts: zeros for the largest tile. */
export const zeroTilePtr: usize = memory.data(6 * 32, 16);

/** A full tile, which is nearly all of them. */
export function microFull(aPtr: usize, bPtr: usize, depth: i32, startPtr: usize, tilePtr: usize): void {
  if (TILE_ROWS === 6) microWide<Rows6, Single>(aPtr, bPtr, depth, startPtr, tilePtr);
  else microWide<Rows5, Single>(aPtr, bPtr, depth, startPtr, tilePtr);
}

/** A tile of m <= TILE_ROWS rows over at most DEPTH_CHUNK. `columns`: the panel's, 8 or 4. */
export function gemmMicroChunk(
  m: i32,
  columns: i32,
  aPtr: usize,
  bPtr: usize,
  depth: i32,
  startPtr: usize,
  tilePtr: usize,
): void {
  if (columns !== TILE_COLUMNS) microNarrowOf(m, aPtr, bPtr, depth, startPtr, tilePtr);
  else if (m === TILE_ROWS) microFull(aPtr, bPtr, depth, startPtr, tilePtr);
  else microWideOf(m, aPtr, bPtr, depth, startPtr, tilePtr);
}

/** A full wide tile over at most DEPTH_CHUNK, without a detour. */
export function gemmMicroFull(aPtr: usize, bPtr: usize, depth: i32, tilePtr: usize): void {
  microFull(aPtr, bPtr, depth, zeroTilePtr, tilePtr);
}

/** Wide tiles of `Rows` rows, as gemmMicroFew says. */
function microFew<Rows>(
  count: i32,
  aPtr: usize,
  aStep: usize,
  aPairStep: usize,
  bPtr: usize,
  bStep: usize,
  bPairStep: usize,
  depth: i32,
  tilePtr: usize,
): void {
  microWide<Rows, First>(aPtr, bPtr, depth, 0, tilePtr);
  if (count < 2) return;
  microWide<Rows, Second>(aPtr + aStep, bPtr + bStep, depth, 0, tilePtr);
  if (count < 3) return;
  aPtr += aPairStep;
  bPtr += bPairStep;
  microWide<Rows, Third>(aPtr, bPtr, depth, 0, tilePtr);
  if (count < 4) return;
  microWide<Rows, Fourth>(aPtr + aStep, bPtr + bStep, depth, 0, tilePtr);
}

/** Tiles that gemmMicroFew does at once. */
export const MOST_FEW: i32 = 4;
/** Bytes of as many tiles of the highest that it does, which is more than any single tile has. */
export const FEW_BYTES: usize = <usize>max(MOST_FEW * 5, TILE_ROWS) * TILE_STRIDE;

/** Heights of tiles of which it has a kernel. Four tiles of six rows are more than the optimiser puts into one function. */
export function hasFew(m: i32): bool {
  return m === 4 || m === 5;
}

/**
 * One to four wide tiles of m rows (see hasFew) over at most DEPTH_CHUNK in one call: for four at a depth of 16 or 32 a sixth
 * less time than in four calls, at 64 a twentieth. Their sums start from nothing, their results follow each other. The
 * second tile is `aStep` and `bStep` bytes behind the first, as the fourth is behind the third, which is `aPairStep` and
 * `bPairStep` behind the first.
 */
export function gemmMicroFew(
  m: i32,
  count: i32,
  aPtr: usize,
  aStep: usize,
  aPairStep: usize,
  bPtr: usize,
  bStep: usize,
  bPairStep: usize,
  depth: i32,
  tilePtr: usize,
): void {
  if (m === 4) microFewFours(count, aPtr, aStep, aPairStep, bPtr, bStep, bPairStep, depth, tilePtr);
  else microFewFives(count, aPtr, aStep, aPairStep, bPtr, bStep, bPairStep, depth, tilePtr);
}

/** Tiles of four rows. Exported from the module, as the next, so that the optimiser leaves it a function of its own. */
export function microFewFours(
  count: i32,
  aPtr: usize,
  aStep: usize,
  aPairStep: usize,
  bPtr: usize,
  bStep: usize,
  bPairStep: usize,
  depth: i32,
  tilePtr: usize,
): void {
  microFew<Rows4>(count, aPtr, aStep, aPairStep, bPtr, bStep, bPairStep, depth, tilePtr);
}

/** Tiles of five rows. */
export function microFewFives(
  count: i32,
  aPtr: usize,
  aStep: usize,
  aPairStep: usize,
  bPtr: usize,
  bStep: usize,
  bPairStep: usize,
  depth: i32,
  tilePtr: usize,
): void {
  microFew<Rows5>(count, aPtr, aStep, aPairStep, bPtr, bStep, bPairStep, depth, tilePtr);
}
