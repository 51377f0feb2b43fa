/**
 * Fusion, Graph to Graph: a BatchNorm in evaluation mode goes into the convolution before it, an addition and a ReLU
 * into the node before them; convolutions of one image that are added become one node. A value that is read elsewhere
 * is left alone.
 */

import {
  addendOf,
  type BatchNormNode,
  type Conv2dNode,
  countUses,
  type Graph,
  type GraphNode,
  type ParallelKernel,
  type WeightedNode,
  type Window,
} from '../graph/graph.js';
import type { Folded } from '../merge/affine.js';
import { normOf } from './affine.js';
import { PassValues } from './pass.js';

/** A graph whose weights and biases may be computed from others while they are packed. */
export interface FusedGraph extends Graph {
  readonly folded: ReadonlyMap<string, Folded>;
}

interface Rule {
  /** Whether a node is of the kind that its producer may absorb. */
  readonly of: (consumer: GraphNode) => boolean;
  /** The producer after absorbing; undefined if it must not. */
  readonly absorb: (producer: GraphNode, consumer: GraphNode, values: FusedValues) => GraphNode | undefined;
}

/** @param addsSameDims whether both inputs of an addition have the same dims; one that broadcasts is left alone */
export function fuse(graph: Graph, addsSameDims: (add: GraphNode) => boolean): FusedGraph {
  const values = new FusedValues(graph);
  const rules: Rule[] = [
    { of: ({ op }) => op === 'batchNorm', absorb: absorbBatchNorm },
    { of: (node) => node.op === 'add' && addsSameDims(node), absorb: absorbAdd },
    { of: ({ op }) => op === 'conv2d', absorb: absorbParallel },
    { of: isRelu, absorb: absorbRelu },
  ];
  const fused = rules.reduce((current, rule) => applyRule(current, rule, values), graph);
  return { ...fused, folded: values.folded };
}

/** Stored values, and those that are folded from them. */
class FusedValues {
  readonly folded = new Map<string, Folded>();
  readonly #stored: Graph['values'];
  readonly #names: PassValues;

  constructor(graph: Graph) {
    this.#stored = graph.values;
    this.#names = new PassValues(graph);
  }

