/**
 * Softmax or its logarithm over one axis of [outer][axis][inner], given as distances in floats. So it covers the
 * channels of channels-last pixels (inner 1) and any axis of a planar tensor. Sums are float64. exp and log are
 * AssemblyScript's own, for the same bits in every engine. Out may be in.
 */
export function softmax(
  inPtr: usize,
  outPtr: usize,
  outer: i32,
  outerStride: i32,
  inner: i32,
  axis: i32,
  axisStride: i32,
  isLog: bool,
): void {
  const step = (<usize>axisStride) << 2;
  for (let o = 0; o < outer; ++o) {
    for (let i = 0; i < inner; ++i) {
      const start = (<usize>o * <usize>outerStride + <usize>i) << 2;
      softmaxOf(inPtr + start, outPtr + start, <usize>axis * step, step, isLog);
    }
  }
}

function softmaxOf(inPtr: usize, outPtr: usize, bytes: usize, step: usize, isLog: bool): void {
  let largest: f32 = -Infinity;
  for (let at: usize = 0; at < bytes; at += step) largest = max(largest, load<f32>(inPtr + at));
  let sum: f64 = 0;
  for (let at: usize = 0; at < bytes; at += step) {
    const difference = load<f32>(inPtr + at) - largest;
    const power = NativeMathf.exp(difference);
    sum += <f64>power;
    store<f32>(outPtr + at, isLog ? difference : power);
  }
  if (isLog) {
    const logarithm = <f64>NativeMathf.log(<f32>sum);
    for (let at: usize = 0; at < bytes; at += step) {
      store<f32>(outPtr + at, <f32>(<f64>load<f32>(outPtr + at) - logarithm));
    }
  } else {
    for (let at: usize = 0; at < bytes; at += step) {
      store<f32>(outPtr + at, <f32>(<f64>load<f32>(outPtr + at) / sum));
    }
  }
}
