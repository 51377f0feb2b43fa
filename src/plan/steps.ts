/**
 * Steps: one call of a kernel per node, with everything decided that does not change from run to run. A step gets the
 * addresses of all values of the plan, by slot.
 */
import type { AddNode, BatchNormNode, Conv2dNode, LinearNode, Node, PoolNode, Window } from '../graph/graph.js';
import type { Job, ParallelKernel } from '../runtime/protocol.js';
import type { Runtime } from '../runtime/runtime.js';
import { type Extent, extentOf, residentPtr } from '../tensor.js';
import {
  type Algorithm,
  chooseAlgorithm,
  type DirectAlgorithm,
  gemmLanes,
  WINOGRAD,
  type WinogradAlgorithm,
} from './algorithm.js';
import { type PackedWeights, withStaging } from './weights.js';
import { windowDivisors, windowTable } from './windows.js';

export type Addresses = readonly number[];
export type Step = (at: Addresses) => void;

/** What the plan tells a step's maker. */
export interface StepContext {
  readonly runtime: Runtime;
  slot(value: string): number;
  dims(value: string): readonly number[];
  /** Memory that lives as long as the plan. */
  allocate(bytes: number): number;
  /** A step that is made when it is first needed. */
  lazily(make: () => Step): () => Step;
  packed(node: Conv2dNode | LinearNode, algorithm: Algorithm): PackedWeights;
}

const MOST_TILES = 60;
/** About what a thread computes while another wakes up. */
const LEAST_CHUNK_FLOPS = 1e6;
/** Pixels or tiles that a chunk should have to make good use of the weights it reads. */
const LEAST_CHUNK_UNITS = 20;
/** Far below the largest float32, far above any activation. */
const LARGEST_TRANSFORMED = 1e30;
const ONE_PIXEL: Window = { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pads: [0, 0, 0, 0] };

export function makeStep(node: Node, context: StepContext): Step {
  switch (node.op) {
    case 'conv2d':
      return convolution(node, context, node.window);
    case 'linear':
      return convolution(node, context, ONE_PIXEL);
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
  }
}

/** Addresses of a node's input, residual (0: none) and output. */
function ports(node: Node, context: StepContext): (at: Addresses) => [number, number, number] {
  const input = context.slot(node.inputs[0]!);
  const residual = node.inputs.length > 1 ? context.slot(node.inputs[1]!) : -1;
  const output = context.slot(node.output);
  return (at) => [at[input]!, residual < 0 ? 0 : at[residual]!, at[output]!];
}

function input(node: Node, context: StepContext): Extent {
  return extentOf(context.dims(node.inputs[0]!));
}

/** A linear layer is a convolution of one-pixel images. */
function convolution(node: Conv2dNode | LinearNode, context: StepContext, window: Window): Step {
  const algorithm = chooseAlgorithm(node, context.runtime, context.dims(node.output));
  return algorithm in WINOGRAD
    ? winograd(node, context, window, algorithm as WinogradAlgorithm)
    : directConvolution(node, context, window, algorithm as DirectAlgorithm);
}

const DIRECT_KERNELS: Readonly<Record<DirectAlgorithm, ParallelKernel>> = {
  gemm: 'conv2d',
  gemmDouble: 'conv2dDouble',
  depthwise: 'depthwiseConv2d',
};

function directConvolution(
  node: Conv2dNode | LinearNode,
  context: StepContext,
  window: Window,
  algorithm: DirectAlgorithm,
): Step {
  const { runtime } = context;
  const [batch, channels, outHeight = 1, outWidth = 1] = context.dims(node.output) as [
    number,
    number,
    number?,
    number?,
  ];
  const canSplitChannels = algorithm !== 'depthwise' && (node.op === 'linear' || node.groups === 1);
  const job: Cut = {
    kernel: DIRECT_KERNELS[algorithm],
    descriptorPtr: writeDescriptor(node, context, window, algorithm),
    units: batch * outHeight * outWidth,
    channels,
    canSplitChannels,
    flops: 2 * batch * outHeight * outWidth * node.weight.size,
    outTile: 0,
    blockTiles: 0,
  };
  return runCut(runtime, job, ports(node, context));
}

/**
 * A tile with an infinity or NaN in it, or so large a value that its transform overflows, would come out as NaN where a
 * direct sum does not: such an input is convolved by GEMM.
 */
function winograd(
  node: Conv2dNode | LinearNode,
  context: StepContext,
  window: Window,
  algorithm: WinogradAlgorithm,
): Step {
  const { runtime } = context;
  const [batch, channels, outHeight = 1, outWidth = 1] = context.dims(node.output) as [
    number,
    number,
    number?,
    number?,
  ];
  const { m, r } = WINOGRAD[algorithm];
  const { bytes, lanes } = input(node, context);
  const points = (m + r - 1) ** 2;
  const tiles = batch * Math.ceil(outHeight / m) * Math.ceil(outWidth / m);
  const transformed = runCut(
    runtime,
    {
      kernel: 'winogradConv2d',
      descriptorPtr: writeDescriptor(node, context, window, algorithm),
      units: tiles,
      channels,
      canSplitChannels: true,
      flops: 2 * tiles * points * lanes * channels,
      outTile: m,
      blockTiles: winogradBlockTiles(runtime, points, tiles, lanes),
    },
    ports(node, context),
  );
  const inSlot = context.slot(node.inputs[0]!);
  const direct = context.lazily(() => directConvolution(node, context, window, 'gemm'));
  return (at) => {
    if (runtime.kernels.allBelow(at[inSlot]!, bytes / 4, LARGEST_TRANSFORMED) !== 0) {
      transformed(at);
    } else {
      direct()(at);
    }
  };
}

