/** What errors about shapes say: the layer, what it expects, and what came. */
import { showDims, showName } from '../shown.js';
import type { KnownDims } from './dims.js';
import type { NodeBase } from './node.js';

export function fail(node: NodeBase, argument: string, dims: KnownDims, expected: string): never {
  throw new RangeError(`${title(node)}: ${argument} must have ${expected}, got ${showDims(dims)}`);
}

/** `ACBlock.forward`, with the layer's path where it is part of a network. */
export function title(node: NodeBase): string {
  const layer = showName(node.layer);
  return node.path === '' ? `${layer}.forward` : `${layer}.forward (${showName(node.path)})`;
}
