/**
 * Packs the parameters of a convolution or linear layer into the form that kernels read. BatchNorms are folded on the
 * way, in float64.
 */
import { foldBias, mapNorm, type NormOf, normAffine } from '../../merge/affine.js';
import { sumWeights } from '../../merge/branches.js';
import { IN_ORDER, type Rows, rowsOf, scaleRows } from '../../merge/rows.js';
import type { Algorithm } from '../../nodes/algorithm.js';
import type { Window } from '../../nodes/node.js';
import type { Allocation } from '../../runtime/heap.js';
import { redZonesOf, ZONE_BYTES } from '../../runtime/redZones.js';
import type { Runtime } from '../../runtime/runtime.js';
import { lanesOf, sizeOf } from '../../sizes.js';
import type { Parameter } from '../steps/parameter.js';
import type { Prepared } from '../steps/prepared.js';
import { withStaging } from '../steps/staging.js';
import { winogradScheme } from './algorithm.js';
import { LARGEST_TRANSFORMED } from './tame.js';

/** Weights of at least as many bytes are laid out for reading them in several streams: they will come from memory. */
const MIN_STREAMED_BYTES = 2 ** 21;

/** What is packed together. */
export interface Filters {
  readonly groups: number;
  /** Several share the transforms of Winograd; the windows of all lie within the first one's. */
  readonly kernels: readonly FilterKernel[];
}

export interface FilterKernel {
  /** [outChannels, inChannels / groups, height, width], or [outFeatures, inFeatures] */
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;
  /** A BatchNorm that is folded into both. */
  readonly norm: NormOf<Parameter> | undefined;
  readonly window: Window;
}

/** All that the packed weights are made of. */
export function parametersOf({ kernels }: Filters): Parameter[] {
  return kernels.flatMap(({ weight, bias, norm }) => {
    const { gamma, beta, mean, variance } = norm ?? {};
    return [weight, bias, gamma, beta, mean, variance].filter((one) => one !== undefined);
  });
}

/** `depth`, `lanes` and `segment` say how weights lie, see Panels in assembly/gemm/panels.ts. */
interface PanelShape {
  readonly depth: number;
  readonly lanes: number;
  readonly segment: number;
}

/** `biasPtr` is always there, zeros if there is no bias. */
export interface PackedWeights extends Prepared, PanelShape {
  readonly weightsPtr: number;
  readonly biasPtr: number;
  /** Whether Winograd may use them: a weight that is not finite or is very large spreads in its transforms. */
  readonly areTame: boolean;
}

/** Memory for packed weights, which `fill` writes. @throws OutOfMemoryError */
export function packFilters(runtime: Runtime, filters: Filters, algorithm: Algorithm): PackedWeights {
  return new Packing(runtime, filters, algorithm);
}

class Packing implements PackedWeights {
  readonly allocation: Allocation;
  readonly depth: number;
  readonly lanes: number;
  readonly segment: number;
  readonly weightsPtr: number;
  readonly biasPtr: number;
  areTame = true;
  readonly #runtime: Runtime;
  readonly #filters: Filters;
  readonly #algorithm: Algorithm;
  readonly #shape: FilterShape;
  readonly #weightsBytes: number;
  readonly #biasCount: number;
  /** Of the scales of a BatchNorm, f64[outChannels]; 0: they are applied before. */
  readonly #scalePtr: number;

