/** A value under another name. */
import type { NodeBase } from './node.js';
import type { OperationRule } from './operation.js';

export interface IdentityNode extends NodeBase {
  readonly op: 'identity';
}

export const identity: OperationRule<IdentityNode> = {
  dims: (_node, [input]) => input!,
  movesOnly: true,
  layout: () => 'view',
};
