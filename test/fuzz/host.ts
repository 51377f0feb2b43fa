/** The runtime that inputs run on, and bystanders on it that no input may change. */
import { Conv2d, createRuntime, type Runtime, Tensor } from 'acnet-wasm';
import { sameBits, seededRandom } from '../support.js';
import { Broken } from './kind.js';

const MAXIMUM_MEMORY = 64 * 2 ** 20;

export class Host {
  readonly runtime: Runtime;
  readonly #tensor: Tensor;
  readonly #values: Float32Array;
  readonly #layer: Conv2d;
  readonly #output: Float32Array;
  readonly #used: number;

  private constructor(runtime: Runtime) {
    this.runtime = runtime;
    const random = seededRandom(1);
    this.#values = Float32Array.from({ length: 2 * 5 * 3 * 3 }, random);
    this.#layer = new Conv2d(runtime, { inChannels: 5, outChannels: 6, kernelSize: 3, padding: 1 });
    this.#tensor = new Tensor('float32', this.#values, [2, 5, 3, 3]).to(runtime);
    this.#output = this.#forward();
    this.#used = runtime.memory.used;
  }

  static async create(): Promise<Host> {
    return new Host(await createRuntime({ simd: 'baseline', maximumMemory: MAXIMUM_MEMORY }));
  }

  /** @throws Broken if bystanders have changed, or memory is not freed */
  check(): void {
    const { used } = this.runtime.memory;
    if (used !== this.#used) throw new Broken(`memory.used is ${used}, before it was ${this.#used}`);
    if (!sameBits(this.#tensor.data, this.#values)) throw new Broken('a bystander tensor has changed');
    if (!sameBits(this.#forward(), this.#output)) throw new Broken('a bystander layer has changed');
  }

  dispose(): void {
    this.runtime.dispose();
  }

  #forward(): Float32Array {
    const output = this.#layer.forward(this.#tensor);
    const { data } = output;
    output.dispose();
    return data;
  }
}
