/**
 * Winograd along rows: a tile is one row of four outputs, and the rows of the kernel are depth. For schemes that would be
 * too inexact, or gain too little, in two dimensions. See winograd.ts.
 *
 *   F(4, 5)            n = 8  points 0, +-1, +-1/2, +-2, infinity
 *   F(4, 3), stride 2  n = 9  F(4, 2) on the points 0, +-1, 2, infinity for the even columns, whose taps are the first and
 *                             last; the odd ones times the middle tap as they are, four products with the same U
 *
 * F(4, 5) takes 10 multiplications for an output where F(2x2, 5x5) takes 9, but transforms 2 values for it instead of 9;
 * in two dimensions F(4x4, 5x5) would err four times as much as a direct sum. With stride 2 it is 6.75 instead of 9.
 */
import { DEPTH_CHUNK } from '../tuning';
import { ConvDescriptor } from './descriptor';
import { Block, chunkStrideOf, membersOf, PLACE_WORDS, pointStride, rowOf, tableEntry } from './winogradBlock';
import { finishPixel } from './winogradTransforms';

/** A tile's entry: first output pixel, 1 row and so many columns in the image, output row, the image's address. */
export function placeRow(d: ConvDescriptor, b: Block, t: i32, imagePtr: usize, image: i32, y: i32, x: i32): void {
  const placePtr = b.placePtr + ((<usize>(t * PLACE_WORDS)) << 2);
  store<i32>(placePtr, (image * d.outHeight + y) * d.outWidth + x);
  store<i32>(placePtr, 1, 4);
  store<i32>(placePtr, min(b.tileWidth, d.outWidth - x), 8);
  store<i32>(placePtr, y, 12);
  store<usize>(placePtr, imagePtr, 16);
}

/**
 * B' d of a tile for each kernel row. But for as many of the last ones as the stride, these are what the tile above it in
 * the image has for later kernel rows.
 */
export function transformRow(d: ConvDescriptor, b: Block, t: i32): void {
  const placePtr = b.placePtr + ((<usize>(t * PLACE_WORDS)) << 2);
  const y = load<i32>(placePtr, 12);
  const imagePtr = load<usize>(placePtr, 16);
  const x = load<i32>(placePtr) % d.outWidth;
  const members = membersOf(b, 0);
  const rowPtr = rowOf(b, members, t);
  const lanes = b.lanes;
  const step = pointStride(b.tiles, b.depth, b.streamed);
  const chunkGap = chunkStrideOf(members) - ((<usize>DEPTH_CHUNK) << 2);
  const hasAbove = t >= b.across && y > 0;
  const first = hasAbove ? d.kernelHeight - b.shift : 0;
  if (hasAbove) {
    const abovePtr = placeInRow(rowOf(b, members, t - b.across), b.shift * lanes, chunkGap);
    copyAbove(b, abovePtr, b.shift * lanes, rowPtr, first * lanes, step, chunkGap);
  }
  for (let i = first; i < d.kernelHeight; ++i) {
    const row = load<i32>(d.rowsPtr + ((<usize>(y * d.kernelHeight + i)) << 2));
    for (let j = 0; j < b.wide; ++j) {
      const column = tableEntry(b, d.columnsPtr, x, j, d.kernelWidth, d.outWidth);
      const seen = (row | column) < 0 ? d.zerosPtr : imagePtr + <usize>(row + column);
      store<usize>(b.seenPtr + ((<usize>j) << 2), seen);
    }
    let place = i * lanes;
    let toPtr = placeInRow(rowPtr, place, chunkGap);
    for (let channel = 0; channel < lanes; channel += 4) {
      if (b.wide === 8) transform8<Pixels>(b.seenPtr, (<usize>channel) << 2, toPtr, step);
      else transform9<Pixels>(b.seenPtr, (<usize>channel) << 2, toPtr, step);
      place += 4;
      toPtr += 16 + (isChunk(place) ? chunkGap : 0);
    }
  }
}

/** Address of a place in a row whose chunks have `chunkGap` bytes between them. */
function placeInRow(rowPtr: usize, place: i32, chunkGap: usize): usize {
  return rowPtr + ((<usize>place) << 2) + <usize>(place / DEPTH_CHUNK) * chunkGap;
}

/** Whether a place is the first of a chunk. */
function isChunk(place: i32): bool {
  return (place & (DEPTH_CHUNK - 1)) === 0;
}

/** The first `depth` values at each point from those of the tile above, from its place `above` on. */
function copyAbove(
  b: Block,
  abovePtr: usize,
  above: i32,
  rowPtr: usize,
  depth: i32,
  step: usize,
  chunkGap: usize,
): void {
  for (let place = 4; place <= depth; place += 4) {
    let fromPtr = abovePtr;
    let toPtr = rowPtr;
    for (let point = 0; point < b.wide; ++point) {
      v128.store(toPtr, v128.load(fromPtr));
      fromPtr += step;
      toPtr += step;
    }
    abovePtr += 16 + (isChunk(above + place) ? chunkGap : 0);
    rowPtr += 16 + (isChunk(place) ? chunkGap : 0);
  }
}

