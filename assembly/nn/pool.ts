/**
 * Pooling of channels-last images [batch][height][width][lanes]. Windows come as the tables of conv/descriptor.ts:
 * entries of -1 are outside the image.
 */

/** Largest value of each window; NaN wins, as in PyTorch. */
export function maxPool2d(
  inPtr: usize,
  outPtr: usize,
  rowsPtr: usize,
  columnsPtr: usize,
  batch: i32,
  outHeight: i32,
  outWidth: i32,
  kernelHeight: i32,
  kernelWidth: i32,
  inImageStride: usize,
  lanes: i32,
): void {
  const stride = (<usize>lanes) << 2;
  for (let image = 0; image < batch; ++image) {
    for (let y = 0; y < outHeight; ++y) {
      for (let x = 0; x < outWidth; ++x) {
        for (let at: usize = 0; at < stride; at += 16) {
          let largest = f32x4.splat(-Infinity);
          for (let ky = 0; ky < kernelHeight; ++ky) {
            const row = load<i32>(rowsPtr + ((<usize>(y * kernelHeight + ky)) << 2));
            if (row < 0) continue;
            for (let kx = 0; kx < kernelWidth; ++kx) {
              const column = load<i32>(columnsPtr + ((<usize>(x * kernelWidth + kx)) << 2));
              if (column < 0) continue;
              largest = f32x4.max(largest, v128.load(inPtr + <usize>(row + column) + at));
            }
          }
          v128.store(outPtr + at, largest);
        }
        outPtr += stride;
      }
    }
    inPtr += inImageStride;
  }
}

/**
 * Sum of each window over its divisor, which is the product of its row's and its column's entry in f32[outHeight]
 * and f32[outWidth].
 */
export function avgPool2d(
  inPtr: usize,
  outPtr: usize,
  rowsPtr: usize,
  columnsPtr: usize,
  rowDivisorsPtr: usize,
  columnDivisorsPtr: usize,
  batch: i32,
  outHeight: i32,
  outWidth: i32,
  kernelHeight: i32,
  kernelWidth: i32,
  inImageStride: usize,
  lanes: i32,
): void {
  const stride = (<usize>lanes) << 2;
  for (let image = 0; image < batch; ++image) {
    for (let y = 0; y < outHeight; ++y) {
      for (let x = 0; x < outWidth; ++x) {
        const divisor = f32x4.splat(
          load<f32>(rowDivisorsPtr + ((<usize>y) << 2)) * load<f32>(columnDivisorsPtr + ((<usize>x) << 2)),
        );
        for (let at: usize = 0; at < stride; at += 16) {
          let sum = f32x4.splat(0);
          for (let ky = 0; ky < kernelHeight; ++ky) {
            const row = load<i32>(rowsPtr + ((<usize>(y * kernelHeight + ky)) << 2));
            if (row < 0) continue;
            for (let kx = 0; kx < kernelWidth; ++kx) {
              const column = load<i32>(columnsPtr + ((<usize>(x * kernelWidth + kx)) << 2));
              if (column < 0) continue;
              sum = f32x4.add(sum, v128.load(inPtr + <usize>(row + column) + at));
            }
          }
          v128.store(outPtr + at, f32x4.div(sum, divisor));
        }
        outPtr += stride;
      }
    }
    inPtr += inImageStride;
  }
}

/** Mean of each channel over all pixels of an image, summed in float64: [batch][pixels][lanes] to [batch][lanes]. */
export function globalAvgPool2d(inPtr: usize, outPtr: usize, batch: i32, pixels: i32, lanes: i32): void {
  const stride = (<usize>lanes) << 2;
  for (let image = 0; image < batch; ++image) {
    for (let channel = 0; channel < lanes; ++channel) {
      let sum: f64 = 0;
      let pixelPtr = inPtr + ((<usize>channel) << 2);
      for (let i = 0; i < pixels; ++i) {
        sum += <f64>load<f32>(pixelPtr);
        pixelPtr += stride;
      }
      store<f32>(outPtr + ((<usize>channel) << 2), <f32>(sum / <f64>pixels));
    }
    inPtr += stride * <usize>pixels;
    outPtr += stride;
  }
}

/** Largest value of each channel over all pixels of an image, NaN wins: [batch][pixels][lanes] to [batch][lanes]. */
export function globalMaxPool2d(inPtr: usize, outPtr: usize, batch: i32, pixels: i32, lanes: i32): void {
  const stride = (<usize>lanes) << 2;
  for (let image = 0; image < batch; ++image) {
    for (let at: usize = 0; at < stride; at += 16) {
      let pixelPtr = inPtr + at;
      let largest = v128.load(pixelPtr);
      for (let i = 1; i < pixels; ++i) {
        pixelPtr += stride;
        largest = f32x4.max(largest, v128.load(pixelPtr));
      }
      v128.store(outPtr + at, largest);
    }
    inPtr += stride * <usize>pixels;
    outPtr += stride;
  }
}
