/** A value repeated along axes of size 1: the gradient of a sum. */
import type { FullNode } from '../../nodes/node.js';
import { copyStep } from '../../ops/copies.js';
import type { OperationRule } from '../../ops/operation.js';

export interface ExpandNode extends FullNode {
  readonly op: 'expand';
  /** As many as the input has. */
  readonly dims: readonly number[];
}

export const expand: OperationRule<ExpandNode> = {
  dims: ({ dims }) => dims,
  layout: () => 'any',
  prefers: () => 'sameAsOutput',
  step: (node, context) => {
    const own = context.dims(node.inputs[0]!);
    return copyStep(node, context, (from, to) =>
      node.dims.map((size, axis) => ({ size, from: own[axis] === size ? from[axis]! : 0, to: to[axis]! })),
    );
  },
};
