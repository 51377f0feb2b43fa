/**
 * Linear branches: what gives each output position a weighted sum of values around it. All of them are convolutions:
 *
 *   BatchNorm alone   1 x 1, the scale of its channel on the diagonal, a bias; so are factors for channels
 *   identity          1 x 1, ones on the diagonal
 *   average pooling   1 / (h w) everywhere, each channel for itself
 *
 * Branches of one input and one stride add up to one convolution. Its window is the smallest grid that has all their taps
 * on it, along each axis
 *
 *   offsets of a tap: -pads[before] + dilation * i       first: the least       last: the greatest
 *   step: the greatest common divisor of all distances   kernel: (last - first) / step + 1
 *
 * and its groups are the finest ones that hold all of theirs.
 */
import type { Conv2dNode, PaddingMode, Pads, Pair, Window } from '../graph/graph.js';
import { MAX_COUNT, product } from '../sizes.js';
import { type ExactValues, IN_ORDER, type Places, type Rows, throughRow } from './exactValues.js';

/** A branch, or several of them as the convolution that they add up to. */
export interface Shape {
  readonly outChannels: number;
  readonly inChannels: number;
  readonly groups: number;
  readonly window: Window;
  /** undefined: it reads nothing from outside of the image. */
  readonly paddingMode: PaddingMode | undefined;
  /** Multiply-adds per output position. */
  readonly cost: number;
}

export interface Branch {
  /** Value that it gives. */
  readonly output: string;
  readonly input: string;
  /** How often the sum has it. */
  readonly count: number;
  readonly shape: Shape;
  /** The node, where it is a convolution. */
  readonly conv: Conv2dNode | undefined;
  /** [outChannels, inChannels / groups, height, width]. A pooling may say that it has more than there is memory for. */
  readonly weights: () => Rows;
  readonly bias: Float32Array | Float64Array | undefined;
}

