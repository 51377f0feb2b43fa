/** Steps: for each operation, the call of its kernel. Convolutions have a file of their own. */
import type { BatchNormNode, BinaryNode, Node, PoolNode } from '../graph/graph.js';
import { extentOf, residentPtr } from '../tensor.js';
import { convolution } from './convolution.js';
import { input, lowerBound, ports, type Step, type StepContext, writeTable } from './step.js';
import { withStaging } from './weights.js';
import { windowDivisors, windowTable } from './windows.js';

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
      return globalAvgPool(node, context);
    case 'add':
      return add(node, context);
    case 'relu':
      return relu(node, context);
    case 'softmax':
      return softmax(node, context);
    case 'flatten':
      return flatten(node, context);
    case 'concat':
      return concat(node, context);
    default:
      throw new Error(`no step for ${node.op} yet`);
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
  return (at) => {
    const [inPtr, residualPtr, outPtr] = find(at);
    prepare(inPtr);
    kernels.normalize(inPtr, outPtr, residualPtr, coefficients, count, lanes, low);
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
  return (inPtr) => {
    kernels.batchStatistics(inPtr, count, lanes, mean, variance);
    kernels.prepareNormalize(gamma, beta, mean, variance, norm.eps, channels, lanes, coefficients);
    kernels.updateRunning(runningMean, mean, channels, momentum, 1);
    kernels.updateRunning(runningVariance, variance, channels, momentum, count / (count - 1));
  };
}

function pool(node: PoolNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const { window } = node;
  const { batch, pixels, lanes } = input(node, context);
  const [, , inHeight, inWidth] = context.dims(node.inputs[0]!) as [number, number, number, number];
  const [, , outHeight, outWidth] = context.dims(node.output) as [number, number, number, number];
  const rows = writeTable(context, windowTable(window, 0, 'zeros', inHeight, outHeight, inWidth * lanes * 4));
  const columns = writeTable(context, windowTable(window, 1, 'zeros', inWidth, outWidth, lanes * 4));
  const shape = [batch, outHeight, outWidth, window.kernel[0], window.kernel[1], pixels * lanes * 4, lanes];
  const find = ports(node, context);
  if (node.op === 'maxPool2d') {
    return (at) => {
      const [inPtr, , outPtr] = find(at);
      kernels.maxPool2d(inPtr, outPtr, rows, columns, ...shape);
    };
  }
  const counted = node.countIncludePad;
  const rowDivisors = writeTable(context, windowDivisors(window, 0, counted, inHeight, outHeight));
  const columnDivisors = writeTable(context, windowDivisors(window, 1, counted, inWidth, outWidth));
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    kernels.avgPool2d(inPtr, outPtr, rows, columns, rowDivisors, columnDivisors, ...shape);
  };
}

function globalAvgPool(node: Node, context: StepContext): Step {
  const { batch, pixels, lanes } = input(node, context);
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    context.runtime.kernels.globalAvgPool2d(inPtr, outPtr, batch, pixels, lanes);
  };
}

function add(node: BinaryNode, context: StepContext): Step {
  const { bytes } = input(node, context);
  const find = ports(node, context);
  const low = lowerBound(node);
  return (at) => {
    const [aPtr, bPtr, outPtr] = find(at);
    context.runtime.kernels.add(aPtr, bPtr, outPtr, bytes / 4, low);
  };
}

function relu(node: Node, context: StepContext): Step {
  const { bytes } = input(node, context);
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    context.runtime.kernels.relu(inPtr, outPtr, bytes / 4);
  };
}

function softmax(node: Node, context: StepContext): Step {
  const { batch, channels, pixels, lanes } = input(node, context);
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    context.runtime.kernels.softmax(inPtr, outPtr, batch * pixels, channels, lanes);
  };
}

/** Features in N, C, H, W order, each image's padded to whole vectors. */
function flatten(node: Node, context: StepContext): Step {
  const { kernels } = context.runtime;
  const { batch, channels, pixels, lanes } = input(node, context);
  const features = extentOf(context.dims(node.output)).lanes;
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    if (features !== channels * pixels) kernels.clear(outPtr, batch * features * 4);
    for (let image = 0; image < batch; image++) {
      kernels.toPlanar(inPtr + image * pixels * lanes * 4, outPtr + image * features * 4, 1, channels, pixels);
    }
  };
}

function concat(node: Node, context: StepContext): Step {
  const { kernels } = context.runtime;
  const out = extentOf(context.dims(node.output));
  const outSlot = context.slot(node.output);
  let firstLane = 0;
  const parts = node.inputs.map((name) => {
    const { channels, lanes } = extentOf(context.dims(name));
    const part = { slot: context.slot(name), channels, lanes, firstLane };
    firstLane += channels;
    return part;
  });
  return (at) => {
    const outPtr = at[outSlot]!;
    if (out.lanes !== out.channels) kernels.clear(outPtr, out.bytes);
    for (const part of parts) {
      const [inPtr, pixels] = [at[part.slot]!, out.batch * out.pixels];
      kernels.copyChannels(inPtr, outPtr, pixels, part.channels, part.lanes, out.lanes, part.firstLane);
    }
  };
}
