/**
 * An Asymmetric Convolution Block as one convolution (Ding, Guo, Ding, Han: "ACNet: Strengthening the Kernel Skeletons
 * for Powerful CNN via Asymmetric Convolution Blocks", ICCV 2019, section 3.3): each BatchNorm is folded into its
 * branch, and the branches are added at their places in the window. Computed in float64, rounded once.
 */
import type { Window } from '../nodes/node.js';
import { foldBias, type NormValues, normAffine } from './affine.js';
import { type ConvShape, type LinearBranch, sumBiases, sumWeights } from './branches.js';
import { forEachRow, rowsOf, scaleRows } from './rows.js';

/** A convolution without bias, and the BatchNorm behind it. */
export interface BlockBranch {
  /** [outChannels, inChannels / groups, height, width] */
  readonly kernel: Float32Array;
  readonly window: Window;
  readonly norm: NormValues;
}

/** Parameters of one convolution: weight [outChannels, inChannels / groups, height, width], bias [outChannels]. */
export interface MergedBlock {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** Merges a block of this shape into `target`. */
export function mergeBlock(branches: readonly BlockBranch[], shape: ConvShape, target: MergedBlock): void {
  const { outChannels } = shape;
  const folded = branches.map((branch): LinearBranch => {
    const affine = normAffine(branch.norm);
    const weights = scaleRows(rowsOf(branch.kernel, outChannels), affine.scale);
    const bias = foldBias(affine, undefined);
    return { count: 1, shape: { ...shape, window: branch.window }, weights: () => weights, bias };
  });
  const sum = sumWeights(folded, shape);
  forEachRow(sum, (row, o) => target.weight.set(row, o * sum.size));
  target.bias.set(sumBiases(folded, outChannels)!);
}
