/**
 * Values in a runtime's memory, in one of two layouts:
 *   planar         row-major in the order of their dims (parameters)
 *   channelsLast   [dims[0]][the other dims][dims[1] rounded up to 4, the rest zero] (activations)
 * This file copies them in and out and converts between the layouts.
 */
import type { Allocation } from './runtime/heap.js';
import { redZonesOf } from './runtime/redZones.js';
import type { Runtime } from './runtime/runtime.js';
import { bytesOf, extentOf, type Layout, layoutsCoincide, sizeOf } from './sizes.js';

/** Where a resident tensor's values are. `dispose` of the tensor frees the allocation. */
export class Residence {
  readonly runtime: Runtime;
  readonly allocation: Allocation;
  readonly layout: Layout;
  readonly ptr: number;

  constructor(runtime: Runtime, allocation: Allocation, layout: Layout, ptr: number) {
    this.runtime = runtime;
    this.allocation = allocation;
    this.layout = layout;
    this.ptr = ptr;
  }
}

/** Memory of a runtime that is free at the moment. */
export interface Spare {
  readonly ptr: number;
  readonly bytes: number;
}

const NONE: Spare = { ptr: 0, bytes: 0 };

/** Uninitialised memory for values of these dims; `bytes` is what `bytesOf` returns. */
export function reserve(
  runtime: Runtime,
  dims: readonly number[],
  layout: Layout,
  bytes = bytesOf(dims, layout),
): Residence {
  const allocation = runtime.heap.allocate(bytes);
  return new Residence(runtime, allocation, layout, allocation.ptr);
}

/** Copies values of these dims from the other layout into `layout`. */
export function convert(
  runtime: Runtime,
  fromPtr: number,
  toPtr: number,
  dims: readonly number[],
  layout: Layout,
): void {
  const { toPlanar, toChannelsLast } = runtime.kernels;
  const { batch, channels, pixels } = extentOf(dims);
  const kernel = layout === 'planar' ? toPlanar : toChannelsLast;
  if (CHECKED) redZonesOf(runtime.heap).fill(toPtr, bytesOf(dims, layout));
  kernel(fromPtr, toPtr, batch, channels, pixels);
  if (CHECKED) {
    redZonesOf(runtime.heap).check(`a conversion to ${layout}`);
    redZonesOf(runtime.heap).expectValue(toPtr, dims, layout, `a conversion to ${layout}`);
  }
}

/**
 * Copies row-major values into a runtime's memory.
 * @param spare used on the way if it is large enough
 * @throws OutOfMemoryError
 */
export function copyIn(
  runtime: Runtime,
  data: Float32Array,
  dims: readonly number[],
  layout: Layout,
  spare: Spare = NONE,
): Residence {
  const { heap } = runtime;
  if (layout === 'planar' || layoutsCoincide(dims)) {
    const residence = reserve(runtime, dims, layout);
    heap.floats(residence.ptr, data.length).set(data);
    return residence;
  }
  return withRoom(runtime, data.byteLength, spare, (ptr) => {
    const residence = reserve(runtime, dims, layout);
    heap.floats(ptr, data.length).set(data);
    convert(runtime, ptr, residence.ptr, dims, layout);
    return residence;
  });
}

/** A copy of the values in JavaScript's memory, in row-major order. @throws OutOfMemoryError */
export function copyOut({ runtime, layout, ptr }: Residence, dims: readonly number[]): Float32Array {
  const { heap } = runtime;
  const size = sizeOf(dims);
  if (layout === 'planar' || layoutsCoincide(dims)) return heap.floats(ptr, size).slice();
  return withRoom(runtime, size * 4, NONE, (toPtr) => {
    convert(runtime, ptr, toPtr, dims, 'planar');
    return heap.floats(toPtr, size).slice();
  });
}

/** Runs `work` with temporary memory: the kernels' working memory, the spare memory or an allocation. */
function withRoom<T>(runtime: Runtime, bytes: number, spare: Spare, work: (ptr: number) => T): T {
  const { scratchPtr, scratchBytes } = runtime;
  if (bytes <= scratchBytes) {
    return CHECKED ? redZonesOf(runtime.heap).within(scratchPtr, bytes, scratchBytes, work) : work(scratchPtr);
  }
  if (bytes <= spare.bytes) return work(spare.ptr);
  const room = runtime.heap.allocate(bytes);
  try {
    return work(room.ptr);
  } finally {
    room.free();
  }
}
