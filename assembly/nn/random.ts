/** Initial values of weights: a xorshift generator (Marsaglia, Xorshift RNGs, 2003), uniform in +-bound. */

/** `seed`: anything but 0. */
export function fillUniform(outPtr: usize, count: i32, seed: u32, bound: f64): void {
  const scale = bound / 2147483648.0;
  let state = seed;
  const endPtr = outPtr + ((<usize>count) << 2);
  for (; outPtr < endPtr; outPtr += 4) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    store<f32>(outPtr, <f32>(<f64>(<i32>state) * scale));
  }
}
