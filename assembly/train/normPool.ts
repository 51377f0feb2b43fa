/**
 * A max pool behind a sum of batch normalisations (normSum.ts). The sum is never written as a whole: forward, some rows of
 * an image go to working memory and are pooled there. What is kept is, for each pooled value, the place that it came from,
 * as a distance in its image; so backward each pixel finds its gradient in the windows that see it.
 */
import { normSum } from './normSum';
import { firstPlace, isTaken, WIDE } from './poolGrad';
import { maskGrad } from './unaryGrad';

/**
 * Windows over images [height][width][lanes], which the plan writes once. Distances are in bytes. Tables, i32:
 *
 *   rows        [outHeight][kernelHeight]   the row of the image that a tap of a window sees, -1 outside
 *   columns     [outWidth][kernelWidth]
 *   rowWindows  [height][mostRows]          rows of the pooled image whose windows see a row, then -1
 *   columnWindows  [width][mostColumns]
 */
export class PoolWindows {
  rowsPtr: usize;
  columnsPtr: usize;
  rowWindowsPtr: usize;
  columnWindowsPtr: usize;
  height: i32;
  width: i32;
  outHeight: i32;
  outWidth: i32;
  kernelHeight: i32;
  kernelWidth: i32;
  mostRows: i32;
  mostColumns: i32;
  /** Rows of the pooled image that are made at once: what their windows see fits into working memory. */
  bandRows: i32;
}

/**
 * Images `firstImage` to `lastImage` (excluded). `windowsPtr`: PoolWindows. `placesPtr`: i32 [images][outHeight][outWidth]
 * [lanes]. The other arguments are those of normSum.
 */
export function normSumPool(
  imagesPtr: usize,
  branches: i32,
  coefficientsPtr: usize,
  outPtr: usize,
  placesPtr: usize,
  windowsPtr: usize,
  lanes: i32,
  low: f32,
  scratchPtr: usize,
  firstImage: i32,
  lastImage: i32,
): void {
  const windows = changetype<PoolWindows>(windowsPtr);
  const stride = (<usize>lanes) << 2;
  const row = <usize>windows.width * stride;
  const outRow = <usize>windows.outWidth * stride;
  for (let image = firstImage; image < lastImage; ++image) {
    const skipped = image * windows.height * windows.width;
    const outSkipped = <usize>(image * windows.outHeight) * outRow;
    for (let y = 0; y < windows.outHeight; y += windows.bandRows) {
      const end = min(windows.outHeight, y + windows.bandRows);
      const seen = windows.rowsPtr + ((<usize>(y * windows.kernelHeight)) << 2);
      const seenEnd = windows.rowsPtr + ((<usize>(end * windows.kernelHeight)) << 2);
      const first = firstSeenRow(seen, seenEnd);
      const last = lastSeenRow(seen, seenEnd) + row;
      const firstPixel = skipped + <i32>(first / stride);
      const toPtr = scratchPtr - <usize>firstPixel * stride;
      normSum(imagesPtr, branches, 0, coefficientsPtr, toPtr, lanes, low, firstPixel, skipped + <i32>(last / stride));
      const at = outSkipped + <usize>y * outRow;
      poolRows(scratchPtr - first, outPtr + at, placesPtr + at, windows, stride, y, end);
    }
  }
}

function firstSeenRow(ptr: usize, endPtr: usize): usize {
  let first = i32.MAX_VALUE;
  for (; ptr < endPtr; ptr += 4) {
    const row = load<i32>(ptr);
    if (row >= 0) first = min(first, row);
  }
  return first;
}

function lastSeenRow(ptr: usize, endPtr: usize): usize {
  let last = 0;
  for (; ptr < endPtr; ptr += 4) last = max(last, load<i32>(ptr));
  return last;
}

/** Rows `y` to `end` (excluded) of a pooled image; what they see lies where it would from `imagePtr` on. */
function poolRows(
  imagePtr: usize,
  outPtr: usize,
  placesPtr: usize,
  windows: PoolWindows,
  stride: usize,
  y: i32,
  end: i32,
): void {
  const kernelHeight = windows.kernelHeight;
  const kernelWidth = windows.kernelWidth;
  for (; y < end; ++y) {
    const rowsPtr = windows.rowsPtr + ((<usize>(y * kernelHeight)) << 2);
    for (let x = 0; x < windows.outWidth; ++x) {
      const columnsPtr = windows.columnsPtr + ((<usize>(x * kernelWidth)) << 2);
      let at: usize = 0;
      for (; at + WIDE <= stride; at += WIDE) {
        poolWide(imagePtr + at, outPtr + at, placesPtr + at, rowsPtr, columnsPtr, kernelHeight, kernelWidth);
      }
      for (; at < stride; at += 16) {
        poolQuad(imagePtr + at, outPtr + at, placesPtr + at, rowsPtr, columnsPtr, kernelHeight, kernelWidth);
      }
      outPtr += stride;
      placesPtr += stride;
    }
  }
}

