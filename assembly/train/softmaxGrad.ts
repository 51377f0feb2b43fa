/** Cross-entropy with its gradient, and the gradients of softmax and its logarithm. Sums are float64. */
import { expOf, logOf } from './exponential';

/**
 * Cross-entropy of rows `first` to `last` (excluded) of logits [rows][classes], `stride` floats apart, with the classes
 * at `labelsPtr`, i32[rows]. Writes each row's loss, f64[rows], and the gradient of `scale` times it, a row like that of
 * the logits, with zeros behind the classes; `gradPtr` may be the logits, or 0 for none.
 *
 * `smoothing`: share of the target that all classes divide among themselves.
 */
export function crossEntropy(
  inPtr: usize,
  labelsPtr: usize,
  lossPtr: usize,
  gradPtr: usize,
  classes: i32,
  stride: i32,
  smoothing: f64,
  scale: f64,
  first: i32,
  last: i32,
): void {
  const bytes = (<usize>classes) << 2;
  const share = smoothing / <f64>classes;
  for (let row = first; row < last; ++row) {
    const skipped = (<usize>row * <usize>stride) << 2;
    const fromPtr = inPtr + skipped;
    const label = (<usize>load<i32>(labelsPtr + ((<usize>row) << 2))) << 2;
    const largest = largestOf(fromPtr, bytes, 4);
    let powers: f64 = 0;
    let sum: f64 = 0;
    for (let at: usize = 0; at < bytes; at += 4) {
      const difference = <f64>load<f32>(fromPtr + at) - largest;
      powers += expOf(difference);
      sum += difference;
    }
    const logarithm = logOf(powers);
    const ofLabel = <f64>load<f32>(fromPtr + label) - largest - logarithm;
    let loss = (smoothing - 1) * ofLabel;
    // Apart, since a class that is infinitely unlikely counts only where it has a share.
    if (smoothing > 0) loss -= share * (sum - <f64>classes * logarithm);
    store<f64>(lossPtr + ((<usize>row) << 3), loss);
    if (gradPtr === 0) continue;
    const toPtr = gradPtr + skipped;
    for (let at: usize = 0; at < bytes; at += 4) {
      const probability = expOf(<f64>load<f32>(fromPtr + at) - largest) / powers;
      const target = at === label ? 1 - smoothing + share : share;
      store<f32>(toPtr + at, <f32>((probability - target) * scale));
    }
    memory.fill(toPtr + bytes, 0, ((<usize>stride) << 2) - bytes);
  }
}

function largestOf(ptr: usize, bytes: usize, step: usize): f64 {
  let largest: f32 = -Infinity;
  for (let at: usize = 0; at < bytes; at += step) largest = max(largest, load<f32>(ptr + at));
  return <f64>largest;
}

/** How many of the rows have their largest value, the first of equals, at their label. Arguments as for crossEntropy. */
export function countCorrect(inPtr: usize, labelsPtr: usize, classes: i32, stride: i32, rows: i32): i32 {
  let correct = 0;
  for (let row = 0; row < rows; ++row) {
    const fromPtr = inPtr + ((<usize>row * <usize>stride) << 2);
    let best = 0;
    for (let c = 1; c < classes; ++c) {
      const x = load<f32>(fromPtr + ((<usize>c) << 2));
      if (x > load<f32>(fromPtr + ((<usize>best) << 2))) best = c;
    }
    if (best === load<i32>(labelsPtr + ((<usize>row) << 2))) ++correct;
  }
  return correct;
}

/**
 * dx = y (dy - sum of dy y), or with `isLog` dx = dy - exp(y) sum of dy, over one axis of [outer][axis][inner], given as
 * distances in floats as for softmax (nn/softmax.ts). `valuePtr`: y. Outer positions `first` to `last` (excluded). Out may
 * be dy or y.
 */
export function softmaxGrad(
  gradPtr: usize,
  valuePtr: usize,
  outPtr: usize,
  outerStride: i32,
  inner: i32,
  axis: i32,
  axisStride: i32,
  isLog: bool,
  first: i32,
  last: i32,
): void {
  const step = (<usize>axisStride) << 2;
  const bytes = <usize>axis * step;
  for (let o = first; o < last; ++o) {
    for (let i = 0; i < inner; ++i) {
      const start = (<usize>o * <usize>outerStride + <usize>i) << 2;
      gradOfAxis(gradPtr + start, valuePtr + start, outPtr + start, bytes, step, isLog);
    }
  }
}

function gradOfAxis(gradPtr: usize, valuePtr: usize, outPtr: usize, bytes: usize, step: usize, isLog: bool): void {
  let sum: f64 = 0;
  for (let at: usize = 0; at < bytes; at += step) {
    const d = <f64>load<f32>(gradPtr + at);
    sum += isLog ? d : d * <f64>load<f32>(valuePtr + at);
  }
  for (let at: usize = 0; at < bytes; at += step) {
    const d = <f64>load<f32>(gradPtr + at);
    const y = <f64>load<f32>(valuePtr + at);
    store<f32>(outPtr + at, <f32>(isLog ? d - expOf(y) * sum : y * (d - sum)));
  }
}
