/**
 * Parameters as kernels want them: packed once per executable, whatever the input's shape. BatchNorms are folded on the
 * way, in float64.
 */
import type { Norm } from '../graph/graph.js';
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

export interface Filters {
  /** [outChannels, inChannels / groups, taps...] */
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
  readonly norm: Norm | undefined;
  readonly groups: number;
}

/** @throws OutOfMemoryError, with nothing left allocated */
export function packFilters(runtime: Runtime, filters: Filters, algorithm: Algorithm): PackedWeights {
  const { heap } = runtime;
  const { weight, groups } = filters;
  const channels = weight.dims[0]!;
  // A depthwise convolution's channels are packed as one group.
  const packedGroups = algorithm === 'depthwise' ? 1 : groups;
  const biasCount = packedGroups * roundUp(channels / packedGroups, 4);
  const biasBytes = biasCount * (algorithm === 'gemmDouble' ? 8 : 4);
  const weightsBytes = packedDepth(weight, algorithm) * biasBytes;
  return withStaging(runtime, (stage) => {
    const folded = filters.norm && foldNorm(runtime, filters.norm, channels, stage);
    const sourcePtr = stage.parameter(weight);
    const bias = folded ? stage.doubles(folded.shiftPtr, channels) : filters.bias?.data;
    const allocation = heap.allocate(weightsBytes + biasBytes);
    const biasPtr = allocation.ptr + weightsBytes;
    const view = algorithm === 'gemmDouble' ? heap.doubles(biasPtr, biasCount) : heap.floats(biasPtr, biasCount);
    writeBias(view, bias, packedGroups);
    packInto(runtime, algorithm, weight, groups, sourcePtr, folded?.scalePtr ?? 0, allocation.ptr);
    return { allocation, weightsPtr: allocation.ptr, biasPtr };
  });
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
  const parameter = (tensor: Tensor): number => {
    const resident = residentPtr(tensor, runtime, 'planar');
    if (resident !== undefined) return resident;
    const values = tensor.data;
    const ptr = allocate(values.byteLength);
    runtime.heap.floats(ptr, values.length).set(values);
    return ptr;
  };
  try {
    return work({
      parameter,
      optional: (tensor) => (tensor === undefined ? 0 : parameter(tensor)),
      allocate,
      doubles: (ptr, count) => runtime.heap.doubles(ptr, count).slice(),
    });
  } finally {
    for (const allocation of allocations) allocation.free();
  }
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
