/** Operations of one value at a time: ReLU and its kin, roots, powers of e, rounding. */

import type { FullNode } from '../nodes/node.js';
import { cutKernel, FLOAT_FLOPS, VALUES_TOGETHER } from '../plan/steps/cut.js';
import { UNARY_OPS } from '../plan/steps/records.js';
import { floatCount, laneCleaner, ports, type Step, type StepContext } from '../plan/steps/step.js';
import type { OperationRule } from './operation.js';

/**
 * leakyRelu: x < 0 ? alpha x : x. clip: min(max(x, alpha), beta). hardSigmoid: min(max(alpha x + beta, 0), 1).
 * hardSwish: x min(max(x / 6 + 1/2, 0), 1). selu: beta (x > 0 ? x : alpha (exp(x) - 1)). thresholdedRelu: x > alpha ? x : 0.
 * round: halves to the even one. gelu: x (1 + erf(x / sqrt 2)) / 2; geluTanh: what is often put in its place.
 */
export interface UnaryNode extends FullNode {
  readonly op: (typeof UNARY_OPS)[number];
  readonly alpha?: number;
  readonly beta?: number;
}

export const unary: OperationRule<UnaryNode> = {
  dims: (_node, [input]) => input!,
  layout: () => 'input',
  overwrites: 'all',
  step,
  flags,
};

/** What alpha and beta are where a node does not say, as in ONNX. */
const DEFAULTS: Readonly<Partial<Record<UnaryNode['op'], readonly [alpha: number, beta: number]>>> = {
  leakyRelu: [0.01, 0],
  clip: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
  hardSigmoid: [0.2, 0.5],
  hardSwish: [1 / 6, 1 / 2],
  thresholdedRelu: [1, 0],
  selu: [1, 1],
};

/** Those that make something else of zero. */
const ZERO_CHANGES: readonly UnaryNode['op'][] = [
  'clip',
  'sigmoid',
  'hardSigmoid',
  'reciprocal',
  'exp',
  'log',
  'softplus',
];

/** alpha and beta, as kernels take them. */
export function coefficientsOf(node: UnaryNode): readonly [alpha: number, beta: number] {
  const [alpha, beta] = DEFAULTS[node.op] ?? [0, 0];
  return node.op === 'hardSwish' ? [alpha, beta] : [node.alpha ?? alpha, node.beta ?? beta];
}

function step(node: UnaryNode, context: StepContext): Step {
  const { runtime } = context;
  const op = UNARY_OPS.indexOf(node.op);
  const count = floatCount(node.outputs[0], context);
  const [alpha, beta] = coefficientsOf(node);
  const clearLanes = ZERO_CHANGES.includes(node.op) ? laneCleaner(node.outputs[0], context) : undefined;
  const find = ports(node, context);
  const cut = { units: count, multiple: VALUES_TOGETHER, flops: count * FLOAT_FLOPS };
  const run = cutKernel(runtime, runtime.kernels, 'unary', cut);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    run(op, inPtr, outPtr, alpha, beta);
    clearLanes?.(outPtr);
  };
}

function flags({ op, alpha, beta }: UnaryNode): string[] {
  if (op === 'hardSwish' || DEFAULTS[op] === undefined) return [];
  return [`alpha ${alpha}`, ...(beta === undefined ? [] : [`beta ${beta}`])];
}
