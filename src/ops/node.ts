/** What nodes of all operations have in common, and words that several of them use. Layouts are N, C, H, W. */
import type { Tensor } from '../tensor.js';

export type PaddingMode = 'zeros' | 'reflect' | 'replicate' | 'circular';
/** [height, width] */
export type Pair = readonly [number, number];
/** [top, left, bottom, right]; a negative one crops. */
export type Pads = readonly [number, number, number, number];

export interface NodeBase {
  readonly op: string;
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
