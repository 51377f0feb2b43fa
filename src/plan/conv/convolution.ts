/**
 * Steps of convolutions and linear layers: the algorithm, what its kernel is told, and how the work is cut for threads.
 */
import { UnsupportedError } from '../../errors.js';
import { mapNorm } from '../../merge/affine.js';
import type { Algorithm, DirectAlgorithm, WinogradAlgorithm } from '../../nodes/algorithm.js';
import { type Conv2dNode, type Kernel, kernelsOf, type WeightedNode } from '../../nodes/conv.js';
import type { Optional, Window } from '../../nodes/node.js';
import { title } from '../../nodes/shapeErrors.js';
import { MAX_CHUNKS } from '../../runtime/protocol.js';
import type { Runtime } from '../../runtime/runtime.js';
import { sizeOf } from '../../sizes.js';
import { MIN_CHUNK_FLOPS, runJob } from '../steps/cut.js';
import type { Parameter } from '../steps/parameter.js';
import { CONV_DESCRIPTOR } from '../steps/records.js';
import {
  type InRun,
  input,
  lowerBound,
  pixelStride,
  ports,
  type Step,
  type StepContext,
  writeRecord,
  writeTable,
} from '../steps/step.js';
import { countSeen, windowTable } from '../steps/windows.js';
import {
  applicableAlgorithms,
  chooseAlgorithm,
  chooseShared,
  WINOGRAD,
  winogradScheme,
  winogradTiles,
} from './algorithm.js';
import { tameness } from './tame.js';
import { type FilterKernel, type PackedWeights, packFilters, parametersOf } from './weights.js';

const MAX_TILES = 60;
/** Pixels or tiles that a chunk should have to make good use of the weights it reads. */
const MIN_CHUNK_UNITS = 20;
/**
 * Pixels or tiles up to which weights are read in several streams: two panels of A. With 16 it is no faster (256->256
 * @16), and panels of 3 rows instead of 4 or 5 cost more than streams bring (192->384 @13: 1.29 times the time).
 */
const MAX_STREAMED_ROWS = 8;
/** Multiply-adds that a convolution may make whatever they are for; of more, one in so many must be of the image. */
const MAX_PADDED_PRODUCTS = 2 ** 32;
const MAX_PADDING = 64;
const ONE_PIXEL: Window = { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pads: [0, 0, 0, 0] };

/** A linear layer is a convolution of one-pixel images. */
export function convolution(node: WeightedNode, context: StepContext): Step {
  if (node.op === 'conv2d' && node.parallel !== undefined) return parallelConvolutions(node, context);
  const window = node.op === 'conv2d' ? node.window : ONE_PIXEL;
  const algorithm = chooseAlgorithm(node, context.runtime, context.dims);
  if (!(algorithm in WINOGRAD)) return directConvolution(node, context, window, algorithm as DirectAlgorithm);
  return winograd(node, context, window, algorithm as WinogradAlgorithm, () =>
    directConvolution(node, context, window, 'gemm'),
  );
}

/** Convolutions of one image that are added: with shared transforms where that is faster, else one after the other. */
function parallelConvolutions(node: Conv2dNode, context: StepContext): Step {
  const parts = separate(node);
  const shared = chooseShared(node, parts, context.runtime, context.dims);
  if (shared === undefined) return inOrder(parts.map((part) => convolution(part, context)));
  return winograd(node, context, node.window, shared, () =>
    inOrder(
      parts.map((part) => {
        const [direct] = applicableAlgorithms(part, context.runtime, context.dims);
        return directConvolution(part, context, part.window, direct as DirectAlgorithm);
      }),
    ),
  );
}

function inOrder(steps: readonly Step[]): Step {
  return (at) => {
    for (const step of steps) step(at);
  };
}

/** The same as nodes of one kernel each: the first writes the output, the others add to it, the last one clamps. */
function separate(node: Conv2dNode): readonly Conv2dNode[] {
  const { parallel = [], relu, ...rest } = node;
  const [image, , , addend] = node.inputs;
  return kernelsOf(node).map(({ weight, bias, window, algorithm }, i) => ({
    ...rest,
    inputs: [image, weight, bias, i === 0 ? addend : node.outputs[0]],
    window,
    algorithm,
    ...(i === parallel.length && relu === true && { relu }),
  }));
}

/** The node's weights as an algorithm reads them. */
function pack(node: WeightedNode, context: StepContext, algorithm: Algorithm): InRun<PackedWeights> {
  const { runtime } = context;
  const [, weight, bias] = node.inputs;
  const kernels = node.op === 'conv2d' ? kernelsOf(node) : [{ weight, bias, window: ONE_PIXEL }];
  const groups = node.op === 'conv2d' ? node.groups : 1;
  const filters = { groups, kernels: kernels.map((kernel) => filterKernel(kernel, context)) };
  const names = kernels.map((kernel) => [kernel.weight, kernel.bias, kernels.length > 1 && kernel.window]);
  const key = JSON.stringify([algorithm, groups, names]);
  return context.prepare(key, parametersOf(filters), () => packFilters(runtime, filters, algorithm));
}

