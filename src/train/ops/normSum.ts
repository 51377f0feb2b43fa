/**
 * The sum of several BatchNorms of images of the same dims, an addend or a max pool, and a ReLU behind it: what the branches
 * of a block end in. It is made of BatchNorms before a graph is differentiated (src/train/gradients/joinNorms.ts).
 */
import type { Dims } from '../../nodes/dims.js';
import type { InputRule, NodeBase, Optional } from '../../nodes/node.js';
import type { OperationRule } from '../../ops/operation.js';
import { type PoolNode, pool } from '../../ops/pool.js';
import { cutKernel, FLOAT_FLOPS } from '../../plan/steps/cut.js';
import { type Addresses, type Find, finder, type Step, type StepContext } from '../../plan/steps/step.js';
import { extentOf, sizeOf } from '../../sizes.js';
import { trainKernels } from '../kernels.js';
import { CHUNK_PIXELS } from './channelSums.js';
import { writePoolWindows } from './poolWindows.js';

/** As a BatchNorm has them. */
export interface NormBranch {
  readonly eps: number;
  readonly momentum: number | undefined;
}

/**
 * inputs: the addend, then of each branch the image, gamma, beta, and the running mean and variance.
 * outputs: the sum, pooled where there is a pool, and then without an addend; mean and variance by which each branch was normalised, f64 [branches][2][lanes] seen as floats;
 * with a pool, the places that its values came from, i32 seen as floats.
 */
export interface NormSumNode extends NodeBase {
  readonly op: 'normSum';
  readonly inputs: readonly [addend: Optional, ...branches: Optional[]];
  readonly outputs: readonly [sum: string, statistics: string, ...places: string[]];
  readonly branches: readonly NormBranch[];
  /** Lower bound of the sum: 0 where there is a ReLU behind it, else -infinity. */
  readonly low: number;
  readonly pool?: PoolNode;
}

/** What a branch reads. */
export type BranchInputs = readonly [image: string, gamma: Optional, beta: Optional, mean: string, variance: string];

export function branchInputs({ inputs, branches }: NormSumNode): BranchInputs[] {
  return branches.map((_, i) => inputs.slice(1 + i * 5, 6 + i * 5) as unknown as BranchInputs);
}

const PARAMETER: InputRule = { as: 'planar', isOptional: true };

export const normSum: OperationRule<NormSumNode> = {
  inputs: ({ branches }) => [
    { isOptional: true },
    ...branches.flatMap((): InputRule[] => [{}, PARAMETER, PARAMETER, PARAMETER, PARAMETER]),
  ],
  dims: ({ pool: node }, [, image], dimOf) => (node === undefined ? image! : pool.dims(node, [image], dimOf)!),
  furtherDims: (node, [, image]) => {
    const { batch, lanes } = extentOf(image as Dims);
    const statistics = [node.branches.length * 4 * lanes];
    return node.pool === undefined
      ? [statistics]
      : [statistics, [batch * lanes * pooledPixels(node.pool, image as Dims)]];
  },
  layout: () => 'channelsLast',
  overwrites: 'each',
  step,
};

function pooledPixels(node: PoolNode, image: Dims): number {
  return sizeOf(pool.dims(node, [image], () => undefined)!.slice(2) as Dims);
}

/** Writes addresses where a kernel reads several. */
export function addressTable(context: StepContext, finds: readonly Find[]): Find {
  const ptr = context.allocate(finds.length * 4);
  const { heap } = context.runtime;
  return (at) => {
    const words = heap.words(ptr, finds.length);
    for (let i = 0; i < finds.length; i++) words[i] = finds[i]!(at);
    return ptr;
  };
}