export function convShape({ weight, groups, window, paddingMode }: Conv2dNode): Shape {
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

/** Of a branch in which each channel stays for itself. Those without multiplications cost nothing. */
export function diagonalShape(channels: number, window: Window, cost: number): Shape {
  const paddingMode = window.pads.some((pad) => pad > 0) ? 'zeros' : undefined;
  return { outChannels: channels, inChannels: channels, groups: channels, window, paddingMode, cost };
}

/**
 * The convolution that two of the same input add up to.
 * @param sameSize whether their outputs are known to have the same dims, though their windows do not show it
 * @returns undefined where there is none, or where it costs more than the two
 */
export function join(a: Shape, b: Shape, sameSize: boolean): Shape | undefined {
  const { outChannels, inChannels, paddingMode } = a;
  if (outChannels !== b.outChannels || inChannels !== b.inChannels) return undefined;
  if (paddingMode !== undefined && b.paddingMode !== undefined && paddingMode !== b.paddingMode) return undefined;
  const vertical = joinAxis(a.window, b.window, 0, sameSize);
  const horizontal = joinAxis(a.window, b.window, 1, sameSize);
  if (vertical === undefined || horizontal === undefined) return undefined;
  const groups = greatestDivisor(a.groups, b.groups);
  const cost = product(outChannels, inChannels / groups, vertical.kernel, horizontal.kernel);
  if (!(cost <= a.cost + b.cost)) return undefined;
  const window: Window = {
    kernel: [vertical.kernel, horizontal.kernel],
    stride: a.window.stride,
    dilation: [vertical.step, horizontal.step],
    pads: [vertical.before, horizontal.before, vertical.after, horizontal.after],
  };
  return { outChannels, inChannels, groups, window, paddingMode: paddingMode ?? b.paddingMode, cost };
}

interface AxisOfWindow {
  readonly kernel: number;
  readonly step: number;
  readonly before: number;
  readonly after: number;
}

function joinAxis(a: Window, b: Window, axis: 0 | 1, sameSize: boolean): AxisOfWindow | undefined {
  if (a.stride[axis] !== b.stride[axis]) return undefined;
  const reach = (window: Window): number => product(window.dilation[axis], window.kernel[axis] - 1);
  const distancesOf = (window: Window): number[] => [reach(window), window.pads[axis], window.pads[axis + 2]!];
  if ([a, b].flatMap(distancesOf).some((distance) => Math.abs(distance) > MAX_COUNT)) return undefined;
  // Padding less reach decides how many windows there are.
  const surplus = (window: Window): number => window.pads[axis] + window.pads[axis + 2]! - reach(window);
  if (surplus(a) !== surplus(b) && !sameSize) return undefined;
  const before = Math.max(a.pads[axis], b.pads[axis]);
  const last = Math.max(reach(a) - a.pads[axis], reach(b) - b.pads[axis]);
  const distances = [a, b].flatMap((window) => [
    before - window.pads[axis],
    window.kernel[axis] > 1 ? window.dilation[axis] : 0,
  ]);
  const step = distances.reduce(greatestDivisor);
  const kernel = step === 0 ? 1 : (last + before) / step + 1;
  return { kernel, step: Math.max(1, step), before, after: surplus(a) + last };
}

function greatestDivisor(a: number, b: number): number {
  let [larger, smaller] = [a, b];
  while (smaller !== 0) [larger, smaller] = [smaller, larger % smaller];
  return larger;
}

/** The convolution that the branches add up to, of the shape that joining them all gave; undefined if not finite. */
export function addUp(
  branches: readonly Branch[],
  shape: Shape,
  output: string,
  values: ExactValues,
): Conv2dNode | undefined {
  const { outChannels, inChannels, groups, window } = shape;
  const sums = new Float64Array(outChannels);
  for (const { bias, count } of branches) {
    if (bias !== undefined) for (let o = 0; o < outChannels; o++) sums[o]! += count * bias[o]!;
  }
  const weight = values.weights(sumRows(branches, shape), [outChannels, inChannels / groups, ...window.kernel]);
  const bias = branches.some((branch) => branch.bias !== undefined) ? values.round(sums, [outChannels]) : null;
  if (weight === undefined || bias === undefined) return undefined;
  const main = mainConvolution(branches);
  return {
    op: 'conv2d',
    path: main.path,
    layer: main.layer,
    inputs: [branches[0]!.input],
    output,
    weight,
    bias: bias ?? undefined,
    window,
    paddingMode: shape.paddingMode ?? 'zeros',
    groups,
    ...(main.algorithm !== undefined &&
      isSamePair(main.window.kernel, window.kernel) &&
      main.groups === groups && { algorithm: main.algorithm }),
  };
}

/** The one that costs most: the others lie within its window, as a rule. */
function mainConvolution(branches: readonly Branch[]): Conv2dNode {
  const convolutions = branches.flatMap(({ conv }) => (conv === undefined ? [] : [conv]));
  return convolutions.reduce((main, conv) => (conv.weight.size > main.weight.size ? conv : main));
}

function isSamePair(a: Pair, b: Pair): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

/** The weights of the convolution that the branches add up to. */
function sumRows(branches: readonly Branch[], to: Shape): Rows {
  const size = (to.inChannels / to.groups) * to.window.kernel[0] * to.window.kernel[1];
  const parts = branches.map((branch) => placed(branch, to));
  const add: Rows['add'] = (o, factor, target, where) => {
    if (where.taps !== undefined) spread(o, factor, target, where);
    else for (const { rows, count, places } of parts) rows.add(o, count * factor, target, places(o, where.first));
  };
  const spread = throughRow(size, (o, factor, values) => add(o, factor, values, IN_ORDER));
  return { count: to.outChannels, size, depth: 1 + Math.max(...parts.map(({ rows }) => rows.depth)), add };
}

/** A branch, and where in a row of the sum its values go. */
interface Part {
  readonly rows: Rows;
  readonly count: number;
  /** @param first where in the target the sum begins */
  readonly places: (o: number, first: number) => Places;
}

function placed({ shape: from, count, weights }: Branch, to: Shape): Part {
  const rows = weights();
  const columns = tapPlaces(from.window, to.window, 1);
  const [height, width] = to.window.kernel;
  const stride = height * width;
  const taps = Int32Array.from(
    tapPlaces(from.window, to.window, 0).flatMap((row) => columns.map((column) => row * width + column)),
  );
  const inOrder = taps.length === stride && taps.every((place, tap) => place === tap);
  const firstInput = ({ inChannels, outChannels, groups }: Shape, o: number): number =>
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

/** Where the taps of a window are in the larger one. */
function tapPlaces(from: Window, to: Window, axis: 0 | 1): number[] {
  const first = (to.pads[axis] - from.pads[axis]) / to.dilation[axis];
  return Array.from({ length: from.kernel[axis] }, (_, i) => first + (i * from.dilation[axis]) / to.dilation[axis]);
}

/** [top, left, bottom, right] that see each position itself. */
export const ONE_TAP: Window = { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pads: [0, 0, 0, 0] satisfies Pads };