/** The largest values of a window's 16 channels and where they are, as in PyTorch: the first of equals, the last NaN. */
function poolWide(
  imagePtr: usize,
  outPtr: usize,
  placesPtr: usize,
  rowsPtr: usize,
  columnsPtr: usize,
  kernelHeight: i32,
  kernelWidth: i32,
): void {
  const first = i32x4.splat(firstPlace(rowsPtr, columnsPtr, kernelHeight, kernelWidth));
  let place0 = first;
  let place1 = first;
  let place2 = first;
  let place3 = first;
  let largest0 = f32x4.splat(-Infinity);
  let largest1 = largest0;
  let largest2 = largest0;
  let largest3 = largest0;
  for (let ky = 0; ky < kernelHeight; ++ky) {
    const row = load<i32>(rowsPtr + ((<usize>ky) << 2));
    if (row < 0) continue;
    for (let kx = 0; kx < kernelWidth; ++kx) {
      const column = load<i32>(columnsPtr + ((<usize>kx) << 2));
      if (column < 0) continue;
      const tapPtr = imagePtr + <usize>(row + column);
      const here = i32x4.splat(row + column);
      let x = v128.load(tapPtr);
      let takes = isTaken(x, largest0);
      largest0 = v128.bitselect(x, largest0, takes);
      place0 = v128.bitselect(here, place0, takes);
      x = v128.load(tapPtr, 16);
      takes = isTaken(x, largest1);
      largest1 = v128.bitselect(x, largest1, takes);
      place1 = v128.bitselect(here, place1, takes);
      x = v128.load(tapPtr, 32);
      takes = isTaken(x, largest2);
      largest2 = v128.bitselect(x, largest2, takes);
      place2 = v128.bitselect(here, place2, takes);
      x = v128.load(tapPtr, 48);
      takes = isTaken(x, largest3);
      largest3 = v128.bitselect(x, largest3, takes);
      place3 = v128.bitselect(here, place3, takes);
    }
  }
  v128.store(outPtr, largest0);
  v128.store(outPtr, largest1, 16);
  v128.store(outPtr, largest2, 32);
  v128.store(outPtr, largest3, 48);
  v128.store(placesPtr, place0);
  v128.store(placesPtr, place1, 16);
  v128.store(placesPtr, place2, 32);
  v128.store(placesPtr, place3, 48);
}

/** The same of four channels. */
function poolQuad(
  imagePtr: usize,
  outPtr: usize,
  placesPtr: usize,
  rowsPtr: usize,
  columnsPtr: usize,
  kernelHeight: i32,
  kernelWidth: i32,
): void {
  let place = i32x4.splat(firstPlace(rowsPtr, columnsPtr, kernelHeight, kernelWidth));
  let largest = f32x4.splat(-Infinity);
  for (let ky = 0; ky < kernelHeight; ++ky) {
    const row = load<i32>(rowsPtr + ((<usize>ky) << 2));
    if (row < 0) continue;
    for (let kx = 0; kx < kernelWidth; ++kx) {
      const column = load<i32>(columnsPtr + ((<usize>kx) << 2));
      if (column < 0) continue;
      const x = v128.load(imagePtr + <usize>(row + column));
      const takes = isTaken(x, largest);
      largest = v128.bitselect(x, largest, takes);
      place = v128.bitselect(i32x4.splat(row + column), place, takes);
    }
  }
  v128.store(outPtr, largest);
  v128.store(placesPtr, place);
}

/**
 * The gradient of pixels `first` to `last` (bytes from the first image, the latter excluded), from that of the pooled
 * images and the places of their values; `maskPtr`: the pooled images, where there is a ReLU, else 0.
 */
export function gatherGrad(
  windows: PoolWindows,
  gradPtr: usize,
  maskPtr: usize,
  placesPtr: usize,
  toPtr: usize,
  stride: usize,
  first: usize,
  last: usize,
): void {
  const row = <usize>windows.width * stride;
  const imageBytes = <usize>windows.height * row;
  const outBytes = <usize>(windows.outHeight * windows.outWidth) * stride;
  const image = first / imageBytes;
  let place = first - image * imageBytes;
  let pooled = image * outBytes;
  let y = <i32>(place / row);
  let x = <i32>((place - <usize>y * row) / stride);
  for (let pixel = first; pixel < last; pixel += stride) {
    let isFirst = true;
    const rowsPtr = windows.rowWindowsPtr + ((<usize>(y * windows.mostRows)) << 2);
    const columnsPtr = windows.columnWindowsPtr + ((<usize>(x * windows.mostColumns)) << 2);
    for (let i = 0; i < windows.mostRows; ++i) {
      const outRow = load<i32>(rowsPtr + ((<usize>i) << 2));
      if (outRow < 0) break;
      for (let j = 0; j < windows.mostColumns; ++j) {
        const outColumn = load<i32>(columnsPtr + ((<usize>j) << 2));
        if (outColumn < 0) break;
        const window = pooled + <usize>(outRow + outColumn);
        if (isFirst) take<First>(gradPtr + window, maskPtr, window, placesPtr + window, <i32>place, toPtr, stride);
        else take<Further>(gradPtr + window, maskPtr, window, placesPtr + window, <i32>place, toPtr, stride);
        isFirst = false;
      }
    }
    if (isFirst) for (let at: usize = 0; at < stride; at += 16) v128.store(toPtr + at, f32x4.splat(0));
    toPtr += stride;
    place += stride;
    if (++x === windows.width) {
      x = 0;
      if (++y === windows.height) {
        y = 0;
        place = 0;
        pooled += outBytes;
      }
    }
  }
}

/** Of the windows that see a pixel: the first one's gradients are written, those of others added. */
class First {}
class Further {}

/** Takes the gradients of a window's channels whose values came from this place. */
function take<Window>(
  gradPtr: usize,
  maskPtr: usize,
  window: usize,
  placesPtr: usize,
  place: i32,
  toPtr: usize,
  stride: usize,
): void {
  const here = i32x4.splat(place);
  for (let at: usize = 0; at < stride; at += 16) {
    let d = v128.and(v128.load(gradPtr + at), i32x4.eq(v128.load(placesPtr + at), here));
    if (maskPtr !== 0) d = maskGrad(d, v128.load(maskPtr + window + at));
    if (idof<Window>() === idof<Further>()) d = f32x4.add(v128.load(toPtr + at), d);
    v128.store(toPtr + at, d);
  }
}
