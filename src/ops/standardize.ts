/** Values less their mean, over the root of their variance, over some axes: what layer and instance norms begin with. */

import type { FullNode } from '../nodes/node.js';
import { laneCleaner, ports, type Step, type StepContext } from '../plan/steps/step.js';
import { type WalkAxis, writeWalk } from '../plan/steps/strided.js';
import { sizeOf } from '../sizes.js';
import { frontAxes } from './axes.js';
import { strides } from './copies.js';
import type { OperationRule } from './operation.js';

/** (x - mean) / sqrt(variance + eps); the variance is the biased one. */
export interface StandardizeNode extends FullNode {
  readonly op: 'standardize';
  readonly axes: readonly number[];
  readonly eps: number;
}

export const standardize: OperationRule<StandardizeNode> = {
  dims: (node, [input]) => {
    frontAxes(node, node.axes, input!);
    return input!;
  },
  layout: () => 'any',
  prefers: () => 'sameAsOutput',
  overwrites: 'all',
  step,
  flags: ({ axes, eps }) => [`axes ${axes.join(',')}`, `eps ${eps}`],
};

function step(node: StandardizeNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const dims = context.dims(node.inputs[0]!);
  const [from, to] = [strides(node.inputs[0]!, context), strides(node.outputs[0], context)];
  const gone = frontAxes(node, node.axes, dims);
  const all = dims.map((size, axis): WalkAxis => ({ size, strides: [from[axis]!, to[axis]!, 0] }));
  const keptTable = writeWalk(
    context,
    all.filter((_, axis) => !gone.includes(axis)),
  );
  const goneTable = writeWalk(
    context,
    gone.map((axis) => all[axis]!),
  );
  const count = sizeOf(gone.map((axis) => dims[axis]!));
  const clearLanes = laneCleaner(node.outputs[0], context);
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    kernels.standardize(keptTable, goneTable, inPtr, outPtr, count, node.eps);
    clearLanes?.(outPtr);
  };
}
