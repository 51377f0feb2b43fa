/**
 * Pooling of channels-last images [batch][height][width][lanes]. Windows are tables as in conv/descriptor.ts; -1 is
 * outside the image. All take a range of the images, from `firstImage` to `lastImage` (excluded).
 */

/**
 * Bytes of the channels that share one lookup of a window's taps: four vectors (3x3 stride 2, 32 channels @32: 0.040 ms
 * became 0.009; 2x2 average, 160 @32: 0.082 became 0.04).
 */
const WIDE: usize = 64;

/** Largest value of each window; NaN wins, as in PyTorch. */
export function maxPool2d(
  inPtr: usize,
  outPtr: usize,
  rowsPtr: usize,
  columnsPtr: usize,
  outHeight: i32,
  outWidth: i32,
  kernelHeight: i32,
  kernelWidth: i32,
  inImageStride: usize,
  lanes: i32,
  firstImage: i32,
  lastImage: i32,
): void {
  const stride = (<usize>lanes) << 2;
  inPtr += <usize>firstImage * inImageStride;
  outPtr += <usize>(firstImage * outHeight * outWidth) * stride;
  for (let image = firstImage; image < lastImage; ++image) {
    for (let y = 0; y < outHeight; ++y) {
      const windowRowsPtr = rowsPtr + ((<usize>(y * kernelHeight)) << 2);
      for (let x = 0; x < outWidth; ++x) {
        const windowColumnsPtr = columnsPtr + ((<usize>(x * kernelWidth)) << 2);
        let at: usize = 0;
        for (; at + WIDE <= stride; at += WIDE) {
          maxOfWide(inPtr + at, outPtr + at, windowRowsPtr, windowColumnsPtr, kernelHeight, kernelWidth);
        }
        for (; at < stride; at += 16) {
          maxOfQuad(inPtr + at, outPtr + at, windowRowsPtr, windowColumnsPtr, kernelHeight, kernelWidth);
        }
        outPtr += stride;
      }
    }
    inPtr += inImageStride;
  }
}

/**
 * The largest values of a window's 16 channels. NaN is tracked separately: that and `pmax` are three instructions on
 * x86-64, where f32x4.max takes seven.
 */
function maxOfWide(
  imagePtr: usize,
  outPtr: usize,
  rowsPtr: usize,
  columnsPtr: usize,
  kernelHeight: i32,
  kernelWidth: i32,
): void {
  let largest0 = f32x4.splat(-Infinity);
  let largest1 = largest0;
  let largest2 = largest0;
  let largest3 = largest0;
  let nan0 = f32x4.splat(0);
  let nan1 = nan0;
  let nan2 = nan0;
  let nan3 = nan0;
  for (let ky = 0; ky < kernelHeight; ++ky) {
    const row = load<i32>(rowsPtr + ((<usize>ky) << 2));
    if (row < 0) continue;
    for (let kx = 0; kx < kernelWidth; ++kx) {
      const column = load<i32>(columnsPtr + ((<usize>kx) << 2));
      if (column < 0) continue;
      const tapPtr = imagePtr + <usize>(row + column);
      let x = v128.load(tapPtr);
      largest0 = f32x4.pmax(largest0, x);
      nan0 = v128.or(nan0, f32x4.ne(x, x));
      x = v128.load(tapPtr, 16);
      largest1 = f32x4.pmax(largest1, x);
      nan1 = v128.or(nan1, f32x4.ne(x, x));
      x = v128.load(tapPtr, 32);
      largest2 = f32x4.pmax(largest2, x);
      nan2 = v128.or(nan2, f32x4.ne(x, x));
      x = v128.load(tapPtr, 48);
      largest3 = f32x4.pmax(largest3, x);
      nan3 = v128.or(nan3, f32x4.ne(x, x));
    }
  }
  // All bits set is a NaN as well.
  v128.store(outPtr, v128.or(largest0, nan0));
  v128.store(outPtr, v128.or(largest1, nan1), 16);
  v128.store(outPtr, v128.or(largest2, nan2), 32);
  v128.store(outPtr, v128.or(largest3, nan3), 48);
}

