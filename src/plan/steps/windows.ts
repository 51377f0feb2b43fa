/**
 * The tables by which kernels find what a window sees, one per axis: for every output position and kernel position the
 * byte distance of the input position, or -1 in zero padding (assembly/conv/descriptor.ts).
 */
import { UnsupportedError } from '../../errors.js';
import type { PaddingMode, Window } from '../../nodes/node.js';

/** Far beyond what networks need: an image 100,000 pixels high under kernels of 100 takes 10 million. */
const MAX_ENTRIES = 2 ** 24;

/** Taps of a window that can lie inside an image at the same time: none of the others is ever seen. */
export function seenTaps(window: Window, axis: 0 | 1, inSize: number): number {
  return Math.min(window.kernel[axis], Math.floor((inSize - 1) / window.dilation[axis]) + 1);
}

/**
 * @param distance bytes from one input position to the next along the axis
 * @param taps of each window, where only those inside the image matter: as `seenTaps` tells
 * @throws UnsupportedError where the table would be absurdly large, as files may ask for
 */
export function windowTable(
  window: Window,
  axis: 0 | 1,
  paddingMode: PaddingMode,
  inSize: number,
  outSize: number,
  distance: number,
  taps: number = window.kernel[axis],
): Int32Array {
  const [stride, dilation, before] = [window.stride[axis], window.dilation[axis], window.pads[axis]];
  if (outSize * taps > MAX_ENTRIES) {
    throw new UnsupportedError(
      `plan: the table of a kernel of ${taps} at ${outSize} positions must have at most ${MAX_ENTRIES} entries, got ${outSize * taps}`,
    );
  }
  const table = new Int32Array(outSize * taps);
  for (let out = 0; out < outSize; out++) {
    const start = out * stride - before;
    const first = Math.min(Math.max(0, Math.ceil(-start / dilation)), window.kernel[axis] - taps);
    for (let k = 0; k < taps; k++) {
      const seen = mapPosition(start + (first + k) * dilation, inSize, paddingMode);
      table[out * taps + k] = seen < 0 ? -1 : seen * distance;
    }
  }
  return table;
}

/** Entries of the table that are not zero padding. */
export function countSeen(table: Int32Array): number {
  let count = 0;
  for (const entry of table) if (entry >= 0) count++;
  return count;
}

/** Whether a window of the table lies in zero padding as a whole. */
export function seesNothing(table: Int32Array, kernel: number): boolean {
  let seen = false;
  return table.some((entry, i) => {
    seen = (i % kernel > 0 && seen) || entry >= 0;
    return i % kernel === kernel - 1 && !seen;
  });
}

/** How many positions of each window count for an average: inside the image, or inside the padding too. */
export function windowDivisors(
  window: Window,
  axis: 0 | 1,
  countIncludePad: boolean,
  inSize: number,
  outSize: number,
): Float32Array {
  const [before, after] = countIncludePad ? [window.pads[axis], window.pads[axis + 2]!] : [0, 0];
  const [stride, dilation] = [window.stride[axis], window.dilation[axis]];
  return Float32Array.from({ length: outSize }, (_, out) => {
    const start = out * stride - window.pads[axis];
    const first = Math.max(0, Math.ceil((-before - start) / dilation));
    const last = Math.min(window.kernel[axis] - 1, Math.floor((inSize + after - 1 - start) / dilation));
    return Math.max(0, last - first + 1);
  });
}

function mapPosition(at: number, size: number, paddingMode: PaddingMode): number {
  if (at >= 0 && at < size) return at;
  switch (paddingMode) {
    case 'zeros':
      return -1;
    case 'replicate':
      return at < 0 ? 0 : size - 1;
    case 'circular':
      return ((at % size) + size) % size;
    case 'reflect':
      return at < 0 ? -at : 2 * (size - 1) - at;
  }
}
