/** Attributes and inputs that several operators have: axes, lists, vectors. */
import { showList } from '../../../shown.js';
import type { Constant } from '../file/tensors.js';
import type { NodeContext } from './nodeContext.js';
import { type Integers, MAX_ELEMENTS, vector } from './shapeValues.js';

/** Sizes of windows, steps and paddings in a sensible file. */
export const MAX_EXTENT = 2 ** 31 - 1;

export function normalizeAxis(node: NodeContext, axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (normal < 0 || normal >= rank) node.broken(`its axis ${axis} is outside of a tensor of rank ${rank}`);
  return normal;
}

/** Checks that no axis is listed twice; counts them from the front where the rank is known. */
export function checkAxes(node: NodeContext, axes: readonly number[], rank = node.dims(0)?.length): number[] {
  const normal = rank === undefined ? [...axes] : axes.map((axis) => normalizeAxis(node, axis, rank));
  if (new Set(normal).size < normal.length) node.broken(`its axes [${showList(axes)}] name one twice`);
  return normal;
}

/** The axes of Squeeze, Unsqueeze and ReduceMean: an attribute, and from some opset on an input. */
export function readAxes(node: NodeContext, inputSince: number): number[] | undefined {
  if (node.opset < inputSince) return node.ints('axes');
  return node.has(1) ? node.numbers(1, 'axes') : undefined;
}

export function expectVector(node: NodeContext, constant: Constant, size: number, role: string): void {
  if (constant.dims.length !== 1 || constant.size !== size) {
    node.broken(`its ${role} must have dims [${size}], got [${showList(constant.dims)}]`);
  }
}

/** A list of integers that came as floats, as bound values do. */
export function integersOf({ dims, size, values }: Constant): Integers | undefined {
  return dims.length === 1 && size <= MAX_ELEMENTS ? vector(Array.from(values)) : undefined;
}
