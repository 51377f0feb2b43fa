/**
 * Gradients of the pools of nn/pool.ts, images `firstImage` to `lastImage` (excluded) of channels-last batches. Windows
 * are tables as in conv/descriptor.ts; -1 is outside the image.
 */

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
        for (let at: usize = 0; at < stride; at += 16) {
          const place = largestPlace(inPtr + skipped + at, windowRowsPtr, windowColumnsPtr, kernelHeight, kernelWidth);
          const toPtr = outPtr + skipped + at;
          addAtPlaces(
            v128.load(pixelPtr + at),
            place,
            toPtr,
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

/** The distance in its image of the value that each of four channels has taken from a window. */
function largestPlace(imagePtr: usize, rowsPtr: usize, columnsPtr: usize, kernelHeight: i32, kernelWidth: i32): v128 {
  let largest = f32x4.splat(-Infinity);
  let place = i32x4.splat(-1);
  for (let ky = 0; ky < kernelHeight; ++ky) {
    const row = load<i32>(rowsPtr + ((<usize>ky) << 2));
    if (row < 0) continue;
    for (let kx = 0; kx < kernelWidth; ++kx) {
      const column = load<i32>(columnsPtr + ((<usize>kx) << 2));
      if (column < 0) continue;
      const x = v128.load(imagePtr + <usize>(row + column));
      // The first one counts even where it is -infinity.
      const isFirst = i32x4.lt_s(place, i32x4.splat(0));
      const takes = v128.or(isFirst, v128.or(f32x4.gt(x, largest), f32x4.ne(x, x)));
      largest = v128.bitselect(x, largest, takes);
      place = v128.bitselect(i32x4.splat(row + column), place, takes);
    }
  }
  return place;
}

function addAtPlaces(
  d: v128,
  place: v128,
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
      const isHere = i32x4.eq(place, i32x4.splat(row + column));
      v128.store(toPtr, f32x4.add(v128.load(toPtr), v128.and(d, isHere)));
    }
  }
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
        const takes = v128.or(f32x4.gt(x, largest), f32x4.ne(x, x));
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