function step(node: NormSumNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const branches = branchInputs(node);
  const { channels, lanes } = extentOf(context.dims(branches[0]![0]));
  const coefficientsPtr = context.allocate(branches.length * lanes * 12);
  const parts = branches.map((inputs, i) => {
    const { eps, momentum } = node.branches[i]!;
    const [image, gamma, beta] = inputs.slice(0, 3).map((name) => finder(name, context)) as [Find, Find, Find];
    const compute = momentum === undefined ? fromRunning(context, inputs) : fromBatch(context, inputs, momentum);
    return { image, gamma, beta, eps, compute };
  });
  const images = addressTable(
    context,
    parts.map(({ image }) => image),
  );
  const statistics = finder(node.outputs[1], context);
  const addUp = sumOf(node, context, images, coefficientsPtr);
  return (at) => {
    parts.forEach(({ gamma, beta, eps, compute }, i) => {
      const ptr = statistics(at) + i * lanes * 16;
      compute(at, ptr);
      const toPtr = coefficientsPtr + i * lanes * 12;
      kernels.prepareNormalize(gamma(at), beta(at), ptr, ptr + lanes * 8, eps, channels, lanes, toPtr);
    });
    addUp(at);
  };
}

/** Adds up, and pools where there is a pool. */
function sumOf(node: NormSumNode, context: StepContext, images: Find, coefficientsPtr: number): Step {
  const { runtime } = context;
  const kernels = trainKernels(runtime);
  const dims = context.dims(node.inputs[1]!);
  const { batch, pixels, lanes } = extentOf(dims);
  const { length } = node.branches;
  const [output, , ofValues] = node.outputs;
  const [addend, sum, places] = [node.inputs[0], output, ofValues].map((name) => finder(name, context)) as [
    Find,
    Find,
    Find,
  ];
  const flops = length * batch * pixels * lanes * FLOAT_FLOPS;
  if (node.pool === undefined) {
    const run = cutKernel(runtime, kernels, 'normSum', { units: batch * pixels, flops });
    return (at) => run(images(at), length, addend(at), coefficientsPtr, sum(at), lanes, node.low);
  }
  const windowsPtr = writePoolWindows(context, node.pool, dims, context.dims(node.outputs[0]));
  const run = cutKernel(runtime, kernels, 'normSumPool', { units: batch, flops, takesScratch: true });
  return (at) => run(images(at), length, coefficientsPtr, sum(at), places(at), windowsPtr, lanes, node.low);
}

/** Writes mean and variance of a branch to `toPtr`. */
type Statistics = (at: Addresses, toPtr: number) => void;

function fromRunning(context: StepContext, [image, , , mean, variance]: BranchInputs): Statistics {
  const { kernels } = context.runtime;
  const { channels, lanes } = extentOf(context.dims(image));
  const [findMean, findVariance] = [finder(mean, context), finder(variance, context)];
  return (at, toPtr) => {
    kernels.clear(toPtr, lanes * 16);
    kernels.widenFloats(findMean(at), toPtr, channels);
    kernels.widenFloats(findVariance(at), toPtr + lanes * 8, channels);
  };
}

/** The running ones move once all steps are through, when what the step wrote may be gone. */
function fromBatch(context: StepContext, [image, , , mean, variance]: BranchInputs, momentum: number): Statistics {
  const { kernels } = context.runtime;
  const train = trainKernels(context.runtime);
  const { batch, pixels, channels, lanes } = extentOf(context.dims(image));
  const count = batch * pixels;
  const chunks = Math.ceil(count / CHUNK_PIXELS);
  const cut = { units: chunks, flops: count * lanes * FLOAT_FLOPS };
  const moments = cutKernel(context.runtime, train, 'normMoments', cut);
  const workspace = context.workspace(train.normMomentsBytes(chunks, lanes));
  const keptPtr = context.allocate(lanes * 16);
  const [find, runningMean, runningVariance] = [image, mean, variance].map((name) => finder(name, context)) as [
    Find,
    Find,
    Find,
  ];
  context.afterwards((at) => {
    kernels.updateRunning(runningMean(at), keptPtr, channels, momentum, 1);
    kernels.updateRunning(runningVariance(at), keptPtr + lanes * 8, channels, momentum, count / (count - 1));
  });
  return (at, toPtr) => {
    moments(find(at), workspace(), count, lanes, CHUNK_PIXELS);
    train.gatherMoments(workspace(), count, lanes, CHUNK_PIXELS, toPtr, keptPtr);
  };
}
