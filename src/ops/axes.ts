/** Axes by number: negative ones count from the end. */

import type { KnownDims } from '../nodes/dims.js';
import type { NodeBase } from '../nodes/node.js';
import { fail, title } from '../nodes/shapeErrors.js';
import { showDims } from '../shown.js';

/** An axis counted from the front. */
export function frontAxis(node: NodeBase, axis: number, input: KnownDims): number {
  if (!Number.isInteger(axis)) throw new RangeError(`${title(node)}: axis must be a whole number, got ${axis}`);
  if (axis >= input.length) fail(node, 'input', input, `at least ${axis + 1} dims`);
  if (axis < -input.length) fail(node, 'input', input, `at least ${-axis} dims`);
  return axis < 0 ? axis + input.length : axis;
}

export function frontAxes(node: NodeBase, axes: readonly number[], input: KnownDims): number[] {
  const front = axes.map((axis) => frontAxis(node, axis, input));
  if (new Set(front).size < front.length) {
    throw new RangeError(`${title(node)}: axes must differ from one another, got ${showDims(axes)}`);
  }
  return front;
}

/** Whether an axis is the one along which channels lie side by side. */
export function isOverChannels(axis: number, dims: KnownDims): boolean {
  return dims.length >= 2 && (axis === 1 || axis === 1 - dims.length);
}
