/**
 * The parameters of a layer: named float32 tensors in one allocation of the runtime's memory, in PyTorch's order, so
 * that kernels read and update them in place.
 */

import type { Role } from '../graph/graph.js';
import { residentTensor } from '../residentTensor.js';
import type { Allocation } from '../runtime/heap.js';
import type { Runtime } from '../runtime/runtime.js';
import { sizeOf } from '../sizes.js';
import { Tensor } from '../tensor.js';

export interface ParameterSpec {
  readonly name: string;
  readonly dims: readonly number[];
  /**
   * Initial value, or the number of inputs that an output sums up: PyTorch's default for convolutions and linear
   * layers, random in +-1 / sqrt(fanIn). A kernel fills it: Math.random takes over a second for the weights of AlexNet.
   */
  readonly initial: number | { readonly fanIn: number };
  /** Default 'trainable'. */
  readonly role?: Role;
}

export class Parameters {
  readonly #allocation: Allocation | undefined;
  readonly #tensors = new Map<string, Tensor>();
  readonly #roles = new Map<string, Role>();

  constructor(runtime: Runtime, specs: readonly ParameterSpec[]) {
    const bytes = specs.reduce((sum, { dims }) => sum + sizeOf(dims) * 4, 0);
    if (specs.length === 0) return;
    this.#allocation = runtime.heap.allocate(bytes);
    let ptr = this.#allocation.ptr;
    for (const { name, dims, initial, role = 'trainable' } of specs) {
      this.#roles.set(name, role);
      const size = sizeOf(dims);
      if (typeof initial === 'number') runtime.heap.floats(ptr, size).fill(initial);
      else runtime.kernels.fillUniform(ptr, size, 1 + Math.random() * (2 ** 32 - 2), 1 / Math.sqrt(initial.fanIn));
      this.#tensors.set(name, residentTensor(runtime, this.#allocation, dims, 'planar', ptr));
      ptr += size * 4;
    }
  }

  names(): string[] {
    return [...this.#tensors.keys()];
  }

  /** The tensor in the runtime's memory. */
  get(name: string): Tensor {
    return this.#tensors.get(name)!;
  }

  find(name: string): Tensor | undefined {
    return this.#tensors.get(name);
  }

  role(name: string): Role {
    return this.#roles.get(name)!;
  }

  dispose(): void {
    this.#allocation?.free();
    this.#tensors.clear();
  }
}

/** Overwrites a parameter in place. */
export function writeParameter(parameter: Tensor, values: Float32Array): void {
  parameterView(parameter).set(values);
  Tensor.touch(parameter);
}

/** A view of a parameter's values, valid until the next allocation. */
export function parameterView(parameter: Tensor): Float32Array {
  const { runtime, ptr } = Tensor.residenceOf(parameter)!;
  return runtime.heap.floats(ptr, parameter.size);
}
