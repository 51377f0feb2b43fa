/** How what is fused into a node prints. */
import type { NodeBase } from './node.js';

export function residualFlag({ inputs }: NodeBase): string[] {
  return inputs.length > 1 ? ['residual'] : [];
}

export function reluFlag({ relu }: { readonly relu?: boolean }): string[] {
  return relu === true ? ['relu'] : [];
}
