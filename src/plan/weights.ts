/**
 * Parameters as kernels want them: packed once per executable, whatever the input's shape. BatchNorms are folded on the
 * way, in float64.
 */
import { type Affine, foldBias, normAffine, normValues } from '../merge/affine.js';
import { sumWeights } from '../merge/branches.js';
import { forEachRow, rowsOf, scaleRows } from '../merge/rows.js';
import type { Conv2dNode, LinearNode } from '../ops/conv/node.js';
import type { Norm } from '../ops/node.js';
import { convShape } from '../passes/branches.js';
import type { Allocation } from '../runtime/heap.js';
import { redZonesOf, ZONE_BYTES } from '../runtime/redZones.js';
import type { Runtime } from '../runtime/runtime.js';
import { lanesOf, sizeOf } from '../sizes.js';
import { residentPtr, Tensor } from '../tensor.js';
import { type Algorithm, winogradScheme } from './algorithm.js';

/** Weights of at least as many bytes are laid out for reading them in several streams: they will come from memory. */
const LEAST_STREAMED_BYTES = 2 ** 21;

/**
 * A convolution's or linear layer's weights; `biasPtr` is always there, zeros where there is no bias. `depth`, `lanes` and
 * `segment` say how they lie, see Panels in assembly/gemm/panels.ts.
 */
export interface PackedWeights extends PanelShape {
  readonly allocation: Allocation;
  readonly weightsPtr: number;
  readonly weightsBytes: number;
  readonly biasPtr: number;
}

interface PanelShape {
  readonly depth: number;
  readonly lanes: number;
  readonly segment: number;
}

/** @throws OutOfMemoryError, with nothing left allocated */
export function packFilters(runtime: Runtime, node: Conv2dNode | LinearNode, algorithm: Algorithm): PackedWeights {
  if (node.op === 'conv2d' && node.parallel !== undefined) return packParallel(runtime, node, algorithm);
  const { weight } = node;
  const groups = node.op === 'conv2d' ? node.groups : 1;
  const norm = node.op === 'conv2d' ? node.norm : undefined;
  const [channels, inPerGroup] = weight.dims as [number, number];
  // A depthwise convolution's channels are packed as one group.
  const packedGroups = algorithm === 'depthwise' ? 1 : groups;
  const taps = weight.size / channels / inPerGroup;
  const shape = { outChannels: channels, kernels: 1, inPerGroup, taps, groups: packedGroups };
  const panels = panelShape(runtime, shape, algorithm);
  const biasCount = packedGroups * lanesOf(channels / packedGroups);
  const biasBytes = biasCount * 4;
  const weightsBytes = packedGroups * panelBytes(panels);
  const plainBytes = winogradScheme(algorithm) === undefined ? weightsBytes : (weight.size / channels) * biasBytes;
  return withStaging(runtime, (stage) => {
    const affine = norm && affineOf(norm);
    const bias = affine ? foldBias(affine, node.bias?.data) : node.bias?.data;
    const packed = allocatePacked(runtime, panels, weightsBytes, biasBytes, plainBytes);
    writeBias(runtime.heap.floats(packed.biasPtr, biasCount), bias, packedGroups);
    packInto(runtime, algorithm, weight, shape, affine ? stage.doubles(affine.scale) : 0, packed);
    return packed;
  });
}

/** @param plainBytes what the weights take where they are not transformed */
function allocatePacked(
  { heap }: Runtime,
  panels: PanelShape,
  weightsBytes: number,
  biasBytes: number,
  plainBytes: number,
): PackedWeights {
  const allocation = heap.allocate(weightsBytes + biasBytes, weightsBytes - plainBytes);
  let weightsPtr = allocation.ptr;
  let biasPtr = weightsPtr + weightsBytes;
  if (CHECKED) {
    weightsPtr = redZonesOf(heap).enlarge(weightsPtr, weightsBytes + ZONE_BYTES + biasBytes);
    biasPtr = weightsPtr + weightsBytes + ZONE_BYTES;
    redZonesOf(heap).paintZones(weightsPtr, weightsBytes);
  }
  return { ...panels, allocation, weightsPtr, weightsBytes, biasPtr };
}

/**
 * A convolution and others within its window, for Winograd: packed as one whose input channels are those of all of them.
 * Scales are applied and biases added in float64.
 */
function packParallel(runtime: Runtime, node: Conv2dNode, algorithm: Algorithm): PackedWeights {
  const parts = [node, ...(node.parallel ?? [])];
  const [outChannels, inChannels, height, width] = node.weight.dims as [number, number, number, number];
  const depth = parts.length * inChannels;
  const kernels = new Float32Array(outChannels * depth * height * width);
  const bias = new Float64Array(outChannels);
  parts.forEach((part, at) => {
    const affine = part.norm && affineOf(part.norm);
    const shift = affine ? foldBias(affine, part.bias?.data) : part.bias?.data;
    for (let o = 0; o < outChannels; o++) bias[o]! += shift?.[o] ?? 0;
    setKernels(kernels, node, part, affine?.scale, at * inChannels, depth);
  });
  const shape = { outChannels, kernels: parts.length, inPerGroup: inChannels, taps: height * width, groups: 1 };
  const biasCount = lanesOf(outChannels);
  const plainBytes = parts.reduce((sum, part) => sum + (part.weight.size / outChannels) * biasCount * 4, 0);
  const panels = panelShape(runtime, shape, algorithm);
  const packed = allocatePacked(runtime, panels, panelBytes(panels), biasCount * 4, plainBytes);
  writeBias(runtime.heap.floats(packed.biasPtr, biasCount), bias, 1);
  packInto(runtime, algorithm, new Tensor('float32', kernels, [kernels.length]), shape, 0, packed);
  return packed;
}

