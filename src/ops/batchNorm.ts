/** BatchNorm over images or matrices, with running statistics or, in training, those of the batch. */
import { input, lowerBound, pixelStride, ports, type Step, type StepContext } from '../plan/step.js';
import { withStaging } from '../plan/weights.js';
import { sizeOf } from '../sizes.js';
import { format, residentPtr } from '../tensor.js';
import { checkNorm, expectChannels, expectResidual } from './checks.js';
import { isNumeric, type KnownDims } from './dims.js';
import { reluFlag, residualFlag } from './flags.js';
import type { NodeBase, Norm } from './node.js';
import type { OperationRule } from './operation.js';
import { fail, title } from './shapeErrors.js';

/** Inputs: image, and a residual to add where there is a second one. */
export interface BatchNormNode extends NodeBase {
  readonly op: 'batchNorm';
  readonly norm: Norm;
  /** Batch statistics, which also move the running ones by this momentum; undefined: running statistics. */
  readonly momentum: number | undefined;
  readonly relu?: boolean;
}

export const batchNorm: OperationRule<BatchNormNode> = {
  check: ({ norm }, expect) => checkNorm(expect, norm, norm.mean.size),
  dims: (node, [input, residual]) => {
    const output = batchNormDims(node, input!);
    expectResidual(node, residual, output);
    return output;
  },
  layout: () => 'channelsLast',
  overwrites: 'all',
  readsAmong: ({ momentum, inputs }, name) => momentum === undefined && inputs[0] === name && inputs[1] !== name,
  step,
  flags: (node) => [
    ...residualFlag(node),
    ...(node.momentum === undefined ? [] : ['batch statistics']),
    ...reluFlag(node),
  ],
};

function batchNormDims(node: BatchNormNode, input: KnownDims): KnownDims {
  if (input.length < 2) fail(node, 'input', input, 'at least 2 dims');
  expectChannels(node, input, node.norm.mean.dims[0]!);
  if (node.momentum === undefined || !isNumeric(input)) return input;
  const values = sizeOf(input) / input[1]!;
  if (values < 2) {
    throw new RangeError(
      `${title(node)}: training needs more than one value per channel for its statistics, got ${values} ` +
        `(dims ${format(input)})`,
    );
  }
  return input;
}

function step(node: BatchNormNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const { batch, channels, pixels, lanes } = input(node, context);
  const count = batch * pixels;
  const coefficients = context.allocate(lanes * 3 * 4);
  const prepare =
    node.momentum === undefined
      ? prepareFromRunning(node, context, coefficients, channels, lanes)
      : prepareFromBatch(node, node.momentum, context, coefficients, channels, lanes, count);
  const find = ports(node, context);
  const low = lowerBound(node);
  const inStride = pixelStride(node.inputs[0]!, context);
  return (at) => {
    const [inPtr, residualPtr, outPtr] = find(at);
    prepare(inPtr);
    kernels.normalize(inPtr, inStride, outPtr, residualPtr, coefficients, count, lanes, low);
  };
}

/** Running statistics do not change while an executable lives: the coefficients are made here and now. */
function prepareFromRunning(
  { norm }: BatchNormNode,
  { runtime }: StepContext,
  coefficients: number,
  channels: number,
  lanes: number,
): (inPtr: number) => void {
  withStaging(runtime, (stage) => {
    const mean = stage.allocate(channels * 8);
    const variance = stage.allocate(channels * 8);
    runtime.kernels.widenFloats(stage.parameter(norm.mean), mean, channels);
    runtime.kernels.widenFloats(stage.parameter(norm.variance), variance, channels);
    const gamma = stage.optional(norm.gamma);
    const beta = stage.optional(norm.beta);
    runtime.kernels.prepareNormalize(gamma, beta, mean, variance, norm.eps, channels, lanes, coefficients);
  });
  return () => {};
}

/** Batch statistics at every run; they move the running ones, which live in the runtime with the other parameters. */
function prepareFromBatch(
  { norm }: BatchNormNode,
  momentum: number,
  context: StepContext,
  coefficients: number,
  channels: number,
  lanes: number,
  count: number,
): (inPtr: number) => void {
  const { kernels } = context.runtime;
  const mean = context.allocate(lanes * 8);
  const variance = context.allocate(lanes * 8);
  const [gamma, beta, runningMean, runningVariance] = [norm.gamma, norm.beta, norm.mean, norm.variance].map((tensor) =>
    tensor === undefined ? 0 : residentPtr(tensor, context.runtime, 'planar')!,
  ) as [number, number, number, number];
  context.afterwards(() => {
    kernels.updateRunning(runningMean, mean, channels, momentum, 1);
    kernels.updateRunning(runningVariance, variance, channels, momentum, count / (count - 1));
  });
  return (inPtr) => {
    kernels.batchStatistics(inPtr, count, lanes, mean, variance);
    kernels.prepareNormalize(gamma, beta, mean, variance, norm.eps, channels, lanes, coefficients);
  };
}
