/**
 * Float64 values behind the float32 tensors that passes make: what goes through several passes is rounded once. Weights,
 * which may be many, are only described by passes, row by row (an output channel's), and computed at the end.
 */
import { Tensor } from '../tensor.js';

/** Weights in float64, a row for each output channel. */
export interface Rows {
  readonly count: number;
  /** Values of a row. */
  readonly size: number;
  /** How many descriptions stand on one another. */
  readonly depth: number;
  /** Adds a row times `factor` to `target`. */
  add(row: number, factor: number, target: Float64Array, places: Places): void;
}

/** Where the values of a row go: value i of each `taps.length` to `taps[i]`, the next ones `stride` further. */
export interface Places {
  readonly first: number;
  /** undefined: one after the other. */
  readonly taps: Int32Array | undefined;
  readonly stride: number;
}

export const IN_ORDER: Places = { first: 0, taps: undefined, stride: 0 };

/**
 * Values that passes may work out: so many in any case, and so many times those that the graph holds. Networks take three
 * times what they hold; a file may declare two thousand million channels, or fold ten thousand factors into one weight.
 */
const SPARE_VALUES = 2 ** 22;
const SPARE_VALUES_PER_VALUE = 24;

/** A file may have any number of BatchNorms in a row. */
const MOST_DEPTH = 30;

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

  /** Accounts for values that are to be worked out; a pass leaves alone what there is nothing left for. */
  afford(count: number): boolean {
    if (count > this.#spareValues) return false;
    this.#spareValues -= count;
    return true;
  }

  /** Of a tensor that holds few values. */
  of(tensor: Tensor): Float32Array | Float64Array {
    return this.#exact.get(tensor) ?? tensor.data;
  }

  /** A tensor of few values; undefined where one of them is not finite as a float32. */
  round(values: Float64Array, dims: readonly number[]): Tensor | undefined {
    const rounded = new Float32Array(values);
    if (!areFinite(rounded)) return undefined;
    const tensor = new Tensor('float32', rounded, dims);
    this.#exact.set(tensor, values);
    return tensor;
  }

  /** Of weights, whose outermost dim counts the output channels. */
  rows(weights: Tensor): Rows {
    return this.#rows.get(weights) ?? rowsOf(weights.data, weights.dims[0]!);
  }

  /**
   * Weights of these rows, which `settle` computes. Undefined where that is too much to work out, and if careful, where one is not finite
   * as a float32.
   */
  weights(described: Rows, dims: readonly number[]): Tensor | undefined {
    if (!this.afford(described.count * described.size)) return undefined;
    const rows = described.depth > MOST_DEPTH ? computed(described) : described;
    // Memory that nobody has touched costs nothing, and most weights are described several times before they are settled.
    const tensor = new Tensor('float32', new Float32Array(rows.count * rows.size), dims);
    this.#rows.set(tensor, rows);
    this.#pending.add(tensor);
    return this.#careful && !this.settle(tensor) ? undefined : tensor;
  }

  /** Computes the values of weights that have only been described yet. @returns whether they are finite */
  settle(tensor: Tensor): boolean {
    if (!this.#pending.delete(tensor)) return true;
    const { data } = tensor;
    const rows = this.#rows.get(tensor)!;
    forEachRow(rows, (row, at) => data.set(row, at * rows.size));
    return areFinite(data);
  }
}

function forEachRow(rows: Rows, visit: (row: Float64Array, at: number) => void): void {
  const row = new Float64Array(rows.size);
  for (let at = 0; at < rows.count; at++) {
    row.fill(0);
    rows.add(at, 1, row, IN_ORDER);
    visit(row, at);
  }
}

function computed(rows: Rows): Rows {
  const values = new Float64Array(rows.count * rows.size);
  forEachRow(rows, (row, at) => values.set(row, at * rows.size));
  return rowsOf(values, rows.count);
}

const MAGNITUDE = 0x7fffffff;
const INFINITE = 0x7f800000;

/** The bits of magnitudes, as whole numbers, are in the order of what they stand for; what is not finite comes last. */
function areFinite(values: Float32Array): boolean {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  let largest = 0;
  for (let i = 0; i < bits.length; i++) largest = Math.max(largest, bits[i]! & MAGNITUDE);
  return largest < INFINITE;
}

export function rowsOf(values: Float32Array | Float64Array, count: number): Rows {
  const size = values.length / count;
  const add = (row: number, factor: number, target: Float64Array, { first, taps, stride }: Places): void => {
    // The many values of files have a loop of their own, which sees one type of array only.
    if (taps === undefined && values instanceof Float32Array) {
      addFloats(values, row * size, size, factor, target, first);
    } else {
      addSpread(values, row * size, size, factor, target, first, taps ?? ONE_TAP, taps === undefined ? 1 : stride);
    }
  };
  return { count, size, depth: 1, add };
}

const ONE_TAP = new Int32Array(1);

function addFloats(
  values: Float32Array,
  from: number,
  count: number,
  factor: number,
  target: Float64Array,
  to: number,
): void {
  for (let i = 0; i < count; i++) target[to + i]! += values[from + i]! * factor;
}

function addSpread(
  values: Float32Array | Float64Array,
  from: number,
  count: number,
  factor: number,
  target: Float64Array,
  first: number,
  taps: Int32Array,
  stride: number,
): void {
  const step = taps.length;
  for (let tap = 0; tap < step; tap++) {
    for (let i = tap, to = first + taps[tap]!; i < count; i += step, to += stride) {
      target[to]! += values[from + i]! * factor;
    }
  }
}

/** Each row times a factor of its own. */
export function scaleRows(rows: Rows, factors: Float64Array): Rows {
  const add: Rows['add'] = (row, factor, target, places) => rows.add(row, factor * factors[row]!, target, places);
  return { ...rows, depth: rows.depth + 1, add };
}

/** Each input channel, `taps` values of a row, times a factor of its own; `first`: the first input channel of a row. */
export function scaleInputs(rows: Rows, factors: Float64Array, taps: number, first: (row: number) => number): Rows {
  const scaled = (row: number, factor: number, values: Float64Array): void => {
    rows.add(row, factor, values, IN_ORDER);
    for (let i = 0, c = first(row); i < values.length; c++) {
      const ofInput = factors[c]!;
      for (const end = i + taps; i < end; i++) values[i]! *= ofInput;
    }
  };
  return { ...rows, depth: rows.depth + 1, add: throughRow(rows.size, scaled) };
}

/** `add` of rows that `make` computes by adding to a row of zeros. */
export function throughRow(
  size: number,
  make: (row: number, factor: number, values: Float64Array) => void,
): Rows['add'] {
  const values = new Float64Array(size);
  const made = rowsOf(values, 1);
  return (row, factor, target, places) => {
    values.fill(0);
    make(row, factor, values);
    made.add(0, 1, target, places);
  };
}
