/** The gradients of pools: over windows of an image, and over all of it. */

import type { NodeBase, Optional } from '../../nodes/node.js';
import type { GlobalPoolNode } from '../../ops/globalPool.js';
import type { OperationRule } from '../../ops/operation.js';
import type { PoolNode } from '../../ops/pool.js';
import { cutKernel, FLOAT_FLOPS } from '../../plan/steps/cut.js';
import { type Find, finder, type Step, type StepContext, writeTable } from '../../plan/steps/step.js';
import { seenTaps, windowDivisors, windowTable } from '../../plan/steps/windows.js';
import { extentOf } from '../../sizes.js';
import { trainKernels } from '../kernels.js';

/** image: what was pooled, which a mean does without. */
export interface PoolGradientNode extends NodeBase {
  readonly op: 'poolGradient';
  readonly inputs: readonly [gradient: string, image?: Optional];
  readonly of: PoolNode | GlobalPoolNode;
  /** Of the image. */
  readonly dims: readonly number[];
}

export const poolGradient: OperationRule<PoolGradientNode> = {
  dims: ({ dims }) => dims,
  layout: () => 'channelsLast',
  step,
};

function step(node: PoolGradientNode, context: StepContext): Step {
  const { of, dims } = node;
  const [gradient, image] = [finder(node.inputs[0], context), finder(node.inputs[1], context)];
  const output = finder(node.outputs[0], context);
  if (of.op === 'maxPool2d' || of.op === 'avgPool2d') {
    return windowStep(of, context, dims, context.dims(node.inputs[0]), gradient, image, output);
  }
  const { runtime } = context;
  const kernels = trainKernels(runtime);
  const { batch, pixels, lanes } = extentOf(dims);
  const cut = { units: batch, flops: batch * pixels * lanes * FLOAT_FLOPS };
  if (of.op === 'globalAvgPool2d') {
    const run = cutKernel(runtime, kernels, 'globalAvgPool2dGrad', cut);
    return (at) => run(gradient(at), output(at), pixels, lanes);
  }
  const run = cutKernel(runtime, kernels, 'globalMaxPool2dGrad', cut);
  return (at) => run(gradient(at), image(at), output(at), pixels, lanes);
}

function windowStep(
  { op, window, countIncludePad }: PoolNode,
  context: StepContext,
  dims: readonly number[],
  outDims: readonly number[],
  gradient: Find,
  image: Find,
  output: Find,
): Step {
  const { runtime } = context;
  const kernels = trainKernels(runtime);
  const { batch, pixels, lanes } = extentOf(dims);
  const [, , height, width] = dims as [number, number, number, number];
  const [, , outHeight, outWidth] = outDims as [number, number, number, number];
  const [down, across] = [seenTaps(window, 0, height), seenTaps(window, 1, width)];
  const rows = writeTable(context, windowTable(window, 0, 'zeros', height, outHeight, width * lanes * 4, down));
  const columns = writeTable(context, windowTable(window, 1, 'zeros', width, outWidth, lanes * 4, across));
  const shape = [outHeight, outWidth, down, across, pixels * lanes * 4, lanes] as const;
  const taps = outHeight * outWidth * down * across;
  const cut = { units: batch, flops: batch * (pixels + taps) * lanes * FLOAT_FLOPS };
  if (op === 'maxPool2d') {
    const run = cutKernel(runtime, kernels, 'maxPool2dGrad', cut);
    return (at) => run(gradient(at), image(at), output(at), rows, columns, ...shape);
  }
  const rowDivisors = writeTable(context, windowDivisors(window, 0, countIncludePad, height, outHeight));
  const columnDivisors = writeTable(context, windowDivisors(window, 1, countIncludePad, width, outWidth));
  const run = cutKernel(runtime, kernels, 'avgPool2dGrad', cut);
  return (at) => run(gradient(at), output(at), rows, columns, rowDivisors, columnDivisors, ...shape);
}
