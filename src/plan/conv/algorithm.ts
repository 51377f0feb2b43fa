/** Which kernels compute a convolution, and the cost model that chooses. */
import type { Algorithm, WinogradAlgorithm } from '../../nodes/algorithm.js';
import type { Conv2dNode, WeightedNode } from '../../nodes/conv.js';
import type { Runtime } from '../../runtime/runtime.js';
import { sizeOf } from '../../sizes.js';

export interface WinogradScheme {
  /** Output rows and columns of a tile. */
  readonly tile: readonly [number, number];
  /** Rows and columns of the kernel. */
  readonly r: number;
  readonly stride: number;
  /** Values down and along a transformed tile; 1 down where it is transformed along rows only. */
  readonly high: number;
  readonly wide: number;
  /** Products of a tile for a pair of channels and, where it is not transformed along columns, a kernel row. */
  readonly points: number;
  /** Values that a kernel, or a row of it, becomes. */
  readonly weights: number;
  /** Kernel rows that count as depth. */
  readonly rows: number;
}

/** assembly/conv/winograd.ts has the mathematics. */
export const WINOGRAD: Readonly<Record<WinogradAlgorithm, WinogradScheme>> = {
  winogradF4x4K3: scheme([4, 4], 3, 1),
  winogradF2x2K3: scheme([2, 2], 3, 1),
  winogradF2x3K5: scheme([2, 3], 5, 1),
  winogradF1x4K5: scheme([1, 4], 5, 1),
  winogradF4x4K3S2: scheme([4, 4], 3, 2),
};

function scheme(tile: readonly [number, number], r: number, stride: number): WinogradScheme {
  const inRows = tile[0] === 1;
  const high = inRows ? 1 : (tile[0] - 1) * stride + r;
  const wide = (tile[1] - 1) * stride + r;
  // With stride 2 the four odd rows share their weights, and so do the four odd columns.
  const distinct = (n: number): number => (stride === 2 ? n - 3 : n);
  return {
    tile,
    r,
    stride,
    high,
    wide,
    points: high * wide,
    weights: distinct(high) * distinct(wide),
    rows: inRows ? r : 1,
  };
}

export const ALGORITHMS: readonly Algorithm[] = [
  'gemm',
  'depthwise',
  ...(Object.keys(WINOGRAD) as WinogradAlgorithm[]),
];

export function winogradScheme(algorithm: Algorithm): WinogradScheme | undefined {
  return (WINOGRAD as Partial<Record<Algorithm, WinogradScheme>>)[algorithm];
}

const MIN_TILES = 4;
/**
 * Fewest input channels for which Winograd is chosen. A sum of so few products shows the error of the transforms: over
 * a [1, 2, 62, 62] input the squared differences between a block's train and deploy form add up to as much as 2.9e-8,
 * where GEMM has 5e-9 and PyTorch too.
 */
const MIN_WINOGRAD_CHANNELS = 3;

/** Of a value that a node reads or gives. */
type DimsOf = (value: string) => readonly number[];

/** The algorithms that can compute a node. The first transforms no weights. */
export function applicableAlgorithms(node: WeightedNode, runtime: Runtime, dimsOf: DimsOf): Algorithm[] {
  const { kernels } = runtime;
  const weight = dimsOf(node.inputs[1]);
  const [outChannels, inPerGroup] = weight as [number, number];
  if (node.op === 'linear') return ['gemm'];
  const { groups, window } = node;
  if (groups > 1) {
    // An address of 4 bytes for each tap, and two words for each row of the kernel.
    const fits = (sizeOf(weight) / outChannels + 2 * window.kernel[0]) * 4 <= kernels.scratchBytes();
    return outChannels === groups && inPerGroup === 1 && fits ? ['depthwise', 'gemm'] : ['gemm'];
  }
  const isDense = window.dilation.every((step) => step === 1);
  const schemes = Object.entries(WINOGRAD).filter(
    ([, { r, stride, points, rows }]) =>
      window.kernel.every((size) => size === r) &&
      window.stride.every((step) => step === stride) &&
      // Fewer tiles at a time than these would read the weights too often.
      kernels.winogradScratchBytes(points, MIN_TILES, kernels.winogradDepth(inPerGroup, rows), outChannels, false) <=
        kernels.scratchBytes(),
  );
  return ['gemm', ...(isDense ? schemes.map(([name]) => name as Algorithm) : [])];
}

