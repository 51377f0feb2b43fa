/**
 * A pass behind differentiation: convolutions that have a kernel of one row or column, and sums of convolutions with such
 * among them, become `conv2dSum`. What asks for more than a plain convolution stays.
 */
import { countUses, type Graph, type GraphNode } from '../../graph/graph.js';
import type { Conv2dNode } from '../../nodes/conv.js';
import type { Optional } from '../../nodes/node.js';
import { type OperationRule, useOperation } from '../../ops/operation.js';
import { isLine } from '../lineConvolution.js';
import { type Conv2dSumNode, conv2dSum } from '../ops/conv2dSum.js';

type Node = GraphNode | Conv2dSumNode;

/** @param given nodes that were there before differentiation, whose additions may be of other dims */
export function sumConvolutions(graph: Graph, given: number): Graph {
  useOperation('conv2dSum', conv2dSum as OperationRule);
  const uses = countUses(graph);
  const nodes = new Map<string, Node>();
  graph.nodes.forEach((node, i) => {
    const [output] = node.outputs;
    if (node.op === 'conv2d') nodes.set(output, plainSum(node) ?? node);
    else if (node.op === 'add' && i >= given) {
      const sums = node.inputs.map((name) => (uses.get(name!) === 1 ? asSum(nodes.get(name!)) : undefined));
      const sum = join(node.inputs as readonly string[], sums);
      if (sum !== undefined) for (const taken of sums) nodes.delete(taken?.outputs[0] ?? '');
      nodes.set(output, sum === undefined ? node : { ...sum, outputs: node.outputs });
    } else nodes.set(output, node);
  });
  // The executor goes by rules.
  return { ...graph, nodes: [...nodes.values()].map(simplest) as GraphNode[] };
}

function asSum(node: Node | undefined): Conv2dSumNode | undefined {
  return node?.op === 'conv2dSum' ? (node as Conv2dSumNode) : undefined;
}

/** The sum of two values, one of which at least is a sum; undefined where both have an addend. */
function join(names: readonly string[], sums: readonly (Conv2dSumNode | undefined)[]): Conv2dSumNode | undefined {
  const one = sums.find((sum) => sum !== undefined);
  if (one === undefined) return undefined;
  const addends = names.flatMap((name, i) => {
    const sum = sums[i];
    return sum === undefined ? name : (sum.inputs[0] ?? []);
  });
  if (addends.length > 1) return undefined;
  const inputs = sums.flatMap((sum) => sum?.inputs.slice(1) ?? []) as string[];
  return { ...one, inputs: [addends[0], ...inputs], parts: sums.flatMap((sum) => sum?.parts ?? []) };
}

/** undefined: more than a plain convolution. */
function plainSum({ path, layer, inputs, outputs, ...node }: Conv2dNode): Conv2dSumNode | undefined {
  const [image, weight, ...more] = inputs;
  const isPlain = more.every((name) => name === undefined) && node.groups === 1 && node.paddingMode === 'zeros';
  if (!isPlain || node.parallel !== undefined) return undefined;
  const { window, algorithm, precise } = node;
  const part = { window, algorithm, ...(precise !== undefined && { precise }) };
  return { op: 'conv2dSum', path, layer, inputs: [undefined, image, weight], outputs, parts: [part] };
}

/** A single convolution that has no better algorithm here is one as it was. */
function simplest(node: Node): Node {
  if (node.op !== 'conv2dSum') return node;
  const { parts, inputs, op: _, ...rest } = node as Conv2dSumNode;
  const [part, ...others] = parts;
  if (others.length > 0 || isLine(part!.window)) return node;
  const [addend, image, weight] = inputs as [Optional, string, string];
  return {
    ...rest,
    op: 'conv2d',
    inputs: [image, weight, undefined, addend],
    paddingMode: 'zeros',
    groups: 1,
    ...part!,
  };
}
