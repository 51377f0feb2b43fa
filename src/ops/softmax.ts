/** Softmax and its logarithm over one axis. */

import type { FullNode } from '../nodes/node.js';
import { input, laneCleaner, ports, type Step, type StepContext } from '../plan/steps/step.js';
import { sizeOf } from '../sizes.js';
import { frontAxis, isOverChannels } from './axes.js';
import type { OperationRule } from './operation.js';

/** Over one axis; negative ones count from the end. */
export interface SoftmaxNode extends FullNode {
  readonly op: 'softmax' | 'logSoftmax';
  readonly axis: number;
}

export const softmax: OperationRule<SoftmaxNode> = {
  dims: (node, [input]) => {
    frontAxis(node, node.axis, input!);
    return input!;
  },
  layout: (node, output) => (isOverChannels(node.axis, output) ? 'input' : 'planar'),
  overwrites: 'all',
  step,
  flags: ({ axis }) => [`axis ${axis}`],
};

function step(node: SoftmaxNode, context: StepContext): Step {
  const dims = context.dims(node.outputs[0]);
  const axis = frontAxis(node, node.axis, dims);
  const { batch, channels, pixels, lanes } = input(node, context);
  const inner = sizeOf(dims.slice(axis + 1));
  const outer = sizeOf(dims.slice(0, axis));
  const size = dims[axis]!;
  const shape: readonly [outer: number, outerStride: number, inner: number, axis: number, axisStride: number] =
    context.layout(node.outputs[0]) === 'planar'
      ? [outer, size * inner, inner, size, inner]
      : [batch * pixels, lanes, 1, channels, 1];
  const isLog = node.op === 'logSoftmax';
  const clearLanes = laneCleaner(node.outputs[0], context);
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    context.runtime.kernels.softmax(inPtr, outPtr, ...shape, isLog);
    clearLanes?.(outPtr);
  };
}
