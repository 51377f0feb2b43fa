/** Convolutions and linear layers as a Graph has them. */
import type { Algorithm } from '../../plan/algorithm.js';
import type { Tensor } from '../../tensor.js';
import type { NodeBase, Norm, PaddingMode, Window } from '../node.js';

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

/** Inputs: matrix, and a residual to add where there is a second one. */
export interface LinearNode extends NodeBase {
  readonly op: 'linear';
  /** [outFeatures, inFeatures] */
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
  readonly relu?: boolean;
}
