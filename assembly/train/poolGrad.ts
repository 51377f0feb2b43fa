/**
 * Gradients of the pools of nn/pool.ts, images `firstImage` to `lastImage` (excluded) of channels-last batches. Windows
 * are tables as in conv/descriptor.ts; -1 is outside the image.
 */

/** Bytes of the channels that share one lookup of a window's taps, as in nn/pool.ts. */
export const WIDE: usize = 64;

/**
 * The gradient of each window goes to its largest value: to the first of equals in row-major order, and to the last NaN,
 * as in PyTorch. `inPtr`: what was pooled. dx is written whole, `imageBytes` of it for each image.
 */
export function maxPool2dGrad(
  gradPtr: usize,
  inPtr: usize,
  outPtr: usize,
  rowsPtr: usize,
  columnsPtr: usize,
  outHeight: i32,
  outWidth: i32,
  kernelHeight: i32,
  kernelWidth: i32,
  imageBytes: usize,
  lanes: i32,
  firstImage: i32,
  lastImage: i32,
): void {
  const stride = (<usize>lanes) << 2;
  for (let image = firstImage; image < lastImage; ++image) {
    const skipped = <usize>image * imageBytes;
    memory.fill(outPtr + skipped, 0, imageBytes);
    let pixelPtr = gradPtr + <usize>(image * outHeight * outWidth) * stride;
    for (let y = 0; y < outHeight; ++y) {
      const windowRowsPtr = rowsPtr + ((<usize>(y * kernelHeight)) << 2);
      for (let x = 0; x < outWidth; ++x) {
        const windowColumnsPtr = columnsPtr + ((<usize>(x * kernelWidth)) << 2);
        let at: usize = 0;
        for (; at + WIDE <= stride; at += WIDE) {
          const place = skipped + at;
          routeWide(
            pixelPtr + at,
            inPtr + place,
            outPtr + place,
            windowRowsPtr,
            windowColumnsPtr,
            kernelHeight,
            kernelWidth,
          );
        }
        for (; at < stride; at += 16) {
          const place = skipped + at;
          routeQuad(
            pixelPtr + at,
            inPtr + place,
            outPtr + place,
            windowRowsPtr,
            windowColumnsPtr,
            kernelHeight,
            kernelWidth,
          );
        }
        pixelPtr += stride;
      }
    }
  }
}

/** Adds the gradients of a window's 16 channels where their largest values are. A place is a distance in the image. */
function routeWide(
  gradPtr: usize,
  imagePtr: usize,
  outPtr: usize,
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
  const d0 = v128.load(gradPtr);
  const d1 = v128.load(gradPtr, 16);
  const d2 = v128.load(gradPtr, 32);
  const d3 = v128.load(gradPtr, 48);
  for (let ky = 0; ky < kernelHeight; ++ky) {
    const row = load<i32>(rowsPtr + ((<usize>ky) << 2));
    if (row < 0) continue;
    for (let kx = 0; kx < kernelWidth; ++kx) {
      const column = load<i32>(columnsPtr + ((<usize>kx) << 2));
      if (column < 0) continue;
      const toPtr = outPtr + <usize>(row + column);
      const here = i32x4.splat(row + column);
      v128.store(toPtr, f32x4.add(v128.load(toPtr), v128.and(d0, i32x4.eq(place0, here))));
      v128.store(toPtr, f32x4.add(v128.load(toPtr, 16), v128.and(d1, i32x4.eq(place1, here))), 16);
      v128.store(toPtr, f32x4.add(v128.load(toPtr, 32), v128.and(d2, i32x4.eq(place2, here))), 32);
      v128.store(toPtr, f32x4.add(v128.load(toPtr, 48), v128.and(d3, i32x4.eq(place3, here))), 48);
    }
  }
}

/** The same of four channels. */
function routeQuad(
  gradPtr: usize,
  imagePtr: usize,
  outPtr: usize,
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
  const d = v128.load(gradPtr);
  for (let ky = 0; ky < kernelHeight; ++ky) {
    const row = load<i32>(rowsPtr + ((<usize>ky) << 2));
    if (row < 0) continue;
    for (let kx = 0; kx < kernelWidth; ++kx) {
      const column = load<i32>(columnsPtr + ((<usize>kx) << 2));
      if (column < 0) continue;
      const toPtr = outPtr + <usize>(row + column);
      const isHere = i32x4.eq(place, i32x4.splat(row + column));
      v128.store(toPtr, f32x4.add(v128.load(toPtr), v128.and(d, isHere)));
    }
  }
}

/** Whether a value is larger than the largest so far, or no number. */
export function isTaken(x: v128, largest: v128): v128 {
  return v128.or(f32x4.gt(x, largest), f32x4.ne(x, x));
}

/** The first place that a window sees, which a window of nothing but -infinity takes. */
export function firstPlace(rowsPtr: usize, columnsPtr: usize, kernelHeight: i32, kernelWidth: i32): i32 {
  return firstSeen(rowsPtr, kernelHeight) + firstSeen(columnsPtr, kernelWidth);
}

