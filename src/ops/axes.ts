/** Axes by number: negative ones count from the end. */
import { format } from '../tensor.js';
import type { NodeBase } from './node.js';
import type { Dims } from './operation.js';
import { fail, title } from './shapeErrors.js';

/** An axis counted from the front. */
export function frontAxis(node: NodeBase, axis: number, input: Dims): number {
  if (!Number.isInteger(axis)) throw new RangeError(`${title(node)}: axis must be a whole number, got ${axis}`);
  if (axis >= input.length) fail(node, 'input', input, `at least ${axis + 1} dims`);
  if (axis < -input.length) fail(node, 'input', input, `at least ${-axis} dims`);
  return axis < 0 ? axis + input.length : axis;
}

export function frontAxes(node: NodeBase, axes: readonly number[], input: Dims): number[] {
  const front = axes.map((axis) => frontAxis(node, axis, input));
  if (new Set(front).size < front.length) {
    throw new RangeError(`${title(node)}: axes must differ from one another, got ${format(axes)}`);
  }
  return front;
}

/** Whether an axis is the one along which channels lie side by side. */
export function isOverChannels(axis: number, dims: Dims): boolean {
  return dims.length >= 2 && (axis === 1 || axis === 1 - dims.length);
}

/** numpy's broadcasting of two shapes; undefined where they do not go together. */
export function broadcast(a: Dims, b: Dims): number[] | undefined {
  const rank = Math.max(a.length, b.length);
  const dims: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const [one, other] = [a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1];
    if (one !== other && one !== 1 && other !== 1) return undefined;
    dims.push(one === 1 ? other : one);
  }
  return dims;
}
