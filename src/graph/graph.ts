/**
 * The Graph: what is computed. Plain data, no memory, no kernels. Nodes stand in an order in which they can run; values
 * have names; parameters are Tensors in the node that uses them. Layouts are N, C, H, W.
 */
import type { Algorithm } from '../plan/algorithm.js';
import type { Tensor } from '../tensor.js';

export type PaddingMode = 'zeros' | 'reflect' | 'replicate' | 'circular';
/** [height, width] */
export type Pair = readonly [number, number];
/** [top, left, bottom, right]; a negative one crops. */
export type Pads = readonly [number, number, number, number];

export interface Graph {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly Node[];
}

interface NodeBase {
  /** Path of the layer, for messages: '' for a layer on its own. */
  readonly path: string;
  /** Class of the layer that the node comes from, for messages. */
  readonly layer: string;
  readonly inputs: readonly string[];
  readonly output: string;
}

/** A BatchNorm's parameters, each f32[channels]. */
export interface Norm {
  readonly gamma: Tensor | undefined;
  readonly beta: Tensor | undefined;
  readonly mean: Tensor;
  readonly variance: Tensor;
  readonly eps: number;
}

/** How a window moves over an image. */
export interface Window {
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly dilation: Pair;
  readonly pads: Pads;
}

/** Inputs: image, and a residual to add where there is a second one. */
export interface Conv2dNode extends NodeBase {
  readonly op: 'conv2d';
  /** [outChannels, inChannels / groups, height, width] */
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
  /** A BatchNorm behind the convolution, to be folded into it. */
  readonly norm?: Norm;
  readonly window: Window;
  readonly paddingMode: PaddingMode;
  readonly groups: number;
  readonly relu?: boolean;
  /** Forced; undefined: the fastest. */
  readonly algorithm?: Algorithm | undefined;
  /** Other convolutions of the same image that are added; their windows lie within this one's. */
  readonly parallel?: readonly Conv2dNode[];
}

/** Inputs: image, and a residual to add where there is a second one. */
export interface BatchNormNode extends NodeBase {
  readonly op: 'batchNorm';
  readonly norm: Norm;
  /** Batch statistics, which also move the running ones by this momentum; undefined: running statistics. */
  readonly momentum: number | undefined;
  readonly relu?: boolean;
}

/** Inputs: matrix, and a residual to add where there is a second one. */
export interface LinearNode extends NodeBase {
  readonly op: 'linear';
  /** [outFeatures, inFeatures] */
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
  readonly relu?: boolean;
}

export interface AddNode extends NodeBase {
  readonly op: 'add';
  readonly relu?: boolean;
}

export interface PoolNode extends NodeBase {
  readonly op: 'maxPool2d' | 'avgPool2d';
  readonly window: Window;
  readonly ceilMode: boolean;
  readonly countIncludePad: boolean;
}

export interface SimpleNode extends NodeBase {
  readonly op: 'relu' | 'globalAvgPool2d' | 'flatten' | 'concat' | 'softmax';
}

export type Node = Conv2dNode | BatchNormNode | LinearNode | AddNode | PoolNode | SimpleNode;

type WithoutOutput<T> = T extends Node ? Omit<T, 'output'> : never;

/** Collects the nodes of layers that describe themselves. */
export class GraphBuilder {
  readonly #nodes: Node[] = [];

  /** Adds a node; returns the name of its output. */
  add(node: WithoutOutput<Node>): string {
    const output = `value${this.#nodes.length}`;
    this.#nodes.push({ ...node, output } as Node);
    return output;
  }

  finish(inputs: readonly string[], outputs: readonly string[]): Graph {
    return { inputs, outputs, nodes: this.#nodes };
  }
}

/** How often each value is read; a graph's outputs count as read once more. */
export function countUses(graph: Graph): Map<string, number> {
  const uses = new Map<string, number>();
  for (const name of [...graph.nodes.flatMap((node) => node.inputs), ...graph.outputs]) {
    uses.set(name, (uses.get(name) ?? 0) + 1);
  }
  return uses;
}
