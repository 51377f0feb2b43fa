/** Convolutions and linear layers as a Graph has them. */
import type { Algorithm } from './algorithm.js';
import type { InputRule, NodeBase, Optional, PaddingMode, Window } from './node.js';

/** weight: [outChannels, inChannels / groups, height, width]. The addend has the output's dims. */
export interface Conv2dNode extends NodeBase {
  readonly op: 'conv2d';
  /** Behind the addend come the weight and the bias of each parallel kernel. */
  readonly inputs: readonly [image: string, weight: string, bias?: Optional, addend?: Optional, ...more: Optional[]];
  readonly window: Window;
  readonly paddingMode: PaddingMode;
  readonly groups: number;
  readonly relu?: boolean;
  /** Forced; undefined: the fastest. */
  readonly algorithm?: Algorithm | undefined;
  /** Whether its error must stay close to that of a direct sum. */
  readonly precise?: boolean;
  /** Further convolutions of the same image that are added; their windows lie within this one's. */
  readonly parallel?: readonly ParallelKernel[];
}

export type ParallelKernel = Pick<Conv2dNode, 'window' | 'algorithm'>;

/** weight: [outFeatures, inFeatures]. The addend has the output's dims. */
export interface LinearNode extends NodeBase {
  readonly op: 'linear';
  readonly inputs: readonly [matrix: string, weight: string, bias?: Optional, addend?: Optional];
  readonly relu?: boolean;
}

/** A node with weights. */
export type WeightedNode = Conv2dNode | LinearNode;

/** A kernel of a convolution with what it reads. */
export interface Kernel extends ParallelKernel {
  readonly weight: string;
  readonly bias: Optional;
}

/** The kernels of a convolution, its own first. */
export function kernelsOf(node: Conv2dNode): Kernel[] {
  const [, weight, bias, , ...more] = node.inputs;
  const { window, algorithm, parallel = [] } = node;
  const further = parallel.map((kernel, i) => ({ ...kernel, weight: more[2 * i]!, bias: more[2 * i + 1] }));
  return [{ weight, bias, window, algorithm }, ...further];
}

const KERNEL_INPUTS: readonly InputRule[] = [
  { name: 'weight', as: 'packed' },
  { name: 'bias', as: 'packed', isOptional: true },
];

/** For one kernel; the inputs of parallel kernels follow. */
export const WEIGHTED_INPUTS: readonly InputRule[] = [{}, ...KERNEL_INPUTS, { name: 'addend', isOptional: true }];

export function convInputs({ parallel = [] }: Conv2dNode): readonly InputRule[] {
  return [...WEIGHTED_INPUTS, ...parallel.flatMap(() => KERNEL_INPUTS)];
}
