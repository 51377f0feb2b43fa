/** Linear branches of a graph, and the node of the convolution that they add up to (src/merge/branches.ts). */
import type { Conv2dNode, Pads, Pair, Window } from '../graph/graph.js';
import { type BranchShape, type LinearBranch, sumBiases, sumWeights } from '../merge/branches.js';
import { product } from '../sizes.js';
import type { Tensor } from '../tensor.js';
import type { ExactValues } from './exactValues.js';
import type { PassValues } from './pass.js';

export interface Branch extends LinearBranch {
  /** Name of its output. */
  readonly output: string;
  readonly input: string;
  readonly shape: BranchShape;
  /** The node, where it is a convolution. */
  readonly conv: Conv2dNode | undefined;
}

export function convShape({ groups, window, paddingMode }: Conv2dNode, weight: Tensor): BranchShape {
  const [outChannels, inPerGroup] = weight.dims as [number, number];
  return {
    outChannels,
    inChannels: product(inPerGroup, groups),
    groups,
    window,
    paddingMode: window.pads.some((pad) => pad > 0) ? paddingMode : undefined,
    cost: weight.size,
  };
}

/** The convolution that the branches add up to, of the shape that joining them all gave; undefined if not finite. */
export function addUp(
  branches: readonly Branch[],
  shape: BranchShape,
  output: string,
  stored: PassValues,
  values: ExactValues,
): Conv2dNode | undefined {
  const { outChannels, inChannels, groups, window } = shape;
  const sums = sumBiases(branches, outChannels);
  const weight = values.weights(sumWeights(branches, shape), [outChannels, inChannels / groups, ...window.kernel]);
  const bias = sums === undefined ? null : values.round(sums, [outChannels]);
  if (weight === undefined || bias === undefined) return undefined;
  const { path, layer, ...main } = mainConvolution(branches);
  return {
    op: 'conv2d',
    path,
    layer,
    inputs: [branches[0]!.input, ...stored.addParameters(path || output, weight, bias ?? undefined)],
    outputs: [output],
    window,
    paddingMode: shape.paddingMode ?? 'zeros',
    groups,
    ...(main.algorithm !== undefined &&
      isSamePair(main.window.kernel, window.kernel) &&
      main.groups === groups && { algorithm: main.algorithm }),
  };
}

/** The costliest: the others usually lie within its window. */
function mainConvolution(branches: readonly Branch[]): Conv2dNode {
  const convolutions = branches.filter(({ conv }) => conv !== undefined);
  return convolutions.reduce((main, other) => (other.shape.cost > main.shape.cost ? other : main)).conv!;
}

function isSamePair(a: Pair, b: Pair): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

/** The window that sees each position by itself. */
export const ONE_TAP: Window = { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pads: [0, 0, 0, 0] satisfies Pads };
