/**
 * Convolutions of one image, each with a BatchNorm by the statistics of the batch behind it, folded into one: its weights
 * and biases. See assembly/train/foldNorm.ts.
 */
import { tapPlaces } from '../../merge/window.js';
import type { InputRule, NodeBase, Optional, Window } from '../../nodes/node.js';
import type { OperationRule } from '../../ops/operation.js';
import { cutKernel } from '../../plan/steps/cut.js';
import { type Find, finder, type Step, type StepContext, writeTable } from '../../plan/steps/step.js';
import { lanesOf, sizeOf } from '../../sizes.js';
import { trainKernels } from '../kernels.js';

/** A convolution, whose window lies within that of the sum, and its BatchNorm. */
export interface FoldedBranch {
  readonly window: Window;
  readonly eps: number;
  readonly momentum: number;
}

/**
 * inputs: the moments of the taps of the sum's window, then of each branch the weight, gamma, beta, and the running mean and
 * variance. outputs: weight and bias of the sum; the bias takes the means of the taps off, see foldedConv.ts.
 */
export interface FoldNormsNode extends NodeBase {
  readonly op: 'foldNorms';
  readonly inputs: readonly [moments: string, ...branches: Optional[]];
  readonly outputs: readonly [weight: string, bias: string];
  readonly branches: readonly FoldedBranch[];
  readonly window: Window;
  /** Of the weight. */
  readonly dims: readonly [number, number, number, number];
  /** Values of an output channel, which its statistics are of. */
  readonly count: number;
}

/** What a branch reads. */
type FoldedInputs = readonly [weight: string, gamma: Optional, beta: Optional, mean: string, variance: string];

export function foldedInputs({ inputs, branches }: Pick<FoldNormsNode, 'inputs' | 'branches'>): FoldedInputs[] {
  return branches.map((_, i) => inputs.slice(1 + i * 5, 6 + i * 5) as unknown as FoldedInputs);
}

export const PLANAR: InputRule = { as: 'planar', isOptional: true };

export const foldNorms: OperationRule<FoldNormsNode> = {
  inputs: ({ inputs }) => inputs.map(() => PLANAR),
  dims: ({ dims }) => dims,
  furtherDims: ({ dims }) => [[dims[0]]],
  layout: () => 'planar',
  step,
};

/** Operations of a product that one in float64 takes the time of. */
const DOUBLE_FLOPS = 8;

/** Operations for the variances of a branch's filters. */
export function foldFlops(weightDims: readonly number[]): number {
  return weightDims[0]! * sizeOf(weightDims.slice(1)) ** 2 * DOUBLE_FLOPS;
}

/** Writes which taps of the sum's window those of a branch are, (channel, row, column), for its kernels. */
export function writeTaps(context: StepContext, from: Window, to: Window, channels: number): number {
  const places = tapPlaces(from, to);
  const taps = sizeOf(to.kernel);
  const table = Array.from({ length: channels }, (_, c) => Array.from(places, (place) => c * taps + place));
  return writeTable(context, Int32Array.from(table.flat()));
}

function step(node: FoldNormsNode, context: StepContext): Step {
  const { runtime } = context;
  const kernels = trainKernels(runtime);
  const [channels, inChannels] = node.dims;
  const taps = sizeOf(node.dims.slice(1));
  const lanes = lanesOf(channels);
  const workspace = context.workspace(channels * (taps + 1) * 8);
  const [moments, weight, bias] = [node.inputs[0], ...node.outputs].map((name) => finder(name, context)) as [
    Find,
    Find,
    Find,
  ];
  const branches = foldedInputs(node).map((inputs, i) => {
    const { window, eps, momentum } = node.branches[i]!;
    const finds = inputs.map((name) => finder(name, context)) as [Find, Find, Find, Find, Find];
    const tapsPtr = writeTaps(context, window, node.window, inChannels);
    const statisticsPtr = context.allocate(lanes * 16);
    moveRunning(context, finds[3], finds[4], statisticsPtr, channels, momentum, node.count);
    const fold = cutKernel(runtime, kernels, 'foldNorm', {
      units: channels,
      flops: foldFlops(context.dims(inputs[0])),
    });
    return { finds, tapsPtr, count: inChannels * sizeOf(window.kernel), eps, statisticsPtr, fold };
  });
  return (at) => {
    const [momentsPtr, sumsPtr] = [moments(at), workspace()];
    branches.forEach(({ finds: [ofWeight, gamma, beta], tapsPtr, count, eps, statisticsPtr, fold }, i) => {
      const branch = [ofWeight(at), tapsPtr, count, gamma(at), beta(at), eps] as const;
      fold(momentsPtr, taps, ...branch, i === 0 ? 1 : 0, sumsPtr, statisticsPtr, lanes);
    });
    kernels.writeFolded(momentsPtr, taps, sumsPtr, weight(at), bias(at), 0, channels);
  };
}

/** The running statistics move once all steps are through. */
function moveRunning(
  context: StepContext,
  mean: Find,
  variance: Find,
  statisticsPtr: number,
  channels: number,
  momentum: number,
  count: number,
): void {
  const { kernels } = context.runtime;
  const variancesPtr = statisticsPtr + lanesOf(channels) * 8;
  context.afterwards((at) => {
    kernels.updateRunning(mean(at), statisticsPtr, channels, momentum, 1);
    kernels.updateRunning(variance(at), variancesPtr, channels, momentum, count / (count - 1));
  });
}