/** Where a transform finds its values: at addresses in a table or a distance apart, or side by side. */
export class Pixels {}
export class Vectors {
  isSideBySide: i32;
}

/** Value `i`: of the pixel whose address is in the table at `fromPtr`, `channelBytes` from there, or the i-th vector. */
function value<From>(fromPtr: usize, i: usize, channelBytes: usize): v128 {
  if (offsetof<From>() > 0) return v128.load(fromPtr + (i << 4));
  return v128.load(load<usize>(fromPtr + (i << 2)) + channelBytes);
}

/**
 * v = B' d on the points 0, +-1, +-1/2, +-2, infinity, row 0 with its sign changed, along one row of eight values; results
 * are `toStep` apart.
 */
export function transform8<From>(fromPtr: usize, channelBytes: usize, toPtr: usize, toStep: usize): void {
  const d0 = value<From>(fromPtr, 0, channelBytes);
  const d1 = value<From>(fromPtr, 1, channelBytes);
  const d2 = value<From>(fromPtr, 2, channelBytes);
  const d3 = value<From>(fromPtr, 3, channelBytes);
  const d4 = value<From>(fromPtr, 4, channelBytes);
  const d5 = value<From>(fromPtr, 5, channelBytes);
  const d6 = value<From>(fromPtr, 6, channelBytes);
  const d7 = value<From>(fromPtr, 7, channelBytes);
  const both = f32x4.splat(5.25);
  v128.store(toPtr, f32x4.add(f32x4.sub(d0, d6), f32x4.mul(both, f32x4.sub(d4, d2))));
  const middle = f32x4.splat(4.25);
  const even1 = f32x4.add(f32x4.sub(d6, f32x4.mul(middle, d4)), d2);
  const odd1 = f32x4.add(f32x4.sub(d5, f32x4.mul(middle, d3)), d1);
  toPtr += toStep;
  v128.store(toPtr, f32x4.add(even1, odd1));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(even1, odd1));
  const four = f32x4.splat(4);
  const five = f32x4.splat(5);
  const half = f32x4.splat(0.5);
  const even2 = f32x4.add(f32x4.sub(d6, f32x4.mul(five, d4)), f32x4.mul(four, d2));
  const odd2 = f32x4.mul(half, f32x4.add(f32x4.sub(d5, f32x4.mul(five, d3)), f32x4.mul(four, d1)));
  toPtr += toStep;
  v128.store(toPtr, f32x4.add(even2, odd2));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(even2, odd2));
  const quarter = f32x4.splat(0.25);
  const fiveQuarters = f32x4.splat(1.25);
  const two = f32x4.splat(2);
  const even3 = f32x4.add(f32x4.sub(d6, f32x4.mul(fiveQuarters, d4)), f32x4.mul(quarter, d2));
  const odd3 = f32x4.mul(two, f32x4.add(f32x4.sub(d5, f32x4.mul(fiveQuarters, d3)), f32x4.mul(quarter, d1)));
  toPtr += toStep;
  v128.store(toPtr, f32x4.add(even3, odd3));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(even3, odd3));
  toPtr += toStep;
  v128.store(toPtr, f32x4.add(f32x4.sub(d7, d1), f32x4.mul(both, f32x4.sub(d3, d5))));
}

/**
 * The same along one row of nine of a convolution with stride 2: the even ones on the points 0, 1, -1, 2, infinity, the odd
 * ones as they are.
 */
export function transform9<From>(fromPtr: usize, channelBytes: usize, toPtr: usize, toStep: usize): void {
  const d0 = value<From>(fromPtr, 0, channelBytes);
  const d1 = value<From>(fromPtr, 2, channelBytes);
  const d2 = value<From>(fromPtr, 4, channelBytes);
  const d3 = value<From>(fromPtr, 6, channelBytes);
  const d4 = value<From>(fromPtr, 8, channelBytes);
  const two = f32x4.splat(2);
  const low = f32x4.sub(d3, d1);
  v128.store(toPtr, f32x4.add(f32x4.sub(f32x4.mul(two, f32x4.sub(d0, d2)), d1), d3));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(f32x4.sub(low, d1), d2));
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(f32x4.add(f32x4.mul(two, d1), d3), f32x4.mul(f32x4.splat(3), d2)));
  toPtr += toStep;
  v128.store(toPtr, low);
  toPtr += toStep;
  v128.store(toPtr, f32x4.sub(f32x4.sub(d4, d2), f32x4.mul(two, low)));
  toPtr += toStep;
  v128.store(toPtr, value<From>(fromPtr, 1, channelBytes));
  toPtr += toStep;
  v128.store(toPtr, value<From>(fromPtr, 3, channelBytes));
  toPtr += toStep;
  v128.store(toPtr, value<From>(fromPtr, 5, channelBytes));
  toPtr += toStep;
  v128.store(toPtr, value<From>(fromPtr, 7, channelBytes));
}

