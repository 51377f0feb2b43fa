/** Steps of convolutions and linear layers: the algorithm, what its kernel is told, and how the work is cut for threads. */
import { UnsupportedError } from '../errors.js';
import type { Conv2dNode, LinearNode } from '../ops/conv/node.js';
import type { Window } from '../ops/node.js';
import { title } from '../ops/shapeErrors.js';
import { chunkCount, type Job, MAX_CHUNKS, type ParallelKernel, type Task } from '../runtime/protocol.js';
import type { Runtime } from '../runtime/runtime.js';
import {
  type Algorithm,
  applicableAlgorithms,
  chooseAlgorithm,
  chooseShared,
  type DirectAlgorithm,
  WINOGRAD,
  type WinogradAlgorithm,
  winogradScheme,
  winogradTiles,
} from './algorithm.js';
import { CONV_DESCRIPTOR } from './records.js';
import {
  finder,
  input,
  lowerBound,
  pixelStride,
  ports,
  type Step,
  type StepContext,
  writeRecord,
  writeTable,
} from './step.js';
import { countSeen, windowTable } from './windows.js';

const MOST_TILES = 60;
/** About what a thread computes while another wakes up. */
const LEAST_CHUNK_FLOPS = 1e6;
/** Pixels or tiles that a chunk should have to make good use of the weights it reads. */
const LEAST_CHUNK_UNITS = 20;
/** Far below the largest float32, far above any activation. */
const LARGEST_TRANSFORMED = 1e30;
/**
 * Pixels or tiles up to which weights are read in several streams: two panels of A. With 16 it is no faster (256->256 @16),
 * and panels of 3 rows instead of 4 or 5 cost more than streams bring (192->384 @13: 1.29 times the time).
 */
const MOST_STREAMED_ROWS = 8;
/** Multiply-adds that a convolution may make whatever they are for; of more, one in so many must be of the image. */
const MAX_PADDED_PRODUCTS = 2 ** 32;
const MAX_PADDING = 64;
const ONE_PIXEL: Window = { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pads: [0, 0, 0, 0] };

/** A linear layer is a convolution of one-pixel images. */
export function convolution(node: Conv2dNode | LinearNode, context: StepContext): Step {
  if (node.op === 'conv2d' && node.parallel !== undefined) return parallelConvolutions(node, context);
  const window = node.op === 'conv2d' ? node.window : ONE_PIXEL;
  const algorithm = chooseAlgorithm(node, context.runtime, context.dims(node.output));
  if (!(algorithm in WINOGRAD)) return directConvolution(node, context, window, algorithm as DirectAlgorithm);
  return winograd(node, context, window, algorithm as WinogradAlgorithm, () =>
    directConvolution(node, context, window, 'gemm'),
  );
}