  /** Whether all of these are there before a run; left-out ones count as such. */
  areStored(names: readonly (string | undefined)[]): boolean {
    return names.every((name) => name === undefined || this.#stored?.has(name) || this.folded.has(name));
  }

  fold(base: string, folded: Folded): string {
    const name = this.#names.newName(base);
    this.folded.set(name, folded);
    return name;
  }
}

function applyRule(graph: Graph, rule: Rule, values: FusedValues): Graph {
  if (!graph.nodes.some(rule.of)) return graph;
  const uses = countUses(graph);
  const position = new Map(graph.nodes.map((node, i) => [node.outputs[0], i]));
  const nodes: (GraphNode | undefined)[] = [...graph.nodes];
  graph.nodes.forEach((consumer, at) => {
    if (!rule.of(consumer)) return;
    // The latest producer first: it runs when all other inputs are there.
    const candidates = consumer.inputs
      .map((name) => position.get(name!) ?? -1)
      .filter((i) => i >= 0)
      .sort((a, b) => b - a);
    for (const i of candidates) {
      const producer = nodes[i];
      if (producer === undefined || uses.get(producer.outputs[0]) !== 1) continue;
      const fused = rule.absorb(producer, consumer, values);
      if (fused === undefined) continue;
      nodes[i] = undefined;
      nodes[at] = fused;
      return;
    }
  });
  return { ...graph, nodes: nodes.filter((node) => node !== undefined) };
}

const absorbBatchNorm: Rule['absorb'] = (producer, norm, values) => {
  if (producer.op !== 'conv2d' || norm.op !== 'batchNorm' || norm.momentum !== undefined) return undefined;
  const [image, weight, bias] = producer.inputs;
  const [source, ...parameters] = norm.inputs;
  if (source !== producer.outputs[0] || !isOpen(producer)) return undefined;
  if (!values.areStored([weight, bias, ...parameters.slice(0, 4)]) || values.folded.has(weight)) return undefined;
  const [owner] = norm.outputs;
  const folded = [
    values.fold(`${owner}.weight`, { from: weight, norm: normOf(norm) }),
    values.fold(`${owner}.bias`, { from: bias, norm: normOf(norm) }),
  ] as const;
  return { ...producer, inputs: [image, ...folded, addendOf(norm)], outputs: norm.outputs, ...reluOf(norm) };
};

const absorbAdd: Rule['absorb'] = (producer, add) => {
  if (add.op !== 'add') return undefined;
  if (producer.op !== 'conv2d' && producer.op !== 'batchNorm' && producer.op !== 'linear') return undefined;
  const others = add.inputs.filter((name) => name !== producer.outputs[0]);
  if (others.length !== 1 || !isOpen(producer)) return undefined;
  const { outputs } = add;
  if (producer.op === 'batchNorm') {
    const [image, gamma, beta, mean, variance] = producer.inputs;
    return { ...producer, inputs: [image, gamma, beta, mean, variance, others[0]], outputs, ...reluOf(add) };
  }
  const [image, weight, bias] = producer.inputs;
  return { ...producer, inputs: [image, weight, bias, others[0]], outputs, ...reluOf(add) };
};

/** Whether nothing has yet been fused behind what the node itself computes. */
export function isOpen(node: WeightedNode | BatchNormNode): boolean {
  const hasMore = node.op === 'conv2d' && node.parallel !== undefined;
  return addendOf(node) === undefined && node.relu !== true && !hasMore;
}

function reluOf({ relu }: { readonly relu?: boolean }): { relu?: true } {
  return relu === true ? { relu } : {};
}

/** Two convolutions of the same image, the second of which adds the first: the larger one absorbs the other. */
const absorbParallel: Rule['absorb'] = (first, last, values) => {
  if (first.op !== 'conv2d' || last.op !== 'conv2d' || last.parallel !== undefined) return undefined;
  const [image, weight, bias, addend, ...more] = first.inputs;
  const [lastImage, lastWeight, lastBias, lastAddend] = last.inputs;
  if (lastImage !== image || lastAddend !== first.outputs[0] || first.relu === true) return undefined;
  if (first.groups !== last.groups || first.paddingMode !== last.paddingMode) return undefined;
  if (!values.areStored([weight, bias, lastWeight, lastBias])) return undefined;
  const { parallel = [], outputs: _, ...alone } = first;
  const common = { outputs: last.outputs, ...reluOf(last) };
  if (liesWithin(last.window, first.window)) {
    const inputs = [image, weight, bias, addend, ...more, lastWeight, lastBias] as const;
    return { ...alone, ...common, inputs, parallel: [...parallel, kernelOf(last)] };
  }
  const all = [kernelOf(first), ...parallel];
  if (!all.every(({ window }) => liesWithin(window, last.window))) return undefined;
  return { ...last, inputs: [image, lastWeight, lastBias, addend, weight, bias, ...more], parallel: all };
};

function kernelOf({ window, algorithm }: Conv2dNode): ParallelKernel {
  return { window, algorithm };
}

/** Whether every tap of `a` sees what some tap of `b` sees. */
function liesWithin(a: Window, b: Window): boolean {
  return [0, 1].every((axis) => {
    const first = b.pads[axis]! - a.pads[axis]!;
    const last = first + (a.kernel[axis]! - 1) * a.dilation[axis]!;
    const isSameGrid = a.stride[axis] === b.stride[axis] && a.dilation[axis] === b.dilation[axis];
    return (
      isSameGrid && first % b.dilation[axis]! === 0 && first >= 0 && last <= (b.kernel[axis]! - 1) * b.dilation[axis]!
    );
  });
}

const absorbRelu: Rule['absorb'] = (producer, { outputs }) => {
  switch (producer.op) {
    case 'conv2d':
    case 'batchNorm':
    case 'linear':
    case 'add':
    case 'sub':
    case 'mul':
    case 'div':
      return { ...producer, relu: true, outputs };
    default:
      return undefined;
  }
};

function isRelu(node: GraphNode): boolean {
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
