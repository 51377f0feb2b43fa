/**
 * What the taps of a window see of images [height][width][4 lanes] of one to three channels, averaged over all outputs: the
 * mean of each tap, and the covariance of each two. With those, the statistics of any convolution with such a window
 * follow from its weights (foldNorm.ts).
 *
 * Two taps see two pixels at a distance, and for all outputs nearly the same pairs of pixels as any other taps of that
 * distance: those at the image's edges differ. So products are summed by distance, apart for each row and column near an
 * edge that some tap does not see, and the sums of what a tap sees are put together of them. A 5 x 5 window of three
 * channels takes 180 products of vectors for a pixel so, where 75 x 75 of single values would take 700.
 *
 *   sums  f64 [row classes][column classes][kernelHeight][channels + 1][2 kernelWidth - 1][4]
 *
 * of x'[q, c] x'[q + d, 4 channels]: q in a class, d some rows down and some columns to either side. x' is the image less
 * a centre, since large values would take the digits in which taps differ, and 0 outside of the image; in the lane behind
 * its channels it is 1 in the image. That lane counts pixels, and has sums of single values.
 *
 * Windows move by one pixel, their taps are neighbours, and what lies outside of an image counts as 0. Rows of products are
 * summed in float32, and those sums in float64, in chunks of images, which threads share out.
 */
import { multiplyAdd } from '../simd';
import { addWidened } from './sums';
import { MOMENT_ROWS } from './tuning';

/** What the kernels are told of images and windows. */
export class TapWindows {
  height: i32;
  width: i32;
  channels: i32;
  kernelHeight: i32;
  kernelWidth: i32;
  padTop: i32;
  padLeft: i32;
  outHeight: i32;
  outWidth: i32;
  /** Rows and columns near an edge that some tap does not see. */
  topRows: i32;
  bottomRows: i32;
  leftColumns: i32;
  rightColumns: i32;
  batch: i32;
}

/** So many distances along a row, whose sums stay in registers together. */
class One {}
class Two {}
class Three {}
class Four {}
class Five {}

const TOGETHER: i32 = 5;

function distances(w: TapWindows): i32 {
  return 2 * w.kernelWidth - 1;
}

/** Values that a class has sums of. */
function classFloats(w: TapWindows): i32 {
  return w.kernelHeight * (w.channels + 1) * distances(w) * 4;
}

function rowClasses(w: TapWindows): i32 {
  return w.topRows + 1 + w.bottomRows;
}

function columnClasses(w: TapWindows): i32 {
  return w.leftColumns + 1 + w.rightColumns;
}

/** Bytes of a chunk's sums. */
export function tapProductsBytes(windowsPtr: usize): i32 {
  const w = changetype<TapWindows>(windowsPtr);
  return rowClasses(w) * columnClasses(w) * classFloats(w) * 8;
}

/** Bytes of a row of an image with what lies beside it. */
function rowBytes(w: TapWindows): usize {
  return (<usize>(w.width + 2 * (w.kernelWidth - 1))) << 4;
}

/**
 * From the sums of chunks that columnSums has made of `count` pixels to the centre, f32[4]: about the means of the channels, and
 * 0 behind them; and to the same with -1 behind them, so that what is there becomes 1.
 */
export function writeCentre(sumsPtr: usize, chunks: i32, count: i32, channels: i32, centrePtr: usize): void {
  for (let c: usize = 0; c < 4; ++c) {
    let sum: f64 = 0;
    for (let chunk: usize = 0; chunk < <usize>chunks; ++chunk) sum += load<f64>(sumsPtr + (chunk << 5) + (c << 3));
    const mean = shortened(<f32>(sum / <f64>count));
    store<f32>(centrePtr + (c << 2), mean);
    store<f32>(centrePtr + (c << 2), <i32>c === channels ? -1 : mean, 16);
  }
}

/** With eight bits of the mantissa, so that most differences from it are exact. */
function shortened(x: f32): f32 {
  return reinterpret<f32>(reinterpret<u32>(x) & 0xffff0000);
}

/**
 * Writes images less the centre, with as much of the outside as windows see, which then is no longer 0: rows `firstRow` to
 * `lastRow` (excluded) of all images [padded height][padded width][4].
 */
