/**
 * The naive reference for gradients, in float64, written to be read. Shares no code with src/ or assembly/. Arrays are
 * row-major, images [N, C, H, W].
 */
import type { ConvOptions, Nd, PaddingMode } from './oracle.js';
import { convOutSize } from './oracle.js';

function zeros(dims: readonly number[]): Nd & { data: Float64Array } {
  return { data: new Float64Array(dims.reduce((a, b) => a * b, 1)), dims };
}

/** The place in a line of `size` elements that position `i` reads, or -1 for a zero. */
function sourceOf(i: number, size: number, mode: PaddingMode): number {
  if (i >= 0 && i < size) return i;
  if (mode === 'zeros') return -1;
  if (mode === 'replicate') return i < 0 ? 0 : size - 1;
  if (mode === 'circular') return (i + size) % size;
  return i < 0 ? -i : 2 * (size - 1) - i;
}

/** Dims of a convolution's output. */
export function convDims(x: Nd, weight: Nd, { stride, dilation, pads }: ConvOptions): number[] {
  const [n, , height, width] = x.dims as [number, number, number, number];
  const [outChannels, , kh, kw] = weight.dims as [number, number, number, number];
  return [
    n,
    outChannels,
    convOutSize(height, pads[0], pads[2], kh, stride[0], dilation[0]),
    convOutSize(width, pads[1], pads[3], kw, stride[1], dilation[1]),
  ];
}

/** Gradients of a convolution's input and weight, from that of its output. */
export function conv2dBackward(
  x: Nd,
  weight: Nd,
  dy: Nd,
  options: ConvOptions,
): { dx: Nd & { data: Float64Array }; dw: Nd & { data: Float64Array } } {
  const { stride, dilation, pads, paddingMode, groups } = options;
  const [n, channels, height, width] = x.dims as [number, number, number, number];
  const [outChannels, groupChannels, kh, kw] = weight.dims as [number, number, number, number];
  const [, , outHeight, outWidth] = dy.dims as [number, number, number, number];
  const [dx, dw] = [zeros(x.dims), zeros(weight.dims)];
  for (let image = 0; image < n; image++) {
    for (let o = 0; o < outChannels; o++) {
      const group = Math.floor(o / (outChannels / groups));
      for (let y = 0; y < outHeight; y++) {
        for (let column = 0; column < outWidth; column++) {
          const d = dy.data[((image * outChannels + o) * outHeight + y) * outWidth + column]!;
          for (let ky = 0; ky < kh; ky++) {
            const row = sourceOf(y * stride[0] - pads[0] + ky * dilation[0], height, paddingMode);
            if (row < 0) continue;
            for (let kx = 0; kx < kw; kx++) {
              const place = sourceOf(column * stride[1] - pads[1] + kx * dilation[1], width, paddingMode);
              if (place < 0) continue;
              for (let c = 0; c < groupChannels; c++) {
                const at = ((image * channels + group * groupChannels + c) * height + row) * width + place;
                const tap = ((o * groupChannels + c) * kh + ky) * kw + kx;
                dw.data[tap]! += d * x.data[at]!;
                dx.data[at]! += d * weight.data[tap]!;
              }
            }
          }
        }
      }
    }
  }
  return { dx, dw };
}
