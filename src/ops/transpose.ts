/** Axes in another order. */

import type { KnownDims } from '../nodes/dims.js';
import type { FullNode } from '../nodes/node.js';
import { title } from '../nodes/shapeErrors.js';
import { showDims } from '../shown.js';
import { copyStep } from './copies.js';
import type { OperationRule } from './operation.js';

export interface TransposeNode extends FullNode {
  readonly op: 'transpose';
  /** Axis of the input that each axis of the output is; undefined: reversed. */
  readonly permutation: readonly number[] | undefined;
}

export const transpose: OperationRule<TransposeNode> = {
  dims: (node, [input]) => permutationOf(node, input!).map((axis) => input![axis]),
  movesOnly: true,
  layout: () => 'any',
  prefers: () => 'planar',
  step: (node, context) => {
    const dims = context.dims(node.inputs[0]!);
    return copyStep(node, context, (from, to) =>
      permutationOf(node, dims).map((axis, i) => ({ size: dims[axis]!, from: from[axis]!, to: to[i]! })),
    );
  },
  flags: ({ permutation }) => (permutation === undefined ? [] : [`to ${permutation.join(',')}`]),
};

/** Axis of the input that each axis of the output is. */
function permutationOf(node: TransposeNode, input: KnownDims): readonly number[] {
  if (node.permutation === undefined) return input.map((_, axis) => input.length - 1 - axis);
  const isPermutation =
    node.permutation.length === input.length && input.every((_, axis) => node.permutation!.includes(axis));
  if (!isPermutation) {
    throw new RangeError(
      `${title(node)}: permutation must name each axis of the input once, got ${showDims(node.permutation)} for dims ` +
        showDims(input),
    );
  }
  return node.permutation;
}