/** Convolutions of one image that are added: with shared transforms where that is faster, else one after the other. */
function parallelConvolutions(node: Conv2dNode, context: StepContext): Step {
  const parts = separate(node);
  const shared = chooseShared(node, parts, context.runtime, context.dims(node.output));
  if (shared === undefined) return inOrder(parts.map((part) => convolution(part, context)));
  return winograd(node, context, node.window, shared, () =>
    inOrder(
      parts.map((part) => {
        const [direct] = applicableAlgorithms(part, context.runtime);
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

/** By node, since packed weights are kept by node too. */
const separated = new WeakMap<Conv2dNode, readonly Conv2dNode[]>();

/** The same as nodes of one kernel each: the first writes the output, the others add to it, the last one clamps. */
function separate(node: Conv2dNode): readonly Conv2dNode[] {
  let parts = separated.get(node);
  if (parts === undefined) {
    const { parallel = [], relu, ...first } = node;
    const adding = parallel.map((part) => ({ ...part, inputs: [node.inputs[0]!, node.output], output: node.output }));
    parts = [first, ...adding].map((part, i) => (i === parallel.length && relu === true ? { ...part, relu } : part));
    separated.set(node, parts);
  }
  return parts;
}

const DIRECT_KERNELS: Readonly<Record<DirectAlgorithm, ParallelKernel>> = {
  gemm: 'conv2d',
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
    blockTiles: 0,
  };
  return runCut(runtime, job, ports(node, context));
}

/**
 * A tile with an infinity or NaN in it, or so large a value that its transform overflows, would come out as NaN where a
 * direct sum does not: such an input, or any with such weights, takes the step of `makeDirect`.
 */
function winograd(
  node: Conv2dNode | LinearNode,
  context: StepContext,
  window: Window,
  algorithm: WinogradAlgorithm,
  makeDirect: () => Step,
): Step {
  const { runtime } = context;
  const [batch, channels, outHeight = 1, outWidth = 1] = context.dims(node.output) as [
    number,
    number,
    number?,
    number?,
  ];
  const scheme = WINOGRAD[algorithm];
  const { weightsPtr, weightsBytes } = context.packed(node, algorithm);
  if (runtime.kernels.allBelow(weightsPtr, weightsBytes / 4, LARGEST_TRANSFORMED) === 0) {
    return makeDirect();
  }
  const { bytes } = input(node, context);
  const depth = runtime.kernels.winogradDepth(node.weight.dims[1]!, scheme.rows);
  const tiles = winogradTiles(scheme, batch, outHeight, outWidth);
  const transformed = runCut(
    runtime,
    {
      kernel: 'winogradConv2d',
      descriptorPtr: writeDescriptor(node, context, window, algorithm),
      units: tiles,
      channels,
      canSplitChannels: true,
      flops: 2 * tiles * scheme.points * depth * channels * kernelCount(node),
      blockTiles: winogradBlockTiles(
        runtime,
        scheme.points,
        tiles,
        depth,
        channels,
        isStreamed(node, context, algorithm),
      ),
    },
    ports(node, context),
  );
  const findInput = finder(node.inputs[0], context);
  const direct = context.lazily(makeDirect);
  return (at) => {
    if (runtime.kernels.allBelow(findInput(at), bytes / 4, LARGEST_TRANSFORMED) !== 0) {
      transformed(at);
    } else {
      direct()(at);
    }
  };
}

function kernelCount(node: Conv2dNode | LinearNode): number {
  return node.op === 'conv2d' ? 1 + (node.parallel?.length ?? 0) : 1;
}

/** What is known of a job before its addresses are. */
interface Cut {
  readonly kernel: ParallelKernel;
  readonly descriptorPtr: number;
  readonly units: number;
  readonly channels: number;
  readonly canSplitChannels: boolean;
  readonly flops: number;
  readonly blockTiles: number;
}

/**
 * Cuts a job for the runtime's threads: the same number of equal chunks for each, none larger than a block of the kernel
 * where blocks have a size, none below what is worth waking somebody for. Few tiles with many channels are cut by
 * channels, since every chunk of tiles reads all of the weights.
 */
function runCut(runtime: Runtime, cut: Cut, find: ReturnType<typeof ports>): Step {
  const { descriptorPtr, units, channels, blockTiles } = cut;
  const { mostThreads: threads } = runtime;
  const most = Math.floor(cut.flops / LEAST_CHUNK_FLOPS);
  const blocks = blockTiles === 0 ? 1 : Math.ceil(units / (threads * blockTiles));
  const chunks = threads === 1 ? 1 : Math.max(1, Math.min(threads * blocks, most, MAX_CHUNKS));
  const byChannels = cut.canSplitChannels && units < chunks * LEAST_CHUNK_UNITS;
  const unitStep = byChannels ? units : Math.ceil(units / chunks);
  const parts = Math.min(chunks, threads);
  const channelStep = byChannels ? Math.ceil(channels / parts / 8) * 8 : channels;
  const { kernel } = cut;
  const addresses = { descriptorPtr, inPtr: 0, residualPtr: 0, outPtr: 0 };
  const task: Task = { kernel, ...addresses, units, unitStep, channels, channelStep, blockTiles };
  const job: Job = { ...task, chunkFlops: cut.flops / chunkCount(task) };
  return (at) => {
    [job.inPtr, job.residualPtr, job.outPtr] = find(at);
    runtime.run(job);
  };
}

/** Whether weights are read in several streams: where so few rows share them that it is memory that takes the time. */
function isStreamed(node: Conv2dNode | LinearNode, context: StepContext, algorithm: Algorithm): boolean {
  const { segment, depth } = context.packed(node, algorithm);
  const [batch, , height = 1, width = 1] = context.dims(node.output) as [number, number, number?, number?];
  const rows = winogradTiles(winogradScheme(algorithm), batch, height, width);
  return segment < depth && rows <= MOST_STREAMED_ROWS;
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
  if (tiles <= MOST_TILES && fits(tiles)) return tiles;
  let most = Math.floor(MOST_TILES / rows) * rows;
  while (most > 1 && !fits(most)) most -= most > rows ? rows : 1;
  const share = Math.ceil(tiles / Math.ceil(tiles / most));
  const step = share > 4 * rows && kernels.hasBatch(rows) !== 0 ? 4 * rows : rows;
  return Math.min(most, Math.ceil(share / step) * step);
}

/**
 * A small file may ask for large kernels over nothing but padding.
 * @param products of each tap of each window
 */
function checkPadding(node: Conv2dNode | LinearNode, products: number, rows: Int32Array, columns: Int32Array): void {
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
  node: Conv2dNode | LinearNode,
  context: StepContext,
  window: Window,
  algorithm: Algorithm,
): number {
  const { runtime } = context;
  const [batch, , outHeight = 1, outWidth = 1] = context.dims(node.output) as [number, number, number?, number?];
  const groups = node.op === 'conv2d' ? node.groups : 1;
  const mode = node.op === 'conv2d' ? node.paddingMode : 'zeros';
  const { pixels, lanes } = input(node, context);
  const [, , inHeight = 1, inWidth = 1] = context.dims(node.inputs[0]!);
  const packed = context.packed(node, algorithm);
  const outChannels = node.weight.dims[0]!;
  const rows = windowTable(window, 0, mode, inHeight, outHeight, inWidth * lanes * 4);
  const columns = windowTable(window, 1, mode, inWidth, outWidth, lanes * 4);
  checkPadding(node, batch * node.weight.dims[0]! * node.weight.dims[1]!, rows, columns);
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
    inChannels: node.weight.dims[1]!,
    outChannels: outChannels / groups,
    inImageStride: pixels * lanes * 4,
    outPixelStride: pixelStride(node.output, context),
    batch,
    inRowStride: inWidth * lanes * 4,
    columnShift: window.dilation[1] === 1 ? Math.min(window.stride[1], window.kernel[1]) : 0,
    kernels: kernelCount(node),
    weightsDepth: packed.depth,
    weightsLanes: packed.lanes,
    weightsSegment: packed.segment,
    streamed: isStreamed(node, context, algorithm) ? 1 : 0,
    tileHeight,
    tileWidth,
    low: lowerBound(node),
  });
}