export function centreImages(
  windowsPtr: usize,
  inPtr: usize,
  centrePtr: usize,
  outPtr: usize,
  firstRow: i32,
  lastRow: i32,
): void {
  const w = changetype<TapWindows>(windowsPtr);
  const paddedHeight = w.outHeight + w.kernelHeight - 1;
  const bytes = (<usize>(w.outWidth + w.kernelWidth - 1)) << 4;
  const innerPtr = (<usize>w.padLeft) << 4;
  const innerEnd = innerPtr + ((<usize>w.width) << 4);
  const centre = v128.load(centrePtr);
  const outside = f32x4.neg(centre);
  for (let row = firstRow; row < lastRow; ++row) {
    const y = (row % paddedHeight) - w.padTop;
    const isInside = y >= 0 && y < w.height;
    const fromPtr = inPtr + ((<usize>((row / paddedHeight) * w.height + y) * <usize>w.width) << 4) - innerPtr;
    const toPtr = outPtr + <usize>row * bytes;
    for (let at: usize = 0; at < bytes; at += 16) {
      const x = isInside && at >= innerPtr && at < innerEnd ? f32x4.sub(v128.load(fromPtr + at), centre) : outside;
      v128.store(toPtr + at, x);
    }
  }
}

/**
 * Sums of chunks `firstChunk` to `lastChunk` (excluded), of `chunkImages` images, but for the last one. `scratchPtr` takes
 * the products of a class of rows, f32, and as many rows of an image as the kernel has.
 */
export function tapProducts(
  windowsPtr: usize,
  inPtr: usize,
  centrePtr: usize,
  sumsPtr: usize,
  chunkImages: i32,
  scratchPtr: usize,
  firstChunk: i32,
  lastChunk: i32,
): void {
  const w = changetype<TapWindows>(windowsPtr);
  const imageBytes = (<usize>(w.height * w.width)) << 4;
  const chunkBytes = <usize>tapProductsBytes(windowsPtr);
  const centre = v128.load(centrePtr, 16);
  const rowsPtr = scratchPtr + ((<usize>(columnClasses(w) * classFloats(w))) << 2);
  memory.fill(rowsPtr, 0, <usize>w.kernelHeight * rowBytes(w));
  memory.fill(scratchPtr, 0, rowsPtr - scratchPtr);
  for (let chunk = firstChunk; chunk < lastChunk; ++chunk) {
    const toPtr = sumsPtr + <usize>chunk * chunkBytes;
    memory.fill(toPtr, 0, chunkBytes);
    const end = min(w.batch, (chunk + 1) * chunkImages);
    for (let image = chunk * chunkImages; image < end; ++image) {
      addImage(w, inPtr + <usize>image * imageBytes, centre, toPtr, scratchPtr, rowsPtr);
    }
  }
}

/** Rows are there as long as one above them needs them, in a ring. */
function addImage(
  w: TapWindows,
  imagePtr: usize,
  centre: v128,
  sumsPtr: usize,
  productsPtr: usize,
  rowsPtr: usize,
): void {
  const lastTap = w.kernelHeight - 1;
  for (let y = 0; y < lastTap; ++y) writeRow(w, imagePtr, y, centre, rowsPtr);
  let summed = 0;
  for (let y = 0; y < w.height; ++y) {
    writeRow(w, imagePtr, y + lastTap, centre, rowsPtr);
    addRow(w, y, productsPtr, rowsPtr);
    const rowClass = rowClassOf(w, y);
    if (++summed < MOMENT_ROWS && y + 1 < w.height && rowClassOf(w, y + 1) === rowClass) continue;
    flush(w, productsPtr, sumsPtr, rowClass);
    summed = 0;
  }
}

function rowClassOf(w: TapWindows, y: i32): i32 {
  return min(y, w.topRows) + max(0, y - (w.height - w.bottomRows) + 1);
}

/** A row less the centre, at its place in the ring; zeros where the image has ended. */
function writeRow(w: TapWindows, imagePtr: usize, y: i32, centre: v128, rowsPtr: usize): void {
  const bytes = (<usize>w.width) << 4;
  const toPtr = rowsPtr + <usize>(y % w.kernelHeight) * rowBytes(w) + ((<usize>(w.kernelWidth - 1)) << 4);
  if (y >= w.height) {
    memory.fill(toPtr, 0, bytes);
    return;
  }
  const fromPtr = imagePtr + <usize>y * bytes;
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(toPtr + at, f32x4.sub(v128.load(fromPtr + at), centre));
  }
}

