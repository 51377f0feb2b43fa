/** How what is fused into a node prints. */
import type { Optional } from '../nodes/node.js';

export function addendFlag(addend: Optional): string[] {
  return addend === undefined ? [] : ['addend'];
}

export function reluFlag({ relu }: { readonly relu?: boolean }): string[] {
  return relu === true ? ['relu'] : [];
}
