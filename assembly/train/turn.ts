/**
 * The gradient of a convolution's input is a convolution of dy with turned kernels: channels swapped, taps reversed. What
 * is here makes those kernels, in PyTorch's order, from where the packing of every algorithm takes them.
 *
 * With stride s, input pixels fall into s x s phases by their row and column modulo s, and those of a phase see every
 * s-th tap: s x s convolutions of stride 1, whose results interleave.
 */

/**
 * From W [groups][outChannels][inChannels][kernelHeight][kernelWidth] (outChannels and inChannels of a group) to
 * [groups][inChannels][outChannels][rows][columns]: of the kernel rows firstRow, firstRow + rowStep, ... `rows` many, the
 * last one first, and likewise of columns. Input channels `first` to `last` (excluded), counted over all groups.
 */
export function turnWeights(
  fromPtr: usize,
  toPtr: usize,
  outChannels: i32,
  inChannels: i32,
  kernelHeight: i32,
  kernelWidth: i32,
  firstRow: i32,
  rowStep: i32,
  rows: i32,
  firstColumn: i32,
  columnStep: i32,
  columns: i32,
  first: i32,
  last: i32,
): void {
  const kernelBytes = (<usize>(kernelHeight * kernelWidth)) << 2;
  const filterBytes = <usize>inChannels * kernelBytes;
  toPtr += (<usize>(first * outChannels * rows * columns)) << 2;
  for (let i = first; i < last; ++i) {
    const g = i / inChannels;
    let filterPtr = fromPtr + <usize>(g * outChannels) * filterBytes + <usize>(i - g * inChannels) * kernelBytes;
    for (let o = 0; o < outChannels; ++o) {
      for (let y = rows - 1; y >= 0; --y) {
        const rowPtr = filterPtr + ((<usize>((firstRow + y * rowStep) * kernelWidth + firstColumn)) << 2);
        for (let x = columns - 1; x >= 0; --x) {
          store<f32>(toPtr, load<f32>(rowPtr + ((<usize>(x * columnStep)) << 2)));
          toPtr += 4;
        }
      }
      filterPtr += filterBytes;
    }
  }
}

/**
 * Copies one phase, images `firstImage` to `lastImage` (excluded) of [batch][rows][columns][lanes], to every
 * `rowStep`-th row and `columnStep`-th column of [batch][height][width][lanes], from `firstRow` and `firstColumn` on.
 * `fromPtr` 0 writes zeros: a phase may have no taps.
 */
export function interleavePhase(
  fromPtr: usize,
  toPtr: usize,
  height: i32,
  width: i32,
  lanes: i32,
  firstRow: i32,
  rowStep: i32,
  firstColumn: i32,
  columnStep: i32,
  firstImage: i32,
  lastImage: i32,
): void {
  const stride = (<usize>lanes) << 2;
  const rows = (height - firstRow + rowStep - 1) / rowStep;
  const columns = (width - firstColumn + columnStep - 1) / columnStep;
  const step = <usize>columnStep * stride;
  let pixelPtr = fromPtr + <usize>(firstImage * rows * columns) * stride;
  for (let image = firstImage; image < lastImage; ++image) {
    for (let y = firstRow; y < height; y += rowStep) {
      let outPtr = toPtr + <usize>((image * height + y) * width + firstColumn) * stride;
      for (let x = 0; x < columns; ++x) {
        if (fromPtr === 0) memory.fill(outPtr, 0, stride);
        else copyVectors(pixelPtr, outPtr, stride);
        pixelPtr += stride;
        outPtr += step;
      }
    }
  }
}

function copyVectors(fromPtr: usize, toPtr: usize, bytes: usize): void {
  for (let at: usize = 0; at < bytes; at += 16) v128.store(toPtr + at, v128.load(fromPtr + at));
}
