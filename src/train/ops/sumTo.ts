/** Sums over the axes along which a smaller value was repeated: the gradient of what broadcasts. */

import type { FullNode } from '../../nodes/node.js';
import { strides } from '../../ops/copies.js';
import type { OperationRule } from '../../ops/operation.js';
import { laneCleaner, ports, type Step, type StepContext } from '../../plan/steps/step.js';
import { type WalkAxis, writeWalk } from '../../plan/steps/strided.js';

export interface SumToNode extends FullNode {
  readonly op: 'sumTo';
  /** Of the smaller value; missing axes are the first. */
  readonly dims: readonly number[];
}

export const sumTo: OperationRule<SumToNode> = {
  dims: ({ dims }) => dims,
  layout: () => 'any',
  step,
};

function step(node: SumToNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const dims = context.dims(node.inputs[0]!);
  const from = strides(node.inputs[0]!, context);
  const to = strides(node.outputs[0], context);
  const missing = dims.length - node.dims.length;
  const isKept = (axis: number): boolean => axis >= missing && node.dims[axis - missing] === dims[axis];
  const axes = dims.map((size, axis): WalkAxis => {
    return { size, strides: [from[axis]!, isKept(axis) ? to[axis - missing]! : 0, 0] };
  });
  const kept = writeWalk(
    context,
    axes.filter((_, axis) => isKept(axis)),
  );
  const summed = writeWalk(
    context,
    axes.filter((_, axis) => !isKept(axis)),
  );
  const clearLanes = laneCleaner(node.outputs[0], context);
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    // The kernel of means, of one value each.
    kernels.reduceMean(kept, summed, inPtr, outPtr, 1);
    clearLanes?.(outPtr);
  };
}
