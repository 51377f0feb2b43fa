/**
 * Float64 values behind the float32 tensors that passes make: what goes through several passes is rounded once.
 * Weights, which may be many, are only described by passes, row by row (an output channel's), and computed at the end.
 */
import { computed, forEachRow, type Rows, rowsOf } from '../merge/rows.js';
import { Tensor } from '../tensor.js';

/**
 * Values that passes may compute: a fixed number, plus a multiple of those that the graph holds. Networks take three
 * times what they hold; a file may declare two thousand million channels, or fold ten thousand factors into one weight.
 */
const SPARE_VALUES = 2 ** 22;
const SPARE_VALUES_PER_VALUE = 24;

/** A file may have any number of BatchNorms in a row. */
const MAX_DEPTH = 30;

export class ExactValues {
  readonly #exact = new WeakMap<Tensor, Float64Array>();
  readonly #rows = new WeakMap<Tensor, Rows>();
  readonly #pending = new WeakSet<Tensor>();
  readonly #careful: boolean;
  #spareValues: number;

  /**
   * @param careful whether weights are computed at once, to see whether they are finite, rather than at the end
   * @param held values that the graph holds
   */
  constructor(careful: boolean, held: number) {
    this.#careful = careful;
    this.#spareValues = SPARE_VALUES + SPARE_VALUES_PER_VALUE * held;
  }

  /** Spends the budget on values to compute. Returns false if it does not suffice: the pass then skips the node. */
  afford(count: number): boolean {
    if (count > this.#spareValues) return false;
    this.#spareValues -= count;
    return true;
  }

  /** The exact values of a small tensor. */
  of(tensor: Tensor): Float32Array | Float64Array {
    return this.#exact.get(tensor) ?? tensor.data;
  }

  /** A small tensor; undefined if one of the values is not finite as a float32. */
  round(values: Float64Array, dims: readonly number[]): Tensor | undefined {
    const rounded = new Float32Array(values);
    if (!areFinite(rounded)) return undefined;
    const tensor = new Tensor('float32', rounded, dims);
    this.#exact.set(tensor, values);
    return tensor;
  }

  /** The rows of weights, whose outermost dim counts the output channels. */
  rows(weights: Tensor): Rows {
    return this.#rows.get(weights) ?? rowsOf(weights.data, weights.dims[0]!);
  }

  /**
   * Weights of these rows, which `settle` computes. Undefined if that exceeds the budget or, if careful, one is not
   * finite as a float32.
   */
  weights(described: Rows, dims: readonly number[]): Tensor | undefined {
    if (!this.afford(described.count * described.size)) return undefined;
    const rows = described.depth > MAX_DEPTH ? computed(described) : described;
    // Untouched memory costs nothing, and most weights are described several times before they are settled.
    const tensor = new Tensor('float32', new Float32Array(rows.count * rows.size), dims);
    this.#rows.set(tensor, rows);
    this.#pending.add(tensor);
    return this.#careful && !this.settle(tensor) ? undefined : tensor;
  }

  /** Computes the values of weights that have only been described so far. @returns whether they are finite */
  settle(tensor: Tensor): boolean {
    if (!this.#pending.delete(tensor)) return true;
    const { data } = tensor;
    const rows = this.#rows.get(tensor)!;
    forEachRow(rows, (row, at) => data.set(row, at * rows.size));
    return areFinite(data);
  }
}

const MAGNITUDE = 0x7fffffff;
const INFINITE = 0x7f800000;

/** Read as integers, the bits of magnitudes sort as the magnitudes do; those that are not finite come last. */
function areFinite(values: Float32Array): boolean {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  let largest = 0;
  for (let i = 0; i < bits.length; i++) largest = Math.max(largest, bits[i]! & MAGNITUDE);
  return largest < INFINITE;
}
