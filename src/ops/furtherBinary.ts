/** Powers, comparisons and choices of two values with broadcasting, and a ReLU behind them. */

import type { FullNode } from '../nodes/node.js';
import { BINARY_OPS, FURTHER_BINARY_OPS } from '../plan/steps/records.js';
import { binaryDims, binaryStep, prefersOutput } from './binary.js';
import { reluFlag } from './flags.js';
import type { OperationRule } from './operation.js';

/**
 * Comparisons give 1 or 0. slope: b < 0 ? a b : b. keepIf: a is not 0 ? b : 0; keepUnless: a is 0 ? b : 0, so that a
 * choice between two values is the sum of both.
 */
export interface FurtherBinaryNode extends FullNode {
  readonly op: (typeof FURTHER_BINARY_OPS)[number];
  readonly relu?: boolean;
}

/** Those that make something else of two zeros. */
const ZEROS_CHANGE: readonly FurtherBinaryNode['op'][] = ['pow', 'equal', 'lessOrEqual'];

export const furtherBinary: OperationRule<FurtherBinaryNode> = {
  dims: binaryDims,
  layout: () => 'any',
  prefers: prefersOutput,
  overwrites: 'all',
  step: (node, context) => {
    const op = BINARY_OPS.length + FURTHER_BINARY_OPS.indexOf(node.op);
    return binaryStep(node, context, op, !ZEROS_CHANGE.includes(node.op));
  },
  flags: reluFlag,
};
