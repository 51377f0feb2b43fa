/**
 * Convolutions with kernels of one column or row by Winograd's algorithm along that axis: where it applies, and the step
 * that adds one to an output. See assembly/train/lineConv.ts.
 */
import type { Conv2dNode } from '../nodes/conv.js';
import type { Window } from '../nodes/node.js';
import { LARGEST_TRANSFORMED, tameness } from '../plan/conv/tame.js';
import { cutKernel, FLOAT_FLOPS } from '../plan/steps/cut.js';
import { type Find, finder, type Step, type StepContext, writeRecord, writeTable } from '../plan/steps/step.js';
import { windowTable } from '../plan/steps/windows.js';
import { extentOf, lanesOf, roundUp } from '../sizes.js';
import { trainKernels } from './kernels.js';
import { LINE_CONV_DESCRIPTOR } from './records.js';

/** Outputs of a tile: larger ones take less time, and err more. */
const TILES = { precise: 2, other: 4 } as const;
/** Fewer make products too shallow for their transforms. */
const MIN_CHANNELS = 8;

/** Of the descriptor: packed weights are there for a step only. */
const WEIGHTS_WORD = Object.keys(LINE_CONV_DESCRIPTOR).indexOf('weightsPtr');

/** Whether the algorithm has a scheme for such a window. */
export function isLine({ kernel, stride, dilation }: Window): boolean {
  const [short, long] = [Math.min(...kernel), Math.max(...kernel)];
  return short === 1 && (long === 3 || long === 5) && [...stride, ...dilation].every((value) => value === 1);
}

/** Whether it computes this convolution, and faster than others. */
export function canBeLine({ inputs, window, algorithm }: Conv2dNode, context: StepContext): boolean {
  const inChannels = context.dims(inputs[1])[1]!;
  return algorithm === undefined && isLine(window) && inChannels >= MIN_CHANNELS;
}

/**
 * A convolution without bias, its addend added.
 * @param otherwise for values that a transform would spread
 */
export function lineStep(owner: string, node: Conv2dNode, context: StepContext, otherwise: () => Step): Step {
  const { window, paddingMode } = node;
  const [image, weight, , addend] = node.inputs;
  const [output] = node.outputs;
  const { runtime } = context;
  const kernels = trainKernels(runtime);
  const [outChannels, inChannels] = context.dims(weight) as [number, number];
  const [, , inHeight, inWidth] = context.dims(image) as [number, number, number, number];
  const [batch, , outHeight, outWidth] = context.dims(output) as [number, number, number, number];
  const [kernelHeight, kernelWidth] = window.kernel;
  const pixelBytes = extentOf(context.dims(image)).lanes * 4;
  const rows = windowTable(window, 0, paddingMode, inHeight, outHeight, inWidth * pixelBytes);
  const columns = windowTable(window, 1, paddingMode, inWidth, outWidth, pixelBytes);
  const taps = Math.max(kernelHeight, kernelWidth);
  const tile = node.precise === true ? TILES.precise : TILES.other;
  const points = taps + tile - 1;
  const weightFloats = roundUp(outChannels, 8) * points * lanesOf(inChannels);
  const workspace = context.workspace(weightFloats * 4);
  const descriptorPtr = writeRecord(owner, context, LINE_CONV_DESCRIPTOR, {
    weightsPtr: 0,
    rowsPtr: writeTable(context, rows),
    columnsPtr: writeTable(context, columns),
    zerosPtr: writeTable(context, new Float32Array(lanesOf(inChannels))),
    outHeight,
    outWidth,
    kernelHeight,
    kernelWidth,
    inChannels,
    outChannels,
    inImageStride: inHeight * inWidth * pixelBytes,
    inRowStride: inWidth * pixelBytes,
    tile,
  });
  const across = (size: number, count: number): number => (count === 1 ? size : Math.ceil(size / tile));
  const tiles = batch * across(outHeight, kernelHeight) * across(outWidth, kernelWidth);
  const pack = cutKernel(runtime, kernels, 'packLineWeights', {
    units: Math.ceil(outChannels / 8),
    flops: weightFloats * FLOAT_FLOPS,
    takesScratch: true,
  });
  const multiply = cutKernel(runtime, kernels, 'lineConv2d', {
    units: tiles,
    flops: 2 * tiles * points * inChannels * outChannels,
    takesScratch: true,
  });
  const [find, findWeight, findOutput, findAddend] = [image, weight, output, addend].map((name) =>
    finder(name, context),
  ) as [Find, Find, Find, Find];
  const isTame = tameness([image], context);
  const direct = context.lazily(otherwise);
  return (at) => {
    const weightsPtr = workspace();
    runtime.heap.words(descriptorPtr + WEIGHTS_WORD * 4, 1)[0] = weightsPtr;
    pack(findWeight(at), weightsPtr, outChannels, inChannels, taps, tile);
    const { allBelow } = runtime.kernels;
    if (allBelow(weightsPtr, weightFloats, LARGEST_TRANSFORMED) === 0 || !isTame(at)) direct()(at);
    else multiply(descriptorPtr, find(at), findOutput(at), findAddend(at));
  };
}
