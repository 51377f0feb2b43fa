/**
 * How the gradient of a convolution's weights is computed: the algorithm, and the chunks that it is summed in. All of it
 * follows from the shape, so that a result does not depend on the number of threads.
 */
import type { TrainKernels } from './abi.js';

/** A convolution; channels are those of a group. */
export interface WeightGradientShape {
  readonly batch: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly kernel: readonly [height: number, width: number];
  readonly stride: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
  readonly inChannels: number;
  readonly outChannels: number;
}

export type WeightGradientAlgorithm = 'direct' | 'winograd' | 'depthwise';

/** The kernel that makes the sums of chunks, in the order of arguments of every kernel that threads share out. */
export const WEIGHT_GRADIENT_KERNELS = {
  direct: 'conv2dWeightGrad',
  winograd: 'winogradWeightGrad',
  depthwise: 'depthwiseWeightGrad',
} as const;

export interface WeightGradientPlan {
  readonly algorithm: WeightGradientAlgorithm;
  /** Blocks in a chunk, a word of the descriptor, and how many chunks there are. */
  readonly chunkBlocks: number;
  readonly chunks: number;
  /** Output channels that one call should take, a multiple of 8, where all of them would leave threads idle. */
  readonly channelStep: number;
  /** Of the sums of all chunks. */
  readonly sumsBytes: number;
  /** Of the direct sum. */
  readonly flops: number;
}

/** Calls that a gradient should be cut into: as many for each of one to four threads, or nearly. */
const MIN_CALLS = 8;
/** What chunks may take for their sums; below that there are as many as there should be calls. */
const MAX_SUMS_BYTES = 2 ** 21;
/** Operations that are worth waking a thread for, about. */
const MIN_CALL_FLOPS = 1e6;

export function planWeightGradient(
  kernels: TrainKernels,
  shape: WeightGradientShape,
  algorithm: WeightGradientAlgorithm = chooseWeightGradient(kernels, shape),
): WeightGradientPlan {
  const { batch, outHeight, outWidth, groups, kernel, inChannels, outChannels } = shape;
  const [blocks, floats] = blocksAndSums(kernels, shape, algorithm);
  const flops = 2 * batch * outHeight * outWidth * groups * outChannels * inChannels * kernel[0] * kernel[1];
  const calls = Math.max(1, Math.min(MIN_CALLS, Math.floor(flops / MIN_CALL_FLOPS)));
  const fit = Math.max(1, Math.floor(MAX_SUMS_BYTES / (floats * 4)));
  const chunkBlocks = Math.ceil(blocks / Math.min(calls, fit, blocks));
  const chunks = Math.ceil(blocks / chunkBlocks);
  const ranges = algorithm === 'depthwise' || groups > 1 ? 1 : Math.ceil(calls / chunks);
  const channelStep = ranges === 1 ? outChannels : Math.ceil(outChannels / ranges / 8) * 8;
  return { algorithm, chunkBlocks, chunks, channelStep, sumsBytes: chunks * floats * 4, flops };
}

/** Blocks that the sum falls into, and floats of a chunk's sums. */
function blocksAndSums(
  kernels: TrainKernels,
  { batch, outHeight, outWidth, kernel, groups, inChannels, outChannels }: WeightGradientShape,
  algorithm: WeightGradientAlgorithm,
): [blocks: number, floats: number] {
  const taps = kernel[0] * kernel[1];
  switch (algorithm) {
    case 'direct':
      return [kernels.weightGradBlocks(batch, outHeight, outWidth), groups * outChannels * inChannels * taps];
    case 'winograd':
      return [
        kernels.winogradGradBlocks(batch, outHeight, outWidth, ...kernel, inChannels),
        pointsOf(kernel) * outChannels * lanesOf(inChannels),
      ];
    case 'depthwise':
      return [batch * outHeight, taps * lanesOf(groups)];
  }
}

/** Products that Winograd's algorithm takes for a tile, of four pixels along each axis that the kernel has. */
function pointsOf(kernel: readonly [number, number]): number {
  return kernel.reduce((points, taps) => points * (taps === 1 ? 1 : taps + 3), 1);
}

function lanesOf(channels: number): number {
  return Math.ceil(channels / 4) * 4;
}

/** The algorithm that takes the least time, by a model of it (`npm run bench:grad` prints both beside each other). */
export function chooseWeightGradient(kernels: TrainKernels, shape: WeightGradientShape): WeightGradientAlgorithm {
  const { groups, inChannels, outChannels, kernel, stride, dilation } = shape;
  if (groups > 1 && inChannels === 1 && outChannels === 1) return 'depthwise';
  const taps = Math.max(...kernel);
  const hasTiles = (taps === 3 || taps === 5) && kernel.every((size) => size === taps || size === 1);
  const isPlain = groups === 1 && [...stride, ...dilation].every((value) => value === 1);
  return hasTiles && isPlain && winogradCycles(shape) < directCycles(kernels, shape) ? 'winograd' : 'direct';
}

/** What a position of a line takes beside its values. */
const POSITION_CYCLES = 5;
/** Transforms of four channels of a tile, with what they store in L2: of x or of dy, for each of their points. */
const POINT_CYCLES = 4;

/** Cycles of a processor that makes one product of vectors in each; columns go in eights, rows in fours. */
function directCycles(
  kernels: TrainKernels,
  { outHeight, outWidth, kernel, inChannels, outChannels }: WeightGradientShape,
): number {
  const together = kernel[0] * inChannels <= kernels.THIN_ROWS.value ? kernel[0] : 1;
  const run = kernel[1] * together * inChannels;
  const products = (productVectors(run) * lanesOf(outChannels) * kernel[0]) / together;
  const lines = kernel[0] * (POSITION_CYCLES + inChannels / 4);
  return outHeight * outWidth * (products + lines);
}

function winogradCycles({ outHeight, outWidth, kernel, inChannels, outChannels }: WeightGradientShape): number {
  const along = (size: number, taps: number): number => (taps === 1 ? size : Math.ceil(size / 4));
  const tiles = along(outHeight, kernel[0]) * along(outWidth, kernel[1]);
  const products = productVectors(lanesOf(inChannels)) * lanesOf(outChannels);
  const transforms = (POINT_CYCLES * (lanesOf(inChannels) + lanesOf(outChannels))) / 4;
  return tiles * pointsOf(kernel) * (products + transforms);
}

/** Vectors of columns; a tile of only one is waited for. */
function productVectors(columns: number): number {
  const rest = columns % 8;
  return 2 * Math.floor(columns / 8) + (rest === 0 ? 0 : rest <= 4 ? 1.25 : 2);
}
