/** Strided copies: the steps of operations that move values. */

import type { NodeBase } from '../nodes/node.js';
import { laneCleaner, ports, type Step, type StepContext } from '../plan/steps/step.js';
import { stridesOf, writeWalk } from '../plan/steps/strided.js';

/** A part of a copy's axis: bytes from one value to the next, and where it begins, on both sides. */
export interface CopyAxis {
  readonly size: number;
  readonly from: number;
  readonly to: number;
  readonly fromStart?: number;
  readonly toStart?: number;
}

/** A strided copy, to be called with the addresses of both tensors. */
export function makeCopy(context: StepContext, axes: readonly CopyAxis[]): (fromPtr: number, toPtr: number) => void {
  const table = writeWalk(
    context,
    axes.map(({ size, from, to }) => ({ size, strides: [from, to, 0] })),
  );
  const fromStart = axes.reduce((sum, axis) => sum + (axis.fromStart ?? 0), 0);
  const toStart = axes.reduce((sum, axis) => sum + (axis.toStart ?? 0), 0);
  const { kernels } = context.runtime;
  return (fromPtr, toPtr) => kernels.copyStrided(table, fromPtr + fromStart, toPtr + toStart);
}

/** Bytes from one value to the next along each axis, where the node finds or puts a value. */
export function strides(value: string, context: StepContext): number[] {
  return stridesOf(context.dims(value), context.layout(value), context.among(value)?.lanes);
}

/** Copies between the one input and the output, then zeros behind the channels. */
export function copyStep(
  node: NodeBase,
  context: StepContext,
  axes: (from: readonly number[], to: readonly number[]) => readonly CopyAxis[],
): Step {
  const copy = makeCopy(context, axes(strides(node.inputs[0]!, context), strides(node.outputs[0], context)));
  const clearLanes = laneCleaner(node.outputs[0], context);
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    copy(inPtr, outPtr);
    clearLanes?.(outPtr);
  };
}
