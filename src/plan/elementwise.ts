/** Steps of elementwise operations: of one value, and of two with broadcasting. */
import type { BinaryNode, UnaryNode } from '../graph/graph.js';
import { BINARY_OPS, UNARY_OPS } from './records.js';
import { floatCount, laneCleaner, lowerBound, ports, type Step, type StepContext } from './step.js';
import { stridesOf, type WalkAxis, writeWalk } from './strided.js';

/** What alpha and beta are where a node does not say, as in ONNX. */
const DEFAULTS: Readonly<Record<UnaryNode['op'], readonly [alpha: number, beta: number]>> = {
  relu: [0, 0],
  leakyRelu: [0.01, 0],
  clip: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
  sigmoid: [0, 0],
  hardSigmoid: [0.2, 0.5],
  hardSwish: [1 / 6, 1 / 2],
};

export function unary(node: UnaryNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const op = UNARY_OPS.indexOf(node.op);
  const count = floatCount(node.output, context);
  const [defaultAlpha, defaultBeta] = DEFAULTS[node.op];
  const [alpha, beta] =
    node.op === 'hardSwish' ? [defaultAlpha, defaultBeta] : [node.alpha ?? defaultAlpha, node.beta ?? defaultBeta];
  const keepsZero = node.op === 'relu' || node.op === 'leakyRelu' || node.op === 'hardSwish';
  const clearLanes = keepsZero ? undefined : laneCleaner(node.output, context);
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    kernels.unary(op, inPtr, outPtr, count, alpha, beta);
    clearLanes?.(outPtr);
  };
}

export function binary(node: BinaryNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const op = BINARY_OPS.indexOf(node.op);
  const table = writeWalk(context, binaryAxes(node, context));
  // 0 / 0 is NaN; the other operations leave zeros where both have zeros.
  const clearLanes =
    node.op === 'div' || !isValueByValue(node, context) ? laneCleaner(node.output, context) : undefined;
  const low = lowerBound(node);
  const [a, b] = node.inputs.map((name) => context.slot(name)) as [number, number];
  const out = context.slot(node.output);
  return (at) => {
    kernels.binary(op, table, at[a]!, at[b]!, at[out]!, low);
    clearLanes?.(at[out]!);
  };
}

/** Whether both inputs and the output have the same dims in the same layout: one run over all of the memory. */
function isValueByValue(node: BinaryNode, context: StepContext): boolean {
  const place = (value: string): string => `${context.layout(value)} ${context.dims(value).join()}`;
  return node.inputs.every((name) => place(name) === place(node.output));
}

function binaryAxes(node: BinaryNode, context: StepContext): WalkAxis[] {
  if (isValueByValue(node, context)) return [{ size: floatCount(node.output, context), strides: [4, 4, 4] }];
  const dims = context.dims(node.output);
  const [a, b] = node.inputs.map((name) => broadcastStrides(name, dims.length, context)) as [number[], number[]];
  const out = stridesOf(dims, context.layout(node.output));
  return dims.map((size, axis) => ({ size, strides: [a[axis]!, b[axis]!, out[axis]!] }));
}

/** Strides of a value as one of `rank` axes; axes that it has not, or of size 1, repeat. */
function broadcastStrides(value: string, rank: number, context: StepContext): number[] {
  const dims = context.dims(value);
  const strides = stridesOf(dims, context.layout(value)).map((stride, axis) => (dims[axis] === 1 ? 0 : stride));
  return [...new Array<number>(rank - dims.length).fill(0), ...strides];
}
