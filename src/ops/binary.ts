/** Arithmetic of two values with broadcasting, and a ReLU behind it. */

import { broadcast, type Dims, type KnownDims } from '../nodes/dims.js';
import type { FullNode } from '../nodes/node.js';
import { title } from '../nodes/shapeErrors.js';
import { cutKernel, FLOAT_FLOPS, VALUES_TOGETHER } from '../plan/steps/cut.js';
import { BINARY_OPS } from '../plan/steps/records.js';
import { floatCount, laneCleaner, lowerBound, type Step, type StepContext } from '../plan/steps/step.js';
import { stridesOf, type WalkAxis, writeWalk } from '../plan/steps/strided.js';
import { showDims } from '../shown.js';
import { sameDims } from '../sizes.js';
import { reluFlag } from './flags.js';
import type { InputDims, OperationRule } from './operation.js';

/** Two inputs, broadcast as ONNX does (numpy's rules). */
export interface BinaryNode extends FullNode {
  readonly op: 'add' | 'sub' | 'mul' | 'div';
  readonly relu?: boolean;
}

type ClampedNode = FullNode & { readonly relu?: boolean };

export const binary: OperationRule<BinaryNode> = {
  dims: binaryDims,
  layout: () => 'any',
  prefers: prefersOutput,
  overwrites: 'all',
  // 0 / 0 is NaN; the other operations leave zeros where both have zeros.
  step: (node, context) => binaryStep(node, context, BINARY_OPS.indexOf(node.op), node.op !== 'div'),
  flags: reluFlag,
};

export function prefersOutput(input: Dims, output: Dims): 'sameAsOutput' | undefined {
  return sameDims(input, output) ? 'sameAsOutput' : undefined;
}

export function binaryDims(node: FullNode, inputs: readonly InputDims[]): KnownDims {
  const [a, b] = inputs as [KnownDims, KnownDims];
  const dims = broadcast(a, b);
  if (dims !== undefined) return dims;
  throw new RangeError(
    `${title(node)}: inputs must have the same dims, or of size 1 where they differ, got ${showDims(a)} and ${showDims(b)}`,
  );
}

/**
 * @param op its number for the kernel
 * @param keepsZeros whether it makes zero of two zeros
 */
export function binaryStep(node: ClampedNode, context: StepContext, op: number, keepsZeros: boolean): Step {
  const { runtime } = context;
  const isFlat = isValueByValue(node, context);
  const clearLanes = keepsZeros && isFlat ? undefined : laneCleaner(node.outputs[0], context);
  const low = lowerBound(node);
  const [a, b] = node.inputs.map((name) => context.slot(name)) as [number, number];
  const out = context.slot(node.outputs[0]);
  if (isFlat) {
    const count = floatCount(node.outputs[0], context);
    const cut = { units: count, multiple: VALUES_TOGETHER, flops: 2 * count * FLOAT_FLOPS };
    const run = cutKernel(runtime, runtime.kernels, 'binaryRange', cut);
    return (at) => {
      run(op, at[a]!, at[b]!, at[out]!, low);
      clearLanes?.(at[out]!);
    };
  }
  const table = writeWalk(context, binaryAxes(node, context));
  return (at) => {
    runtime.kernels.binary(op, table, at[a]!, at[b]!, at[out]!, low);
    clearLanes?.(at[out]!);
  };
}

/** Whether both inputs and the output have the same dims in the same layout: one run over all of the memory. */
function isValueByValue(node: FullNode, context: StepContext): boolean {
  const place = (value: string): string => `${context.layout(value)} ${context.dims(value).join()}`;
  return node.inputs.every((name) => place(name) === place(node.outputs[0]));
}

function binaryAxes(node: FullNode, context: StepContext): WalkAxis[] {
  const dims = context.dims(node.outputs[0]);
  const [a, b] = node.inputs.map((name) => broadcastStrides(name, dims.length, context)) as [number[], number[]];
  const out = stridesOf(dims, context.layout(node.outputs[0]));
  return dims.map((size, axis) => ({ size, strides: [a[axis]!, b[axis]!, out[axis]!] }));
}

/** Strides of a value as one of `rank` axes; axes that it has not, or of size 1, repeat. */
function broadcastStrides(value: string, rank: number, context: StepContext): number[] {
  const dims = context.dims(value);
  const strides = stridesOf(dims, context.layout(value)).map((stride, axis) => (dims[axis] === 1 ? 0 : stride));
  return [...new Array<number>(rank - dims.length).fill(0), ...strides];
}
