/**
 * Between the two layouts of a tensor:
 *
 *   planar         [batch][channels][pixels]         PyTorch's N, C, H, W order
 *   channels-last  [batch][pixels][lanes]            lanes = channels rounded up to 4, the rest zero
 */

export function toChannelsLast(inPtr: usize, outPtr: usize, batch: i32, channels: i32, pixels: i32): void {
  const lanes = (channels + 3) & ~3;
  const plane = (<usize>pixels) << 2;
  for (let image = 0; image < batch; ++image) {
    for (let i: usize = 0; i < <usize>pixels; ++i) {
      let fromPtr = inPtr + (i << 2);
      for (let c = 0; c < channels; ++c) {
        store<f32>(outPtr, load<f32>(fromPtr));
        outPtr += 4;
        fromPtr += plane;
      }
      for (let c = channels; c < lanes; ++c) {
        store<f32>(outPtr, 0);
        outPtr += 4;
      }
    }
    inPtr += plane * <usize>channels;
  }
}

export function toPlanar(inPtr: usize, outPtr: usize, batch: i32, channels: i32, pixels: i32): void {
  const stride = (<usize>((channels + 3) & ~3)) << 2;
  for (let image = 0; image < batch; ++image) {
    for (let c = 0; c < channels; ++c) {
      let fromPtr = inPtr + ((<usize>c) << 2);
      for (let i = 0; i < pixels; ++i) {
        store<f32>(outPtr, load<f32>(fromPtr));
        outPtr += 4;
        fromPtr += stride;
      }
    }
    inPtr += stride * <usize>pixels;
  }
}

/** Zeros `bytes` bytes. */
export function clear(ptr: usize, bytes: usize): void {
  memory.fill(ptr, 0, bytes);
}