/** Sets the kernels of `part` into windows of `node`'s size, from input channel `first` of `depth` on. */
function setKernels(
  target: Float32Array,
  node: Conv2dNode,
  part: Conv2dNode,
  scale: Float64Array | undefined,
  first: number,
  depth: number,
): void {
  const rows = rowsOf(part.weight.data, part.weight.dims[0]!);
  const scaled = scale === undefined ? rows : scaleRows(rows, scale);
  const branch = { count: 1, shape: convShape(part), weights: () => scaled, bias: undefined };
  const taps = sizeOf(node.window.kernel);
  forEachRow(sumWeights([branch], convShape(node)), (row, o) => target.set(row, (o * depth + first) * taps));
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
  const isStreamed = panels.depth >= 2 * chunk && panelBytes(panels) >= LEAST_STREAMED_BYTES;
  return { ...panels, segment: isStreamed ? chunk : panels.depth };
}

function panelBytes({ depth, lanes }: Omit<PanelShape, 'segment'>): number {
  return depth * lanes * 4;
}

/** Packs weights; such as are in JavaScript's memory are copied in a piece at a time, not beside what they become. */
function packInto(
  runtime: Runtime,
  algorithm: Algorithm,
  weight: Tensor,
  shape: FilterShape,
  scalePtr: number,
  packed: PackedWeights,
): void {
  const resident = residentPtr(weight, runtime, 'planar');
  const rowSize = shape.kernels * shape.inPerGroup * shape.taps;
  const channels = shape.outChannels / shape.groups;
  const groupBytes = panelBytes(packed);
  const step =
    resident !== undefined || algorithm === 'depthwise'
      ? channels
      : Math.min(channels, runtime.kernels.GROUP_CHANNELS.value);
  const pack = packer(runtime, algorithm, shape, channels, packed.segment);
  withStaging(runtime, (stage) => {
    const piecePtr = resident === undefined ? stage.allocate(step * rowSize * 4) : 0;
    for (let start = 0; start < shape.outChannels; start += channels) {
      for (let first = 0; first < channels; first += step) {
        const count = Math.min(step, channels - first);
        const at = (start + first) * rowSize;
        if (resident === undefined) {
          const piece = weight.data.subarray(at, at + count * rowSize);
          runtime.heap.floats(piecePtr, piece.length).set(piece);
        }
        const fromPtr = resident === undefined ? piecePtr : resident + at * 4;
        const scales = scalePtr === 0 ? 0 : scalePtr + (start + first) * 8;
        pack(fromPtr, scales, packed.weightsPtr + (start / channels) * groupBytes, first, count);
      }
    }
    if (CHECKED) {
      const zones = redZonesOf(runtime.heap);
      zones.check('packing of weights');
      zones.expectZones(packed.weightsPtr, packed.weightsBytes, 'packing of weights');
      zones.expectWords(packed.weightsPtr, packed.weightsBytes, 'packing of weights');
    }
  });
}

/** Packs `count` of a group's output channels, from `first` on; `toPtr` is the group's, the other addresses the piece's. */
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

/** Temporary memory for a while: parameters copied in, float64 work. All of it is freed at the end. */
export interface Staging {
  /** Address of a tensor's values in row-major order. */
  parameter(tensor: Tensor): number;
  optional(tensor: Tensor | undefined): number;
  /** Address of a copy. */
  floats(values: Float32Array): number;
  /** Address of uninitialised memory. */
  allocate(bytes: number): number;
  /** Address of a copy. */
  doubles(values: Float64Array): number;
}

export function withStaging<T>(runtime: Runtime, work: (stage: Staging) => T): T {
  const allocations: Allocation[] = [];
  const allocate = (bytes: number): number => {
    const allocation = runtime.heap.allocate(bytes);
    allocations.push(allocation);
    return allocation.ptr;
  };
  const floats = (values: Float32Array): number => {
    const ptr = allocate(values.byteLength);
    runtime.heap.floats(ptr, values.length).set(values);
    return ptr;
  };
  const parameter = (tensor: Tensor): number => {
    const resident = residentPtr(tensor, runtime, 'planar');
    if (resident !== undefined) return resident;
    return floats(tensor.data);
  };
  try {
    return work({
      parameter,
      optional: (tensor) => (tensor === undefined ? 0 : parameter(tensor)),
      floats,
      allocate,
      doubles: (values) => {
        const ptr = allocate(values.byteLength);
        runtime.heap.doubles(ptr, values.length).set(values);
        return ptr;
      },
    });
  } finally {
    for (const allocation of allocations) allocation.free();
  }
}

function affineOf(norm: Norm): Affine {
  return normAffine(normValues(norm, ({ data }) => data));
}
