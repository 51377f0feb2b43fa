/** Kernels over some axes of a tensor with any strides, found by walks (walk.ts). Sums are float64. */
import { nextRun, runLength, runPtr, runStride, startWalk } from './walk';

/** What `reduce` makes of values. argMax: the place of the largest, of several the first one or the last. */
export enum ReduceOp {
  reduceMax,
  reduceMin,
  reduceProd,
  reduceL1,
  reduceSumSquare,
  argMax,
  lastArgMax,
}

/** `keptPtr`: a walk of `in` and `out` over the axes that stay; `reducedPtr`: one of `in` over the others. */
export function reduce(op: i32, keptPtr: usize, reducedPtr: usize, inPtr: usize, outPtr: usize): void {
  const length = runLength(keptPtr);
  const inStride = runStride(keptPtr, 0);
  const outStride = runStride(keptPtr, 1);
  startWalk(keptPtr, inPtr, outPtr, 0);
  do {
    let fromPtr = runPtr(keptPtr, 0);
    let toPtr = runPtr(keptPtr, 1);
    for (let i = 0; i < length; ++i) {
      store<f32>(toPtr, <f32>(op >= ReduceOp.argMax ? place(op, reducedPtr, fromPtr) : total(op, reducedPtr, fromPtr)));
      fromPtr += inStride;
      toPtr += outStride;
    }
  } while (nextRun(keptPtr));
}

function total(op: i32, tablePtr: usize, inPtr: usize): f64 {
  const length = runLength(tablePtr);
  const stride = runStride(tablePtr, 0);
  let result: f64 = op === ReduceOp.reduceMax ? -Infinity : op === ReduceOp.reduceMin ? Infinity : 0;
  if (op === ReduceOp.reduceProd) result = 1;
  startWalk(tablePtr, inPtr, 0, 0);
  do {
    let fromPtr = runPtr(tablePtr, 0);
    for (let i = 0; i < length; ++i) {
      const x = <f64>load<f32>(fromPtr);
      if (op === ReduceOp.reduceMax) result = max(result, x);
      else if (op === ReduceOp.reduceMin) result = min(result, x);
      else if (op === ReduceOp.reduceProd) result *= x;
      else if (op === ReduceOp.reduceL1) result += abs(x);
      else result += x * x;
      fromPtr += stride;
    }
  } while (nextRun(tablePtr));
  return result;
}

/** Along the one axis of the walk. */
function place(op: i32, tablePtr: usize, inPtr: usize): f64 {
  const length = runLength(tablePtr);
  const stride = runStride(tablePtr, 0);
  let largest = load<f32>(inPtr);
  let at = 0;
  for (let i = 1; i < length; ++i) {
    inPtr += stride;
    const x = load<f32>(inPtr);
    if (x > largest || (op === ReduceOp.lastArgMax && x === largest)) {
      largest = x;
      at = i;
    }
  }
  return <f64>at;
}

/**
 * out = (in - mean) / sqrt(variance + eps), mean and biased variance over some axes: a walk of `in` and `out` over the
 * axes that stay, and one over the others, `count` values long. Out may be in.
 */
export function standardize(
  keptPtr: usize,
  reducedPtr: usize,
  inPtr: usize,
  outPtr: usize,
  count: f64,
  eps: f64,
): void {
  const length = runLength(keptPtr);
  const inStride = runStride(keptPtr, 0);
  const outStride = runStride(keptPtr, 1);
  startWalk(keptPtr, inPtr, outPtr, 0);
  do {
    let fromPtr = runPtr(keptPtr, 0);
    let toPtr = runPtr(keptPtr, 1);
    for (let i = 0; i < length; ++i) {
      const mean = sumOf(reducedPtr, fromPtr, 0, false) / count;
      const variance = sumOf(reducedPtr, fromPtr, mean, true) / count;
      writeStandardized(reducedPtr, fromPtr, toPtr, mean, 1 / sqrt(variance + eps));
      fromPtr += inStride;
      toPtr += outStride;
    }
  } while (nextRun(keptPtr));
}

