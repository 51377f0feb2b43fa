/**
 * Whether a graph makes sense before any shape is known: every name made once, and before it is read; stored values of
 * the sizes that kernels take them to have.
 */

import type { InputRule } from '../nodes/node.js';
import { type Expect, ruleOf } from '../ops/operation.js';
import { showName } from '../shown.js';
import type { Graph, GraphNode } from './graph.js';
import { useAllOperations } from './operations.js';

type Values = NonNullable<Graph['values']>;

/** @throws RangeError naming the value and the node that reads or makes it */
export function checkGraph(graph: Graph): void {
  useAllOperations();
  const values: Values = graph.values ?? new Map();
  const known = new Set<string>(values.keys());
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
    for (const name of node.inputs) if (name !== undefined) read(name, maker);
    for (const name of node.updates ?? []) checkUpdate(name, values, maker);
    for (const name of node.outputs) make(name, maker);
    checkNode(node, values, maker);
  }
  for (const name of graph.outputs) read(name, 'the list of outputs');
}

function checkNode(node: GraphNode, values: Values, maker: string): void {
  const rule = ruleOf(node);
  const inputs = rule.inputs?.(node) ?? node.inputs.map((): InputRule => ({}));
  inputs.forEach(({ name = 'input', isOptional }, i) => {
    if (node.inputs[i] !== undefined || isOptional) return;
    throw new RangeError(`graph: ${maker} must have a value for its ${name}, got undefined`);
  });
  const expect: Expect = (isRight, name, expected, got) => {
    if (!isRight) throw new RangeError(`graph: ${maker} must have ${name} ${expected}, got ${got}`);
  };
  rule.check?.(node, expect, (name) => values.get(name!)?.tensor);
}

function checkUpdate(name: string, values: Values, maker: string): void {
  const role = values.get(name)?.role;
  if (role === 'trainable' || role === 'statistic') return;
  const expected = 'a stored value that is trainable or a statistic';
  throw new RangeError(`graph: ${maker} updates ${showName(name)}, which must be ${expected}, got ${role ?? 'none'}`);
}