/** Adds the products of a row's pixels to those of its class, f32. */
function addRow(w: TapWindows, y: i32, productsPtr: usize, rowsPtr: usize): void {
  const besides = (<usize>(w.kernelWidth - 1)) << 4;
  const ownPtr = rowsPtr + <usize>(y % w.kernelHeight) * rowBytes(w) + besides;
  const classBytes = (<usize>classFloats(w)) << 2;
  const inner = w.width - w.rightColumns;
  const count = distances(w);
  let toPtr = productsPtr;
  for (let dy = 0; dy < w.kernelHeight; ++dy) {
    const otherPtr = rowsPtr + <usize>((y + dy) % w.kernelHeight) * rowBytes(w);
    for (let c = 0; c <= w.channels; ++c) {
      const fromPtr = ownPtr + ((<usize>c) << 2);
      for (let first = 0; first < count; first += TOGETHER) {
        const n = min(TOGETHER, count - first);
        const byPtr = otherPtr + ((<usize>first) << 4);
        let ptr = toPtr;
        for (let x = 0; x < w.leftColumns; ++x) {
          addProducts(n, fromPtr, byPtr, x, x + 1, ptr);
          ptr += classBytes;
        }
        addProducts(n, fromPtr, byPtr, w.leftColumns, inner, ptr);
        for (let x = inner; x < w.width; ++x) {
          ptr += classBytes;
          addProducts(n, fromPtr, byPtr, x, x + 1, ptr);
        }
        toPtr += (<usize>n) << 4;
      }
    }
  }
}

function addProducts(n: i32, fromPtr: usize, byPtr: usize, first: i32, last: i32, toPtr: usize): void {
  const start = (<usize>first) << 4;
  const end = fromPtr + ((<usize>last) << 4);
  if (n === 5) addRun<Five>(fromPtr + start, end, byPtr + start, toPtr);
  else if (n === 4) addRun<Four>(fromPtr + start, end, byPtr + start, toPtr);
  else if (n === 3) addRun<Three>(fromPtr + start, end, byPtr + start, toPtr);
  else if (n === 2) addRun<Two>(fromPtr + start, end, byPtr + start, toPtr);
  else addRun<One>(fromPtr + start, end, byPtr + start, toPtr);
}

/** Adds one channel's products with the pixels of neighbouring distances. */
function addRun<Distances>(fromPtr: usize, endPtr: usize, byPtr: usize, toPtr: usize): void {
  let sum0 = f32x4.splat(0);
  let sum1 = sum0;
  let sum2 = sum0;
  let sum3 = sum0;
  let sum4 = sum0;
  for (; fromPtr < endPtr; fromPtr += 16) {
    const x = v128.load32_splat(fromPtr);
    sum0 = multiplyAdd(x, v128.load(byPtr), sum0);
    if (idof<Distances>() !== idof<One>()) sum1 = multiplyAdd(x, v128.load(byPtr, 16), sum1);
    if (idof<Distances>() !== idof<One>() && idof<Distances>() !== idof<Two>()) {
      sum2 = multiplyAdd(x, v128.load(byPtr, 32), sum2);
    }
    if (idof<Distances>() === idof<Four>() || idof<Distances>() === idof<Five>()) {
      sum3 = multiplyAdd(x, v128.load(byPtr, 48), sum3);
    }
    if (idof<Distances>() === idof<Five>()) sum4 = multiplyAdd(x, v128.load(byPtr, 64), sum4);
    byPtr += 16;
  }
  v128.store(toPtr, f32x4.add(v128.load(toPtr), sum0));
  if (idof<Distances>() !== idof<One>()) v128.store(toPtr, f32x4.add(v128.load(toPtr, 16), sum1), 16);
  if (idof<Distances>() !== idof<One>() && idof<Distances>() !== idof<Two>()) {
    v128.store(toPtr, f32x4.add(v128.load(toPtr, 32), sum2), 32);
  }
  if (idof<Distances>() === idof<Four>() || idof<Distances>() === idof<Five>()) {
    v128.store(toPtr, f32x4.add(v128.load(toPtr, 48), sum3), 48);
  }
  if (idof<Distances>() === idof<Five>()) v128.store(toPtr, f32x4.add(v128.load(toPtr, 64), sum4), 64);
}

/** Adds the products of a class of rows to its sums, and begins anew. */
function flush(w: TapWindows, productsPtr: usize, sumsPtr: usize, rowClass: i32): void {
  const bytes = (<usize>(columnClasses(w) * classFloats(w))) << 2;
  const toPtr = sumsPtr + <usize>rowClass * bytes * 2;
  for (let at: usize = 0; at < bytes; at += 16) {
    addWidened(toPtr + at * 2, v128.load(productsPtr + at));
    v128.store(productsPtr + at, f32x4.splat(0));
  }
}

/**
 * From the sums of all chunks, which are added up where those of the first are, to the moments of taps (c, ky, kx), f64
 *
 *   [taps] means  |  [taps] means less the centre  |  [taps][taps] covariances
 */
