/**
 * Product of two row-major matrices of values: out[m][n] = a[m][depth] * b[depth][n]. (Weights, which are known
 * beforehand, are packed and go through gemm/.) The sum runs over depth in ascending order.
 *
 * Eight columns of b at a time are copied to scratch where that pays, so that their rows lie side by side.
 */
import { multiplyAdd } from '../simd';
import { SCRATCH_BYTES } from '../tuning';

/** Columns of the register tile in bytes. */
const COLUMNS: i32 = 8;
const COLUMN_BYTES: usize = 32;
const ROWS: i32 = 4;

export function matMul(aPtr: usize, bPtr: usize, outPtr: usize, m: i32, depth: i32, n: i32, scratchPtr: usize): void {
  const aStride = (<usize>depth) << 2;
  const bStride = (<usize>n) << 2;
  const isPacked = m > ROWS && depth <= SCRATCH_BYTES / <i32>COLUMN_BYTES;
  for (let j = 0; j < n; j += COLUMNS) {
    let panelPtr = bPtr + ((<usize>j) << 2);
    let panelStride = bStride;
    if (isPacked) {
      packColumns(panelPtr, bStride, depth, scratchPtr);
      panelPtr = scratchPtr;
      panelStride = COLUMN_BYTES;
    }
    for (let i = 0; i < m; i += ROWS) {
      const tilePtr = outPtr + <usize>i * bStride + ((<usize>j) << 2);
      multiplyTile(aPtr + <usize>i * aStride, aStride, m - i, panelPtr, panelStride, depth, tilePtr, bStride, n - j);
    }
  }
}

/** What lies behind the last column comes along; nobody looks at it. */
function packColumns(fromPtr: usize, stride: usize, depth: i32, toPtr: usize): void {
  for (let k = 0; k < depth; ++k) {
    v128.store(toPtr, v128.load(fromPtr));
    v128.store(toPtr, v128.load(fromPtr, 16), 16);
    fromPtr += stride;
    toPtr += COLUMN_BYTES;
  }
}

/** Up to four rows and eight columns. A row that is not there is computed as the last one once more, and dropped. */
function multiplyTile(
  aPtr: usize,
  aStride: usize,
  rows: i32,
  bPtr: usize,
  bStride: usize,
  depth: i32,
  outPtr: usize,
  outStride: usize,
  columns: i32,
): void {
  let sum00 = f32x4.splat(0);
  let sum01 = sum00;
  let sum10 = sum00;
  let sum11 = sum00;
  let sum20 = sum00;
  let sum21 = sum00;
  let sum30 = sum00;
  let sum31 = sum00;
  let row0 = aPtr;
  let row1 = row0 + (rows > 1 ? aStride : 0);
  let row2 = row1 + (rows > 2 ? aStride : 0);
  let row3 = row2 + (rows > 3 ? aStride : 0);
  for (let k = 0; k < depth; ++k) {
    const b0 = v128.load(bPtr);
    const b1 = v128.load(bPtr, 16);
    let a = v128.load32_splat(row0);
    sum00 = multiplyAdd<f32>(a, b0, sum00);
    sum01 = multiplyAdd<f32>(a, b1, sum01);
    a = v128.load32_splat(row1);
    sum10 = multiplyAdd<f32>(a, b0, sum10);
    sum11 = multiplyAdd<f32>(a, b1, sum11);
    a = v128.load32_splat(row2);
    sum20 = multiplyAdd<f32>(a, b0, sum20);
    sum21 = multiplyAdd<f32>(a, b1, sum21);
    a = v128.load32_splat(row3);
    sum30 = multiplyAdd<f32>(a, b0, sum30);
    sum31 = multiplyAdd<f32>(a, b1, sum31);
    bPtr += bStride;
    row0 += 4;
    row1 += 4;
    row2 += 4;
    row3 += 4;
  }
  storeColumns(outPtr, sum00, sum01, columns);
  if (rows > 1) storeColumns(outPtr + outStride, sum10, sum11, columns);
  if (rows > 2) storeColumns(outPtr + 2 * outStride, sum20, sum21, columns);
  if (rows > 3) storeColumns(outPtr + 3 * outStride, sum30, sum31, columns);
}

/** The first `columns` of eight values, or all. */
function storeColumns(ptr: usize, first: v128, second: v128, columns: i32): void {
  if (columns >= COLUMNS) {
    v128.store(ptr, first);
    v128.store(ptr, second, 16);
    return;
  }
  let rest = first;
  if (columns >= 4) {
    v128.store(ptr, first);
    rest = second;
    ptr += 16;
    columns -= 4;
  }
  if (columns > 0) v128.store32_lane(ptr, rest, 0);
  if (columns > 1) v128.store32_lane(ptr, rest, 1, 4);
  if (columns > 2) v128.store32_lane(ptr, rest, 2, 8);
}
