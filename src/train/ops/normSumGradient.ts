/** The gradient of a sum of BatchNorms: of all of their images, gammas and betas, and of what was added to them. */
import type { InputRule, NodeBase, Optional } from '../../nodes/node.js';
import type { OperationRule } from '../../ops/operation.js';
import type { PoolNode } from '../../ops/pool.js';
import { cutKernel, FLOAT_FLOPS } from '../../plan/steps/cut.js';
import { type Find, finder, type Step, type StepContext } from '../../plan/steps/step.js';
import { extentOf } from '../../sizes.js';
import { trainKernels } from '../kernels.js';
import { CHUNK_PIXELS } from './channelSums.js';
import { addressTable, type NormBranch } from './normSum.js';
import { writePoolWindows } from './poolWindows.js';

/**
 * inputs: the image of each branch, the gradient of the sum, the sum's output where a ReLU is behind it, the statistics
 * that it was normalised by, each branch's gamma, and the places of a pool.
 * outputs: the gradient of each image; that of the addend where it is not the sum's, since there is a ReLU; that of every
 * beta; that of each gamma. The first ones may take the place of what they are gradients of.
 */
export interface NormSumGradientNode extends NodeBase {
  readonly op: 'normSumGradient';
  readonly branches: readonly NormBranch[];
  /** Whether there is a gradient of the addend among the outputs. */
  readonly hasAddend: boolean;
  readonly pool: PoolNode | undefined;
}

const PARAMETER: InputRule = { as: 'planar', isOptional: true };

export const normSumGradient: OperationRule<NormSumGradientNode> = {
  inputs: ({ branches }) => [
    ...branches.map(() => ({})),
    {},
    { isOptional: true },
    PARAMETER,
    ...branches.map(() => PARAMETER),
    PARAMETER,
  ],
  dims: (_node, [image]) => image!,
  furtherDims: ({ branches, hasAddend }, [image]) => {
    const dims = image as readonly number[];
    const like = new Array(branches.length - 1 + (hasAddend ? 1 : 0)).fill(dims);
    return [...like, ...new Array(branches.length + 1).fill([dims[1]])];
  },
  layout: () => 'channelsLast',
  overwrites: 'each',
  step,
};

function step(node: NormSumGradientNode, context: StepContext): Step {
  const kernels = trainKernels(context.runtime);
  const { branches, hasAddend, pool } = node;
  const { length } = branches;
  const { batch, pixels, channels, lanes } = extentOf(context.dims(node.inputs[0]!));
  const count = batch * pixels;
  const chunks = Math.ceil(count / CHUNK_PIXELS);
  const workspace = context.workspace(chunks * (1 + length) * lanes * 8);
  const coefficientsPtr = context.allocate(length * lanes * 16);
  const inputs = node.inputs.map((name: Optional) => finder(name, context));
  const outputs = node.outputs.map((name) => finder(name, context));
  const images = addressTable(context, [...inputs.slice(0, length), ...outputs.slice(0, length)]);
  const [gradient, mask, statistics, ...gammas] = inputs.slice(length) as [Find, Find, Find, ...Find[]];
  const places = gammas.pop()!;
  const windowsPtr =
    pool === undefined
      ? 0
      : writePoolWindows(context, pool, context.dims(node.inputs[0]!), context.dims(node.inputs[length]!));
  const addend = hasAddend ? outputs[length]! : () => 0;
  const [betaGradient, ...gammaGradients] = outputs.slice(hasAddend ? length + 1 : length) as [Find, ...Find[]];
  const flops = (1 + length) * count * lanes * FLOAT_FLOPS;
  const addUp = cutKernel(context.runtime, kernels, 'normGradSums', { units: chunks, flops, takesScratch: true });
  const apply = cutKernel(context.runtime, kernels, 'applyNormGrad', { units: count, flops, takesScratch: true });
  return (at) => {
    const [sumsPtr, gradPtr, maskPtr, addendPtr] = [workspace(), gradient(at), mask(at), addend(at)];
    const imagesPtr = images(at);
    const statisticsPtr = statistics(at);
    const placesPtr = places(at);
    const from = [placesPtr, windowsPtr, addendPtr, imagesPtr, length, statisticsPtr] as const;
    addUp(gradPtr, maskPtr, ...from, sumsPtr, count, lanes, CHUNK_PIXELS);
    kernels.writeBetaGrad(sumsPtr, chunks, length, channels, lanes, betaGradient(at));
    branches.forEach(({ eps, momentum }, i) => {
      kernels.normGrad(
        sumsPtr,
        chunks,
        length,
        i,
        count,
        channels,
        lanes,
        gammas[i]!(at),
        statisticsPtr + i * lanes * 16,
        eps,
        momentum === undefined ? 0 : 1,
        gammaGradients[i]!(at),
        coefficientsPtr + i * lanes * 16,
      );
    });
    // What has come through the ReLU needs no mask any more.
    const [fromPtr, byPtr] = hasAddend ? [addendPtr, 0] : [gradPtr, maskPtr];
    apply(fromPtr, byPtr, placesPtr, windowsPtr, imagesPtr, length, coefficientsPtr, lanes);
  };
}
