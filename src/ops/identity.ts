/** A value under another name. */
import type { FullNode } from '../nodes/node.js';
import type { OperationRule } from './operation.js';

export interface IdentityNode extends FullNode {
  readonly op: 'identity';
}

export const identity: OperationRule<IdentityNode> = {
  dims: (_node, [input]) => input!,
  movesOnly: true,
  layout: () => 'view',
};
