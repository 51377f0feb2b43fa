/** Arithmetic, powers and comparisons of two values with broadcasting, and a ReLU behind it. */

import { broadcast, type KnownDims } from '../nodes/dims.js';
import type { FullNode } from '../nodes/node.js';
import { title } from '../nodes/shapeErrors.js';
import { cutKernel, FLOAT_FLOPS, VALUES_TOGETHER } from '../plan/steps/cut.js';
import { BINARY_OPS } from '../plan/steps/records.js';
import { floatCount, laneCleaner, lowerBound, type Step, type StepContext } from '../plan/steps/step.js';
import { stridesOf, type WalkAxis, writeWalk } from '../plan/steps/strided.js';
import { showDims } from '../shown.js';
import { sameDims } from '../sizes.js';
import { reluFlag } from './flags.js';
import type { OperationRule } from './operation.js';

/** Two inputs, broadcast as ONNX does (numpy's rules). */
export interface BinaryNode extends FullNode {
  readonly op: 'add' | 'sub' | 'mul' | 'div';
  readonly relu?: boolean;
}

/**
 * Comparisons give 1 or 0. slope: b < 0 ? a b : b. keepIf: a is not 0 ? b : 0; keepUnless: a is 0 ? b : 0, so that a
 * choice between two values is the sum of both.
 */
export interface FurtherBinaryNode extends FullNode {
  readonly op: Exclude<(typeof BINARY_OPS)[number], BinaryNode['op']>;
  readonly relu?: boolean;
}

type AnyBinaryNode = BinaryNode | FurtherBinaryNode;

export const binary: OperationRule<AnyBinaryNode> = {
  dims: (node, [a, b]) => binaryDims(node, a!, b!),
  layout: () => 'any',
  prefers: (input, output) => (sameDims(input, output) ? 'sameAsOutput' : undefined),
  overwrites: 'all',
  step,
  flags: reluFlag,
};

function binaryDims(node: AnyBinaryNode, a: KnownDims, b: KnownDims): KnownDims {
  const dims = broadcast(a, b);
  if (dims !== undefined) return dims;
  throw new RangeError(
    `${title(node)}: inputs must have the same dims, or of size 1 where they differ, got ${showDims(a)} and ${showDims(b)}`,
  );
}

/** Those that make something else of two zeros. */
const ZEROS_CHANGE: readonly AnyBinaryNode['op'][] = ['div', 'pow', 'equal', 'lessOrEqual'];

function step(node: AnyBinaryNode, context: StepContext): Step {
  const { runtime } = context;
  const op = BINARY_OPS.indexOf(node.op);
  const isFlat = isValueByValue(node, context);
  const clearLanes = ZEROS_CHANGE.includes(node.op) || !isFlat ? laneCleaner(node.outputs[0], context) : undefined;
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
function isValueByValue(node: AnyBinaryNode, context: StepContext): boolean {
  const place = (value: string): string => `${context.layout(value)} ${context.dims(value).join()}`;
  return node.inputs.every((name) => place(name) === place(node.outputs[0]));
}

function binaryAxes(node: AnyBinaryNode, context: StepContext): WalkAxis[] {
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
