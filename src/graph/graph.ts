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
  /** Values that are known beforehand; nodes read them by name like any other. */
  readonly constants?: ReadonlyMap<string, Tensor>;
  /** What is known of the shapes of inputs: a name where an axis may have any size. */
  readonly inputDims?: ReadonlyMap<string, readonly (number | string)[]>;
  /** What a file says about itself, such as the names of its classes; it changes nothing of what is computed. */
  readonly metadata?: ReadonlyMap<string, string>;
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

/** Two inputs, broadcast as ONNX does (numpy's rules). */
export interface BinaryNode extends NodeBase {
  readonly op: 'add' | 'sub' | 'mul' | 'div';
  readonly relu?: boolean;
}

/**
 * leakyRelu: x < 0 ? alpha x : x. clip: min(max(x, alpha), beta). hardSigmoid: min(max(alpha x + beta, 0), 1).
 * hardSwish: x min(max(x / 6 + 1/2, 0), 1).
 */
export interface UnaryNode extends NodeBase {
  readonly op: 'relu' | 'leakyRelu' | 'clip' | 'sigmoid' | 'hardSigmoid' | 'hardSwish';
  readonly alpha?: number;
  readonly beta?: number;
}

export interface PoolNode extends NodeBase {
  readonly op: 'maxPool2d' | 'avgPool2d';
  readonly window: Window;
  readonly ceilMode: boolean;
  readonly countIncludePad: boolean;
}

/** Of the whole image: [N, C, H, W] to [N, C, 1, 1]. */
export interface GlobalPoolNode extends NodeBase {
  readonly op: 'globalAvgPool2d' | 'globalMaxPool2d';
}

/** Over one axis; negative ones count from the end. */
export interface AxisNode extends NodeBase {
  readonly op: 'softmax' | 'logSoftmax' | 'concat' | 'flatten';
  /** flatten: axes before it become rows, those from it on columns. */
  readonly axis: number;
}

/** The size of an axis of another value. */
export interface DimOf {
  readonly value: string;
  readonly axis: number;
}

/** The same values in the same row-major order. */
export interface ReshapeNode extends NodeBase {
  readonly op: 'reshape';
  /** -1: whatever is left; 0: the input's size of the same axis, unless `allowZero`. */
  readonly target: readonly (number | DimOf)[];
  readonly allowZero?: boolean;
}

/** squeeze without axes: all of size 1. unsqueeze: axes of the output. */
export interface SqueezeNode extends NodeBase {
  readonly op: 'squeeze' | 'unsqueeze';
  readonly axes: readonly number[] | undefined;
}

export interface TransposeNode extends NodeBase {
  readonly op: 'transpose';
  /** Axis of the input that each axis of the output is; undefined: reversed. */
  readonly permutation: readonly number[] | undefined;
}

/** As ONNX's Slice: negative positions count from the end, those outside are clamped, steps may be negative. */
export interface SliceNode extends NodeBase {
  readonly op: 'slice';
  readonly axes: readonly number[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  readonly steps: readonly number[];
}

/** Values before and after, for each axis; negative ones crop. */
export interface PadNode extends NodeBase {
  readonly op: 'pad';
  /** All of the beginnings, then all of the ends. */
  readonly pads: readonly number[];
  readonly mode: 'constant' | 'reflect' | 'edge' | 'wrap';
  readonly value: number;
}

export interface ReduceNode extends NodeBase {
  readonly op: 'reduceMean';
  /** undefined: all. */
  readonly axes: readonly number[] | undefined;
  readonly keepDims: boolean;
}

/** identity: a copy under another name. matMul: numpy's matmul of two values. */
export interface SimpleNode extends NodeBase {
  readonly op: 'identity' | 'matMul';
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
