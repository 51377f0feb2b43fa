/** Windows that slide over images: their checks, and how many there are. */

import { type Dim, isNumeric, type KnownDims, plus } from '../nodes/dims.js';
import type { NodeBase, Window } from '../nodes/node.js';
import { fail, title } from '../nodes/shapeErrors.js';
import { showDims } from '../shown.js';
import { countOf, extentOf, MAX_COUNT, product } from '../sizes.js';
import { checkWholes, expectImage } from './checks.js';
import type { Expect } from './operation.js';

export function checkWindow(expect: Expect, { kernel, stride, dilation, pads }: Window): void {
  checkWholes(expect, 'a window', [...kernel, ...stride, ...dilation], 1);
  checkWholes(expect, 'pads', pads, Number.MIN_SAFE_INTEGER);
}

/** An image of which nothing is known. */
export const UNKNOWN_IMAGE: KnownDims = [undefined, undefined, undefined, undefined];

/** Windows down and across. In ceil mode a last window may hang over the padding, but must start before its end. */
export function windowCounts(node: NodeBase, window: Window, input: KnownDims, ceilMode: boolean): [Dim, Dim] {
  const { kernel, stride, dilation, pads } = window;
  const count = (axis: 0 | 1): Dim => {
    const size = input[2 + axis];
    const reach = countOf(title(node), 'a kernel with its dilation', product(dilation[axis], kernel[axis] - 1) + 1);
    const added = addedSize(node, pads[axis], pads[axis + 2]!) - reach;
    if (typeof size !== 'number') return stride[axis] === 1 ? plus(size, added + 1) : undefined;
    const span = size + added;
    if (span < 0) {
      throw new RangeError(
        `${title(node)}: kernel of ${axis === 0 ? 'height' : 'width'} ${reach} (with dilation) is larger than the padded ` +
          `input of ${span + reach} (dims ${showDims(input)})`,
      );
    }
    if (!ceilMode) return Math.floor(span / stride[axis]) + 1;
    const windows = Math.ceil(span / stride[axis]) + 1;
    return product(windows - 1, stride[axis]) >= size + pads[axis] ? windows - 1 : windows;
  };
  return [count(0), count(1)];
}

/** What is added before and behind an axis, or taken away. */
function addedSize(node: NodeBase, before: number, after: number): number {
  for (const pad of [before, after]) countOf(title(node), 'padding', Math.abs(pad));
  return before + after;
}

/** Distances within an image stand in tables as numbers of at least 0, a negative one means padding. */
export function expectWindowable(node: NodeBase, input: KnownDims): void {
  expectImage(node, input);
  if (!isNumeric(input)) return;
  const { pixels, lanes } = extentOf(input);
  if (product(pixels, lanes, 4) <= MAX_COUNT) return;
  fail(node, 'input', input, `images of at most ${MAX_COUNT} bytes (channels rounded up to a multiple of 4)`);
}