  constructor(runtime: Runtime, filters: Filters, algorithm: Algorithm) {
    const { heap } = runtime;
    const { kernels, groups } = filters;
    const [first] = kernels as [FilterKernel];
    const [outChannels, inPerGroup] = first.weight.dims as [number, number];
    const taps = sizeOf(first.weight.dims.slice(2));
    // A depthwise convolution's channels are packed as one group.
    const packedGroups = algorithm === 'depthwise' ? 1 : groups;
    const shape = { outChannels, kernels: kernels.length, inPerGroup, taps, groups: packedGroups };
    const panels = panelShape(runtime, shape, algorithm);
    const isScaled = kernels.length === 1 && first.norm !== undefined;
    const biasCount = packedGroups * lanesOf(outChannels / packedGroups);
    const [weightsBytes, biasBytes] = [packedGroups * panelBytes(panels), biasCount * 4];
    const ofKernels = kernels.reduce((sum, { weight }) => sum + sizeOf(weight.dims) / outChannels, 0);
    const plainBytes = winogradScheme(algorithm) === undefined ? weightsBytes : ofKernels * biasBytes;
    const scaleBytes = isScaled ? outChannels * 8 : 0;
    this.allocation = heap.allocate(weightsBytes + biasBytes + scaleBytes, weightsBytes - plainBytes);
    let weightsPtr = this.allocation.ptr;
    let zoneBytes = 0;
    if (CHECKED) {
      zoneBytes = ZONE_BYTES;
      weightsPtr = redZonesOf(heap).enlarge(weightsPtr, weightsBytes + zoneBytes + biasBytes + scaleBytes);
      redZonesOf(heap).paintZones(weightsPtr, weightsBytes);
    }
    this.weightsPtr = weightsPtr;
    this.biasPtr = weightsPtr + weightsBytes + zoneBytes;
    this.#scalePtr = isScaled ? this.biasPtr + biasBytes : 0;
    ({ depth: this.depth, lanes: this.lanes, segment: this.segment } = panels);
    [this.#runtime, this.#filters, this.#algorithm, this.#shape] = [runtime, filters, algorithm, shape];
    [this.#weightsBytes, this.#biasCount] = [weightsBytes, biasCount];
  }

  fill(): void {
    const { heap, kernels } = this.#runtime;
    const { outChannels, groups } = this.#shape;
    const affines = this.#filters.kernels.map(({ norm }) => {
      return norm && normAffine(mapNorm(norm, (parameter) => parameter.values()));
    });
    const biases = this.#filters.kernels.map(({ bias }, i) => {
      const affine = affines[i];
      return affine === undefined ? bias?.values() : foldBias(affine, bias?.values());
    });
    writeBias(heap.floats(this.biasPtr, this.#biasCount), sumOf(biases, outChannels), groups);
    if (this.#scalePtr !== 0) heap.doubles(this.#scalePtr, outChannels).set(affines[0]!.scale);
    this.#pack(affines.map((affine) => affine?.scale));
    if (winogradScheme(this.#algorithm) !== undefined) {
      this.areTame = kernels.allBelow(this.weightsPtr, this.#weightsBytes / 4, LARGEST_TRANSFORMED) !== 0;
    }
  }

  /** Weights that are not yet in the form that packing kernels read go through staging, a piece at a time. */
  #pack(scales: readonly (Float64Array | undefined)[]): void {
    const runtime = this.#runtime;
    const { outChannels, groups, kernels, inPerGroup, taps } = this.#shape;
    const [{ weight }] = this.#filters.kernels as [FilterKernel];
    const resident = kernels === 1 ? weight.address() : undefined;
    const rowSize = kernels * inPerGroup * taps;
    const channels = outChannels / groups;
    const groupBytes = panelBytes(this);
    const step =
      resident !== undefined || this.#algorithm === 'depthwise'
        ? channels
        : Math.min(channels, runtime.kernels.GROUP_CHANNELS.value);
    const pack = packer(runtime, this.#algorithm, this.#shape, channels, this.segment);
    withStaging(runtime, (stage) => {
      const piecePtr = resident === undefined ? stage.allocate(step * rowSize * 4) : 0;
      const copyRows = resident === undefined ? this.#rowCopier(scales) : () => {};
      for (let start = 0; start < outChannels; start += channels) {
        for (let first = 0; first < channels; first += step) {
          const count = Math.min(step, channels - first);
          copyRows(start + first, runtime.heap.floats(piecePtr, count * rowSize));
          const fromPtr = resident === undefined ? piecePtr : resident + (start + first) * rowSize * 4;
          const scalePtr = this.#scalePtr === 0 ? 0 : this.#scalePtr + (start + first) * 8;
          pack(fromPtr, scalePtr, this.weightsPtr + (start / channels) * groupBytes, first, count);
        }
      }
      if (CHECKED) {
        const zones = redZonesOf(runtime.heap);
        zones.check('packing of weights');
        zones.expectZones(this.weightsPtr, this.#weightsBytes, 'packing of weights');
        zones.expectWords(this.weightsPtr, this.#weightsBytes, 'packing of weights');
      }
    });
  }

  /**
   * Copies the rows of output channels from `first` on, as many as there is room for; of several kernels, side by side.
   */
  #rowCopier(scales: readonly (Float64Array | undefined)[]): (first: number, target: Float32Array) => void {
    const { kernels } = this.#filters;
    const [{ weight, window }] = kernels as [FilterKernel];
    if (kernels.length === 1) {
      const rowSize = sizeOf(weight.dims) / weight.dims[0]!;
      const values = weight.values();
      return (first, target) => target.set(values.subarray(first * rowSize, first * rowSize + target.length));
    }
    const all = kernels.map((kernel, i) => rowsWithin(kernel, window, scales[i]));
    const row = new Float64Array(all[0]!.size);
    return (first, target) => {
      for (let o = first, to = 0; to < target.length; o++) {
        for (const rows of all) {
          row.fill(0);
          rows.add(o, 1, row, IN_ORDER);
          target.set(row, to);
          to += row.length;
        }
      }
    };
  }
}

/** The rows of a kernel, times its scales, at their places in a window that it lies within. */
function rowsWithin({ weight, window: own }: FilterKernel, window: Window, scales: Float64Array | undefined): Rows {
  const [outChannels, inChannels] = weight.dims as [number, number];
  const rows = rowsOf(weight.values(), outChannels);
  const scaled = scales === undefined ? rows : scaleRows(rows, scales);
  const shape = { outChannels, inChannels, groups: 1 };
  const branch = { count: 1, shape: { ...shape, window: own }, weights: () => scaled, bias: undefined };
  return sumWeights([branch], { ...shape, window });
}

function sumOf(
  biases: readonly (Float32Array | Float64Array | undefined)[],
  count: number,
): Float32Array | Float64Array | undefined {
  if (biases.length === 1) return biases[0];
  const sum = new Float64Array(count);
  for (const bias of biases) for (let o = 0; o < count; o++) sum[o]! += bias?.[o] ?? 0;
  return sum;
}

/** Of weights [outChannels][kernels][inPerGroup][taps]. */
interface FilterShape {
  readonly outChannels: number;
  /** More than one only of parallel convolutions, for Winograd. */
  readonly kernels: number;
  readonly inPerGroup: number;
  readonly taps: number;
  readonly groups: number;
}

/** How the weights of a group lie when packed. */
function panelShape({ kernels }: Runtime, shape: FilterShape, algorithm: Algorithm): PanelShape {
  const scheme = winogradScheme(algorithm);
  const outLanes = lanesOf(shape.outChannels / shape.groups);
  const panels =
    scheme === undefined
      ? { depth: shape.inPerGroup * shape.taps, lanes: outLanes }
      : {
          depth: kernels.winogradDepth(shape.inPerGroup, scheme.rows),
          lanes: scheme.weights * shape.kernels * outLanes,
        };
  const chunk = kernels.DEPTH_CHUNK.value;
  const isStreamed = panels.depth >= 2 * chunk && panelBytes(panels) >= MIN_STREAMED_BYTES;
  return { ...panels, segment: isStreamed ? chunk : panels.depth };
}

function panelBytes({ depth, lanes }: Omit<PanelShape, 'segment'>): number {
  return depth * lanes * 4;
}

/**
 * Packs `count` of a group's output channels, from `first` on; `toPtr` is the group's, the other addresses the piece's.
 */
type Packer = (fromPtr: number, scalePtr: number, toPtr: number, first: number, count: number) => void;

/** @param channels output channels of a group */
function packer(
  { kernels, scratchPtr }: Runtime,
  algorithm: Algorithm,
  shape: FilterShape,
  channels: number,
  segment: number,
): Packer {
  const { inPerGroup, taps } = shape;
  const scheme = winogradScheme(algorithm);
  if (scheme !== undefined) {
    const { r, high, wide } = scheme;
    const how = [channels, inPerGroup, shape.kernels, r, high, wide, segment, scratchPtr] as const;
    return (...piece) => kernels.packWinogradWeights(...piece, ...how);
  }
  if (algorithm === 'depthwise')
    return (from, scale, to) => kernels.packDepthwiseWeights(from, scale, to, channels, taps);
  return (...piece) => kernels.packWeights(...piece, channels, inPerGroup, taps, segment);
}

/**
 * Writes a bias group by group, each padded with zeros to the width that `target` has for it. A negative zero becomes a
 * positive one: added to it, no zero keeps its sign, which depends on how the work was cut.
 */
function writeBias(target: Float32Array, bias: Float32Array | Float64Array | undefined, groups: number): void {
  target.fill(0);
  if (bias === undefined) return;
  const perGroup = bias.length / groups;
  for (let g = 0; g < groups; g++) {
    const ofGroup = bias.subarray(g * perGroup, (g + 1) * perGroup).map((value) => value + 0);
    target.set(ofGroup, (g * target.length) / groups);
  }
}
