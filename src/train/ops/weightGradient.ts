/** The gradient of the weights of a convolution or a linear layer. */
import type { Conv2dNode, LinearNode } from '../../nodes/conv.js';
import type { FullNode, PaddingMode, Window } from '../../nodes/node.js';
import { title } from '../../nodes/shapeErrors.js';
import type { OperationRule } from '../../ops/operation.js';
import { tameness } from '../../plan/conv/tame.js';
import { cutKernel, FLOAT_FLOPS, runJob } from '../../plan/steps/cut.js';
import {
  type Find,
  finder,
  pixelStride,
  type Step,
  type StepContext,
  writeRecord,
  writeTable,
} from '../../plan/steps/step.js';
import { windowTable } from '../../plan/steps/windows.js';
import { extentOf, roundUp, sizeOf } from '../../sizes.js';
import type { TrainKernels } from '../abi.js';
import { trainKernels } from '../kernels.js';
import { WEIGHT_GRAD_DESCRIPTOR } from '../records.js';
import {
  planWeightGradient,
  WEIGHT_GRADIENT_KERNELS,
  type WeightGradientAlgorithm,
  type WeightGradientPlan,
  type WeightGradientShape,
} from '../weightGradient.js';

/** inputs: the image, and the gradient of the output. */
export interface WeightGradientNode extends FullNode {
  readonly op: 'weightGradient';
  readonly inputs: readonly [image: string, gradient: string];
  readonly window: Window;
  readonly paddingMode: PaddingMode;
  readonly groups: number;
  /** Of the weight. */
  readonly dims: readonly number[];
}

export const weightGradient: OperationRule<WeightGradientNode> = {
  inputs: () => [{ as: 'channelsLast' }, { as: 'channelsLast' }],
  dims: ({ dims }) => dims,
  layout: () => 'planar',
  step,
  multiplyAdds: ({ dims }, _output, [, gradient]) => {
    const { batch, pixels } = extentOf(gradient!);
    return sizeOf(dims) * batch * pixels;
  },
};

const ONE_PIXEL: Window = { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pads: [0, 0, 0, 0] };

/** The node for the weight of another one. */
export function weightGradientOf(
  node: Conv2dNode | LinearNode,
  gradient: string,
  dims: readonly number[],
): Omit<WeightGradientNode, 'outputs'> {
  const { path, layer } = node;
  const { window, paddingMode, groups } =
    node.op === 'conv2d' ? node : ({ window: ONE_PIXEL, paddingMode: 'zeros', groups: 1 } as const);
  const inputs = [node.inputs[0], gradient] as const;
  return { op: 'weightGradient', path, layer, inputs, window, paddingMode, groups, dims };
}

function step(node: WeightGradientNode, context: StepContext): Step {
  const { runtime } = context;
  const kernels = trainKernels(runtime);
  const shape = shapeOf(node, context);
  const plan = planWeightGradient(kernels, shape);
  const tables = writeTables(node, context, shape);
  const sum = sumStep(node, context, shape, plan, tables);
  if (plan.algorithm !== 'winograd') return sum;
  const direct = sumStep(node, context, shape, planWeightGradient(kernels, shape, 'direct'), tables);
  const isTame = tameness(node.inputs, context);
  return (at) => (isTame(at) ? sum(at) : direct(at));
}

function shapeOf({ inputs, window, groups, dims }: WeightGradientNode, context: StepContext): WeightGradientShape {
  const { kernel, stride, dilation } = window;
  const [batch, channels, outHeight = 1, outWidth = 1] = context.dims(inputs[1]) as [number, number, number?, number?];
  const outChannels = channels / groups;
  return { batch, outHeight, outWidth, kernel, stride, dilation, groups, inChannels: dims[1]!, outChannels };
}

/** What both algorithms read. */
interface Tables {
  readonly rowsPtr: number;
  readonly columnsPtr: number;
  readonly zerosPtr: number;
}

function writeTables(
  { inputs, window, paddingMode }: WeightGradientNode,
  context: StepContext,
  { outHeight, outWidth }: WeightGradientShape,
): Tables {
  const dims = context.dims(inputs[0]);
  const [, , inHeight = 1, inWidth = 1] = dims;
  const { lanes } = extentOf(dims);
  const zeros = Math.max(lanes, extentOf(context.dims(inputs[1])).lanes);
  return {
    rowsPtr: writeTable(context, windowTable(window, 0, paddingMode, inHeight, outHeight, inWidth * lanes * 4)),
    columnsPtr: writeTable(context, windowTable(window, 1, paddingMode, inWidth, outWidth, lanes * 4)),
    zerosPtr: writeTable(context, new Float32Array(zeros)),
  };
}

