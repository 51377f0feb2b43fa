/** The gradients of a BatchNorm's input, gamma and beta. */
import type { InputRule, NodeBase, Optional } from '../../nodes/node.js';
import type { OperationRule } from '../../ops/operation.js';
import { cutKernel, FLOAT_FLOPS } from '../../plan/steps/cut.js';
import { type Find, finder, type Step, type StepContext } from '../../plan/steps/step.js';
import { extentOf } from '../../sizes.js';
import { trainKernels } from '../kernels.js';
import { CHUNK_PIXELS } from './channelSums.js';

/** outputs: the gradients of the image, of gamma, of beta. mean and variance: the running ones; none: the batch's own. */
export interface BatchNormGradientNode extends NodeBase {
  readonly op: 'batchNormGradient';
  readonly inputs: readonly [gradient: string, image: string, gamma: Optional, mean: Optional, variance: Optional];
  readonly outputs: readonly [image: string, gamma: string, beta: string];
  readonly eps: number;
}

const PARAMETER: InputRule = { as: 'planar', isOptional: true };

export const batchNormGradient: OperationRule<BatchNormGradientNode> = {
  inputs: () => [{}, {}, PARAMETER, PARAMETER, PARAMETER],
  dims: (_node, [, image]) => image!,
  furtherDims: (_node, [, image]) => [[image![1] as number], [image![1] as number]],
  layout: () => 'channelsLast',
  overwrites: 'all',
  step,
};

function step(node: BatchNormGradientNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const train = trainKernels(context.runtime);
  const { batch, pixels, channels, lanes } = extentOf(context.dims(node.inputs[1]));
  const count = batch * pixels;
  const chunks = Math.ceil(count / CHUNK_PIXELS);
  const usesBatch = node.inputs[3] === undefined ? 1 : 0;
  const sumsBytes = chunks * 2 * lanes * 8;
  // Behind the sums mean and variance, f64[lanes] each, and four f32[lanes] of coefficients.
  const workspace = context.workspace(sumsBytes + 2 * lanes * 8 + 4 * lanes * 4);
  const [gradient, image, gamma, mean, variance] = node.inputs.map((name) => finder(name, context)) as [
    Find,
    Find,
    Find,
    Find,
    Find,
  ];
  const [output, gammaGradient, betaGradient] = node.outputs.map((name) => finder(name, context)) as [Find, Find, Find];
  // Two values are read, and in the second one written.
  const flops = 2 * count * lanes * FLOAT_FLOPS;
  const sum = cutKernel(context.runtime, train, 'normGradSums', { units: chunks, flops });
  const apply = cutKernel(context.runtime, train, 'applyNormGrad', { units: count, flops });
  return (at) => {
    const sumsPtr = workspace();
    const meanPtr = sumsPtr + sumsBytes;
    const variancePtr = meanPtr + lanes * 8;
    const coefficientsPtr = variancePtr + lanes * 8;
    const [gradPtr, inPtr] = [gradient(at), image(at)];
    if (usesBatch === 1) kernels.batchStatistics(inPtr, count, lanes, meanPtr, variancePtr);
    else {
      kernels.clear(meanPtr, 2 * lanes * 8);
      kernels.widenFloats(mean(at), meanPtr, channels);
      kernels.widenFloats(variance(at), variancePtr, channels);
    }
    sum(gradPtr, 0, inPtr, meanPtr, sumsPtr, count, lanes, CHUNK_PIXELS);
    train.normGrad(
      sumsPtr,
      chunks,
      count,
      channels,
      lanes,
      gamma(at),
      meanPtr,
      variancePtr,
      node.eps,
      usesBatch,
      0,
      gammaGradient(at),
      betaGradient(at),
      coefficientsPtr,
    );
    apply(gradPtr, 0, inPtr, coefficientsPtr, output(at), lanes);
  };
}