function firstSeen(tablePtr: usize, count: i32): i32 {
  for (let i = 0; i < count; ++i) {
    const distance = load<i32>(tablePtr + ((<usize>i) << 2));
    if (distance >= 0) return distance;
  }
  return 0;
}

/**
 * Each position of a window gets the gradient over the window's divisor, the product of its row's and its column's entry
 * in f32[outHeight] and f32[outWidth].
 */
export function avgPool2dGrad(
  gradPtr: usize,
  outPtr: usize,
  rowsPtr: usize,
  columnsPtr: usize,
  rowDivisorsPtr: usize,
  columnDivisorsPtr: usize,
  outHeight: i32,
  outWidth: i32,
  kernelHeight: i32,
  kernelWidth: i32,
  imageBytes: usize,
  lanes: i32,
  firstImage: i32,
  lastImage: i32,
): void {
  const stride = (<usize>lanes) << 2;
  for (let image = firstImage; image < lastImage; ++image) {
    const imagePtr = outPtr + <usize>image * imageBytes;
    memory.fill(imagePtr, 0, imageBytes);
    let pixelPtr = gradPtr + <usize>(image * outHeight * outWidth) * stride;
    for (let y = 0; y < outHeight; ++y) {
      const windowRowsPtr = rowsPtr + ((<usize>(y * kernelHeight)) << 2);
      const rowDivisor = load<f32>(rowDivisorsPtr + ((<usize>y) << 2));
      for (let x = 0; x < outWidth; ++x) {
        const windowColumnsPtr = columnsPtr + ((<usize>(x * kernelWidth)) << 2);
        const divisors = f32x4.splat(rowDivisor * load<f32>(columnDivisorsPtr + ((<usize>x) << 2)));
        for (let at: usize = 0; at < stride; at += 16) {
          const share = f32x4.div(v128.load(pixelPtr + at), divisors);
          addToWindow(share, imagePtr + at, windowRowsPtr, windowColumnsPtr, kernelHeight, kernelWidth);
        }
        pixelPtr += stride;
      }
    }
  }
}

function addToWindow(
  share: v128,
  outPtr: usize,
  rowsPtr: usize,
  columnsPtr: usize,
  kernelHeight: i32,
  kernelWidth: i32,
): void {
  for (let ky = 0; ky < kernelHeight; ++ky) {
    const row = load<i32>(rowsPtr + ((<usize>ky) << 2));
    if (row < 0) continue;
    for (let kx = 0; kx < kernelWidth; ++kx) {
      const column = load<i32>(columnsPtr + ((<usize>kx) << 2));
      if (column < 0) continue;
      const toPtr = outPtr + <usize>(row + column);
      v128.store(toPtr, f32x4.add(v128.load(toPtr), share));
    }
  }
}

/** Every pixel gets the gradient of its channel, [batch][lanes], over the number of pixels. */
export function globalAvgPool2dGrad(
  gradPtr: usize,
  outPtr: usize,
  pixels: i32,
  lanes: i32,
  firstImage: i32,
  lastImage: i32,
): void {
  const stride = (<usize>lanes) << 2;
  const counts = f32x4.splat(<f32>pixels);
  for (let image = firstImage; image < lastImage; ++image) {
    for (let at: usize = 0; at < stride; at += 16) {
      const share = f32x4.div(v128.load(gradPtr + <usize>image * stride + at), counts);
      let pixelPtr = outPtr + <usize>(image * pixels) * stride + at;
      for (let i = 0; i < pixels; ++i) {
        v128.store(pixelPtr, share);
        pixelPtr += stride;
      }
    }
  }
}

/** The gradient goes to the largest value of its channel, as for maxPool2dGrad. */
export function globalMaxPool2dGrad(
  gradPtr: usize,
  inPtr: usize,
  outPtr: usize,
  pixels: i32,
  lanes: i32,
  firstImage: i32,
  lastImage: i32,
): void {
  const stride = (<usize>lanes) << 2;
  for (let image = firstImage; image < lastImage; ++image) {
    for (let at: usize = 0; at < stride; at += 16) {
      const first = <usize>(image * pixels) * stride + at;
      const d = v128.load(gradPtr + <usize>image * stride + at);
      let largest = v128.load(inPtr + first);
      let place = i32x4.splat(0);
      let pixel = first;
      for (let i = 1; i < pixels; ++i) {
        pixel += stride;
        const x = v128.load(inPtr + pixel);
        const takes = isTaken(x, largest);
        largest = v128.bitselect(x, largest, takes);
        place = v128.bitselect(i32x4.splat(i), place, takes);
      }
      pixel = first;
      for (let i = 0; i < pixels; ++i) {
        v128.store(outPtr + pixel, v128.and(d, i32x4.eq(place, i32x4.splat(i))));
        pixel += stride;
      }
    }
  }
}
