/**
 * Whether a graph makes sense before any shape is known: every name made once, and before it is read; parameters of the
 * sizes that kernels take them to have.
 */
import { ruleOf } from '../ops/operation.js';
import { useAllOperations } from '../ops/operations.js';
import { showName } from '../shown.js';
import type { Graph, Node } from './graph.js';

/** @throws RangeError naming the value and who reads or makes it */
export function checkGraph(graph: Graph): void {
  useAllOperations();
  const known = new Set<string>(graph.constants?.keys());
  const make = (name: string, maker: string): void => {
    if (known.has(name)) throw new RangeError(`graph: ${maker} makes ${showName(name)}, which is there already`);
    known.add(name);
  };
  const read = (name: string, reader: string): void => {
    if (!known.has(name))
      throw new RangeError(`graph: ${reader} reads ${showName(name)}, which nothing before it makes`);
  };
  for (const name of graph.inputs) make(name, 'the list of inputs');
  for (const node of graph.nodes) {
    const maker = `${showName(node.layer)}${node.path === '' ? '' : ` (${showName(node.path)})`}`;
    if (node.inputs.length === 0) throw new RangeError(`graph: ${maker} has no inputs`);
    for (const name of node.inputs) read(name, maker);
    make(node.output, maker);
    checkNode(node, maker);
  }
  for (const name of graph.outputs) read(name, 'the list of outputs');
}

function checkNode(node: Node, maker: string): void {
  ruleOf(node).check?.(node, (isRight, name, expected, got) => {
    if (!isRight) throw new RangeError(`graph: ${maker} must have ${name} ${expected}, got ${got}`);
  });
}
