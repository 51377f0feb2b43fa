/** What errors about shapes say: the layer, what it expects, and what came. */
import { format } from '../tensor.js';
import type { Node } from './graph.js';

export function fail(node: Node, argument: string, dims: readonly number[], expected: string): never {
  throw new RangeError(`${title(node)}: ${argument} must have ${expected}, got ${format(dims)}`);
}

/** `ACBlock.forward`, with the layer's path where it is part of a network. */
export function title(node: Node): string {
  return node.path === '' ? `${node.layer}.forward` : `${node.layer}.forward (${node.path})`;
}
