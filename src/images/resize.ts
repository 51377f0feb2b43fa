/**
 * Resizes images as Pillow does with its BILINEAR filter, which is what torchvision's Resize does to an image: bilinear
 * between pixels if the image grows; if it shrinks, the triangle is widened so that every pixel counts and nothing
 * aliases. Columns come first, then rows, each rounded to 8 bits: the same bytes as Pillow's.
 */
import type { DecodedImage } from './pixels.js';

/** The weights of the pixels that make one pixel of the result. */
interface Taps {
  readonly first: number;
  readonly weights: readonly number[];
}

/** Weights are integers of this many fractional bits. */
const PRECISION = 22;

export function resize(image: DecodedImage, width: number, height: number): DecodedImage {
  const across = image.width === width ? image : resizeAcross(image, width);
  return across.height === height ? across : resizeDown(across, height);
}

function resizeAcross({ width, height, channels, data }: DecodedImage, newWidth: number): DecodedImage {
  const taps = tapsOf(width, newWidth);
  const resized = new Uint8Array(newWidth * height * channels);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < newWidth; x++) {
      const from = (y * width + taps[x]!.first) * channels;
      weigh(data, from, channels, taps[x]!.weights, resized, (y * newWidth + x) * channels, channels);
    }
  }
  return { width: newWidth, height, channels, data: resized };
}

function resizeDown({ width, height, channels, data }: DecodedImage, newHeight: number): DecodedImage {
  const taps = tapsOf(height, newHeight);
  const rowLength = width * channels;
  const resized = new Uint8Array(newHeight * rowLength);
  for (let y = 0; y < newHeight; y++) {
    weigh(data, taps[y]!.first * rowLength, rowLength, taps[y]!.weights, resized, y * rowLength, rowLength);
  }
  return { width, height: newHeight, channels, data: resized };
}

/** `count` weighted sums, each over values that lie `stride` apart; the sums begin at neighbouring values. */
function weigh(
  source: Uint8Array,
  from: number,
  stride: number,
  weights: readonly number[],
  target: Uint8Array,
  to: number,
  count: number,
): void {
  for (let i = 0; i < count; i++) {
    let sum = 2 ** (PRECISION - 1);
    for (let tap = 0; tap < weights.length; tap++) sum += source[from + i + tap * stride]! * weights[tap]!;
    target[to + i] = sum >> PRECISION;
  }
}

function tapsOf(size: number, newSize: number): Taps[] {
  const scale = size / newSize;
  const support = Math.max(scale, 1);
  return Array.from({ length: newSize }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(size, Math.trunc(centre + support + 0.5));
    const triangle = Array.from({ length: end - first }, (_, tap) =>
      Math.max(0, 1 - Math.abs((first + tap - centre + 0.5) / support)),
    );
    const total = triangle.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: triangle.map((weight) => Math.trunc(0.5 + (weight / total) * 2 ** PRECISION)) };
  });
}
