/**
 * Lazy weights in float64: sums of other weights times factors, row by row (a row is an output channel's values).
 * However many descriptions build on one another, weights are computed and rounded once.
 */

/** A row for each output channel. */
export interface Rows {
  readonly count: number;
  /** Values of a row. */
  readonly size: number;
  /** How many descriptions build on one another. */
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

/** Computes one row after the other; `visit` gets the same array each time. */
export function forEachRow(rows: Rows, visit: (row: Float64Array, at: number) => void): void {
  const row = new Float64Array(rows.size);
  for (let at = 0; at < rows.count; at++) {
    row.fill(0);
    rows.add(at, 1, row, IN_ORDER);
    visit(row, at);
  }
}

/** Computes the values, so that they no longer build on other descriptions. */
export function computed(rows: Rows): Rows {
  const values = new Float64Array(rows.count * rows.size);
  forEachRow(rows, (row, at) => values.set(row, at * rows.size));
  return rowsOf(values, rows.count);
}

export function rowsOf(values: Float32Array | Float64Array, count: number): Rows {
  const size = values.length / count;
  const add = (row: number, factor: number, target: Float64Array, { first, taps, stride }: Places): void => {
    // Values from files, the bulk, have a loop of their own that sees only one type of array.
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
