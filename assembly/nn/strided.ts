/** Kernels that move and reduce values of tensors with any strides, along walks (walk.ts). */
import { storeFirst } from '../simd';
import { nextRow, nextRun, rowStride, runLength, runPtr, runStride, runsOfRow, startWalk } from './walk';

/** Copies along a walk of `in` and `out`: transposition, slicing, padding, concatenation. */
export function copyStrided(tablePtr: usize, inPtr: usize, outPtr: usize): void {
  const length = runLength(tablePtr);
  const inStride = runStride(tablePtr, 0);
  const outStride = runStride(tablePtr, 1);
  const runs = runsOfRow(tablePtr);
  const inRowStride = rowStride(tablePtr, 0);
  const outRowStride = rowStride(tablePtr, 1);
  startWalk(tablePtr, inPtr, outPtr, 0);
  do {
    let fromPtr = runPtr(tablePtr, 0);
    let toPtr = runPtr(tablePtr, 1);
    for (let i = 0; i < runs; ++i) {
      copyRun(fromPtr, toPtr, length, inStride, outStride);
      fromPtr += inRowStride;
      toPtr += outRowStride;
    }
  } while (nextRow(tablePtr));
}

function copyRun(inPtr: usize, outPtr: usize, length: i32, inStride: i32, outStride: i32): void {
  let left = length;
  if (inStride === 4 && outStride === 4) {
    for (; left >= 4; left -= 4) {
      v128.store(outPtr, v128.load(inPtr));
      inPtr += 16;
      outPtr += 16;
    }
  }
  for (; left > 0; --left) {
    store<f32>(outPtr, load<f32>(inPtr));
    inPtr += inStride;
    outPtr += outStride;
  }
}

/**
 * The mean over some axes, summed in float64. `keptPtr`: a walk of `in` and `out` over the axes that stay;
 * `reducedPtr`: a walk of `in` over the others, `count` values long.
 */
export function reduceMean(keptPtr: usize, reducedPtr: usize, inPtr: usize, outPtr: usize, count: f64): void {
  const length = runLength(keptPtr);
  const inStride = runStride(keptPtr, 0);
  const outStride = runStride(keptPtr, 1);
  startWalk(keptPtr, inPtr, outPtr, 0);
  do {
    let fromPtr = runPtr(keptPtr, 0);
    let toPtr = runPtr(keptPtr, 1);
    for (let i = 0; i < length; ++i) {
      store<f32>(toPtr, <f32>(sumWalk(reducedPtr, fromPtr) / count));
      fromPtr += inStride;
      toPtr += outStride;
    }
  } while (nextRun(keptPtr));
}

function sumWalk(tablePtr: usize, inPtr: usize): f64 {
  const length = runLength(tablePtr);
  const stride = runStride(tablePtr, 0);
  let sum: f64 = 0;
  startWalk(tablePtr, inPtr, 0, 0);
  do {
    let fromPtr = runPtr(tablePtr, 0);
    for (let i = 0; i < length; ++i) {
      sum += <f64>load<f32>(fromPtr);
      fromPtr += stride;
    }
  } while (nextRun(tablePtr));
  return sum;
}

/**
 * Picks values of one axis: a walk of `in` without that axis, of the positions along it, and of `out`. Positions are
 * whole numbers; negative ones count from the end, those outside are clamped.
 */
export function gather(
  tablePtr: usize,
  inPtr: usize,
  positionsPtr: usize,
  outPtr: usize,
  axisStride: i32,
  axisSize: i32,
): void {
  const length = runLength(tablePtr);
  const inStride = runStride(tablePtr, 0);
  const positionStride = runStride(tablePtr, 1);
  const outStride = runStride(tablePtr, 2);
  startWalk(tablePtr, inPtr, positionsPtr, outPtr);
  do {
    let fromPtr = runPtr(tablePtr, 0);
    let positionPtr = runPtr(tablePtr, 1);
    let toPtr = runPtr(tablePtr, 2);
    for (let i = 0; i < length; ++i) {
      const given = <i32>load<f32>(positionPtr);
      const position = min(max(given < 0 ? given + axisSize : given, 0), axisSize - 1);
      store<f32>(toPtr, load<f32>(fromPtr + position * axisStride));
      fromPtr += inStride;
      positionPtr += positionStride;
      toPtr += outStride;
    }
  } while (nextRun(tablePtr));
}

/** Sets `count` floats. */
export function fill(ptr: usize, count: i32, value: f32): void {
  const values = f32x4.splat(value);
  const bytes = (<usize>(count & ~3)) << 2;
  for (let at: usize = 0; at < bytes; at += 16) v128.store(ptr + at, values);
  storeFirst(values, count & 3, ptr + bytes);
}

/** Zeros the lanes after the last channel of [pixels][lanes]. */
export function clearLanes(ptr: usize, pixels: i32, channels: i32, lanes: i32): void {
  const stride = (<usize>lanes) << 2;
  for (let i = 0; i < pixels; ++i) {
    for (let c = channels; c < lanes; ++c) store<f32>(ptr + ((<usize>c) << 2), 0);
    ptr += stride;
  }
}