/** y = A' m of F(4, 5) along a row of products, `productStep` apart unless Vectors, and out with `columns` of them. */
export function finish4of8<From>(
  fromPtr: usize,
  productStep: usize,
  columns: i32,
  toPtr: usize,
  pixelStride: usize,
  addendPtr: usize,
  biasPtr: usize,
  low: f32,
  keep: v128,
): void {
  const step: usize = offsetof<From>() > 0 ? 16 : productStep;
  const m0 = v128.load(fromPtr);
  const m1 = v128.load(fromPtr + step);
  const m2 = v128.load(fromPtr + step * 2);
  const m3 = v128.load(fromPtr + step * 3);
  const m4 = v128.load(fromPtr + step * 4);
  const m5 = v128.load(fromPtr + step * 5);
  const m6 = v128.load(fromPtr + step * 6);
  const m7 = v128.load(fromPtr + step * 7);
  const even1 = f32x4.add(m1, m2);
  const odd1 = f32x4.sub(m1, m2);
  const even2 = f32x4.add(m3, m4);
  const odd2 = f32x4.mul(f32x4.splat(0.5), f32x4.sub(m3, m4));
  const even3 = f32x4.add(m5, m6);
  const odd3 = f32x4.mul(f32x4.splat(2), f32x4.sub(m5, m6));
  const quarter = f32x4.splat(0.25);
  const four = f32x4.splat(4);
  const y0 = f32x4.add(f32x4.add(m0, even1), f32x4.add(even2, even3));
  const y1 = f32x4.add(odd1, f32x4.add(odd2, odd3));
  const y2 = f32x4.add(even1, f32x4.add(f32x4.mul(quarter, even2), f32x4.mul(four, even3)));
  const y3 = f32x4.add(f32x4.add(odd1, m7), f32x4.add(f32x4.mul(quarter, odd2), f32x4.mul(four, odd3)));
  finishColumns(y0, y1, y2, y3, columns, toPtr, pixelStride, addendPtr, v128.load(biasPtr), f32x4.splat(low), keep);
}

/** The same where products are of transform9: y = A' m of F(4, 2), and the odd pixels' products added. */
export function finish4of9(
  fromPtr: usize,
  step: usize,
  columns: i32,
  toPtr: usize,
  pixelStride: usize,
  addendPtr: usize,
  biasPtr: usize,
  low: f32,
  keep: v128,
): void {
  const m0 = v128.load(fromPtr);
  const m1 = v128.load(fromPtr + step);
  const m2 = v128.load(fromPtr + step * 2);
  const m3 = v128.load(fromPtr + step * 3);
  const m4 = v128.load(fromPtr + step * 4);
  const even = f32x4.add(m1, m2);
  const odd = f32x4.sub(m1, m2);
  const two = f32x4.mul(f32x4.splat(2), m3);
  const four = f32x4.mul(f32x4.splat(4), m3);
  const eight = f32x4.mul(f32x4.splat(8), m3);
  fromPtr += step * 5;
  const y0 = f32x4.add(f32x4.add(f32x4.add(m0, even), m3), v128.load(fromPtr));
  const y1 = f32x4.add(f32x4.add(odd, two), v128.load(fromPtr + step));
  const y2 = f32x4.add(f32x4.add(even, four), v128.load(fromPtr + step * 2));
  const y3 = f32x4.add(f32x4.add(f32x4.add(odd, eight), m4), v128.load(fromPtr + step * 3));
  finishColumns(y0, y1, y2, y3, columns, toPtr, pixelStride, addendPtr, v128.load(biasPtr), f32x4.splat(low), keep);
}

/** Out with `columns` of four pixels. */
function finishColumns(
  y0: v128,
  y1: v128,
  y2: v128,
  y3: v128,
  columns: i32,
  toPtr: usize,
  pixelStride: usize,
  addendPtr: usize,
  bias: v128,
  lows: v128,
  keep: v128,
): void {
  finishPixel(toPtr, y0, bias, addendPtr, lows, keep);
  if (columns > 1) {
    const distance = pixelStride;
    finishPixel(toPtr + distance, y1, bias, addendPtr === 0 ? 0 : addendPtr + distance, lows, keep);
  }
  if (columns > 2) {
    const distance = pixelStride * 2;
    finishPixel(toPtr + distance, y2, bias, addendPtr === 0 ? 0 : addendPtr + distance, lows, keep);
  }
  if (columns > 3) {
    const distance = pixelStride * 3;
    finishPixel(toPtr + distance, y3, bias, addendPtr === 0 ? 0 : addendPtr + distance, lows, keep);
  }
}
