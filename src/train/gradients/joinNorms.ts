/**
 * A pass for graphs that are to be differentiated: BatchNorms become sums of BatchNorms (train/ops/normSum.ts), each of one
 * branch, and take in what follows: sums of both, an addend or a max pool, a ReLU. What the BatchNorms of a block give is
 * then never written, and their gradients are made at once. A value that something else reads stays.
 */
import { type BatchNormNode, type BinaryNode, countUses, type Graph, type GraphNode } from '../../graph/graph.js';
import type { Dims } from '../../nodes/dims.js';
import type { NodeBase } from '../../nodes/node.js';
import { type OperationRule, useOperation } from '../../ops/operation.js';
import type { PoolNode } from '../../ops/pool.js';
import { PassValues } from '../../passes/pass.js';
import { sameDims } from '../../sizes.js';
import { type NormSumNode, normSum } from '../ops/normSum.js';
import { canBePooled } from '../ops/poolWindows.js';

/** @param shapes dims of all values */
export function joinNorms(graph: Graph, shapes: ReadonlyMap<string, Dims>): Graph {
  if (!graph.nodes.some(({ op }) => op === 'batchNorm')) return graph;
  useOperation('normSum', normSum as OperationRule);
  const joiner = new Joiner(graph, shapes);
  for (const node of graph.nodes) joiner.visit(node);
  // The executor and differentiation go by rules.
  return { ...graph, nodes: joiner.nodes as readonly NodeBase[] as readonly GraphNode[] };
}

class Joiner {
  readonly #shapes: ReadonlyMap<string, Dims>;
  readonly #names: PassValues;
  readonly #uses: ReadonlyMap<string, number>;
  /** In order, by their first output. */
  readonly #nodes = new Map<string, NodeBase>();
  /** Those of the nodes that a node which reads them may take in. */
  readonly #open = new Map<string, NormSumNode>();

  constructor(graph: Graph, shapes: ReadonlyMap<string, Dims>) {
    this.#shapes = shapes;
    this.#names = new PassValues(graph);
    this.#uses = countUses(graph);
  }

  get nodes(): readonly NodeBase[] {
    return [...this.#nodes.values()];
  }

  visit(node: GraphNode): void {
    const sum = this.#sumOf(node);
    const [output] = node.outputs;
    this.#nodes.set(output, sum ?? node);
    if (sum !== undefined && this.#uses.get(output) === 1) this.#open.set(output, sum);
  }

  #sumOf(node: GraphNode): NormSumNode | undefined {
    switch (node.op) {
      case 'batchNorm':
        return this.#fromNorm(node);
      case 'add':
        return this.#fromAdd(node);
      case 'maxPool2d':
        return this.#fromPool(node);
      case 'relu': {
        const sum = this.#open.get(node.inputs[0]!);
        return sum && this.#takeIn([sum], { ...sum, low: 0 }, node);
      }
      default:
        return undefined;
    }
  }

  #fromNorm({ path, layer, inputs, outputs, eps, momentum, updates }: BatchNormNode): NormSumNode {
    return {
      op: 'normSum',
      path,
      layer,
      inputs: [undefined, ...inputs.slice(0, 5)],
      outputs: [outputs[0], this.#names.newName(`${outputs[0]}.statistics`)],
      branches: [{ eps, momentum }],
      low: Number.NEGATIVE_INFINITY,
      ...(updates && { updates }),
    };
  }

  #fromAdd(node: BinaryNode): NormSumNode | undefined {
    const [a, b] = node.inputs as [string, string];
    if (!sameDims(this.#shapes.get(a)!, this.#shapes.get(b)!)) return undefined;
    const [left, right] = [a, b].map((name) => {
      const sum = this.#open.get(name);
      return sum?.pool === undefined && sum?.low !== 0 ? sum : undefined;
    });
    if (left !== undefined && right !== undefined) {
      const [addend, other] = [left.inputs[0], right.inputs[0]];
      if (addend === undefined || other === undefined) return this.#takeIn([left, right], joined(left, right), node);
    }
    const sum = [left, right].find((one) => one !== undefined && one.inputs[0] === undefined);
    if (sum === undefined) return undefined;
    const [, ...inputs] = sum.inputs;
    return this.#takeIn([sum], { ...sum, inputs: [sum === left ? b : a, ...inputs] }, node);
  }

  #fromPool(node: PoolNode): NormSumNode | undefined {
    const [image] = node.inputs as [string];
    const sum = this.#open.get(image);
    if (sum === undefined || sum.pool !== undefined || sum.inputs[0] !== undefined) return undefined;
    if (!canBePooled(node, this.#shapes.get(image)!)) return undefined;
    const places = this.#names.newName(`${node.outputs[0]}.places`);
    return this.#takeIn([sum], { ...sum, pool: node, outputs: [sum.outputs[0], sum.outputs[1], places] }, node);
  }

  /** What comes of those is where the node that reads them was: by then an addend is there. */
  #takeIn(sums: readonly NormSumNode[], sum: NormSumNode, { outputs }: GraphNode): NormSumNode {
    for (const {
      outputs: [gone],
    } of sums) {
      this.#nodes.delete(gone);
      this.#open.delete(gone);
    }
    const [, ...others] = sum.outputs;
    return { ...sum, outputs: [outputs[0], ...others] };
  }
}

function joined(left: NormSumNode, right: NormSumNode): NormSumNode {
  const [addend, ...inputs] = left.inputs;
  const [other, ...more] = right.inputs;
  const updates = [...(left.updates ?? []), ...(right.updates ?? [])];
  return {
    ...left,
    inputs: [addend ?? other, ...inputs, ...more],
    branches: [...left.branches, ...right.branches],
    ...(updates.length > 0 && { updates }),
  };
}
