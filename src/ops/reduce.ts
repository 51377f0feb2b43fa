/** One value for all along some axes: a mean, a sum, the largest and where it is. */

import type { KnownDims } from '../nodes/dims.js';
import type { FullNode } from '../nodes/node.js';
import { REDUCE_OPS } from '../plan/steps/records.js';
import { laneCleaner, ports, type Step, type StepContext } from '../plan/steps/step.js';
import { type WalkAxis, writeWalk } from '../plan/steps/strided.js';
import { sizeOf } from '../sizes.js';
import { frontAxes } from './axes.js';
import { strides } from './copies.js';
import type { Expect, OperationRule } from './operation.js';

/** argMax: where along its one axis the largest value is, of equal ones the first; lastArgMax: the last. */
export interface ReduceNode extends FullNode {
  readonly op: 'reduceMean' | 'reduceSum' | (typeof REDUCE_OPS)[number];
  /** undefined: all. */
  readonly axes: readonly number[] | undefined;
  readonly keepDims: boolean;
}

export const reduce: OperationRule<ReduceNode> = {
  check,
  dims: (node, [input]) => reduceDims(node, input!),
  layout: () => 'any',
  step,
  flags: ({ axes, keepDims }) => [
    ...(axes === undefined ? [] : [`axes ${axes.join(',')}`]),
    ...(keepDims ? ['keeps dims'] : []),
  ],
};

function check({ op, axes }: ReduceNode, expect: Expect): void {
  expect(!op.endsWith('rgMax') || axes?.length === 1, 'axes', 'of one axis', axes);
}

/** The axes that a reduction takes away, in ascending order. */
function reducedAxes(node: ReduceNode, input: KnownDims): number[] {
  if (node.axes === undefined) return input.map((_, axis) => axis);
  return frontAxes(node, node.axes, input).sort((a, b) => a - b);
}

function reduceDims(node: ReduceNode, input: KnownDims): KnownDims {
  const axes = reducedAxes(node, input);
  return node.keepDims
    ? input.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
    : input.filter((_, axis) => !axes.includes(axis));
}

function step(node: ReduceNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const dims = context.dims(node.inputs[0]!);
  const from = strides(node.inputs[0]!, context);
  const to = strides(node.outputs[0], context);
  const reduced = reducedAxes(node, dims);
  const gone: WalkAxis[] = reduced.map((axis) => ({ size: dims[axis]!, strides: [from[axis]!, 0, 0] }));
  const kept: WalkAxis[] = [];
  dims.forEach((size, axis) => {
    if (reduced.includes(axis)) return;
    const outAxis = node.keepDims ? axis : kept.length;
    kept.push({ size, strides: [from[axis]!, to[outAxis]!, 0] });
  });
  const [keptTable, goneTable] = [writeWalk(context, kept), writeWalk(context, gone)];
  const op = REDUCE_OPS.indexOf(node.op as (typeof REDUCE_OPS)[number]);
  const count = node.op === 'reduceSum' ? 1 : sizeOf(reduced.map((axis) => dims[axis]!));
  const clearLanes = laneCleaner(node.outputs[0], context);
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    if (op < 0) kernels.reduceMean(keptTable, goneTable, inPtr, outPtr, count);
    else kernels.reduce(op, keptTable, goneTable, inPtr, outPtr);
    clearLanes?.(outPtr);
  };
}