/** Sums of chunks, and the sum of those. */
function sumStep(
  node: WeightGradientNode,
  context: StepContext,
  shape: WeightGradientShape,
  plan: WeightGradientPlan,
  tables: Tables,
): Step {
  const kernels = trainKernels(context.runtime);
  const { groups, inChannels, outChannels } = shape;
  const descriptorPtr = writeRecord(title(node), context, WEIGHT_GRAD_DESCRIPTOR, {
    ...tables,
    batch: shape.batch,
    outHeight: shape.outHeight,
    outWidth: shape.outWidth,
    kernelHeight: shape.kernel[0],
    kernelWidth: shape.kernel[1],
    groups,
    inChannels,
    outChannels,
    inImageStride: extentOf(context.dims(node.inputs[0])).bytes / shape.batch,
    gradPixelStride: pixelStride(node.inputs[1], context),
    columnShift: shape.dilation[1] === 1 ? Math.min(shape.stride[1], shape.kernel[1]) : 0,
    chunkBlocks: plan.chunkBlocks,
  });
  const { runtime } = context;
  const sumsBytes = roundUp(plan.sumsBytes, 64);
  const scratch = scratchBytes(kernels, plan.algorithm, descriptorPtr);
  // Gaps between the taps of a window may take more working memory than threads have; then the calling one has some here.
  const takesScratch = scratch <= runtime.scratchBytes;
  const workspace = context.workspace(takesScratch ? sumsBytes : sumsBytes + scratch);
  const sum = runJob(runtime, kernels, WEIGHT_GRADIENT_KERNELS[plan.algorithm], {
    takesScratch,
    units: plan.chunks,
    unitStep: takesScratch ? 1 : plan.chunks,
    channels: outChannels,
    channelStep: takesScratch ? plan.channelStep : outChannels,
    flops: plan.flops,
  });
  const write = writeStep(context, plan, shape, descriptorPtr);
  const [image, gradient, output] = [...node.inputs, node.outputs[0]].map((name) => finder(name, context)) as [
    Find,
    Find,
    Find,
  ];
  return (at) => {
    const sumsPtr = workspace();
    const own = takesScratch ? [] : [sumsPtr + sumsBytes];
    sum(descriptorPtr, image(at), sumsPtr, gradient(at), ...own);
    write(sumsPtr, output(at));
  };
}

/** Adds up the sums of chunks. */
function writeStep(
  { runtime }: StepContext,
  { algorithm, chunks, sumsBytes }: WeightGradientPlan,
  { groups, outChannels, kernel }: WeightGradientShape,
  descriptorPtr: number,
): (sumsPtr: number, outPtr: number) => void {
  const kernels = trainKernels(runtime);
  const flops = (sumsBytes / 4) * FLOAT_FLOPS;
  switch (algorithm) {
    case 'direct': {
      const write = cutKernel(runtime, kernels, 'writeWeightGrad', { units: groups * outChannels, flops });
      return (sumsPtr, outPtr) => write(descriptorPtr, sumsPtr, outPtr, chunks, 0);
    }
    case 'winograd': {
      const write = cutKernel(runtime, kernels, 'writeWinogradWeightGrad', {
        units: outChannels,
        flops,
        takesScratch: true,
      });
      return (sumsPtr, outPtr) => write(descriptorPtr, sumsPtr, outPtr, chunks, 0);
    }
    case 'depthwise':
      return (sumsPtr, outPtr) =>
        kernels.writeDepthwiseWeightGrad(sumsPtr, outPtr, chunks, 0, groups, kernel[0] * kernel[1]);
  }
}

function scratchBytes(kernels: TrainKernels, algorithm: WeightGradientAlgorithm, descriptorPtr: number): number {
  switch (algorithm) {
    case 'direct':
      return kernels.weightGradScratchBytes(descriptorPtr);
    case 'winograd':
      return kernels.winogradGradScratchBytes(descriptorPtr);
    case 'depthwise':
      return 0;
  }
}