function filterKernel({ weight, bias, window }: Kernel, context: StepContext): FilterKernel {
  const parameter = (name: Optional): Parameter | undefined =>
    name === undefined ? undefined : context.parameter(name);
  const folded = context.folded(weight);
  if (folded === undefined) {
    return { weight: context.parameter(weight), bias: parameter(bias), norm: undefined, window };
  }
  return {
    weight: context.parameter(folded.from!),
    // Whatever has its weight folded has its bias folded too.
    bias: parameter(context.folded(bias!)!.from),
    norm: mapNorm(folded.norm, (name) => context.parameter(name)),
    window,
  };
}

const DIRECT_KERNELS = { gemm: 'conv2d', depthwise: 'depthwiseConv2d' } as const;

function directConvolution(node: WeightedNode, context: StepContext, window: Window, algorithm: DirectAlgorithm): Step {
  const { runtime } = context;
  const [batch, channels, outHeight = 1, outWidth = 1] = context.dims(node.outputs[0]) as [
    number,
    number,
    number?,
    number?,
  ];
  const packed = pack(node, context, algorithm);
  const canSplitChannels = algorithm !== 'depthwise' && (node.op === 'linear' || node.groups === 1);
  const job: Cut = {
    kernel: DIRECT_KERNELS[algorithm],
    descriptorPtr: writeDescriptor(node, context, window, algorithm, packed.prepared, 0),
    units: batch * outHeight * outWidth,
    channels,
    canSplitChannels,
    flops: 2 * batch * outHeight * outWidth * sizeOf(context.dims(node.inputs[1])),
    blockTiles: 0,
  };
  const multiply = runCut(runtime, job, ports(node, context, node.inputs[3]));
  return packed.fill === undefined ? multiply : inOrder([packed.fill, multiply]);
}

/**
 * A tile with an infinity or NaN in it, or so large a value that its transform overflows, would come out as NaN where a
 * direct sum does not: such an input, or any with such weights, takes the step of `makeDirect`.
 */
function winograd(
  node: WeightedNode,
  context: StepContext,
  window: Window,
  algorithm: WinogradAlgorithm,
  makeDirect: () => Step,
): Step {
  const { runtime } = context;
  const [batch, channels, outHeight = 1, outWidth = 1] = context.dims(node.outputs[0]) as [
    number,
    number,
    number?,
    number?,
  ];
  const scheme = WINOGRAD[algorithm];
  const { prepared: packed, fill } = pack(node, context, algorithm);
  const depth = runtime.kernels.winogradDepth(context.dims(node.inputs[1])[1]!, scheme.rows);
  const tiles = winogradTiles(scheme, batch, outHeight, outWidth);
  const blockTiles = winogradBlockTiles(
    runtime,
    scheme.points,
    tiles,
    depth,
    channels,
    isStreamed(node, context, algorithm, packed),
  );
  const transformed = runCut(
    runtime,
    {
      kernel: 'winogradConv2d',
      descriptorPtr: writeDescriptor(node, context, window, algorithm, packed, blockTiles),
      units: tiles,
      channels,
      canSplitChannels: true,
      flops: 2 * tiles * scheme.points * depth * channels * kernelCount(node),
      blockTiles,
    },
    ports(node, context, node.inputs[3]),
  );
  const isTame = tameness([node.inputs[0]], context);
  const direct = context.lazily(makeDirect);
  return (at) => {
    fill?.(at);
    if (packed.areTame && isTame(at)) transformed(at);
    else direct()(at);
  };
}

function kernelCount(node: WeightedNode): number {
  return node.op === 'conv2d' ? 1 + (node.parallel?.length ?? 0) : 1;
}

/** What is known of a job before its addresses are. */
interface Cut {
  readonly kernel: 'conv2d' | 'depthwiseConv2d' | 'winogradConv2d';
  readonly descriptorPtr: number;
  readonly units: number;
  readonly channels: number;
  readonly canSplitChannels: boolean;
  readonly flops: number;
  readonly blockTiles: number;
}

/**
 * Cuts a job for the runtime's threads: the same number of equal chunks for each, none larger than a block of the
 * kernel where blocks have a size, none too small to be worth waking a thread for. Few tiles with many channels are cut
 * by channels, since every chunk of tiles reads all of the weights.
 */
function runCut(runtime: Runtime, cut: Cut, find: ReturnType<typeof ports>): Step {
  const { descriptorPtr, units, channels, blockTiles, flops } = cut;
  const { mostThreads: threads } = runtime;
  const most = Math.floor(flops / MIN_CHUNK_FLOPS);
  const blocks = blockTiles === 0 ? 1 : Math.ceil(units / (threads * blockTiles));
  const chunks = threads === 1 ? 1 : Math.max(1, Math.min(threads * blocks, most, MAX_CHUNKS));
  const byChannels = cut.canSplitChannels && units < chunks * MIN_CHUNK_UNITS;
  const unitStep = byChannels ? units : Math.ceil(units / chunks);
  const parts = Math.min(chunks, threads);
  const channelStep = byChannels ? Math.ceil(channels / parts / 8) * 8 : channels;
  const ranges = { units, unitStep, channels, channelStep };
  const run = runJob(runtime, runtime.kernels, cut.kernel, { ...ranges, takesScratch: true, flops });
  return (at) => {
    const [inPtr, residualPtr, outPtr] = find(at);
    run(descriptorPtr, inPtr, outPtr, residualPtr);
  };
}

