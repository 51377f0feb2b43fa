/** Removes nodes and constants that no output depends on. A BatchNorm that moves its running statistics stays. */
import { type Graph, type Node, readsOf } from '../graph/graph.js';

export function removeDead(graph: Graph): Graph {
  const needed = new Set(graph.outputs);
  const kept: Node[] = [];
  // Backwards: whoever reads a value stands behind its producer.
  for (const node of [...graph.nodes].reverse()) {
    const hasEffect = node.op === 'batchNorm' && node.momentum !== undefined;
    if (!needed.has(node.output) && !hasEffect) continue;
    for (const name of readsOf(node)) needed.add(name);
    kept.push(node);
  }
  const constants = graph.constants ?? new Map();
  const usedConstants = [...constants].filter(([name]) => needed.has(name));
  if (kept.length === graph.nodes.length && usedConstants.length === constants.size) return graph;
  return {
    ...graph,
    nodes: kept.reverse(),
    ...(graph.constants !== undefined && { constants: new Map(usedConstants) }),
  };
}
