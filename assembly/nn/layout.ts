/**
 * Converts between the two layouts of a tensor:
 *
 *   planar         [batch][channels][pixels]         PyTorch's N, C, H, W order
 *   channels-last  [batch][pixels][lanes]            lanes = channels rounded up to 4, the rest zero
 */

export function toChannelsLast(inPtr: usize, outPtr: usize, batch: i32, channels: i32, pixels: i32): void {
  const plane = (<usize>pixels) << 2;
  const stride = (<usize>((channels + 3) & ~3)) << 2;
  for (let image = 0; image < batch; ++image) {
    for (let c = 0; c < channels; c += 4) {
      interleave(inPtr + <usize>c * plane, plane, min(4, channels - c), pixels, outPtr + ((<usize>c) << 2), stride);
    }
    inPtr += plane * <usize>channels;
    outPtr += stride * <usize>pixels;
  }
}

export function toPlanar(inPtr: usize, outPtr: usize, batch: i32, channels: i32, pixels: i32): void {
  const plane = (<usize>pixels) << 2;
  const stride = (<usize>((channels + 3) & ~3)) << 2;
  for (let image = 0; image < batch; ++image) {
    for (let c = 0; c < channels; c += 4) {
      separate(inPtr + ((<usize>c) << 2), stride, min(4, channels - c), pixels, outPtr + <usize>c * plane, plane);
    }
    inPtr += stride * <usize>pixels;
    outPtr += plane * <usize>channels;
  }
}

/** Up to four planes as four lanes of every pixel, four pixels at a time; lanes without a plane become zero. */
function interleave(fromPtr: usize, plane: usize, channels: i32, pixels: i32, toPtr: usize, stride: usize): void {
  const zeros = i32x4.splat(0);
  let i = 0;
  for (; i + 4 <= pixels; i += 4) {
    const a = v128.load(fromPtr);
    const b = channels > 1 ? v128.load(fromPtr + plane) : zeros;
    const c = channels > 2 ? v128.load(fromPtr + plane * 2) : zeros;
    const d = channels > 3 ? v128.load(fromPtr + plane * 3) : zeros;
    const firstLow = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
    const firstHigh = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
    const lastLow = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
    const lastHigh = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
    v128.store(toPtr, v128.shuffle<i64>(firstLow, lastLow, 0, 2));
    v128.store(toPtr + stride, v128.shuffle<i64>(firstLow, lastLow, 1, 3));
    v128.store(toPtr + stride * 2, v128.shuffle<i64>(firstHigh, lastHigh, 0, 2));
    v128.store(toPtr + stride * 3, v128.shuffle<i64>(firstHigh, lastHigh, 1, 3));
    fromPtr += 16;
    toPtr += stride * 4;
  }
  for (; i < pixels; ++i) {
    for (let c: usize = 0; c < 4; ++c) {
      store<f32>(toPtr + (c << 2), c < <usize>channels ? load<f32>(fromPtr + c * plane) : 0);
    }
    fromPtr += 4;
    toPtr += stride;
  }
}

/** The reverse of interleave. */
function separate(fromPtr: usize, stride: usize, channels: i32, pixels: i32, toPtr: usize, plane: usize): void {
  let i = 0;
  for (; i + 4 <= pixels; i += 4) {
    const p = v128.load(fromPtr);
    const q = v128.load(fromPtr + stride);
    const r = v128.load(fromPtr + stride * 2);
    const s = v128.load(fromPtr + stride * 3);
    const firstLow = v128.shuffle<f32>(p, q, 0, 4, 1, 5);
    const firstHigh = v128.shuffle<f32>(p, q, 2, 6, 3, 7);
    const lastLow = v128.shuffle<f32>(r, s, 0, 4, 1, 5);
    const lastHigh = v128.shuffle<f32>(r, s, 2, 6, 3, 7);
    v128.store(toPtr, v128.shuffle<i64>(firstLow, lastLow, 0, 2));
    if (channels > 1) v128.store(toPtr + plane, v128.shuffle<i64>(firstLow, lastLow, 1, 3));
    if (channels > 2) v128.store(toPtr + plane * 2, v128.shuffle<i64>(firstHigh, lastHigh, 0, 2));
    if (channels > 3) v128.store(toPtr + plane * 3, v128.shuffle<i64>(firstHigh, lastHigh, 1, 3));
    fromPtr += stride * 4;
    toPtr += 16;
  }
  for (; i < pixels; ++i) {
    for (let c: usize = 0; c < <usize>channels; ++c) {
      store<f32>(toPtr + c * plane, load<f32>(fromPtr + (c << 2)));
    }
    fromPtr += stride;
    toPtr += 4;
  }
}

/** Zeros `bytes` bytes. */
export function clear(ptr: usize, bytes: usize): void {
  memory.fill(ptr, 0, bytes);
}
