/** Removes nodes and stored values that no output and no update depends on. */
import { type Graph, type GraphNode, readsOf } from '../graph/graph.js';

export function removeDead(graph: Graph): Graph {
  const needed = new Set(graph.outputs);
  const kept: GraphNode[] = [];
  // Backwards: a value's readers come after its producer.
  for (const node of [...graph.nodes].reverse()) {
    if (node.updates === undefined && !node.outputs.some((name) => needed.has(name))) continue;
    for (const name of [...readsOf(node), ...(node.updates ?? [])]) needed.add(name);
    kept.push(node);
  }
  const { values } = graph;
  const keptValues = values && new Map([...values].filter(([name]) => needed.has(name)));
  if (kept.length === graph.nodes.length && keptValues?.size === values?.size) return graph;
  return { ...graph, nodes: kept.reverse(), ...(keptValues && { values: keptValues }) };
}
