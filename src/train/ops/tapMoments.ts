/**
 * Means and covariances of what the taps of a window see of an image, and the image less its mean, with its padding: see
 * assembly/train/tapMoments.ts.
 */
import type { FullNode, Window } from '../../nodes/node.js';
import { title } from '../../nodes/shapeErrors.js';
import type { OperationRule } from '../../ops/operation.js';
import { cutKernel, FLOAT_FLOPS } from '../../plan/steps/cut.js';
import { type Find, finder, type Step, type StepContext, writeRecord } from '../../plan/steps/step.js';
import { extentOf, sizeOf } from '../../sizes.js';
import { trainKernels } from '../kernels.js';
import { TAP_WINDOWS } from '../records.js';
import { CHUNK_PIXELS } from './channelSums.js';

/**
 * outputs: the image with its padding, less the mean of each channel; f64 [taps], [taps] and [taps][taps], seen as floats.
 * Taps are those of a weight, (channel, row, column).
 */
export interface TapMomentsNode extends FullNode {
  readonly op: 'tapMoments';
  readonly outputs: readonly [image: string, moments: string];
  /** With strides and dilations of one. */
  readonly window: Window;
}

export const tapMoments: OperationRule<TapMomentsNode> = {
  inputs: () => [{ as: 'channelsLast' }],
  dims: ({ window: { pads } }, [image]) => {
    const [batch, channels, height, width] = image as [number, number, number, number];
    return [batch, channels, height + pads[0] + pads[2], width + pads[1] + pads[3]];
  },
  furtherDims: ({ window: { kernel } }, [image]) => {
    const taps = (image![1] as number) * sizeOf(kernel);
    return [[2 * taps * (taps + 2)]];
  },
  layout: () => 'channelsLast',
  step,
};

/** Channels and sizes of images and windows, so that a row's products and what they are made of fit into working memory. */
const MAX_CHANNELS = 3;
const MAX_KERNEL = 7;
const MAX_WIDTH = 1024;
/** Chunks of images, as many for each of one to four threads, or nearly; and what their sums may take. */
const CHUNKS = 8;
const MAX_SUMS_BYTES = 2 ** 21;

/** Whether the kernels can look through images of these dims. */
export function hasTapMoments({ kernel, stride, dilation, pads }: Window, dims: readonly number[]): boolean {
  const [, channels, height, width] = dims as [number, number, number, number];
  if ([...stride, ...dilation].some((size) => size !== 1) || kernel.some((size) => size > MAX_KERNEL)) return false;
  if (channels > MAX_CHANNELS || width > MAX_WIDTH || pads.some((pad, i) => pad < 0 || pad >= kernel[i % 2]!))
    return false;
  const { top, bottom, left, right } = edges({ kernel, stride, dilation, pads }, dims);
  return top + bottom <= height && left + right <= width;
}

/** Multiply-adds that it takes, about. */
export function tapProducts({ kernel }: Window, dims: readonly number[]): number {
  const { batch, channels, pixels } = extentOf(dims);
  return batch * pixels * kernel[0] * (2 * kernel[1] - 1) * (channels + 1) * 4;
}

/** Rows and columns at the edges that some tap does not see. */
function edges(window: Window, [, , height, width]: readonly number[]) {
  const of = (axis: 0 | 1, size: number): [number, number] =>
    [window.kernel[axis] - 1 - window.pads[axis], window.kernel[axis] - 1 - window.pads[axis + 2]!].map((edge) =>
      Math.min(edge, size),
    ) as [number, number];
  const [[top, bottom], [left, right]] = [of(0, height!), of(1, width!)];
  return { top, bottom, left, right };
}

function step(node: TapMomentsNode, context: StepContext): Step {
  const { runtime } = context;
  const kernels = trainKernels(runtime);
  const { window } = node;
  const dims = context.dims(node.inputs[0]!);
  const [batch, channels, height, width] = dims as [number, number, number, number];
  const { top, bottom, left, right } = edges(window, dims);
  const windowsPtr = writeRecord(title(node), context, TAP_WINDOWS, {
    height,
    width,
    channels,
    kernelHeight: window.kernel[0],
    kernelWidth: window.kernel[1],
    padTop: window.pads[0],
    padLeft: window.pads[1],
    outHeight: height + window.pads[0] + window.pads[2] - window.kernel[0] + 1,
    outWidth: width + window.pads[1] + window.pads[3] - window.kernel[1] + 1,
    topRows: top,
    bottomRows: bottom,
    leftColumns: left,
    rightColumns: right,
    batch,
  });
  const chunkBytes = kernels.tapProductsBytes(windowsPtr);
  const chunkImages = Math.ceil(batch / Math.max(1, Math.min(CHUNKS, Math.floor(MAX_SUMS_BYTES / chunkBytes))));
  const chunks = Math.ceil(batch / chunkImages);
  const count = batch * height * width;
  const pixelChunks = Math.ceil(count / CHUNK_PIXELS);
  const centrePtr = context.allocate(32);
  const workspace = context.workspace(Math.max(pixelChunks * 32, chunks * chunkBytes));
  const columnSums = cutKernel(runtime, kernels, 'columnSums', { units: pixelChunks, flops: 4 * count * FLOAT_FLOPS });
  const multiply = cutKernel(runtime, kernels, 'tapProducts', {
    units: chunks,
    flops: 2 * tapProducts(window, dims),
    takesScratch: true,
  });
  const rows = batch * context.dims(node.outputs[0])[2]!;
  const centre = cutKernel(runtime, kernels, 'centreImages', { units: rows, flops: 8 * count * FLOAT_FLOPS });
  const [image, centred, moments] = [...node.inputs, ...node.outputs].map((name) => finder(name, context)) as [
    Find,
    Find,
    Find,
  ];
  return (at) => {
    const [inPtr, sumsPtr] = [image(at), workspace()];
    columnSums(inPtr, sumsPtr, count, 4, CHUNK_PIXELS);
    kernels.writeCentre(sumsPtr, pixelChunks, count, channels, centrePtr);
    centre(windowsPtr, inPtr, centrePtr, centred(at));
    multiply(windowsPtr, inPtr, centrePtr, sumsPtr, chunkImages);
    kernels.writeTapMoments(windowsPtr, sumsPtr, chunks, centrePtr, moments(at));
  };
}
