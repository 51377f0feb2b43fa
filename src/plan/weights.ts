/**
 * Parameters as kernels want them: packed once per executable, whatever the input's shape. BatchNorms are folded on the
 * way, in float64.
 */
import type { Conv2dNode, LinearNode, Norm } from '../graph/graph.js';
import type { Allocation } from '../runtime/heap.js';
import type { Runtime } from '../runtime/runtime.js';
import { residentPtr, type Tensor } from '../tensor.js';
import { type Algorithm, winogradScheme } from './algorithm.js';

/** A convolution's or linear layer's weights; `biasPtr` is always there, zeros where there is no bias. */
export interface PackedWeights {
  readonly allocation: Allocation;
  readonly weightsPtr: number;
  readonly biasPtr: number;
}

/** @throws OutOfMemoryError, with nothing left allocated */
export function packFilters(runtime: Runtime, node: Conv2dNode | LinearNode, algorithm: Algorithm): PackedWeights {
  if (node.op === 'conv2d' && node.parallel !== undefined) return packParallel(runtime, node, algorithm);
  const { weight } = node;
  const groups = node.op === 'conv2d' ? node.groups : 1;
  const norm = node.op === 'conv2d' ? node.norm : undefined;
  const channels = weight.dims[0]!;
  // A depthwise convolution's channels are packed as one group.
  const packedGroups = algorithm === 'depthwise' ? 1 : groups;
  const biasCount = packedGroups * roundUp(channels / packedGroups, 4);
  const biasBytes = biasCount * (algorithm === 'gemmDouble' ? 8 : 4);
  const weightsBytes = packedDepth(weight, algorithm) * biasBytes;
  const plainBytes = winogradScheme(algorithm) === undefined ? weightsBytes : (weight.size / channels) * biasBytes;
  return withStaging(runtime, (stage) => {
    const folded = norm && foldNorm(runtime, norm, channels, stage);
    const sourcePtr = stage.parameter(weight);
    const bias = folded ? normedBias(stage, folded, node.bias, channels) : node.bias?.data;
    const packed = allocatePacked(runtime, weightsBytes, biasBytes, plainBytes);
    const view =
      algorithm === 'gemmDouble'
        ? runtime.heap.doubles(packed.biasPtr, biasCount)
        : runtime.heap.floats(packed.biasPtr, biasCount);
    writeBias(view, bias, packedGroups);
    packInto(runtime, algorithm, weight, groups, sourcePtr, folded?.scalePtr ?? 0, packed.weightsPtr);
    return packed;
  });
}

/** @param plainBytes what the weights take where they are not transformed */
function allocatePacked({ heap }: Runtime, weightsBytes: number, biasBytes: number, plainBytes: number): PackedWeights {
  const allocation = heap.allocate(weightsBytes + biasBytes, weightsBytes - plainBytes);
  return { allocation, weightsPtr: allocation.ptr, biasPtr: allocation.ptr + weightsBytes };
}

/**
 * A convolution and others within its window, for Winograd: packed as one whose input channels are those of all of them,
 * the lanes of each rounded up. Scales are applied and biases added in float64.
 */
function packParallel(runtime: Runtime, node: Conv2dNode, algorithm: Algorithm): PackedWeights {
  const parts = [node, ...(node.parallel ?? [])];
  const [outChannels, inChannels, height, width] = node.weight.dims as [number, number, number, number];
  const lanes = roundUp(inChannels, 4);
  const depth = parts.length * lanes;
  const kernels = new Float32Array(outChannels * depth * height * width);
  const bias = new Float64Array(outChannels);
  return withStaging(runtime, (stage) => {
    parts.forEach((part, at) => {
      const folded = part.norm && foldNorm(runtime, part.norm, outChannels, stage);
      const scale = folded && stage.doubles(folded.scalePtr, outChannels);
      const shift = folded ? normedBias(stage, folded, part.bias, outChannels) : part.bias?.data;
      for (let o = 0; o < outChannels; o++) bias[o]! += shift?.[o] ?? 0;
      setKernels(kernels, node, part, scale, at * lanes, depth);
    });
    const sourcePtr = stage.floats(kernels);
    const { m, r } = winogradScheme(algorithm)!;
    const biasCount = roundUp(outChannels, 4);
    const plainBytes = parts.reduce((sum, part) => sum + (part.weight.size / outChannels) * biasCount * 4, 0);
    const packed = allocatePacked(runtime, (m + r - 1) ** 2 * depth * biasCount * 4, biasCount * 4, plainBytes);
    writeBias(runtime.heap.floats(packed.biasPtr, biasCount), bias, 1);
    const { kernels: wasm, scratchPtr } = runtime;
    wasm.packWinogradWeights(sourcePtr, 0, packed.weightsPtr, outChannels, depth, r, m + r - 1, scratchPtr);
    return packed;
  });
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
  const [outChannels, inChannels, height, width] = part.weight.dims as [number, number, number, number];
  const [fullHeight, fullWidth] = node.window.kernel;
  const row = node.window.pads[0] - part.window.pads[0];
  const column = node.window.pads[1] - part.window.pads[1];
  const values = part.weight.data;
  let from = 0;
  for (let o = 0; o < outChannels; o++) {
    for (let c = 0; c < inChannels; c++) {
      const window = (o * depth + first + c) * fullHeight * fullWidth;
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          target[window + (row + y) * fullWidth + column + x] = values[from++]! * (scale?.[o] ?? 1);
        }
      }
    }
  }
}