/** The same for four channels. */
function maxOfQuad(
  imagePtr: usize,
  outPtr: usize,
  rowsPtr: usize,
  columnsPtr: usize,
  kernelHeight: i32,
  kernelWidth: i32,
): void {
  let largest = f32x4.splat(-Infinity);
  let nan = f32x4.splat(0);
  for (let ky = 0; ky < kernelHeight; ++ky) {
    const row = load<i32>(rowsPtr + ((<usize>ky) << 2));
    if (row < 0) continue;
    for (let kx = 0; kx < kernelWidth; ++kx) {
      const column = load<i32>(columnsPtr + ((<usize>kx) << 2));
      if (column < 0) continue;
      const x = v128.load(imagePtr + <usize>(row + column));
      largest = f32x4.pmax(largest, x);
      nan = v128.or(nan, f32x4.ne(x, x));
    }
  }
  v128.store(outPtr, v128.or(largest, nan));
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
  outHeight: i32,
  outWidth: i32,
  kernelHeight: i32,
  kernelWidth: i32,
  inImageStride: usize,
  lanes: i32,
  firstImage: i32,
  lastImage: i32,
): void {
  const stride = (<usize>lanes) << 2;
  inPtr += <usize>firstImage * inImageStride;
  outPtr += <usize>(firstImage * outHeight * outWidth) * stride;
  for (let image = firstImage; image < lastImage; ++image) {
    for (let y = 0; y < outHeight; ++y) {
      const windowRowsPtr = rowsPtr + ((<usize>(y * kernelHeight)) << 2);
      const rowDivisor = load<f32>(rowDivisorsPtr + ((<usize>y) << 2));
      for (let x = 0; x < outWidth; ++x) {
        const windowColumnsPtr = columnsPtr + ((<usize>(x * kernelWidth)) << 2);
        const divisor = rowDivisor * load<f32>(columnDivisorsPtr + ((<usize>x) << 2));
        let at: usize = 0;
        for (; at + WIDE <= stride; at += WIDE) {
          meanOfWide(inPtr + at, outPtr + at, windowRowsPtr, windowColumnsPtr, kernelHeight, kernelWidth, divisor);
        }
        for (; at < stride; at += 16) {
          meanOfQuad(inPtr + at, outPtr + at, windowRowsPtr, windowColumnsPtr, kernelHeight, kernelWidth, divisor);
        }
        outPtr += stride;
      }
    }
    inPtr += inImageStride;
  }
}

/** The sum of a window's 16 channels over `divisor`. */
function meanOfWide(
  imagePtr: usize,
  outPtr: usize,
  rowsPtr: usize,
  columnsPtr: usize,
  kernelHeight: i32,
  kernelWidth: i32,
  divisor: f32,
): void {
  let sum0 = f32x4.splat(0);
  let sum1 = sum0;
  let sum2 = sum0;
  let sum3 = sum0;
  for (let ky = 0; ky < kernelHeight; ++ky) {
    const row = load<i32>(rowsPtr + ((<usize>ky) << 2));
    if (row < 0) continue;
    for (let kx = 0; kx < kernelWidth; ++kx) {
      const column = load<i32>(columnsPtr + ((<usize>kx) << 2));
      if (column < 0) continue;
      const tapPtr = imagePtr + <usize>(row + column);
      sum0 = f32x4.add(sum0, v128.load(tapPtr));
      sum1 = f32x4.add(sum1, v128.load(tapPtr, 16));
      sum2 = f32x4.add(sum2, v128.load(tapPtr, 32));
      sum3 = f32x4.add(sum3, v128.load(tapPtr, 48));
    }
  }
  const divisors = f32x4.splat(divisor);
  v128.store(outPtr, f32x4.div(sum0, divisors));
  v128.store(outPtr, f32x4.div(sum1, divisors), 16);
  v128.store(outPtr, f32x4.div(sum2, divisors), 32);
  v128.store(outPtr, f32x4.div(sum3, divisors), 48);
}

/** The same for four channels. */
function meanOfQuad(
  imagePtr: usize,
  outPtr: usize,
  rowsPtr: usize,
  columnsPtr: usize,
  kernelHeight: i32,
  kernelWidth: i32,
  divisor: f32,
): void {
  let sum = f32x4.splat(0);
  for (let ky = 0; ky < kernelHeight; ++ky) {
    const row = load<i32>(rowsPtr + ((<usize>ky) << 2));
    if (row < 0) continue;
    for (let kx = 0; kx < kernelWidth; ++kx) {
      const column = load<i32>(columnsPtr + ((<usize>kx) << 2));
      if (column < 0) continue;
      sum = f32x4.add(sum, v128.load(imagePtr + <usize>(row + column)));
    }
  }
  v128.store(outPtr, f32x4.div(sum, f32x4.splat(divisor)));
}

/** Mean of each channel over all pixels of an image, summed in float64: [batch][pixels][lanes] to [batch][lanes]. */
export function globalAvgPool2d(
  inPtr: usize,
  outPtr: usize,
  pixels: i32,
  lanes: i32,
  firstImage: i32,
  lastImage: i32,
): void {
  const stride = (<usize>lanes) << 2;
  inPtr += <usize>(firstImage * pixels) * stride;
  outPtr += <usize>firstImage * stride;
  for (let image = firstImage; image < lastImage; ++image) {
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
export function globalMaxPool2d(
  inPtr: usize,
  outPtr: usize,
  pixels: i32,
  lanes: i32,
  firstImage: i32,
  lastImage: i32,
): void {
  const stride = (<usize>lanes) << 2;
  inPtr += <usize>(firstImage * pixels) * stride;
  outPtr += <usize>firstImage * stride;
  for (let image = firstImage; image < lastImage; ++image) {
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
