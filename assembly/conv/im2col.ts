/**
 * im2col for one block of output pixels: gathers what each pixel's window sees and packs it for the micro-kernels.
 *
 *   [panels of panelRows pixels, the last of fewer][depth][pixels]     of T; depth = taps x channels, tap outermost
 *
 * A run of channels of one tap is contiguous in a channels-last image, so the work is to transpose a few such runs.
 */
import { panelRows } from '../gemm/gemm';
import { COLUMNS_OFFSET, ConvDescriptor, IMAGES_OFFSET, ROWS_OFFSET, RUNS_OFFSET } from './descriptor';

/**
 * Packs `pixelCount` output pixels from `firstPixel` (counted over the batch) on, depth `firstDepth` to
 * `firstDepth + depth`, of the group whose first input channel is at `inPtr`.
 */
export function packPixels<T>(
  d: ConvDescriptor,
  inPtr: usize,
  scratchPtr: usize,
  firstPixel: i32,
  pixelCount: i32,
  firstDepth: i32,
  depth: i32,
  packedPtr: usize,
): void {
  const height = panelRows(pixelCount);
  for (let i = 0; i < pixelCount; i += height) {
    const m = min(pixelCount - i, height);
    locatePixels(d, inPtr, scratchPtr, firstPixel + i, m);
    packTile<T>(d, scratchPtr, m, firstDepth, depth, packedPtr);
    packedPtr += <usize>(depth * height) * sizeof<T>();
  }
}

function locatePixels(d: ConvDescriptor, inPtr: usize, scratchPtr: usize, firstPixel: i32, m: i32): void {
  const pixelsPerImage = d.outHeight * d.outWidth;
  let image = firstPixel / pixelsPerImage;
  let y = (firstPixel - image * pixelsPerImage) / d.outWidth;
  let x = firstPixel - image * pixelsPerImage - y * d.outWidth;
  for (let r = 0; r < m; ++r) {
    const slot = scratchPtr + ((<usize>r) << 2);
    store<usize>(slot + IMAGES_OFFSET, inPtr + <usize>image * d.inImageStride);
    store<usize>(slot + ROWS_OFFSET, d.rowsPtr + ((<usize>(y * d.kernelHeight)) << 2));
    store<usize>(slot + COLUMNS_OFFSET, d.columnsPtr + ((<usize>(x * d.kernelWidth)) << 2));
    if (++x === d.outWidth) {
      x = 0;
      if (++y === d.outHeight) {
        y = 0;
        ++image;
      }
    }
  }
}

function packTile<T>(
  d: ConvDescriptor,
  scratchPtr: usize,
  m: i32,
  firstDepth: i32,
  depth: i32,
  packedPtr: usize,
): void {
  const tap = firstDepth / d.inChannels;
  let channel = firstDepth - tap * d.inChannels;
  let kernelRow = tap / d.kernelWidth;
  let kernelColumn = tap - kernelRow * d.kernelWidth;
  while (depth > 0) {
    const run = min(d.inChannels - channel, depth);
    for (let r = 0; r < m; ++r) {
      const slot = scratchPtr + ((<usize>r) << 2);
      const row = load<i32>(load<usize>(slot + ROWS_OFFSET) + ((<usize>kernelRow) << 2));
      const column = load<i32>(load<usize>(slot + COLUMNS_OFFSET) + ((<usize>kernelColumn) << 2));
      const seenPtr = load<usize>(slot + IMAGES_OFFSET) + <usize>(row + column);
      store<usize>(slot + RUNS_OFFSET, ((row | column) < 0 ? d.zerosPtr : seenPtr) + ((<usize>channel) << 2));
    }
    packRuns<T>(scratchPtr + RUNS_OFFSET, m, run, packedPtr);
    packedPtr += <usize>(run * m) * sizeof<T>();
    depth -= run;
    channel = 0;
    if (++kernelColumn === d.kernelWidth) {
      kernelColumn = 0;
      ++kernelRow;
    }
  }
}

/** Transposes m runs of `run` floats each, whose addresses are at `runPtrs`, to T [run][m]. */
function packRuns<T>(runPtrs: usize, m: i32, run: i32, packedPtr: usize): void {
  const stride = <usize>m * sizeof<T>();
  let r = 0;
  if (sizeof<T>() === 4) {
    for (; r + 4 <= m; r += 4) packFourRuns(runPtrs + ((<usize>r) << 2), run, packedPtr + ((<usize>r) << 2), stride);
  }
  for (; r < m; ++r) {
    packOneRun<T>(load<usize>(runPtrs + ((<usize>r) << 2)), run, packedPtr + <usize>r * sizeof<T>(), stride);
  }
}

function packFourRuns(ptrs: usize, run: i32, packedPtr: usize, stride: usize): void {
  let run0 = load<usize>(ptrs);
  let run1 = load<usize>(ptrs, 4);
  let run2 = load<usize>(ptrs, 8);
  let run3 = load<usize>(ptrs, 12);
  for (; run >= 4; run -= 4) {
    const row0 = v128.load(run0);
    const row1 = v128.load(run1);
    const row2 = v128.load(run2);
    const row3 = v128.load(run3);
    const low01 = v128.shuffle<f32>(row0, row1, 0, 4, 1, 5);
    const low23 = v128.shuffle<f32>(row2, row3, 0, 4, 1, 5);
    const high01 = v128.shuffle<f32>(row0, row1, 2, 6, 3, 7);
    const high23 = v128.shuffle<f32>(row2, row3, 2, 6, 3, 7);
    v128.store(packedPtr, v128.shuffle<f32>(low01, low23, 0, 1, 4, 5));
    packedPtr += stride;
    v128.store(packedPtr, v128.shuffle<f32>(low01, low23, 2, 3, 6, 7));
    packedPtr += stride;
    v128.store(packedPtr, v128.shuffle<f32>(high01, high23, 0, 1, 4, 5));
    packedPtr += stride;
    v128.store(packedPtr, v128.shuffle<f32>(high01, high23, 2, 3, 6, 7));
    packedPtr += stride;
    run0 += 16;
    run1 += 16;
    run2 += 16;
    run3 += 16;
  }
  for (; run > 0; --run) {
    store<f32>(packedPtr, load<f32>(run0));
    store<f32>(packedPtr, load<f32>(run1), 4);
    store<f32>(packedPtr, load<f32>(run2), 8);
    store<f32>(packedPtr, load<f32>(run3), 12);
    packedPtr += stride;
    run0 += 4;
    run1 += 4;
    run2 += 4;
    run3 += 4;
  }
}

function packOneRun<T>(runPtr: usize, run: i32, packedPtr: usize, stride: usize): void {
  for (; run > 0; --run) {
    store<T>(packedPtr, <T>load<f32>(runPtr));
    packedPtr += stride;
    runPtr += 4;
  }
}
