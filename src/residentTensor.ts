/** Tensors whose values are in a runtime's memory: how the package itself makes them and finds them. */
import { convert, copyIn, Residence, reserve, type Spare } from './residence.js';
import type { Allocation } from './runtime/heap.js';
import type { Runtime } from './runtime/runtime.js';
import { type Layout, layoutsCoincide } from './sizes.js';
import { Tensor } from './tensor.js';

/** A tensor over memory of a runtime, at `ptr` in the allocation. */
export function residentTensor(
  runtime: Runtime,
  allocation: Allocation,
  dims: readonly number[],
  layout: Layout,
  ptr: number = allocation.ptr,
): Tensor {
  return new Tensor('float32', new Residence(runtime, allocation, layout, ptr), dims);
}

/** Uninitialised memory for a tensor; `bytes` is what `bytesOf` returns. */
export function allocateTensor(
  runtime: Runtime,
  dims: readonly number[],
  layout: Layout = 'channelsLast',
  bytes?: number,
): Tensor {
  return new Tensor('float32', reserve(runtime, dims, layout, bytes), dims);
}

/** Address of a tensor that lives in the runtime in that layout; undefined if it does not. */
export function residentPtr(tensor: Tensor, runtime: Runtime, layout: Layout): number | undefined {
  const residence = Tensor.residenceOf(tensor);
  if (residence?.runtime !== runtime) return undefined;
  return residence.layout === layout || layoutsCoincide(tensor.dims) ? residence.ptr : undefined;
}

/**
 * The same values resident in the runtime in that layout: the tensor itself, or a new one.
 * @param spare used on the way if it is large enough
 * @throws OutOfMemoryError
 */
export function inLayout(tensor: Tensor, runtime: Runtime, layout: Layout, spare?: Spare): Tensor {
  if (residentPtr(tensor, runtime, layout) !== undefined) return tensor;
  const residence = Tensor.residenceOf(tensor);
  if (residence?.runtime !== runtime) {
    return new Tensor('float32', copyIn(runtime, tensor.data, tensor.dims, layout, spare), tensor.dims);
  }
  const converted = allocateTensor(runtime, tensor.dims, layout);
  convert(runtime, residence.ptr, residentPtr(converted, runtime, layout)!, tensor.dims, layout);
  return converted;
}

/** A copy in JavaScript's memory that nothing else refers to. */
export function copyToHost(tensor: Tensor): Tensor {
  return new Tensor('float32', tensor.data.slice(), tensor.dims);
}

export function runtimeOf(tensor: Tensor): Runtime | undefined {
  return Tensor.residenceOf(tensor)?.runtime;
}
