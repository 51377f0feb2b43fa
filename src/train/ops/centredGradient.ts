/**
 * A gradient on its way to folded convolutions (foldedConv.ts): through the ReLU and the max pool behind them, and less its
 * mean over all pixels of a channel. See assembly/train/centreGrad.ts.
 */
import type { NodeBase, Optional } from '../../nodes/node.js';
import type { OperationRule } from '../../ops/operation.js';
import type { PoolNode } from '../../ops/pool.js';
import { cutKernel, FLOAT_FLOPS } from '../../plan/steps/cut.js';
import { type Find, finder, type Step, type StepContext } from '../../plan/steps/step.js';
import { extentOf } from '../../sizes.js';
import { trainKernels } from '../kernels.js';
import { CHUNK_PIXELS } from './channelSums.js';
import { writePoolWindows } from './poolWindows.js';

/**
 * inputs: the gradient of what came out, that itself where there is a ReLU, and the places of a pool. outputs: the gradient,
 * and its sums.
 */
export interface CentredGradientNode extends NodeBase {
  readonly op: 'centredGradient';
  readonly inputs: readonly [gradient: string, output: Optional, places: Optional];
  /** Of the convolution's output. */
  readonly dims: readonly number[];
  readonly pool: PoolNode | undefined;
}

export const centredGradient: OperationRule<CentredGradientNode> = {
  inputs: () => [{}, { isOptional: true }, { as: 'planar', isOptional: true }],
  dims: ({ dims }) => dims,
  furtherDims: ({ dims }) => [[dims[1]!]],
  layout: () => 'channelsLast',
  overwrites: 'each',
  step,
};

function step(node: CentredGradientNode, context: StepContext): Step {
  const { runtime } = context;
  const kernels = trainKernels(runtime);
  const { batch, pixels, channels, lanes } = extentOf(node.dims);
  const count = batch * pixels;
  const given = extentOf(context.dims(node.inputs[0])).pixels * batch;
  const chunks = Math.ceil(given / CHUNK_PIXELS);
  const meansPtr = context.allocate(lanes * 4);
  const workspace = context.workspace(chunks * lanes * 8);
  const windowsPtr =
    node.pool === undefined ? 0 : writePoolWindows(context, node.pool, node.dims, context.dims(node.inputs[0]));
  const [gradient, mask, places, output, sums] = [...node.inputs, ...node.outputs].map((name) =>
    finder(name, context),
  ) as [Find, Find, Find, Find, Find];
  const add = cutKernel(runtime, kernels, 'maskedSums', { units: chunks, flops: given * lanes * FLOAT_FLOPS });
  const centre = cutKernel(runtime, kernels, 'centreGrad', { units: count, flops: 2 * count * lanes * FLOAT_FLOPS });
  return (at) => {
    const [gradPtr, maskPtr, sumsPtr] = [gradient(at), mask(at), workspace()];
    add(gradPtr, maskPtr, sumsPtr, given, lanes, CHUNK_PIXELS);
    kernels.writeGradMeans(sumsPtr, chunks, count, channels, lanes, sums(at), meansPtr);
    centre(gradPtr, maskPtr, places(at), windowsPtr, meansPtr, output(at), lanes);
  };
}