/** The forced algorithm, or the one that the model holds to be fastest. */
export function chooseAlgorithm(node: WeightedNode, runtime: Runtime, dimsOf: DimsOf): Algorithm {
  let applicable = applicableAlgorithms(node, runtime, dimsOf);
  if (node.op === 'conv2d' && node.algorithm !== undefined) {
    if (!applicable.includes(node.algorithm)) {
      throw new RangeError(
        `${node.layer}: algorithm '${node.algorithm}' cannot compute this convolution, only ${applicable.join(', ')} can`,
      );
    }
    return node.algorithm;
  }
  if (!runtime.transformsWeights || applicable[0] === 'depthwise') return applicable[0]!;
  if (dimsOf(node.inputs[1])[1]! < MIN_WINOGRAD_CHANNELS) return 'gemm';
  if (node.op === 'conv2d' && node.precise === true) {
    // Tiles of 4 x 4 outputs err up to three times as much as a direct sum.
    applicable = applicable.filter((name) => winogradScheme(name)?.tile[0] !== 4);
  }
  const costs = applicable.map((algorithm) => predictCost(runtime, algorithm, node, dimsOf));
  return applicable[costs.indexOf(Math.min(...costs))]!;
}

/**
 * The Winograd scheme in which a convolution and those parallel to it share their transforms, if that is faster than
 * one after the other; undefined if not.
 */
export function chooseShared(
  node: Conv2dNode,
  separate: readonly Conv2dNode[],
  runtime: Runtime,
  dimsOf: DimsOf,
): WinogradAlgorithm | undefined {
  const own = chooseAlgorithm(node, runtime, dimsOf);
  if (winogradScheme(own) === undefined) return undefined;
  const shared = own as WinogradAlgorithm;
  if (node.algorithm !== undefined) return shared;
  const apart = separate.reduce((sum, part) => {
    return sum + predictCost(runtime, chooseAlgorithm(part, runtime, dimsOf), part, dimsOf);
  }, 0);
  return predictCost(runtime, shared, node, dimsOf) < apart ? shared : undefined;
}

/*
 * The cost model, in floating-point operations that the micro-kernels could have done in the same time. Fitted to
 * `npm run bench:algorithms` (Node 20, baseline), which prints what it predicts beside what is measured.
 */
/** Entering and leaving a micro-kernel: 60 cycles. */
const COST_OF_TILE = 600;
/** Reading a byte of weights that do not stay in L2. */
const COST_OF_WEIGHT_BYTE = 1.7;
/** Gathering one tap of one pixel, and four of its channels. */
const COST_OF_TAP = 80;
const COST_OF_QUAD = 25;
/**
 * Finding the pixels that a Winograd tile sees, per point; transforming four channels of a tile, forth and back, per
 * point.
 */
const COST_OF_PLACE = 20;
const COST_OF_TRANSFORM = 40;
const COST_OF_INVERSE = 25;
/** Copying four channels of a further kernel row from the tile above, per point. */
const COST_OF_COPY = 25;
const L2_BYTES = 512 * 1024;

/** Time of an algorithm in operations; only their order matters. */
export function predictCost(runtime: Runtime, algorithm: Algorithm, node: WeightedNode, dimsOf: DimsOf): number {
  const { DEPTH_CHUNK, TILE_ROWS } = runtime.kernels;
  const weight = dimsOf(node.inputs[1]);
  const [outChannels, inChannels] = weight as [number, number];
  const [batch, , height = 1, width = 1] = dimsOf(node.outputs[0]) as [number, number, number?, number?];
  const [inQuads, outPanels] = [Math.ceil(inChannels / 4), Math.ceil(outChannels / 8)];
  const scheme = winogradScheme(algorithm);
  const taps = sizeOf(weight) / outChannels / inChannels;
  const points = scheme?.points ?? 1;
  const rows = winogradTiles(scheme, batch, height, width);
  const count = node.op === 'conv2d' && scheme !== undefined ? 1 + (node.parallel?.length ?? 0) : 1;
  const depth = count * (scheme === undefined ? taps * inChannels : inQuads * 4 * scheme.rows);
  const chunks = Math.ceil(depth / DEPTH_CHUNK.value);
  const products = points * rows * depth * outPanels * 8 * 2;
  const tiles = points * Math.ceil(rows / TILE_ROWS.value) * outPanels * chunks * COST_OF_TILE;
  const weightBytes = (scheme?.weights ?? 1) * depth * outPanels * 8 * 4;
  const weights = weightBytes > L2_BYTES ? weightBytes * COST_OF_WEIGHT_BYTE : 0;
  const forward = COST_OF_TRANSFORM + ((scheme?.rows ?? 1) - 1) * COST_OF_COPY;
  const around =
    scheme === undefined
      ? rows * taps * (COST_OF_TAP + inQuads * COST_OF_QUAD)
      : rows * points * (COST_OF_PLACE + inQuads * forward + outPanels * 2 * COST_OF_INVERSE);
  return products + tiles + weights + around;
}

/** Tiles of a scheme, or pixels without one. */
export function winogradTiles(
  scheme: WinogradScheme | undefined,
  batch: number,
  height: number,
  width: number,
): number {
  const [tileHeight, tileWidth] = scheme?.tile ?? [1, 1];
  return batch * Math.ceil(height / tileHeight) * Math.ceil(width / tileWidth);
}
