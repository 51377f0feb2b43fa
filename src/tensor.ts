/**
 * Tensors: float32 values with dims, in JavaScript's memory or resident in a runtime's.
 *
 * A resident tensor has one of two layouts:
 *   planar         row-major in the order of its dims (parameters)
 *   channelsLast   [dims[0]][the other dims][dims[1] rounded up to 4, the rest zero] (activations)
 * Operations tell which one they take (src/plan/memory/layouts.ts).
 */
import type { Allocation } from './runtime/heap.js';
import { redZonesOf } from './runtime/redZones.js';
import type { Runtime } from './runtime/runtime.js';
import { show, showList } from './shown.js';
import { bytesOf, extentOf, fitsMemory, type Layout, layoutsCoincide, MAX_VALUES, sizeOf } from './sizes.js';

export type { Layout };

/** Parameters and statistics by name. */
export type StateDict = Record<string, Tensor>;

/** Where a resident tensor's values are. `dispose` of the tensor frees the allocation. */
class Residence {
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

export class Tensor {
  readonly type = 'float32';
  /** Outermost first: N, C, H, W for images. */
  readonly dims: readonly number[];
  /** Number of values. */
  readonly size: number;
  #host: Float32Array | undefined;
  #residence: Residence | undefined;
  #changedAt = 0;
  /** Changes of the values of any tensor, so that the later of two has the larger number. @internal */
  static changes = 0;

  /**
   * @param data values in row-major order; a Float32Array is kept, not copied
   * @throws TypeError, RangeError when the arguments do not fit each other
   * @example
   * const image = new Tensor('float32', new Float32Array(3 * 32 * 32), [1, 3, 32, 32]);
   */
  constructor(type: 'float32', data: Float32Array | readonly number[], dims: readonly number[]);
  /** @internal */
  constructor(type: 'float32', data: Float32Array | readonly number[] | Residence, dims: readonly number[]);
  constructor(type: 'float32', data: Float32Array | readonly number[] | Residence, dims: readonly number[]) {
    if (type !== 'float32') throw new TypeError(`Tensor: type must be 'float32', got ${show(type)}`);
    if (data instanceof Residence) {
      // Made by this package, of dims that it has checked.
      this.dims = dims;
      this.size = sizeOf(dims);
      this.#residence = data;
    } else {
      this.dims = checkDims(dims);
      this.size = sizeOf(this.dims);
      this.#host = checkData(data, this.size, this.dims);
    }
  }

