/** What the border of a padded image adds to the pixels that it repeats. */
import type { FullNode, PaddingMode, Pads, Window } from '../../nodes/node.js';
import type { OperationRule } from '../../ops/operation.js';
import { cutKernel, FLOAT_FLOPS } from '../../plan/steps/cut.js';
import { finder, type Step, type StepContext, writeTable } from '../../plan/steps/step.js';
import { windowTable } from '../../plan/steps/windows.js';
import { extentOf } from '../../sizes.js';
import { trainKernels } from '../kernels.js';

/** input: the gradient of the padded image. */
export interface PadGradientNode extends FullNode {
  readonly op: 'padGradient';
  readonly pads: Pads;
  readonly mode: PaddingMode;
  /** Of the image. */
  readonly dims: readonly number[];
}

export const padGradient: OperationRule<PadGradientNode> = {
  dims: ({ dims }) => dims,
  layout: () => 'channelsLast',
  step,
};

/** Each padded pixel is a window of the one pixel that it repeats, of which the mean has this gradient. */
function step({ pads, mode, dims, inputs, outputs }: PadGradientNode, context: StepContext): Step {
  const window: Window = { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pads };
  const { batch, pixels, lanes } = extentOf(dims);
  const [, , height, width] = dims as [number, number, number, number];
  const [, , outHeight, outWidth] = context.dims(inputs[0]!) as [number, number, number, number];
  const rows = writeTable(context, windowTable(window, 0, mode, height, outHeight, width * lanes * 4));
  const columns = writeTable(context, windowTable(window, 1, mode, width, outWidth, lanes * 4));
  const ones = writeTable(context, new Float32Array(Math.max(outHeight, outWidth)).fill(1));
  const shape = [outHeight, outWidth, 1, 1, pixels * lanes * 4, lanes] as const;
  const [gradient, output] = [finder(inputs[0], context), finder(outputs[0], context)];
  const run = cutKernel(context.runtime, trainKernels(context.runtime), 'avgPool2dGrad', {
    units: batch,
    flops: 2 * batch * outHeight * outWidth * lanes * FLOAT_FLOPS,
  });
  return (at) => run(gradient(at), output(at), rows, columns, ones, ones, ...shape);
}
