/** Functions of one value at a time: roots, powers of e, rounding, and the activations that are rare in networks. */

import type { FullNode } from '../nodes/node.js';
import { FUNCTION_OPS, UNARY_OPS } from '../plan/steps/records.js';
import type { OperationRule } from './operation.js';
import { unaryStep } from './unary.js';

/**
 * selu: beta (x > 0 ? x : alpha (exp(x) - 1)). thresholdedRelu: x > alpha ? x : 0. round: halves to the even one. gelu:
 * x (1 + erf(x / sqrt 2)) / 2; geluTanh: what is often put in its place.
 */
export interface FunctionNode extends FullNode {
  readonly op: (typeof FUNCTION_OPS)[number];
  /** 1 where the node does not say. */
  readonly alpha?: number;
  readonly beta?: number;
}

/** Those that make something else of zero. */
const ZERO_CHANGES: readonly FunctionNode['op'][] = ['reciprocal', 'exp', 'log', 'softplus'];

export const functions: OperationRule<FunctionNode> = {
  dims: (_node, [input]) => input!,
  layout: () => 'input',
  overwrites: 'all',
  step: (node, context) => {
    const op = UNARY_OPS.length + FUNCTION_OPS.indexOf(node.op);
    const { alpha = 1, beta = 1 } = node;
    return unaryStep(node, context, op, [alpha, beta], !ZERO_CHANGES.includes(node.op));
  },
  flags: ({ alpha, beta }) => [
    ...(alpha === undefined ? [] : [`alpha ${alpha}`]),
    ...(beta === undefined ? [] : [`beta ${beta}`]),
  ],
};
