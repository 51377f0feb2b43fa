/**
 * Removes nodes that copy their input: identities, slices of everything, paddings by nothing. Inputs and outputs of the
 * graph keep their names: a copy that is an output gives its name to the value that it copies, and stays where that one
 * cannot be renamed (an input, a constant, another output).
 */
import { type Graph, type GraphNode, renamed } from '../graph/graph.js';
import type { Pass } from './pass.js';

/** Positions from here on are "to the end" in exporters' files. */
export const LARGE_POSITION = 2 ** 31 - 1;

export const dropIdentities: Pass = (graph) => {
  const names = chooseNames(graph);
  if (names.size === 0) return graph;
  const resolve = (name: string): string => names.get(name) ?? name;
  const nodes: GraphNode[] = [];
  for (const node of graph.nodes) {
    // A copy whose output has the name of its input is the input.
    if (isCopy(node) && resolve(node.outputs[0]) === resolve(node.inputs[0]!)) continue;
    nodes.push(renamed(node, resolve));
  }
  return { ...graph, nodes };
};

/** The new names of the values to rename. */
function chooseNames(graph: Graph): Map<string, string> {
  const outputs = new Set(graph.outputs);
  const fixed = new Set([...graph.inputs, ...graph.outputs, ...(graph.values?.keys() ?? [])]);
  const names = new Map<string, string>();
  // By a value's current name, its earlier ones: they all follow when it is renamed again.
  const copies = new Map<string, string[]>();
  for (const node of graph.nodes) {
    if (!isCopy(node)) continue;
    const [source, output] = [node.inputs[0]!, node.outputs[0]];
    const name = names.get(source) ?? source;
    const others = copies.get(name) ?? [];
    copies.set(name, others);
    if (!outputs.has(output)) {
      names.set(output, name);
      others.push(output);
    } else if (!fixed.has(name)) {
      others.push(name);
      for (const other of others) names.set(other, output);
      copies.set(output, others);
    }
  }
  return names;
}

function isCopy(node: GraphNode): boolean {
  switch (node.op) {
    case 'identity':
      return true;
    case 'slice':
      return node.axes.every((_, i) => node.starts[i] === 0 && node.ends[i]! >= LARGE_POSITION && node.steps[i] === 1);
    case 'pad':
      return node.pads.every((pad) => pad === 0);
    default:
      return false;
  }
}