  /** The values in row-major order; of a resident tensor a new copy each time. */
  get data(): Float32Array {
    if (this.#host !== undefined) {
      // A buffer may be resized, or be given to another thread.
      if (this.#host.length === this.size) return this.#host;
      const now = this.#host.length;
      throw new RangeError(`Tensor: dims ${format(this.dims)} hold ${this.size} values, its data now has ${now}`);
    }
    return copyOut(this, this.#resident());
  }

  /**
   * The same values resident in a runtime's memory, where layers take them without a copy. A tensor that is there
   * already is returned as it is.
   * @throws OutOfMemoryError
   */
  to(runtime: Runtime): Tensor {
    return this.#residence?.runtime === runtime ? this : copyIn(runtime, this.data, this.dims, 'channelsLast');
  }

  /** Gives the memory back; the tensor cannot be used any more. A second call does nothing. */
  dispose(): void {
    this.#residence?.allocation.free();
    this.#residence = undefined;
    this.#host = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #resident(): Residence {
    if (this.#residence === undefined) throw new TypeError('Tensor: this tensor is disposed');
    return this.#residence;
  }

  /** Its values were overwritten where they are: what was made of them before is out of date. @internal */
  static touch(tensor: Tensor): void {
    tensor.#changedAt = ++Tensor.changes;
  }

  /** Number of the last change of its values. @internal */
  static changedAt(tensor: Tensor): number {
    return tensor.#changedAt;
  }

  /** @internal */
  static residenceOf(tensor: Tensor): Residence | undefined {
    return tensor.#residence;
  }

  /** @internal */
  static isDisposed(tensor: Tensor): boolean {
    return tensor.#host === undefined && tensor.#residence === undefined;
  }
}

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

/** Uninitialised memory for a tensor; `bytes` as `bytesOf` tells. */
export function allocateTensor(
  runtime: Runtime,
  dims: readonly number[],
  layout: Layout = 'channelsLast',
  bytes = bytesOf(dims, layout),
): Tensor {
  return residentTensor(runtime, runtime.heap.allocate(bytes), dims, layout);
}

/** Address of a tensor that lives in the runtime in that layout; undefined where it does not. */
export function residentPtr(tensor: Tensor, runtime: Runtime, layout: Layout): number | undefined {
  const residence = Tensor.residenceOf(tensor);
  if (residence?.runtime !== runtime) return undefined;
  return residence.layout === layout || layoutsCoincide(tensor.dims) ? residence.ptr : undefined;
}

/** Memory of a runtime in which nothing is at the moment. */
export interface Spare {
  readonly ptr: number;
  readonly bytes: number;
}

const NONE: Spare = { ptr: 0, bytes: 0 };

/**
 * The same values resident in the runtime in that layout: the tensor itself, or a new one.
 * @param spare to be used on the way, where it is large enough
 * @throws OutOfMemoryError
 */
export function inLayout(tensor: Tensor, runtime: Runtime, layout: Layout, spare?: Spare): Tensor {
  if (residentPtr(tensor, runtime, layout) !== undefined) return tensor;
  const residence = Tensor.residenceOf(tensor);
  if (residence?.runtime !== runtime) return copyIn(runtime, tensor.data, tensor.dims, layout, spare);
  const converted = allocateTensor(runtime, tensor.dims, layout);
  convert(runtime, residence.ptr, residentPtr(converted, runtime, layout)!, tensor.dims, layout);
  return converted;
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

/** A tensor of the same values in JavaScript's memory, and nobody else's. */
export function copyToHost(tensor: Tensor): Tensor {
  return new Tensor('float32', tensor.data.slice(), tensor.dims);
}

export function runtimeOf(tensor: Tensor): Runtime | undefined {
  return Tensor.residenceOf(tensor)?.runtime;
}

/** dims for a message: `[1, 3, 32, 32]`. */
export function format(dims: readonly unknown[]): string {
  return `[${showList(dims)}]`;
}

function copyIn(
  runtime: Runtime,
  data: Float32Array,
  dims: readonly number[],
  layout: Layout,
  spare: Spare = NONE,
): Tensor {
  const { heap } = runtime;
  if (layout === 'planar' || layoutsCoincide(dims)) {
    const tensor = allocateTensor(runtime, dims, layout);
    heap.floats(Tensor.residenceOf(tensor)!.ptr, data.length).set(data);
    return tensor;
  }
  return withRoom(runtime, data.byteLength, spare, (ptr) => {
    const tensor = allocateTensor(runtime, dims, layout);
    heap.floats(ptr, data.length).set(data);
    convert(runtime, ptr, Tensor.residenceOf(tensor)!.ptr, dims, layout);
    return tensor;
  });
}

function copyOut(tensor: Tensor, { runtime, layout, ptr }: Residence): Float32Array {
  const { heap } = runtime;
  if (layout === 'planar' || layoutsCoincide(tensor.dims)) return heap.floats(ptr, tensor.size).slice();
  return withRoom(runtime, tensor.size * 4, NONE, (toPtr) => {
    convert(runtime, ptr, toPtr, tensor.dims, 'planar');
    return heap.floats(toPtr, tensor.size).slice();
  });
}

/** Room for so many bytes while `work` runs: the kernels' working memory, what is spare, or an allocation. */
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

function checkDims(dims: readonly number[]): readonly number[] {
  if (!Array.isArray(dims)) throw new TypeError(`Tensor: dims must be an array of whole numbers, got ${show(dims)}`);
  if (!dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) {
    throw new RangeError(`Tensor: dims must be whole numbers of at least 0, got ${format(dims)}`);
  }
  if (!fitsMemory(dims)) {
    throw new RangeError(`Tensor: dims must hold at most ${MAX_VALUES} values, got ${format(dims)}`);
  }
  return Object.freeze([...dims]);
}

function checkData(data: Float32Array | readonly number[], size: number, dims: readonly number[]): Float32Array {
  if (!(data instanceof Float32Array) && !Array.isArray(data)) {
    throw new TypeError(`Tensor: data must be a Float32Array or an array of numbers, got ${show(data)}`);
  }
  if (data.length !== size) {
    throw new RangeError(`Tensor: dims ${format(dims)} hold ${size} values, data has ${data.length}`);
  }
  return data instanceof Float32Array ? data : Float32Array.from(data);
}