/** The sum of what values exceed `mean` by, or of its squares. */
function sumOf(tablePtr: usize, inPtr: usize, mean: f64, isSquared: bool): f64 {
  const length = runLength(tablePtr);
  const stride = runStride(tablePtr, 0);
  let sum: f64 = 0;
  startWalk(tablePtr, inPtr, 0, 0);
  do {
    let fromPtr = runPtr(tablePtr, 0);
    for (let i = 0; i < length; ++i) {
      const x = <f64>load<f32>(fromPtr) - mean;
      sum += isSquared ? x * x : x;
      fromPtr += stride;
    }
  } while (nextRun(tablePtr));
  return sum;
}

function writeStandardized(tablePtr: usize, inPtr: usize, outPtr: usize, mean: f64, scale: f64): void {
  const length = runLength(tablePtr);
  const inStride = runStride(tablePtr, 0);
  const outStride = runStride(tablePtr, 1);
  startWalk(tablePtr, inPtr, outPtr, 0);
  do {
    let fromPtr = runPtr(tablePtr, 0);
    let toPtr = runPtr(tablePtr, 1);
    for (let i = 0; i < length; ++i) {
      store<f32>(toPtr, <f32>((<f64>load<f32>(fromPtr) - mean) * scale));
      fromPtr += inStride;
      toPtr += outStride;
    }
  } while (nextRun(tablePtr));
}

/**
 * Sums of all values up to each, along an axis of `count` values; with `isExclusive` without itself. `keptPtr`: a walk of
 * `in` and `out` over the other axes.
 */
export function accumulate(
  keptPtr: usize,
  inPtr: usize,
  outPtr: usize,
  count: i32,
  inStride: i32,
  outStride: i32,
  isExclusive: bool,
): void {
  const length = runLength(keptPtr);
  const inStep = runStride(keptPtr, 0);
  const outStep = runStride(keptPtr, 1);
  startWalk(keptPtr, inPtr, outPtr, 0);
  do {
    let fromPtr = runPtr(keptPtr, 0);
    let toPtr = runPtr(keptPtr, 1);
    for (let i = 0; i < length; ++i) {
      let sum: f64 = 0;
      for (let k = 0; k < count; ++k) {
        const next = sum + <f64>load<f32>(fromPtr + k * inStride);
        store<f32>(toPtr + k * outStride, <f32>(isExclusive ? sum : next));
        sum = next;
      }
      fromPtr += inStep;
      toPtr += outStep;
    }
  } while (nextRun(keptPtr));
}

/**
 * Where the `most` largest of `count` values along an axis are, the largest first, of equal ones the first. `keptPtr`: a
 * walk of `in` and `out` over the other axes.
 */
export function topPlaces(
  keptPtr: usize,
  inPtr: usize,
  outPtr: usize,
  count: i32,
  inStride: i32,
  outStride: i32,
  most: i32,
): void {
  const length = runLength(keptPtr);
  const inStep = runStride(keptPtr, 0);
  const outStep = runStride(keptPtr, 1);
  startWalk(keptPtr, inPtr, outPtr, 0);
  do {
    let fromPtr = runPtr(keptPtr, 0);
    let toPtr = runPtr(keptPtr, 1);
    for (let i = 0; i < length; ++i) {
      let found = 0;
      for (let k = 0; k < count; ++k) {
        const x = load<f32>(fromPtr + k * inStride);
        let at = found;
        // Those that are smaller move on.
        while (at > 0) {
          const before = load<f32>(toPtr + (at - 1) * outStride);
          if (!(load<f32>(fromPtr + <i32>before * inStride) < x)) break;
          if (at < most) store<f32>(toPtr + at * outStride, before);
          --at;
        }
        if (at < most) store<f32>(toPtr + at * outStride, <f32>k);
        found = min(found + 1, most);
      }
      fromPtr += inStep;
      toPtr += outStep;
    }
  } while (nextRun(keptPtr));
}
