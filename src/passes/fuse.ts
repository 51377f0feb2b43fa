/**
 * Fusion, Graph to Graph: a BatchNorm in evaluation mode goes into the convolution before it, an addition and a ReLU
 * into the node before them; convolutions of one image that are added become one node. A value that is read elsewhere is
 * left alone.
 */
import {
  type BatchNormNode,
  type Conv2dNode,
  countUses,
  type Graph,
  type LinearNode,
  type Node,
} from '../graph/graph.js';

interface Rule {
  /** Whether a node is of the kind that its producer may absorb. */
  readonly of: (consumer: Node) => boolean;
  /** The producer as it then is; undefined where it may not. */
  readonly absorb: (producer: Node, consumer: Node) => Node | undefined;
}

/** @param addsSameDims whether both inputs of an addition have the same dims; one that broadcasts is left alone */
export function fuse(graph: Graph, addsSameDims: (add: Node) => boolean): Graph {
  const rules: Rule[] = [
    { of: ({ op }) => op === 'batchNorm', absorb: absorbBatchNorm },
    { of: (node) => node.op === 'add' && addsSameDims(node), absorb: absorbAdd },
    { of: ({ op }) => op === 'conv2d', absorb: absorbParallel },
    { of: isRelu, absorb: absorbRelu },
  ];
  return rules.reduce(applyRule, graph);
}

function applyRule(graph: Graph, rule: Rule): Graph {
  if (!graph.nodes.some(rule.of)) return graph;
  const uses = countUses(graph);
  const position = new Map(graph.nodes.map((node, i) => [node.output, i]));
  const nodes: (Node | undefined)[] = [...graph.nodes];
  graph.nodes.forEach((consumer, at) => {
    if (!rule.of(consumer)) return;
    // The latest producer first: it runs when all other inputs are there.
    const candidates = consumer.inputs
      .map((name) => position.get(name) ?? -1)
      .filter((i) => i >= 0)
      .sort((a, b) => b - a);
    for (const i of candidates) {
      const producer = nodes[i];
      if (producer === undefined || uses.get(producer.output) !== 1) continue;
      const fused = rule.absorb(producer, consumer);
      if (fused === undefined) continue;
      nodes[i] = undefined;
      nodes[at] = fused;
      return;
    }
  });
  return { ...graph, nodes: nodes.filter((node) => node !== undefined) };
}

const absorbBatchNorm: Rule['absorb'] = (producer, consumer) => {
  if (producer.op !== 'conv2d' || consumer.op !== 'batchNorm' || consumer.momentum !== undefined) return undefined;
  if (producer.norm !== undefined || !isOpen(producer)) return undefined;
  const inputs = [producer.inputs[0]!, ...consumer.inputs.slice(1)];
  return {
    ...producer,
    norm: consumer.norm,
    inputs,
    output: consumer.output,
    ...reluOf(consumer),
  } satisfies Conv2dNode;
};

const absorbAdd: Rule['absorb'] = (producer, consumer) => {
  if (consumer.op !== 'add') return undefined;
  if (producer.op !== 'conv2d' && producer.op !== 'batchNorm' && producer.op !== 'linear') return undefined;
  const residual = consumer.inputs.filter((name) => name !== producer.output);
  if (residual.length !== 1 || !isOpen(producer)) return undefined;
  return { ...producer, inputs: [producer.inputs[0]!, residual[0]!], output: consumer.output, ...reluOf(consumer) };
};

/** Whether nothing is done yet to what the node itself computes. */
export function isOpen(node: Conv2dNode | BatchNormNode | LinearNode): boolean {
  const hasMore = node.op === 'conv2d' && node.parallel !== undefined;
  return node.inputs.length === 1 && node.relu !== true && !hasMore;
}

function reluOf({ relu }: { readonly relu?: boolean }): { relu?: true } {
  return relu === true ? { relu } : {};
}

/** Two convolutions of the same image, the second of which adds the first: the larger one takes the other in. */
const absorbParallel: Rule['absorb'] = (producer, consumer) => {
  if (producer.op !== 'conv2d' || consumer.op !== 'conv2d' || consumer.parallel !== undefined) return undefined;
  if (consumer.inputs[0] !== producer.inputs[0] || consumer.inputs[1] !== producer.output) return undefined;
  if (producer.relu === true) return undefined;
  const { parallel = [], ...first } = producer;
  const { relu, ...last } = consumer;
  const common = { inputs: producer.inputs, output: consumer.output, ...reluOf(consumer) };
  if (liesWithin(last, first)) return { ...first, ...common, parallel: [...parallel, last] };
  const all = [first, ...parallel];
  if (all.every((part) => liesWithin(part, last))) return { ...last, ...common, parallel: all };
  return undefined;
};

/** Whether all taps of a convolution see what taps of another one see. */
function liesWithin(inner: Conv2dNode, outer: Conv2dNode): boolean {
  if (inner.groups !== outer.groups || inner.paddingMode !== outer.paddingMode) return false;
  return [0, 1].every((axis) => {
    const [a, b] = [inner.window, outer.window];
    const first = b.pads[axis]! - a.pads[axis]!;
    const last = first + (a.kernel[axis]! - 1) * a.dilation[axis]!;
    const isSameGrid = a.stride[axis] === b.stride[axis] && a.dilation[axis] === b.dilation[axis];
    return (
      isSameGrid && first % b.dilation[axis]! === 0 && first >= 0 && last <= (b.kernel[axis]! - 1) * b.dilation[axis]!
    );
  });
}

const absorbRelu: Rule['absorb'] = (producer, consumer) => {
  switch (producer.op) {
    case 'conv2d':
    case 'batchNorm':
    case 'linear':
    case 'add':
    case 'sub':
    case 'mul':
    case 'div':
      return { ...producer, relu: true, output: consumer.output };
    default:
      return undefined;
  }
};

function isRelu(node: Node): boolean {
  switch (node.op) {
    case 'relu':
      return true;
    case 'leakyRelu':
      return node.alpha === 0;
    case 'clip':
      return node.alpha === 0 && node.beta === Number.POSITIVE_INFINITY;
    default:
      return false;
  }
}
