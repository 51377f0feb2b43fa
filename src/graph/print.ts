/**
 * Graphs for people: tables of plain text, and figures per node.
 *
 *   op      path  inputs  output  weight          window            flags
 *   conv2d  conv  input0  value0  [8, 3, 3, 3]    3x3 pads 1,1,1,1  bias relu
 */
import { sizeOf } from '../sizes.js';
import type { Tensor } from '../tensor.js';
import { format } from '../tensor.js';
import type { Graph, Node, Norm, Window } from './graph.js';
import { inferShapes } from './shapes.js';

/** One line per node, in the order in which they run; a line for the inputs before and one for the outputs after them. */
export function printGraph(graph: Graph): string {
  const rows = graph.nodes.map((node) => [
    node.op,
    node.path,
    node.inputs.join(' '),
    node.output,
    'weight' in node ? format(node.weight.dims) : '',
    'window' in node ? windowText(node.window) : '',
    flagsOf(node).join(' '),
  ]);
  const inputs = graph.inputs.map((name) => {
    const dims = graph.inputDims?.get(name);
    return dims === undefined ? name : `${name} [${dims.join(', ')}]`;
  });
  const table = layOut([['op', 'path', 'inputs', 'output', 'weight', 'window', 'flags'], ...rows]);
  return [`inputs: ${inputs.join(', ')}`, ...table, `outputs: ${graph.outputs.join(', ')}`].join('\n');
}

export interface NodeSummary {
  readonly op: Node['op'];
  readonly path: string;
  readonly output: string;
  /** Of the output. */
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
  const shapes = inferShapes(graph, inputDims);
  const nodes = graph.nodes.map((node) => {
    const dims = shapes.get(node.output)!;
    const multiplyAdds = countMultiplyAdds(node, dims, shapes.get(node.inputs[0]!));
    return { op: node.op, path: node.path, output: node.output, dims, parameters: countParameters(node), multiplyAdds };
  });
  const total = (key: 'parameters' | 'multiplyAdds'): number => nodes.reduce((sum, node) => sum + node[key], 0);
  return { nodes, parameters: total('parameters'), multiplyAdds: total('multiplyAdds') };
}

/** Columns as wide as their widest cell, without those that are empty; two blanks between them. */
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

function windowText({ kernel, stride, dilation, pads }: Window): string {
  const parts = [kernel.join('x')];
  if (stride.some((step) => step !== 1)) parts.push(`stride ${stride.join('x')}`);
  if (dilation.some((step) => step !== 1)) parts.push(`dilation ${dilation.join('x')}`);
  if (pads.some((pad) => pad !== 0)) parts.push(`pads ${pads.join(',')}`);
  return parts.join(' ');
}

/** What else makes the node what it is. */
function flagsOf(node: Node): string[] {
  const flags: string[] = [];
  if ('groups' in node && node.groups !== 1) flags.push(`groups ${node.groups}`);
  if ('paddingMode' in node && node.paddingMode !== 'zeros') flags.push(node.paddingMode);
  if ('bias' in node && node.bias !== undefined) flags.push('bias');
  if (node.op === 'conv2d' && node.norm !== undefined) flags.push('norm');
  if (node.op === 'conv2d' && node.parallel !== undefined) flags.push(`parallel ${node.parallel.length}`);
  if (isWeighted(node) && node.inputs.length > 1) flags.push('residual');
  if (node.op === 'batchNorm' && node.momentum !== undefined) flags.push('batch statistics');
  if ('relu' in node && node.relu === true) flags.push('relu');
  flags.push(...attributesOf(node));
  return flags;
}

function attributesOf(node: Node): string[] {
  switch (node.op) {
    case 'leakyRelu':
    case 'clip':
    case 'hardSigmoid':
      return [`alpha ${node.alpha}`, ...(node.beta === undefined ? [] : [`beta ${node.beta}`])];
    case 'maxPool2d':
    case 'avgPool2d':
      return [...(node.ceilMode ? ['ceil'] : []), ...(node.countIncludePad ? ['counts pads'] : [])];
    case 'softmax':
    case 'logSoftmax':
    case 'concat':
    case 'flatten':
      return [`axis ${node.axis}`];
    case 'reshape':
      return [
        `to ${node.target.map((size) => (typeof size === 'number' ? size : `${size.value}.${size.axis}`)).join(',')}`,
      ];
    case 'squeeze':
    case 'unsqueeze':
      return node.axes === undefined ? [] : [`axes ${node.axes.join(',')}`];
    case 'transpose':
      return node.permutation === undefined ? [] : [`to ${node.permutation.join(',')}`];
    case 'slice':
      return node.axes.map((axis, i) => `${axis}[${node.starts[i]}:${node.ends[i]}:${node.steps[i]}]`);
    case 'pad':
      return [`${node.mode} ${node.pads.join(',')}`, ...(node.value === 0 ? [] : [`value ${node.value}`])];
    case 'reduceMean':
      return [
        ...(node.axes === undefined ? [] : [`axes ${node.axes.join(',')}`]),
        ...(node.keepDims ? ['keeps dims'] : []),
      ];
    default:
      return [];
  }
}

function isWeighted(node: Node): boolean {
  return node.op === 'conv2d' || node.op === 'linear' || node.op === 'batchNorm';
}

function countParameters(node: Node): number {
  const count = (...tensors: (Tensor | undefined)[]): number => tensors.reduce((sum, one) => sum + (one?.size ?? 0), 0);
  const ofNorm = (norm: Norm | undefined): number =>
    norm === undefined ? 0 : count(norm.gamma, norm.beta, norm.mean, norm.variance);
  switch (node.op) {
    case 'conv2d':
      return (node.parallel ?? []).reduce(
        (sum, part) => sum + countParameters(part),
        count(node.weight, node.bias) + ofNorm(node.norm),
      );
    case 'linear':
      return count(node.weight, node.bias);
    case 'batchNorm':
      return ofNorm(node.norm);
    default:
      return 0;
  }
}

/** Of convolutions and matrix products, which is what networks spend their time on. */
export function countMultiplyAdds(node: Node, dims: readonly number[], input: readonly number[] | undefined): number {
  const size = sizeOf(dims);
  switch (node.op) {
    case 'conv2d':
      return [node, ...(node.parallel ?? [])].reduce(
        (sum, part) => sum + size * (part.weight.size / part.weight.dims[0]!),
        0,
      );
    case 'linear':
      return size * node.weight.dims[1]!;
    case 'matMul':
      return size * (input?.at(-1) ?? 0);
    default:
      return 0;
  }
}