export function writeTapMoments(
  windowsPtr: usize,
  sumsPtr: usize,
  chunks: i32,
  centrePtr: usize,
  momentsPtr: usize,
): void {
  const w = changetype<TapWindows>(windowsPtr);
  const bytes = <usize>tapProductsBytes(windowsPtr);
  for (let ptr = sumsPtr, end = sumsPtr + bytes; ptr < end; ptr += 16) {
    let sum = v128.load(ptr);
    for (let chunk: usize = 1; chunk < <usize>chunks; ++chunk) sum = f64x2.add(sum, v128.load(ptr + chunk * bytes));
    v128.store(ptr, sum);
  }
  const places = w.kernelHeight * w.kernelWidth;
  for (let a = 0; a < places; ++a) writeMeans(w, sumsPtr, centrePtr, momentsPtr, a, places);
  const covariancesPtr = momentsPtr + ((<usize>(places * w.channels)) << 4);
  for (let a = 0; a < places; ++a) {
    for (let b = a; b < places; ++b) writeCovariances(w, sumsPtr, centrePtr, momentsPtr, covariancesPtr, a, b, places);
  }
}

function centreOf(centrePtr: usize, c: i32): f64 {
  return <f64>load<f32>(centrePtr + ((<usize>c) << 2));
}

/** Of the channels at a place (ky, kx) of the window. */
function writeMeans(w: TapWindows, sumsPtr: usize, centrePtr: usize, meansPtr: usize, a: i32, places: i32): void {
  const count = <f64>w.batch * <f64>(w.outHeight * w.outWidth);
  const seen = productOf(w, sumsPtr, a, a, w.channels, w.channels);
  for (let c = 0; c < w.channels; ++c) {
    const centre = centreOf(centrePtr, c);
    const sum = productOf(w, sumsPtr, a, a, c, w.channels);
    const toPtr = meansPtr + ((<usize>(c * places + a)) << 3);
    store<f64>(toPtr, (sum + centre * seen) / count);
    store<f64>(toPtr + ((<usize>(places * w.channels)) << 3), (sum - centre * (count - seen)) / count);
  }
}

/** Of all channels at two places, and the same the other way round. x is x' and the centre, where a tap is in the image. */
function writeCovariances(
  w: TapWindows,
  sumsPtr: usize,
  centrePtr: usize,
  meansPtr: usize,
  toPtr: usize,
  a: i32,
  b: i32,
  places: i32,
): void {
  const ones = w.channels;
  const taps = places * w.channels;
  const count = <f64>w.batch * <f64>(w.outHeight * w.outWidth);
  const seen = productOf(w, sumsPtr, a, b, ones, ones);
  for (let c = 0; c < w.channels; ++c) {
    const i = c * places + a;
    const centre = centreOf(centrePtr, c);
    const ofFirst = productOf(w, sumsPtr, a, b, c, ones);
    for (let e = 0; e < w.channels; ++e) {
      const j = e * places + b;
      const other = centreOf(centrePtr, e);
      const ofSecond = productOf(w, sumsPtr, a, b, ones, e);
      const product = productOf(w, sumsPtr, a, b, c, e) + centre * ofSecond + other * (ofFirst + centre * seen);
      const means = load<f64>(meansPtr + ((<usize>i) << 3)) * load<f64>(meansPtr + ((<usize>j) << 3));
      const covariance = product / count - means;
      store<f64>(toPtr + ((<usize>(i * taps + j)) << 3), covariance);
      store<f64>(toPtr + ((<usize>(j * taps + i)) << 3), covariance);
    }
  }
}

/** The sum over all outputs of x'[what a sees, c] x'[what b sees, e]; places are in row-major order, b is not before a. */
function productOf(w: TapWindows, sumsPtr: usize, a: i32, b: i32, c: i32, e: i32): f64 {
  const ky = a / w.kernelWidth;
  const kx = a % w.kernelWidth;
  const dy = b / w.kernelWidth - ky;
  const distance = (b % w.kernelWidth) - kx + w.kernelWidth - 1;
  const at = ((dy * (w.channels + 1) + c) * distances(w) + distance) * 4 + e;
  // What a sees of an image is all of it but rows and columns near the edges.
  const firstRow = ky - w.padTop;
  const firstColumn = kx - w.padLeft;
  const lastClass = rowClasses(w) - max(0, w.height - (firstRow + w.outHeight));
  const lastColumnClass = columnClasses(w) - max(0, w.width - (firstColumn + w.outWidth));
  const classBytes = (<usize>classFloats(w)) << 3;
  let sum: f64 = 0;
  for (let row = max(0, firstRow); row < lastClass; ++row) {
    let ptr = sumsPtr + <usize>(row * columnClasses(w)) * classBytes + ((<usize>at) << 3);
    ptr += <usize>max(0, firstColumn) * classBytes;
    for (let column = max(0, firstColumn); column < lastColumnClass; ++column) {
      sum += load<f64>(ptr);
      ptr += classBytes;
    }
  }
  return sum;
}
