/** BatchNorm over images or matrices, with running statistics or, in training, those of the batch. */

import { isNumeric, type KnownDims } from '../nodes/dims.js';
import type { NodeBase, Optional } from '../nodes/node.js';
import { fail, title } from '../nodes/shapeErrors.js';
import type { Prepared } from '../plan/steps/prepared.js';
import { withStaging } from '../plan/steps/staging.js';
import {
  type Addresses,
  type Find,
  finder,
  input,
  lowerBound,
  pixelStride,
  ports,
  type Step,
  type StepContext,
} from '../plan/steps/step.js';
import { showDims, showList } from '../shown.js';
import { sizeOf } from '../sizes.js';
import { checkVector, expectAddend, expectChannels, expectVector } from './checks.js';
import { addendFlag, reluFlag } from './flags.js';
import type { OperationRule } from './operation.js';

/** gamma, beta, mean and variance: [channels]. mean and variance are the running statistics. */
export interface BatchNormNode extends NodeBase {
  readonly op: 'batchNorm';
  readonly inputs: readonly [
    image: string,
    gamma: Optional,
    beta: Optional,
    mean: string,
    variance: string,
    addend?: Optional,
  ];
  readonly eps: number;
  /**
   * undefined: it normalises by the running statistics. Else by those of the batch, and it updates the running ones by
   * this momentum.
   */
  readonly momentum: number | undefined;
  readonly relu?: boolean;
}

export const batchNorm: OperationRule<BatchNormNode> = {
  inputs: ({ momentum }) => {
    const as = momentum === undefined ? 'packed' : 'planar';
    const [gamma, beta] = ['gamma', 'beta'].map((name) => ({ name, as, isOptional: true }) as const);
    const [mean, variance] = ['mean', 'variance'].map((name) => ({ name, as }) as const);
    return [{}, gamma!, beta!, mean!, variance!, { name: 'addend', isOptional: true }];
  },
  check: ({ inputs, momentum, updates = [] }, expect, stored) => {
    const isRight = momentum === undefined || (updates[0] === inputs[3] && updates[1] === inputs[4]);
    expect(isRight, 'updates', 'of its mean and its variance', showList(updates));
    const size = stored(inputs[3])?.size;
    if (size !== undefined) for (const name of inputs.slice(1, 5)) checkVector(expect, 'a norm', stored(name), size);
  },
  dims: (node, [input, ...others]) => {
    const output = batchNormDims(node, input!, others[2]!);
    for (const dims of others.slice(0, 4)) expectVector(node, 'norm', dims, input![1]);
    expectAddend(node, others[4], output);
    return output;
  },
  layout: () => 'channelsLast',
  overwrites: 'all',
  readsAmong: ({ momentum, inputs }, name) => momentum === undefined && inputs[0] === name && inputs[5] !== name,
  step,
  flags: (node) => [
    ...addendFlag(node.inputs[5]),
    ...(node.momentum === undefined ? [] : ['batch statistics']),
    ...reluFlag(node),
  ],
};

function batchNormDims(node: BatchNormNode, input: KnownDims, mean: KnownDims): KnownDims {
  if (input.length < 2) fail(node, 'input', input, 'at least 2 dims');
  if (isNumeric(mean)) expectChannels(node, input, sizeOf(mean));
  if (node.momentum === undefined || !isNumeric(input)) return input;
  const values = sizeOf(input) / input[1]!;
  if (values < 2) {
    throw new RangeError(
      `${title(node)}: training needs more than one value per channel for its statistics, got ${values} ` +
        `(dims ${showDims(input)})`,
    );
  }
  return input;
}

function step(node: BatchNormNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const { batch, pixels, lanes } = input(node, context);
  const { coefficientsPtr, prepare } =
    node.momentum === undefined ? fromRunning(node, context) : fromBatch(node, node.momentum, context);
  const find = ports(node, context, node.inputs[5]);
  const low = lowerBound(node);
  const inStride = pixelStride(node.inputs[0], context);
  return (at) => {
    const [inPtr, addendPtr, outPtr] = find(at);
    prepare(at, inPtr);
    kernels.normalize(inPtr, inStride, outPtr, addendPtr, coefficientsPtr, batch * pixels, lanes, low);
  };
}

/** What a channel is multiplied by and so on: three f32[lanes]. */
interface Coefficients {
  readonly coefficientsPtr: number;
  readonly prepare: (at: Addresses, inPtr: number) => void;
}

function fromRunning(node: BatchNormNode, context: StepContext): Coefficients {
  const names = node.inputs.slice(1, 5);
  const parameters = names.map((name) => (name === undefined ? undefined : context.parameter(name)));
  const { channels, lanes } = input(node, context);
  const { runtime } = context;
  const make = (): Prepared & { ptr: number } => {
    // Statistics in float64 come behind.
    const allocation = runtime.heap.allocate(lanes * 3 * 4 + channels * 2 * 8);
    const { ptr } = allocation;
    const [meanPtr, variancePtr] = [ptr + lanes * 12, ptr + lanes * 12 + channels * 8];
    const fill = (): void =>
      withStaging(runtime, (stage) => {
        const [gamma, beta, mean, variance] = parameters.map((parameter) => stage.parameter(parameter)) as [
          number,
          number,
          number,
          number,
        ];
        runtime.kernels.widenFloats(mean, meanPtr, channels);
        runtime.kernels.widenFloats(variance, variancePtr, channels);
        runtime.kernels.prepareNormalize(gamma, beta, meanPtr, variancePtr, node.eps, channels, lanes, ptr);
      });
    return { allocation, ptr, fill };
  };
  const key = JSON.stringify(['norm', node.eps, ...names]);
  const stored = parameters.filter((parameter) => parameter !== undefined);
  const { prepared, fill } = context.prepare(key, stored, make);
  return { coefficientsPtr: prepared.ptr, prepare: (at) => fill?.(at) };
}

function fromBatch(node: BatchNormNode, momentum: number, context: StepContext): Coefficients {
  const { kernels } = context.runtime;
  const { batch, channels, pixels, lanes } = input(node, context);
  const count = batch * pixels;
  const coefficientsPtr = context.allocate(lanes * 3 * 4);
  const mean = context.allocate(lanes * 8);
  const variance = context.allocate(lanes * 8);
  const [gamma, beta, runningMean, runningVariance] = node.inputs.slice(1, 5).map((name) => finder(name, context)) as [
    Find,
    Find,
    Find,
    Find,
  ];
  context.afterwards((at) => {
    kernels.updateRunning(runningMean(at), mean, channels, momentum, 1);
    kernels.updateRunning(runningVariance(at), variance, channels, momentum, count / (count - 1));
  });
  const prepare: Coefficients['prepare'] = (at, inPtr) => {
    kernels.batchStatistics(inPtr, count, lanes, mean, variance);
    kernels.prepareNormalize(gamma(at), beta(at), mean, variance, node.eps, channels, lanes, coefficientsPtr);
  };
  return { coefficientsPtr, prepare };
}
