/** The same values in the same row-major order, under other dims. */

import { type Dim, type DimOf, isNumeric, type KnownDims, quotient } from '../nodes/dims.js';
import type { FullNode } from '../nodes/node.js';
import { title } from '../nodes/shapeErrors.js';
import { showDims, showName } from '../shown.js';
import { sizeOf } from '../sizes.js';
import type { DimOfValue, OperationRule } from './operation.js';

/** The same values in the same row-major order. */
export interface ReshapeNode extends FullNode {
  readonly op: 'reshape';
  /** -1: whatever is left; 0: the input's size of the same axis, unless `allowZero`. */
  readonly target: readonly (number | DimOf)[];
  readonly allowZero?: boolean;
}

export const reshape: OperationRule<ReshapeNode> = {
  dims: (node, [input], dimOf) => reshapeDims(node, input!, dimOf),
  dimsOfUnknown: ({ target, allowZero }) =>
    target.map((entry) => (entry === -1 || (entry === 0 && allowZero !== true) ? undefined : entry)),
  movesOnly: true,
  layout: () => 'view',
  flags: ({ target }) => [
    `to ${target.map((size) => (typeof size === 'number' ? size : `${size.value}.${size.axis}`)).join(',')}`,
  ],
};

/** @param dimOf of another value, for sizes that are taken from it */
function reshapeDims(node: ReshapeNode, input: KnownDims, dimOf: DimOfValue): KnownDims {
  const target = node.target.map((entry, axis) => resolveTarget(node, entry, axis, input, dimOf));
  const wrong = (reason: string): never => {
    throw new RangeError(`${title(node)}: cannot reshape ${showDims(input)} to ${showDims(target)}: ${reason}`);
  };
  if (target.some((dim) => typeof dim === 'number' && (!Number.isSafeInteger(dim) || dim < -1))) {
    wrong('dims must be whole numbers of at least -1');
  }
  const free = target.indexOf(-1);
  if (free !== target.lastIndexOf(-1)) wrong('at most one dim may be -1');
  const others = target.filter((dim) => dim !== -1);
  if (isNumeric(input) && isNumeric(others)) {
    const [size, known] = [sizeOf(input), sizeOf(others)];
    if (free < 0 ? known !== size : size % known !== 0) {
      wrong(`the input has ${size} values, the target ${free < 0 ? '' : 'a multiple of '}${known}`);
    }
  }
  return target.map((dim) => (dim === -1 ? quotient(input, others) : dim));
}

function resolveTarget(
  node: ReshapeNode,
  entry: number | DimOf,
  axis: number,
  input: KnownDims,
  dimOf: DimOfValue,
): Dim {
  if (typeof entry !== 'number') {
    const dim = dimOf(entry.value, entry.axis);
    if (dim !== undefined) return dim;
    throw new RangeError(`${title(node)}: target ${axis} is a dim of ${showName(entry.value)}, which is not known`);
  }
  if (entry !== 0 || node.allowZero === true) return entry;
  if (axis >= input.length) {
    throw new RangeError(
      `${title(node)}: target ${axis} is 0, but the input has no axis ${axis} (dims ${showDims(input)})`,
    );
  }
  return input[axis];
}
