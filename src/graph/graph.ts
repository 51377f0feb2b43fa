/**
 * The Graph: what is computed. Plain data, no memory, no kernels. Nodes stand in an order in which they can run; values
 * have names; parameters are Tensors in the node that uses them. The types of nodes are in src/ops, each beside the rule
 * of its operation.
 */
import type { BatchNormNode } from '../ops/batchNorm.js';
import type { BinaryNode } from '../ops/binary.js';
import type { ConcatNode } from '../ops/concat.js';
import type { Conv2dNode, LinearNode } from '../ops/conv/node.js';
import type { DimOf } from '../ops/dims.js';
import type { FlattenNode } from '../ops/flatten.js';
import type { GlobalPoolNode } from '../ops/globalPool.js';
import type { IdentityNode } from '../ops/identity.js';
import type { MatMulNode } from '../ops/matMul.js';
import type { NodeBase, Norm, PaddingMode, Pads, Pair, Window } from '../ops/node.js';
import { type OperationRule, useOperation } from '../ops/operation.js';
import type { PadNode } from '../ops/pad.js';
import type { PoolNode } from '../ops/pool.js';
import type { ReduceNode } from '../ops/reduceMean.js';
import type { ReshapeNode } from '../ops/reshape.js';
import type { SliceNode } from '../ops/slice.js';
import type { SoftmaxNode } from '../ops/softmax.js';
import type { SqueezeNode } from '../ops/squeeze.js';
import type { TransposeNode } from '../ops/transpose.js';
import type { UnaryNode } from '../ops/unary.js';
import type { Tensor } from '../tensor.js';

export type {
  BatchNormNode,
  BinaryNode,
  Conv2dNode,
  DimOf,
  GlobalPoolNode,
  LinearNode,
  Norm,
  PaddingMode,
  PadNode,
  Pads,
  Pair,
  PoolNode,
  ReduceNode,
  ReshapeNode,
  SliceNode,
  SqueezeNode,
  TransposeNode,
  UnaryNode,
  Window,
};

export interface Graph {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly Node[];
  /** Values that are known beforehand; nodes read them by name like any other. */
  readonly constants?: ReadonlyMap<string, Tensor>;
  /** What is known of the shapes of inputs: a name where an axis may have any size. */
  readonly inputDims?: ReadonlyMap<string, readonly (number | string)[]>;
  /** What a file says about itself, such as the names of its classes; it changes nothing of what is computed. */
  readonly metadata?: ReadonlyMap<string, string>;
}

export type Node =
  | Conv2dNode
  | BatchNormNode
  | LinearNode
  | BinaryNode
  | UnaryNode
  | PoolNode
  | GlobalPoolNode
  | AxisNode
  | ReshapeNode
  | SqueezeNode
  | TransposeNode
  | SliceNode
  | PadNode
  | ReduceNode
  | SimpleNode;

/** Operations along one axis. */
export type AxisNode = SoftmaxNode | ConcatNode | FlattenNode;
export type SimpleNode = IdentityNode | MatMulNode;

type WithoutOutput<T> = T extends NodeBase ? Omit<T, 'output'> : never;

/** Collects the nodes of layers that describe themselves. */
export class GraphBuilder {
  readonly #nodes: Node[] = [];

  /** Adds a node, and brings the rule of its operation; returns the name of its output. */
  add<N extends Node>(node: WithoutOutput<N>, rule: OperationRule<N>): string {
    useOperation(node.op, rule as OperationRule);
    const output = `value${this.#nodes.length}`;
    this.#nodes.push({ ...node, output } as unknown as Node);
    return output;
  }

  finish(inputs: readonly string[], outputs: readonly string[]): Graph {
    return { inputs, outputs, nodes: this.#nodes };
  }
}

/** Names of all values that a node reads, also of those whose size alone it asks for. */
export function readsOf(node: Node): readonly string[] {
  if (node.op !== 'reshape') return node.inputs;
  return [...node.inputs, ...node.target.flatMap((size) => (typeof size === 'object' ? [size.value] : []))];
}

/** How often each value is read; a graph's outputs count as read once more. */
export function countUses(graph: Graph): Map<string, number> {
  const uses = new Map<string, number>();
  const count = (names: readonly string[]): void => {
    for (const name of names) uses.set(name, (uses.get(name) ?? 0) + 1);
  };
  for (const node of graph.nodes) count(readsOf(node));
  count(graph.outputs);
  return uses;
}
