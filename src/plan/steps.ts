/**
 * Steps: for each operation, the call of its kernel. Here are those of layers; convolutions, elementwise operations and
 * those that treat tensors as arrays have files of their own.
 */
import { UnsupportedError } from '../errors.js';
import { frontAxis } from '../graph/arrayShapes.js';
import type { AxisNode, BatchNormNode, GlobalPoolNode, Node, PoolNode } from '../graph/graph.js';
import { title } from '../graph/shapeErrors.js';
import { sizeOf } from '../sizes.js';
import { residentPtr } from '../tensor.js';
import { concat, matMul, pad, reduceMean, slice, transpose } from './arraySteps.js';
import { convolution } from './convolution.js';
import { binary, unary } from './elementwise.js';
import { input, laneCleaner, lowerBound, pixelStride, ports, type Step, type StepContext, writeTable } from './step.js';
import { withStaging } from './weights.js';
import { seenTaps, seesNothing, windowDivisors, windowTable } from './windows.js';

/** Of all windows of a channel; 31 x 31 on 4096 x 4096 pixels are as many. */
const MAX_POOL_TAPS = 2 ** 34;

export function makeStep(node: Node, context: StepContext): Step {
  switch (node.op) {
    case 'conv2d':
    case 'linear':
      return convolution(node, context);
    case 'batchNorm':
      return batchNorm(node, context);
    case 'maxPool2d':
    case 'avgPool2d':
      return pool(node, context);
    case 'globalAvgPool2d':
    case 'globalMaxPool2d':
      return globalPool(node, context);
    case 'softmax':
    case 'logSoftmax':
      return softmax(node, context);
    case 'add':
    case 'sub':
    case 'mul':
    case 'div':
      return binary(node, context);
    case 'relu':
    case 'leakyRelu':
    case 'clip':
    case 'sigmoid':
    case 'hardSigmoid':
    case 'hardSwish':
      return unary(node, context);
    case 'concat':
      return concat(node, context);
    case 'slice':
      return slice(node, context);
    case 'pad':
      return pad(node, context);
    case 'transpose':
      return transpose(node, context);
    case 'reduceMean':
      return reduceMean(node, context);
    case 'matMul':
      return matMul(node, context);
    case 'identity':
    case 'flatten':
    case 'reshape':
    case 'squeeze':
    case 'unsqueeze':
      throw new Error(`${node.op} is another name for its input and has no step`);
  }
}

function batchNorm(node: BatchNormNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const { batch, channels, pixels, lanes } = input(node, context);
  const count = batch * pixels;
  const coefficients = context.allocate(lanes * 3 * 4);
  const prepare =
    node.momentum === undefined
      ? prepareFromRunning(node, context, coefficients, channels, lanes)
      : prepareFromBatch(node, node.momentum, context, coefficients, channels, lanes, count);
  const find = ports(node, context);
  const low = lowerBound(node);
  const inStride = pixelStride(node.inputs[0]!, context);
  return (at) => {
    const [inPtr, residualPtr, outPtr] = find(at);
    prepare(inPtr);
    kernels.normalize(inPtr, inStride, outPtr, residualPtr, coefficients, count, lanes, low);
  };
}

/** Running statistics do not change while an executable lives: the coefficients are made here and now. */
function prepareFromRunning(
  { norm }: BatchNormNode,
  { runtime }: StepContext,
  coefficients: number,
  channels: number,
  lanes: number,
): (inPtr: number) => void {
  withStaging(runtime, (stage) => {
    const mean = stage.allocate(channels * 8);
    const variance = stage.allocate(channels * 8);
    runtime.kernels.widenFloats(stage.parameter(norm.mean), mean, channels);
    runtime.kernels.widenFloats(stage.parameter(norm.variance), variance, channels);
    const gamma = stage.optional(norm.gamma);
    const beta = stage.optional(norm.beta);
    runtime.kernels.prepareNormalize(gamma, beta, mean, variance, norm.eps, channels, lanes, coefficients);
  });
  return () => {};
}

