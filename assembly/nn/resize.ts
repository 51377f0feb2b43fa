/**
 * Resizing of channels-last images [batch][height][width][lanes]. Tables, written once per plan (src/ops/resize.ts),
 * say where an output position lies in the input along each axis: byte distances of input rows and columns.
 */

/** Each pixel is a pixel of the input, the one at rows[y] + columns[x]. Tables i32[outHeight] and i32[outWidth]. */
export function resizeNearest(
  inPtr: usize,
  outPtr: usize,
  rowsPtr: usize,
  columnsPtr: usize,
  batch: i32,
  outHeight: i32,
  outWidth: i32,
  inImageStride: usize,
  lanes: i32,
): void {
  const bytes = (<usize>lanes) << 2;
  for (let image = 0; image < batch; ++image) {
    for (let y = 0; y < outHeight; ++y) {
      const rowPtr = inPtr + load<u32>(rowsPtr + ((<usize>y) << 2));
      for (let x = 0; x < outWidth; ++x) {
        const pixelPtr = rowPtr + load<u32>(columnsPtr + ((<usize>x) << 2));
        for (let at: usize = 0; at < bytes; at += 16) v128.store(outPtr + at, v128.load(pixelPtr + at));
        outPtr += bytes;
      }
    }
    inPtr += inImageStride;
  }
}

/**
 * Each pixel is a weighted mean of four input pixels, at two rows and two columns; a weight is the product of those of
 * its row and its column. Tables i32[outHeight][2] and i32[outWidth][2], and f32 weights of the same sizes.
 */
export function resizeLinear(
  inPtr: usize,
  outPtr: usize,
  rowsPtr: usize,
  columnsPtr: usize,
  rowWeightsPtr: usize,
  columnWeightsPtr: usize,
  batch: i32,
  outHeight: i32,
  outWidth: i32,
  inImageStride: usize,
  lanes: i32,
): void {
  const bytes = (<usize>lanes) << 2;
  for (let image = 0; image < batch; ++image) {
    for (let y = 0; y < outHeight; ++y) {
      const row = (<usize>y) << 3;
      const upperPtr = inPtr + load<u32>(rowsPtr + row);
      const lowerPtr = inPtr + load<u32>(rowsPtr + row, 4);
      const upper = v128.load32_splat(rowWeightsPtr + row);
      const lower = v128.load32_splat(rowWeightsPtr + row, 4);
      for (let x = 0; x < outWidth; ++x) {
        const column = (<usize>x) << 3;
        const left = <usize>load<u32>(columnsPtr + column);
        const right = <usize>load<u32>(columnsPtr + column, 4);
        const leftWeight = v128.load32_splat(columnWeightsPtr + column);
        const rightWeight = v128.load32_splat(columnWeightsPtr + column, 4);
        for (let at: usize = 0; at < bytes; at += 16) {
          const above = f32x4.add(
            f32x4.mul(v128.load(upperPtr + left + at), leftWeight),
            f32x4.mul(v128.load(upperPtr + right + at), rightWeight),
          );
          const below = f32x4.add(
            f32x4.mul(v128.load(lowerPtr + left + at), leftWeight),
            f32x4.mul(v128.load(lowerPtr + right + at), rightWeight),
          );
          v128.store(outPtr + at, f32x4.add(f32x4.mul(above, upper), f32x4.mul(below, lower)));
        }
        outPtr += bytes;
      }
    }
    inPtr += inImageStride;
  }
}
