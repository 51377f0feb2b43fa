/**
 * The exponential moving average of a model's state, statistics included:
 *
 *     average = d average + (1 - d) state     with d the smaller of the decay and (1 + n) / (10 + n) at update n
 *
 * The second keeps the random beginning out of the averages of short runs.
 */
import { type StateDict, Tensor } from '../index.js';

export class MovingAverage {
  readonly #decay: number;
  readonly #averages: Map<string, { readonly values: Float32Array; readonly dims: readonly number[] }>;

  /** @param state where the average begins; copied */
  constructor(decay: number, state: StateDict) {
    this.#decay = decay;
    this.#averages = new Map(
      Object.entries(state).map(([key, { data, dims }]) => [key, { values: data.slice(), dims }]),
    );
  }

  /** @param updates so far */
  update(state: StateDict, updates: number): void {
    const decay = Math.min(this.#decay, (1 + updates) / (10 + updates));
    for (const [key, { values }] of this.#averages) {
      const { data } = state[key]!;
      for (let i = 0; i < values.length; i++) values[i] = decay * values[i]! + (1 - decay) * data[i]!;
    }
  }

  /** Copies of the averages. */
  stateDict(): StateDict {
    return Object.fromEntries(
      [...this.#averages].map(([key, { values, dims }]) => [key, new Tensor('float32', values.slice(), dims)]),
    );
  }
}