/** Batch statistics at every run; they move the running ones, which live in the runtime with the other parameters. */
function prepareFromBatch(
  { norm }: BatchNormNode,
  momentum: number,
  context: StepContext,
  coefficients: number,
  channels: number,
  lanes: number,
  count: number,
): (inPtr: number) => void {
  const { kernels } = context.runtime;
  const mean = context.allocate(lanes * 8);
  const variance = context.allocate(lanes * 8);
  const [gamma, beta, runningMean, runningVariance] = [norm.gamma, norm.beta, norm.mean, norm.variance].map((tensor) =>
    tensor === undefined ? 0 : residentPtr(tensor, context.runtime, 'planar')!,
  ) as [number, number, number, number];
  context.afterwards(() => {
    kernels.updateRunning(runningMean, mean, channels, momentum, 1);
    kernels.updateRunning(runningVariance, variance, channels, momentum, count / (count - 1));
  });
  return (inPtr) => {
    kernels.batchStatistics(inPtr, count, lanes, mean, variance);
    kernels.prepareNormalize(gamma, beta, mean, variance, norm.eps, channels, lanes, coefficients);
  };
}

function pool(node: PoolNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const { window } = node;
  const { batch, pixels, lanes } = input(node, context);
  const [, , inHeight, inWidth] = context.dims(node.inputs[0]!) as [number, number, number, number];
  const [, , outHeight, outWidth] = context.dims(node.output) as [number, number, number, number];
  const [down, across] = [seenTaps(window, 0, inHeight), seenTaps(window, 1, inWidth)];
  checkPoolWork(node, outHeight * outWidth, down * across);
  const tables = [
    windowTable(window, 0, 'zeros', inHeight, outHeight, inWidth * lanes * 4, down),
    windowTable(window, 1, 'zeros', inWidth, outWidth, lanes * 4, across),
  ] as const;
  const [rows, columns] = tables.map((table) => writeTable(context, table)) as [number, number];
  // The largest of nothing is -infinity, its mean NaN, also behind the channels.
  const clearLanes =
    seesNothing(tables[0], down) || seesNothing(tables[1], across) ? laneCleaner(node.output, context) : undefined;
  const shape = [batch, outHeight, outWidth, down, across, pixels * lanes * 4, lanes] as const;
  const find = ports(node, context);
  if (node.op === 'maxPool2d') {
    return (at) => {
      const [inPtr, , outPtr] = find(at);
      kernels.maxPool2d(inPtr, outPtr, rows, columns, ...shape);
      clearLanes?.(outPtr);
    };
  }
  const counted = node.countIncludePad;
  const rowDivisors = writeTable(context, windowDivisors(window, 0, counted, inHeight, outHeight));
  const columnDivisors = writeTable(context, windowDivisors(window, 1, counted, inWidth, outWidth));
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    kernels.avgPool2d(inPtr, outPtr, rows, columns, rowDivisors, columnDivisors, ...shape);
    clearLanes?.(outPtr);
  };
}

/** A file may ask for millions of windows, each as large as the image. */
function checkPoolWork(node: PoolNode, windows: number, taps: number): void {
  if (windows * taps <= MAX_POOL_TAPS) return;
  throw new UnsupportedError(
    `${title(node)}: ${windows} windows of ${taps} values take more than ${MAX_POOL_TAPS} of them for each channel`,
  );
}

function globalPool(node: GlobalPoolNode, context: StepContext): Step {
  const { batch, pixels, lanes } = input(node, context);
  const { kernels } = context.runtime;
  const kernel = node.op === 'globalAvgPool2d' ? kernels.globalAvgPool2d : kernels.globalMaxPool2d;
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    kernel(inPtr, outPtr, batch, pixels, lanes);
  };
}

function softmax(node: AxisNode, context: StepContext): Step {
  const dims = context.dims(node.output);
  const axis = frontAxis(node, node.axis, dims);
  const { batch, channels, pixels, lanes } = input(node, context);
  const inner = sizeOf(dims.slice(axis + 1));
  const outer = sizeOf(dims.slice(0, axis));
  const size = dims[axis]!;
  const shape: readonly [outer: number, outerStride: number, inner: number, axis: number, axisStride: number] =
    context.layout(node.output) === 'planar'
      ? [outer, size * inner, inner, size, inner]
      : [batch * pixels, lanes, 1, channels, 1];
  const isLog = node.op === 'logSoftmax';
  const clearLanes = laneCleaner(node.output, context);
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    context.runtime.kernels.softmax(inPtr, outPtr, ...shape, isLog);
    clearLanes?.(outPtr);
  };
}
