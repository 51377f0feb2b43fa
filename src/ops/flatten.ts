/** Axes joined into two. */
import { sizeOf } from '../sizes.js';
import { frontAxis } from './axes.js';
import type { NodeBase } from './node.js';
import type { Dims, OperationRule } from './operation.js';

/** Axes before `axis` become rows, those from it on columns; negative ones count from the end. */
export interface FlattenNode extends NodeBase {
  readonly op: 'flatten';
  readonly axis: number;
}

export const flatten: OperationRule<FlattenNode> = {
  dims: (node, [input]) => flattenDims(node, input!),
  layout: () => 'view',
  flags: ({ axis }) => [`axis ${axis}`],
};

/** Unlike elsewhere the axis may lie behind the last one, but a vector, which has no batch axis, is refused as in PyTorch. */
function flattenDims(node: FlattenNode, input: Dims): Dims {
  const isBehind = node.axis === input.length && input.length >= 2;
  const axis = isBehind || node.axis === 0 ? node.axis : frontAxis(node, node.axis, input);
  return [sizeOf(input.slice(0, axis)), sizeOf(input.slice(axis))];
}