/** Whether weights are read in several streams: where so few rows share them that it is memory that takes the time. */
function isStreamed(
  node: WeightedNode,
  context: StepContext,
  algorithm: Algorithm,
  { segment, depth }: PackedWeights,
): boolean {
  const [batch, , height = 1, width = 1] = context.dims(node.outputs[0]) as [number, number, number?, number?];
  const rows = winogradTiles(winogradScheme(algorithm), batch, height, width);
  return segment < depth && rows <= MAX_STREAMED_ROWS;
}

/**
 * As many tiles at a time as working memory holds, in blocks of about equal size that fill the register tile, and where
 * they are large enough, four of them (16->16 @32: 3 % less time).
 */
function winogradBlockTiles(
  { kernels }: Runtime,
  points: number,
  tiles: number,
  depth: number,
  outChannels: number,
  streamed: boolean,
): number {
  const rows = kernels.TILE_ROWS.value;
  const fits = (count: number): boolean =>
    kernels.winogradScratchBytes(points, count, depth, outChannels, streamed) <= kernels.scratchBytes();
  if (tiles <= MAX_TILES && fits(tiles)) return tiles;
  let most = Math.floor(MAX_TILES / rows) * rows;
  while (most > 1 && !fits(most)) most -= most > rows ? rows : 1;
  const share = Math.ceil(tiles / Math.ceil(tiles / most));
  const step = share > 4 * rows && kernels.hasBatch(rows) !== 0 ? 4 * rows : rows;
  return Math.min(most, Math.ceil(share / step) * step);
}

/**
 * A small file may ask for large kernels over nothing but padding.
 * @param products of each tap of each window
 */
function checkPadding(node: WeightedNode, products: number, rows: Int32Array, columns: Int32Array): void {
  const taps = rows.length * columns.length;
  if (products * taps <= MAX_PADDED_PRODUCTS) return;
  const seen = countSeen(rows) * countSeen(columns);
  if (seen * MAX_PADDING >= taps) return;
  throw new UnsupportedError(
    `${title(node)}: of ${taps} values under the kernel all but ${seen} are padding, expected at least one in ${MAX_PADDING}`,
  );
}

/** What kernels are told of a convolution. */
function writeDescriptor(
  node: WeightedNode,
  context: StepContext,
  window: Window,
  algorithm: Algorithm,
  packed: PackedWeights,
  blockTiles: number,
): number {
  const { runtime } = context;
  const [batch, , outHeight = 1, outWidth = 1] = context.dims(node.outputs[0]) as [number, number, number?, number?];
  const groups = node.op === 'conv2d' ? node.groups : 1;
  const mode = node.op === 'conv2d' ? node.paddingMode : 'zeros';
  const { pixels, lanes } = input(node, context);
  const [, , inHeight = 1, inWidth = 1] = context.dims(node.inputs[0]!);
  const [outChannels, inChannels] = context.dims(node.inputs[1]) as [number, number];
  const rows = windowTable(window, 0, mode, inHeight, outHeight, inWidth * lanes * 4);
  const columns = windowTable(window, 1, mode, inWidth, outWidth, lanes * 4);
  checkPadding(node, batch * outChannels * inChannels, rows, columns);
  const rowsPtr = writeTable(context, rows);
  const columnsPtr = writeTable(context, columns);
  const zerosBytes = lanes * 4;
  const zerosPtr = context.allocate(zerosBytes);
  runtime.kernels.clear(zerosPtr, zerosBytes);
  const [tileHeight, tileWidth] = winogradScheme(algorithm)?.tile ?? [1, 1];
  return writeRecord(title(node), context, CONV_DESCRIPTOR, {
    weightsPtr: packed.weightsPtr,
    biasPtr: packed.biasPtr,
    rowsPtr,
    columnsPtr,
    zerosPtr,
    outHeight,
    outWidth,
    kernelHeight: window.kernel[0],
    kernelWidth: window.kernel[1],
    groups,
    inChannels,
    outChannels: outChannels / groups,
    inImageStride: pixels * lanes * 4,
    outPixelStride: pixelStride(node.outputs[0], context),
    batch,
    inRowStride: inWidth * lanes * 4,
    columnShift: window.dilation[1] === 1 ? Math.min(window.stride[1], window.kernel[1]) : 0,
    kernels: kernelCount(node),
    weightsDepth: packed.depth,
    weightsLanes: packed.lanes,
    weightsSegment: packed.segment,
    streamed: isStreamed(node, context, algorithm, packed) ? 1 : 0,
    tileHeight,
    tileWidth,
    blockTiles,
    low: lowerBound(node),
  });
}
