/** Operations of one value at a time: ReLU and its kin, clip, sigmoid. */

import type { FullNode } from '../nodes/node.js';
import { cutKernel, FLOAT_FLOPS, VALUES_TOGETHER } from '../plan/steps/cut.js';
import { UNARY_OPS } from '../plan/steps/records.js';
import { floatCount, laneCleaner, ports, type Step, type StepContext } from '../plan/steps/step.js';
import type { OperationRule } from './operation.js';

/**
 * leakyRelu: x < 0 ? alpha x : x. clip: min(max(x, alpha), beta). hardSigmoid: min(max(alpha x + beta, 0), 1).
 * hardSwish: x min(max(x / 6 + 1/2, 0), 1).
 */
export interface UnaryNode extends FullNode {
  readonly op: 'relu' | 'leakyRelu' | 'clip' | 'sigmoid' | 'hardSigmoid' | 'hardSwish';
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
const DEFAULTS: Readonly<Record<UnaryNode['op'], readonly [alpha: number, beta: number]>> = {
  relu: [0, 0],
  leakyRelu: [0.01, 0],
  clip: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
  sigmoid: [0, 0],
  hardSigmoid: [0.2, 0.5],
  hardSwish: [1 / 6, 1 / 2],
};

/** alpha and beta, as kernels take them. */
export function coefficientsOf(node: UnaryNode): readonly [alpha: number, beta: number] {
  const [alpha, beta] = DEFAULTS[node.op];
  return node.op === 'hardSwish' ? [alpha, beta] : [node.alpha ?? alpha, node.beta ?? beta];
}

function step(node: UnaryNode, context: StepContext): Step {
  const keepsZero = node.op === 'relu' || node.op === 'leakyRelu' || node.op === 'hardSwish';
  return unaryStep(node, context, UNARY_OPS.indexOf(node.op), coefficientsOf(node), keepsZero);
}

/** @param op its number for the kernel */
export function unaryStep(
  node: FullNode,
  context: StepContext,
  op: number,
  [alpha, beta]: readonly [alpha: number, beta: number],
  keepsZero: boolean,
): Step {
  const { runtime } = context;
  const count = floatCount(node.outputs[0], context);
  const clearLanes = keepsZero ? undefined : laneCleaner(node.outputs[0], context);
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
  if (op !== 'leakyRelu' && op !== 'clip' && op !== 'hardSigmoid') return [];
  return [`alpha ${alpha}`, ...(beta === undefined ? [] : [`beta ${beta}`])];
}
