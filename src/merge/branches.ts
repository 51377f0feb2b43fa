/**
 * Parallel branches that are linear, and the convolution that they add up to. All of them are convolutions:
 *
 *   BatchNorm alone   1 x 1, the scale of its channel on the diagonal, a bias; so are factors for channels
 *   identity          1 x 1, ones on the diagonal
 *   average pooling   1 / (h w) everywhere, each channel for itself
 *
 * The sum has the finest groups that contain all of the branches'.
 */
import type { PaddingMode, Window } from '../nodes/node.js';
import { product } from '../sizes.js';
import { IN_ORDER, type Places, type Rows, throughRow } from './rows.js';
import { greatestDivisor, joinWindows, tapPlaces } from './window.js';

/** Dims and windows of a convolution. */
export interface ConvShape {
  readonly outChannels: number;
  readonly inChannels: number;
  readonly groups: number;
  readonly window: Window;
}

/** What decides whether branches are better off as one convolution. */
export interface BranchShape extends ConvShape {
  /** undefined: it reads nothing from outside of the image. */
  readonly paddingMode: PaddingMode | undefined;
  /** Multiply-adds per output position. */
  readonly cost: number;
}

export interface LinearBranch {
  /** How often it occurs in the sum. */
  readonly count: number;
  readonly shape: ConvShape;
  /** [outChannels, inChannels / groups, height, width]. A pooling may claim more than memory holds. */
  readonly weights: () => Rows;
  readonly bias: Float32Array | Float64Array | undefined;
}

/** The shape of a branch that keeps channels apart. The cost is 0 if it does not multiply. */
export function diagonalShape(channels: number, window: Window, cost: number): BranchShape {
  const paddingMode = window.pads.some((pad) => pad > 0) ? 'zeros' : undefined;
  return { outChannels: channels, inChannels: channels, groups: channels, window, paddingMode, cost };
}

/**
 * The convolution that two branches of the same input add up to.
 * @param sameSize whether their outputs are known to have the same dims, though their windows do not show it
 * @returns undefined if there is none, or if it costs more than the two
 */
export function joinShapes(a: BranchShape, b: BranchShape, sameSize: boolean): BranchShape | undefined {
  const { outChannels, inChannels, paddingMode } = a;
  if (outChannels !== b.outChannels || inChannels !== b.inChannels) return undefined;
  if (paddingMode !== undefined && b.paddingMode !== undefined && paddingMode !== b.paddingMode) return undefined;
  const window = joinWindows(a.window, b.window, sameSize);
  if (window === undefined) return undefined;
  const groups = greatestDivisor(a.groups, b.groups);
  const cost = product(outChannels, inChannels / groups, ...window.kernel);
  if (!(cost <= a.cost + b.cost)) return undefined;
  return { outChannels, inChannels, groups, window, paddingMode: paddingMode ?? b.paddingMode, cost };
}

/** The weights of the convolution of shape `to` that the branches add up to. */
export function sumWeights(branches: readonly LinearBranch[], to: ConvShape): Rows {
  const size = (to.inChannels / to.groups) * to.window.kernel[0] * to.window.kernel[1];
  const parts = branches.map((branch) => placed(branch, to));
  const add: Rows['add'] = (o, factor, target, where) => {
    if (where.taps !== undefined) spread(o, factor, target, where);
    else for (const { rows, count, places } of parts) rows.add(o, count * factor, target, places(o, where.first));
  };
  const spread = throughRow(size, (o, factor, values) => add(o, factor, values, IN_ORDER));
  return { count: to.outChannels, size, depth: 1 + Math.max(...parts.map(({ rows }) => rows.depth)), add };
}

/** Their biases added up; undefined if none has one. */
export function sumBiases(branches: readonly LinearBranch[], outChannels: number): Float64Array | undefined {
  if (branches.every(({ bias }) => bias === undefined)) return undefined;
  const sums = new Float64Array(outChannels);
  for (const { bias, count } of branches) {
    if (bias !== undefined) for (let o = 0; o < outChannels; o++) sums[o]! += count * bias[o]!;
  }
  return sums;
}

/** A branch, and where in a row of the sum its values go. */
interface Part {
  readonly rows: Rows;
  readonly count: number;
  /** @param first where in the target the sum begins */
  readonly places: (o: number, first: number) => Places;
}

function placed({ shape: from, count, weights }: LinearBranch, to: ConvShape): Part {
  const rows = weights();
  const taps = tapPlaces(from.window, to.window);
  const stride = to.window.kernel[0] * to.window.kernel[1];
  const inOrder = taps.length === stride && taps.every((place, tap) => place === tap);
  const firstInput = ({ inChannels, outChannels, groups }: ConvShape, o: number): number =>
    Math.floor((o * groups) / outChannels) * (inChannels / groups);
  return {
    rows,
    count,
    places: (o, first) => {
      const skipped = (firstInput(from, o) - firstInput(to, o)) * stride;
      return { first: first + skipped, taps: inOrder ? undefined : taps, stride };
    },
  };
}
