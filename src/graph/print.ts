/**
 * Graphs for people to read: tables of plain text, and figures per node.
 *
 *   op      path  inputs  output  weight          window            flags
 *   conv2d  conv  input0  value0  [8, 3, 3, 3]    3x3 pads 1,1,1,1  bias relu
 */

import type { Optional } from '../nodes/node.js';
import { ruleOf } from '../ops/operation.js';
import { showDims } from '../shown.js';
import type { Tensor } from '../tensor.js';
import type { Graph, GraphNode, Window } from './graph.js';
import { useAllOperations } from './operations.js';
import { inferShapes } from './shapes.js';

/**
 * One line per node in the order in which they run, with a line for the inputs before and one for the outputs after.
 */
export function printGraph(graph: Graph): string {
  useAllOperations();
  const rows = graph.nodes.map((node) => [
    node.op,
    node.path,
    partInputs(graph, node).values.join(' '),
    node.outputs.join(' '),
    node.op === 'conv2d' || node.op === 'linear' ? dimsText(graph.values?.get(node.inputs[1])?.tensor.dims) : '',
    'window' in node ? windowText(node.window) : '',
    (ruleOf(node).flags?.(node) ?? []).join(' '),
  ]);
  const inputs = graph.inputs.map((name) => {
    const dims = graph.inputDims?.get(name);
    return dims === undefined ? name : `${name} [${dims.join(', ')}]`;
  });
  const table = layOut([['op', 'path', 'inputs', 'output', 'weight', 'window', 'flags'], ...rows]);
  return [`inputs: ${inputs.join(', ')}`, ...table, `outputs: ${graph.outputs.join(', ')}`].join('\n');
}

export interface NodeSummary {
  readonly op: GraphNode['op'];
  readonly path: string;
  readonly output: string;
  /** Dims of the output. */
  readonly dims: readonly number[];
  /** Numbers that the node holds: weights, biases, BatchNorms with their statistics. */
  readonly parameters: number;
  readonly multiplyAdds: number;
}

export interface GraphSummary {
  readonly nodes: readonly NodeSummary[];
  readonly parameters: number;
  readonly multiplyAdds: number;
}

/**
 * What each node computes and holds, for inputs of these dims, in the order of `graph.inputs`.
 * @throws RangeError when the dims do not fit
 */
export function summarize(graph: Graph, inputDims: readonly (readonly number[])[]): GraphSummary {
  useAllOperations();
  const shapes = inferShapes(graph, inputDims);
  const nodes = graph.nodes.map((node) => {
    const dims = shapes.get(node.outputs[0])!;
    const inputs = node.inputs.map((name) => shapes.get(name!));
    const multiplyAdds = ruleOf(node).multiplyAdds?.(node, dims, inputs) ?? 0;
    const parameters = partInputs(graph, node).parameters.reduce((sum, { size }) => sum + size, 0);
    return { op: node.op, path: node.path, output: node.outputs[0], dims, parameters, multiplyAdds };
  });
  const total = (key: 'parameters' | 'multiplyAdds'): number => nodes.reduce((sum, node) => sum + node[key], 0);
  return { nodes, parameters: total('parameters'), multiplyAdds: total('multiplyAdds') };
}

/** Aligns the columns, two blanks apart; empty ones are left out. */
export function layOut(rows: readonly (readonly string[])[]): string[] {
  const [titles = [], ...others] = rows;
  const shown = titles.map((_, i) => i).filter((i) => others.some((row) => row[i] !== ''));
  const widths = shown.map((i) => rows.reduce((width, row) => Math.max(width, row[i]!.length), 0));
  return rows.map((row) =>
    shown
      .map((i, at) => row[i]!.padEnd(widths[at]!))
      .join('  ')
      .trimEnd(),
  );
}

function dimsText(dims: readonly number[] | undefined): string {
  return dims === undefined ? '' : showDims(dims);
}

function windowText({ kernel, stride, dilation, pads }: Window): string {
  const parts = [kernel.join('x')];
  if (stride.some((step) => step !== 1)) parts.push(`stride ${stride.join('x')}`);
  if (dilation.some((step) => step !== 1)) parts.push(`dilation ${dilation.join('x')}`);
  if (pads.some((pad) => pad !== 0)) parts.push(`pads ${pads.join(',')}`);
  return parts.join(' ');
}

/** Parts what a node reads into values and the tensors of its parameters. */
function partInputs(graph: Graph, node: GraphNode): { values: string[]; parameters: Tensor[] } {
  const rules = ruleOf(node).inputs?.(node);
  const isParameter = (i: number): boolean => rules?.[i]?.as !== undefined;
  const given: readonly Optional[] = node.inputs;
  const parameters = given.flatMap((name, i) => (isParameter(i) ? (graph.values?.get(name!)?.tensor ?? []) : []));
  return { values: given.filter((name, i) => name !== undefined && !isParameter(i)) as string[], parameters };
}
