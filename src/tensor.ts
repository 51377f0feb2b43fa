/** Tensors: float32 values with dims, in JavaScript's memory or resident in a runtime's. */
import { copyIn, copyOut, Residence } from './residence.js';
import type { Runtime } from './runtime/runtime.js';
import { show, showDims } from './shown.js';
import { fitsMemory, MAX_VALUES, sizeOf } from './sizes.js';

/** Parameters and statistics by name. */
export type StateDict = Record<string, Tensor>;

export class Tensor {
  readonly type = 'float32';
  /** Outermost first: N, C, H, W for images. */
  readonly dims: readonly number[];
  /** Number of values. */
  readonly size: number;
  #host: Float32Array | undefined;
  #residence: Residence | undefined;
  #changedAt = 0;
  /** Counts changes to the values of any tensor, so that a later change has a larger number. @internal */
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
      // The buffer may have been resized, or transferred to another thread.
      if (this.#host.length === this.size) return this.#host;
      const now = this.#host.length;
      throw new RangeError(`Tensor: dims ${showDims(this.dims)} hold ${this.size} values, its data now has ${now}`);
    }
    return copyOut(this.#resident(), this.dims);
  }

  /**
   * The same values resident in a runtime's memory, where layers take them without a copy. Returns the tensor itself if
   * it is already there.
   * @throws OutOfMemoryError
   */
  to(runtime: Runtime): Tensor {
    if (this.#residence?.runtime === runtime) return this;
    return new Tensor('float32', copyIn(runtime, this.data, this.dims, 'channelsLast'), this.dims);
  }

  /** Frees the memory; the tensor cannot be used afterwards. A second call does nothing. */
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

  /**
   * To be called after its values were overwritten in place: what was made of the old ones is out of date. @internal
   */
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

function checkDims(dims: readonly number[]): readonly number[] {
  if (!Array.isArray(dims)) throw new TypeError(`Tensor: dims must be an array of whole numbers, got ${show(dims)}`);
  if (!dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) {
    throw new RangeError(`Tensor: dims must be whole numbers of at least 0, got ${showDims(dims)}`);
  }
  if (!fitsMemory(dims)) {
    throw new RangeError(`Tensor: dims must hold at most ${MAX_VALUES} values, got ${showDims(dims)}`);
  }
  return Object.freeze([...dims]);
}

function checkData(data: Float32Array | readonly number[], size: number, dims: readonly number[]): Float32Array {
  if (!(data instanceof Float32Array) && !Array.isArray(data)) {
    throw new TypeError(`Tensor: data must be a Float32Array or an array of numbers, got ${show(data)}`);
  }
  if (data.length !== size) {
    throw new RangeError(`Tensor: dims ${showDims(dims)} hold ${size} values, data has ${data.length}`);
  }
  return data instanceof Float32Array ? data : Float32Array.from(data);
}
