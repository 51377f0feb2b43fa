/** Axes joined into two. */

import { type KnownDims, quotient } from '../nodes/dims.js';
import type { FullNode } from '../nodes/node.js';
import { frontAxis } from './axes.js';
import type { OperationRule } from './operation.js';

/** Axes before `axis` become rows, those from it on columns; negative ones count from the end. */
export interface FlattenNode extends FullNode {
  readonly op: 'flatten';
  readonly axis: number;
}

export const flatten: OperationRule<FlattenNode> = {
  dims: (node, [input]) => flattenDims(node, input!),
  dimsOfUnknown: () => [undefined, undefined],
  layout: () => 'view',
  flags: ({ axis }) => [`axis ${axis}`],
};

/**
 * Unlike elsewhere the axis may lie behind the last one, but a vector, which has no batch axis, is refused as in
 * PyTorch.
 */
function flattenDims(node: FlattenNode, input: KnownDims): KnownDims {
  const isBehind = node.axis === input.length && input.length >= 2;
  const axis = isBehind || node.axis === 0 ? node.axis : frontAxis(node, node.axis, input);
  return [quotient(input.slice(0, axis), []), quotient(input.slice(axis), [])];
}