/** Packed values per output channel. */
function packedDepth(weight: Tensor, algorithm: Algorithm): number {
  const scheme = winogradScheme(algorithm);
  const [outChannels, inPerGroup] = weight.dims as [number, number];
  if (scheme === undefined) return weight.size / outChannels;
  return (scheme.m + scheme.r - 1) ** 2 * roundUp(inPerGroup, 4);
}

function packInto(
  runtime: Runtime,
  algorithm: Algorithm,
  weight: Tensor,
  groups: number,
  sourcePtr: number,
  scalePtr: number,
  toPtr: number,
): void {
  const { kernels, scratchPtr } = runtime;
  const [outChannels, inPerGroup] = weight.dims as [number, number];
  const taps = weight.size / outChannels / inPerGroup;
  const scheme = winogradScheme(algorithm);
  if (scheme !== undefined) {
    const { m, r } = scheme;
    kernels.packWinogradWeights(sourcePtr, scalePtr, toPtr, outChannels, inPerGroup, r, m + r - 1, scratchPtr);
  } else if (algorithm === 'depthwise') {
    kernels.packDepthwiseWeights(sourcePtr, scalePtr, toPtr, outChannels, taps);
  } else {
    const pack = algorithm === 'gemm' ? kernels.packWeights : kernels.packWeightsDouble;
    pack(sourcePtr, scalePtr, toPtr, groups, outChannels / groups, inPerGroup, taps);
  }
}

/** Writes a bias group by group, each padded with zeros to the width that `target` has for it. */
function writeBias(
  target: Float32Array | Float64Array,
  bias: Float32Array | Float64Array | undefined,
  groups: number,
): void {
  target.fill(0);
  if (bias === undefined) return;
  const perGroup = bias.length / groups;
  for (let g = 0; g < groups; g++) {
    target.set(bias.subarray(g * perGroup, (g + 1) * perGroup), (g * target.length) / groups);
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
  /** Copy of float64 values. */
  doubles(ptr: number, count: number): Float64Array;
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
      doubles: (ptr, count) => runtime.heap.doubles(ptr, count).slice(),
    });
  } finally {
    for (const allocation of allocations) allocation.free();
  }
}

/** What a BatchNorm makes of a convolution's bias, in float64. */
function normedBias(
  stage: Staging,
  { scalePtr, shiftPtr }: { scalePtr: number; shiftPtr: number },
  bias: Tensor | undefined,
  channels: number,
): Float64Array {
  const shift = stage.doubles(shiftPtr, channels);
  if (bias === undefined) return shift;
  const [scale, values] = [stage.doubles(scalePtr, channels), bias.data];
  return shift.map((value, channel) => value + values[channel]! * scale[channel]!);
}

/** Scale and shift of a BatchNorm as f64[channels]. */
export function foldNorm(
  runtime: Runtime,
  norm: Norm,
  channels: number,
  stage: Staging,
): { scalePtr: number; shiftPtr: number } {
  const scalePtr = stage.allocate(channels * 8);
  const shiftPtr = stage.allocate(channels * 8);
  runtime.kernels.foldBatchNorm(
    stage.optional(norm.gamma),
    stage.optional(norm.beta),
    stage.parameter(norm.mean),
    stage.parameter(norm.variance),
    norm.eps,
    channels,
    scalePtr,
    shiftPtr,
  );
  return { scalePtr, shiftPtr };
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
