/**
 * The parameters of a layer: named float32 tensors in one allocation of the runtime's memory, in PyTorch's order, so
 * that kernels read and update them in place.
 */
import type { Allocation } from '../runtime/heap.js';
import type { Runtime } from '../runtime/runtime.js';
import { residentTensor, sizeOf, type Tensor } from '../tensor.js';

export interface ParameterSpec {
  readonly name: string;
  readonly dims: readonly number[];
  /** Value to start with, or what writes the values. */
  readonly initial: number | ((values: Float32Array) => void);
}

export class Parameters {
  readonly #allocation: Allocation | undefined;
  readonly #tensors = new Map<string, Tensor>();

  constructor(runtime: Runtime, specs: readonly ParameterSpec[]) {
    const bytes = specs.reduce((sum, { dims }) => sum + sizeOf(dims) * 4, 0);
    if (specs.length === 0) return;
    this.#allocation = runtime.heap.allocate(bytes);
    let ptr = this.#allocation.ptr;
    for (const { name, dims, initial } of specs) {
      const size = sizeOf(dims);
      const values = runtime.heap.floats(ptr, size);
      if (typeof initial === 'number') values.fill(initial);
      else initial(values);
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

  dispose(): void {
    this.#allocation?.free();
    this.#tensors.clear();
  }
}

/**
 * PyTorch's default for convolutions and linear layers: uniform in +-1 / sqrt(fanIn). A xorshift generator (Marsaglia,
 * 2003) from a random seed, since Math.random takes eight times as long: over a second for the weights of AlexNet.
 */
export function uniformByFanIn(fanIn: number): (values: Float32Array) => void {
  const scale = 1 / Math.sqrt(fanIn) / 2 ** 31;
  return (values) => {
    let state = (Math.random() * 2 ** 32) | 1;
    for (let i = 0; i < values.length; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      values[i] = state * scale;
    }
  };
}
