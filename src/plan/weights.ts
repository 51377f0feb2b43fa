/**
 * Parameters as kernels want them: packed once per executable, whatever the input's shape. BatchNorms are folded on the
 * way, in float64.
 */
import type { Norm } from '../graph/graph.js';
import type { Allocation } from '../runtime/heap.js';
import type { Runtime } from '../runtime/runtime.js';
import { residentPtr, type Tensor } from '../tensor.js';

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

export function isDepthwise({ weight, groups }: Pick<Filters, 'weight' | 'groups'>): boolean {
  return groups > 1 && weight.dims[0] === groups && weight.dims[1] === 1;
}

/** @throws OutOfMemoryError, with nothing left allocated */
export function packFilters(runtime: Runtime, filters: Filters): PackedWeights {
  const { weight, groups } = filters;
  const channels = weight.dims[0]!;
  const perGroup = channels / groups;
  const depthwise = isDepthwise(filters);
  const lanes = depthwise ? roundUp(channels, 4) : groups * roundUp(perGroup, 4);
  const weightsBytes = (weight.size / channels) * lanes * 4;
  const biasCount = depthwise ? lanes : groups * roundUp(perGroup, 8);
  return withStaging(runtime, (stage) => {
    const folded = filters.norm && foldNorm(runtime, filters.norm, channels, stage);
    const sourcePtr = stage.parameter(weight);
    const bias = folded ? stage.doubles(folded.shiftPtr, channels) : filters.bias?.data;
    const allocation = runtime.heap.allocate(weightsBytes + biasCount * 4);
    const biasPtr = allocation.ptr + weightsBytes;
    writeBias(runtime.heap.floats(biasPtr, biasCount), bias, depthwise ? channels : perGroup);
    const inPerGroup = weight.dims[1]!;
    const taps = weight.size / channels / inPerGroup;
    const scalePtr = folded?.scalePtr ?? 0;
    if (depthwise) runtime.kernels.packDepthwiseWeights(sourcePtr, scalePtr, allocation.ptr, channels, taps);
    else runtime.kernels.packWeights(sourcePtr, scalePtr, allocation.ptr, groups, perGroup, inPerGroup, taps);
    return { allocation, weightsPtr: allocation.ptr, biasPtr };
  });
}

/** Writes a bias group by group, each padded with zeros to the width that `target` has for it. */
function writeBias(target: Float32Array, bias: ArrayLike<number> | undefined, perGroup: number): void {
  target.fill(0);
  if (bias === undefined) return;
  const groups = bias.length / perGroup;
  const padded = target.length / groups;
  for (let i = 0; i < bias.length; i++) target[Math.floor(i / perGroup) * padded + (i % perGroup)] = bias[i]!;
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
