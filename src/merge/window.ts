/**
 * Where a kernel sits in the window of a larger one: both see the same positions of the image. A kernel of height a at
 * row r of a window of K rows, with padding p and dilation d, has the padding
 *
 *   p - d r  above      p - d (K - a - r)  below
 *
 * and likewise for columns. A negative padding crops.
 */
import type { Pair, Window } from '../nodes/node.js';
import { MAX_COUNT, product } from '../sizes.js';

/** The window of a smaller kernel in the middle of `window`: at row floor(K / 2) - floor(a / 2). */
export function centredWindow(window: Window, kernel: Pair): Window {
  const { dilation, pads } = window;
  const before = (axis: 0 | 1): number =>
    dilation[axis] * (Math.floor(window.kernel[axis] / 2) - Math.floor(kernel[axis] / 2));
  const after = (axis: 0 | 1): number => dilation[axis] * (window.kernel[axis] - kernel[axis]) - before(axis);
  return {
    ...window,
    kernel,
    pads: [pads[0] - before(0), pads[1] - before(1), pads[2] - after(0), pads[3] - after(1)],
  };
}

/**
 * The smallest window whose grid holds the taps of two others. Along each axis
 *
 *   offsets of a tap: -pads[before] + dilation * i       first: the least       last: the greatest
 *   step: the greatest common divisor of all distances   kernel: (last - first) / step + 1
 *
 * @param sameSize whether their outputs are known to have the same dims, though the windows do not show it
 * @returns undefined if there is none
 */
export function joinWindows(a: Window, b: Window, sameSize: boolean): Window | undefined {
  const vertical = joinAxis(a, b, 0, sameSize);
  const horizontal = joinAxis(a, b, 1, sameSize);
  if (vertical === undefined || horizontal === undefined) return undefined;
  return {
    kernel: [vertical.kernel, horizontal.kernel],
    stride: a.stride,
    dilation: [vertical.step, horizontal.step],
    pads: [vertical.before, horizontal.before, vertical.after, horizontal.after],
  };
}

interface AxisOfWindow {
  readonly kernel: number;
  readonly step: number;
  readonly before: number;
  readonly after: number;
}

function joinAxis(a: Window, b: Window, axis: 0 | 1, sameSize: boolean): AxisOfWindow | undefined {
  if (a.stride[axis] !== b.stride[axis]) return undefined;
  const reach = (window: Window): number => product(window.dilation[axis], window.kernel[axis] - 1);
  const distancesOf = (window: Window): number[] => [reach(window), window.pads[axis], window.pads[axis + 2]!];
  if ([a, b].flatMap(distancesOf).some((distance) => Math.abs(distance) > MAX_COUNT)) return undefined;
  // Padding less reach decides how many windows there are.
  const surplus = (window: Window): number => window.pads[axis] + window.pads[axis + 2]! - reach(window);
  if (surplus(a) !== surplus(b) && !sameSize) return undefined;
  const before = Math.max(a.pads[axis], b.pads[axis]);
  const last = Math.max(reach(a) - a.pads[axis], reach(b) - b.pads[axis]);
  const distances = [a, b].flatMap((window) => [
    before - window.pads[axis],
    window.kernel[axis] > 1 ? window.dilation[axis] : 0,
  ]);
  const step = distances.reduce(greatestDivisor);
  const kernel = step === 0 ? 1 : (last + before) / step + 1;
  return { kernel, step: Math.max(1, step), before, after: surplus(a) + last };
}

/** For each tap of a window within `to`, which tap of `to` it is, counted row by row. */
export function tapPlaces(from: Window, to: Window): Int32Array {
  const columns = tapsOfAxis(from, to, 1);
  return Int32Array.from(
    tapsOfAxis(from, to, 0).flatMap((row) => columns.map((column) => row * to.kernel[1] + column)),
  );
}

function tapsOfAxis(from: Window, to: Window, axis: 0 | 1): number[] {
  const first = (to.pads[axis] - from.pads[axis]) / to.dilation[axis];
  return Array.from({ length: from.kernel[axis] }, (_, i) => first + (i * from.dilation[axis]) / to.dilation[axis]);
}

export function greatestDivisor(a: number, b: number): number {
  let [larger, smaller] = [a, b];
  while (smaller !== 0) [larger, smaller] = [smaller, larger % smaller];
  return larger;
}
