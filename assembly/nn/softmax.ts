/**
 * Softmax over the channels of each pixel: [pixels][lanes], the first `channels` lanes count, the rest become 0.
 * The exponential is AssemblyScript's own, so that every engine gives the same bits.
 */
export function softmax(inPtr: usize, outPtr: usize, pixels: i32, channels: i32, lanes: i32): void {
  const stride = (<usize>lanes) << 2;
  for (let i = 0; i < pixels; ++i) {
    let largest: f32 = -Infinity;
    for (let c: usize = 0; c < <usize>channels; ++c) largest = max(largest, load<f32>(inPtr + (c << 2)));
    let sum: f64 = 0;
    for (let c: usize = 0; c < <usize>channels; ++c) {
      const power = NativeMathf.exp(load<f32>(inPtr + (c << 2)) - largest);
      sum += <f64>power;
      store<f32>(outPtr + (c << 2), power);
    }
    for (let c: usize = 0; c < <usize>channels; ++c) {
      store<f32>(outPtr + (c << 2), <f32>(<f64>load<f32>(outPtr + (c << 2)) / sum));
    }
    for (let c = <usize>channels; c < <usize>lanes; ++c) store<f32>(outPtr + (c << 2), 0);
    inPtr += stride;
    outPtr += stride;
  }
}