/** What is known of a job before its addresses are. */
interface Cut {
  readonly kernel: ParallelKernel;
  readonly descriptorPtr: number;
  readonly units: number;
  readonly channels: number;
  readonly canSplitChannels: boolean;
  readonly flops: number;
  readonly outTile: number;
  readonly blockTiles: number;
}

/**
 * Cuts a job for the runtime's threads: the same number of equal chunks for each, none larger than a block of the kernel
 * where blocks have a size, none below what is worth waking somebody for. Few tiles with many channels are cut by
 * channels, since every chunk of tiles reads all of the weights.
 */
function runCut(runtime: Runtime, cut: Cut, find: (at: Addresses) => [number, number, number]): Step {
  const { descriptorPtr, units, channels, outTile, blockTiles } = cut;
  const { threads } = runtime;
  const most = Math.floor(cut.flops / LEAST_CHUNK_FLOPS);
  const blocks = blockTiles === 0 ? 1 : Math.ceil(units / (threads * blockTiles));
  const chunks = threads === 1 ? 1 : Math.max(1, Math.min(threads * blocks, most));
  const byChannels = cut.canSplitChannels && units < chunks * LEAST_CHUNK_UNITS;
  const unitStep = byChannels ? units : Math.ceil(units / chunks);
  const parts = Math.min(chunks, threads);
  const channelStep = byChannels ? Math.ceil(channels / parts / 8) * 8 : channels;
  const { kernel } = cut;
  const addresses = { descriptorPtr, inPtr: 0, residualPtr: 0, outPtr: 0 };
  const job: Job = { kernel, ...addresses, units, unitStep, channels, channelStep, outTile, blockTiles };
  return (at) => {
    [job.inPtr, job.residualPtr, job.outPtr] = find(at);
    runtime.run(job);
  };
}

/** As many tiles at a time as working memory holds, in blocks of about equal size that fill the register tile. */
function winogradBlockTiles({ kernels }: Runtime, points: number, tiles: number, lanes: number): number {
  const rows = Number(kernels.TILE_ROWS.value);
  const fits = (count: number): boolean => kernels.winogradScratchBytes(points, count, lanes) <= kernels.scratchBytes();
  let most = Math.floor(MOST_TILES / rows) * rows;
  while (most > 1 && !fits(most)) most -= most > rows ? rows : 1;
  const share = Math.ceil(tiles / Math.ceil(tiles / most));
  return Math.min(most, Math.ceil(share / rows) * rows);
}

/** The fields of assembly/conv/descriptor.ts, in their order. */
function writeDescriptor(
  node: Conv2dNode | LinearNode,
  context: StepContext,
  window: Window,
  algorithm: Algorithm,
): number {
  const { runtime } = context;
  const [, , outHeight = 1, outWidth = 1] = context.dims(node.output);
  const groups = node.op === 'conv2d' ? node.groups : 1;
  const mode = node.op === 'conv2d' ? node.paddingMode : 'zeros';
  const { pixels, lanes } = input(node, context);
  const [, , inHeight = 1, inWidth = 1] = context.dims(node.inputs[0]!);
  const { weightsPtr, biasPtr } = context.packed(node, algorithm);
  const outChannels = node.weight.dims[0]!;
  const rowsPtr = writeTable(context, windowTable(window, 0, mode, inHeight, outHeight, inWidth * lanes * 4));
  const columnsPtr = writeTable(context, windowTable(window, 1, mode, inWidth, outWidth, lanes * 4));
  const zerosBytes = lanes * 4;
  const zerosPtr = context.allocate(zerosBytes);
  runtime.kernels.clear(zerosPtr, zerosBytes);
  const fields = [
    weightsPtr,
    biasPtr,
    rowsPtr,
    columnsPtr,
    zerosPtr,
    outHeight,
    outWidth,
    window.kernel[0],
    window.kernel[1],
    groups,
    gemmLanes(algorithm, node.weight.dims[1]!, groups),
    outChannels / groups,
    pixels * lanes * 4,
    extentOf([1, outChannels]).lanes * 4,
  ];
  const descriptor = context.allocate((fields.length + 1) * 4);
  runtime.heap.words(descriptor, fields.length).set(fields);
  runtime.heap.floats(descriptor + fields.length * 4, 1)[0] = lowerBound(node);
  return descriptor;
}

function writeTable(context: StepContext, table: Int32Array | Float32Array): number {
  const ptr = context.allocate(table.byteLength);
  const { heap } = context.runtime;
  if (table instanceof Int32Array) heap.words(ptr, table.length).set(table);
  else heap.floats(ptr, table.length).set(table);
  return ptr;
}

function lowerBound(node: { readonly relu?: boolean }): number {
  return node.relu === true ? 0 : Number.NEGATIVE_INFINITY;
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

function add(node: AddNode, context: StepContext): Step {
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
