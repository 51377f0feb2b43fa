/**
 * The Graph: what is computed. Plain data, no memory, no kernels. Nodes stand in an order in which they can run and
 * read values by name: inputs, outputs of nodes before them, and stored values such as weights. The types of nodes are
 * in src/ops, each beside the rule of its operation.
 */

import type { Conv2dNode, LinearNode, ParallelKernel, WeightedNode } from '../nodes/conv.js';
import type { DimOf } from '../nodes/dims.js';
import type { NodeBase, Optional, PaddingMode, Pads, Pair, Window } from '../nodes/node.js';
import type { CumSumNode, TopPlacesNode } from '../ops/alongAxis.js';
import type { BatchNormNode } from '../ops/batchNorm.js';
import type { BinaryNode } from '../ops/binary.js';
import type { ConcatNode } from '../ops/concat.js';
import type { DepthToSpaceNode } from '../ops/depthToSpace.js';
import type { ExpandNode } from '../ops/expand.js';
import type { FlattenNode } from '../ops/flatten.js';
import type { FunctionNode } from '../ops/functions.js';
import type { FurtherBinaryNode } from '../ops/furtherBinary.js';
import type { GatherNode } from '../ops/gather.js';
import type { GlobalPoolNode } from '../ops/globalPool.js';
import type { IdentityNode } from '../ops/identity.js';
import type { MatMulNode } from '../ops/matMul.js';
import { type OperationRule, useOperation } from '../ops/operation.js';
import type { PadNode } from '../ops/pad.js';
import type { PoolNode } from '../ops/pool.js';
import type { ReduceNode } from '../ops/reduce.js';
import type { ReshapeNode } from '../ops/reshape.js';
import type { ResizeNode } from '../ops/resize.js';
import type { SliceNode } from '../ops/slice.js';
import type { SoftmaxNode } from '../ops/softmax.js';
import type { SqueezeNode } from '../ops/squeeze.js';
import type { StandardizeNode } from '../ops/standardize.js';
import type { TransposeNode } from '../ops/transpose.js';
import type { UnaryNode } from '../ops/unary.js';
import type { Tensor } from '../tensor.js';
import { Names } from './names.js';

export type {
  BatchNormNode,
  BinaryNode,
  Conv2dNode,
  CumSumNode,
  DepthToSpaceNode,
  DimOf,
  ExpandNode,
  FunctionNode,
  FurtherBinaryNode,
  GatherNode,
  GlobalPoolNode,
  LinearNode,
  PaddingMode,
  PadNode,
  Pads,
  Pair,
  ParallelKernel,
  PoolNode,
  ReduceNode,
  ReshapeNode,
  ResizeNode,
  SliceNode,
  SqueezeNode,
  StandardizeNode,
  TopPlacesNode,
  TransposeNode,
  UnaryNode,
  WeightedNode,
  Window,
};

export interface Graph {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly GraphNode[];
  /** Values that are there before a run: weights, statistics, constants. */
  readonly values?: ReadonlyMap<string, StoredValue>;
  /** What is known of the inputs' shapes; an axis of any size has a name. */
  readonly inputDims?: ReadonlyMap<string, readonly (number | string)[]>;
  /** What a file says about itself, such as the names of its classes; results do not depend on it. */
  readonly metadata?: ReadonlyMap<string, string>;
}

export interface StoredValue {
  readonly tensor: Tensor;
  readonly role: Role;
}

/**
 * frozen: never changes, so that it may become part of other values. trainable: loading a state or an optimiser changes
 * it. statistic: nodes change it while they run (`updates`).
 */
export type Role = 'frozen' | 'trainable' | 'statistic';

export type GraphNode =
  | Conv2dNode
  | BatchNormNode
  | LinearNode
  | BinaryNode
  | FurtherBinaryNode
  | UnaryNode
  | FunctionNode
  | PoolNode
  | GlobalPoolNode
  | AxisNode
  | ReshapeNode
  | ResizeNode
  | SqueezeNode
  | TransposeNode
  | SliceNode
  | PadNode
  | ReduceNode
  | StandardizeNode
  | DepthToSpaceNode
  | ExpandNode
  | GatherNode
  | SimpleNode;

/** Operations along one axis. */
export type AxisNode = SoftmaxNode | ConcatNode | FlattenNode | CumSumNode | TopPlacesNode;
export type SimpleNode = IdentityNode | MatMulNode;

type WithoutOutputs<T> = T extends NodeBase ? Omit<T, 'outputs'> : never;

/** Collects the nodes and the stored values of layers that describe themselves. */
export class GraphBuilder {
  readonly #nodes: GraphNode[] = [];
  readonly #values = new Map<string, StoredValue>();
  readonly #names = new Names();
  readonly #nameOf = new Map<Tensor, string>();

  /** Adds a node of one output, and registers the rule of its operation; returns the output's name. */
  add<N extends GraphNode>(node: WithoutOutputs<N>, rule: OperationRule<N>): string {
    useOperation(node.op, rule as OperationRule);
    const output = this.#names.derive(`value${this.#nodes.length}`);
    this.#nodes.push({ ...node, outputs: [output] } as unknown as GraphNode);
    return output;
  }

  /** Adds a stored value, unless it is there already; returns the name to read it by. */
  store(name: string, tensor: Tensor, role: Role): string {
    const known = this.#nameOf.get(tensor) ?? this.#names.derive(name);
    this.#nameOf.set(tensor, known);
    this.#values.set(known, { tensor, role });
    return known;
  }

  finish(inputs: readonly string[], outputs: readonly string[]): Graph {
    return { inputs, outputs, nodes: this.#nodes, values: this.#values };
  }
}

/** Names of all values that a node reads, including those of which it uses only the size. */
export function readsOf(node: GraphNode): readonly string[] {
  const given: readonly Optional[] = node.inputs;
  const inputs = given.filter((name) => name !== undefined);
  if (!('target' in node)) return inputs;
  return [...inputs, ...node.target.flatMap((size) => (typeof size === 'object' ? [size.value] : []))];
}

/** What is added to a node's own result. */
export function addendOf(node: GraphNode): string | undefined {
  if (node.op === 'conv2d' || node.op === 'linear') return node.inputs[3];
  return node.op === 'batchNorm' ? node.inputs[5] : undefined;
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

/** The same node with its values under other names. */
export function renamed(node: GraphNode, nameOf: (name: string) => string): GraphNode {
  const inputs = node.inputs.map((name: Optional) => (name === undefined ? undefined : nameOf(name)));
  const values: object = { inputs, outputs: node.outputs.map(nameOf) };
  if (!('target' in node)) return { ...node, ...values };
  const target = node.target.map((size) => (typeof size === 'object' ? { ...size, value: nameOf(size.value) } : size));
  return { ...node, ...values, target };
}
