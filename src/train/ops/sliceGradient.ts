/** Values at the places that a slice took them from, zeros elsewhere. */

import type { FullNode } from '../../nodes/node.js';
import { frontAxes } from '../../ops/axes.js';
import { makeCopy, strides } from '../../ops/copies.js';
import type { OperationRule } from '../../ops/operation.js';
import { rangeOf, type SliceNode } from '../../ops/slice.js';
import { floatCount, ports, type Step, type StepContext } from '../../plan/steps/step.js';

export interface SliceGradientNode extends FullNode {
  readonly op: 'sliceGradient';
  readonly of: SliceNode;
  /** Of what was sliced. */
  readonly dims: readonly number[];
}

export const sliceGradient: OperationRule<SliceGradientNode> = {
  dims: ({ dims }) => dims,
  layout: () => 'any',
  prefers: () => 'sameAsOutput',
  step,
};

function step(node: SliceGradientNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const { of, dims } = node;
  const [from, to] = [strides(node.inputs[0]!, context), strides(node.outputs[0], context)];
  const ranges = dims.map((count) => ({ start: 0, step: 1, count }));
  frontAxes(of, of.axes, dims).forEach((axis, i) => {
    ranges[axis] = rangeOf(dims[axis]!, of.starts[i]!, of.ends[i]!, of.steps[i]!);
  });
  const copy = makeCopy(
    context,
    ranges.map(({ start, step: stride, count }, axis) => {
      return { size: count, from: from[axis]!, to: to[axis]! * stride, toStart: to[axis]! * start };
    }),
  );
  const count = floatCount(node.outputs[0], context);
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    kernels.fill(outPtr, count, 0);
    copy(inPtr, outPtr);
  };
}
