/**
 * Sizes: the one place that multiplies dims. Counts, bytes and distances are whole numbers in float64, which holds them
 * exactly up to 2^53; beyond that a product is Infinity, which is larger than any bound. Nothing here is 32-bit
 * arithmetic, which would wrap: dims, pads and strides may come from a file.
 *
 * Kernels take 32-bit numbers. Byte counts end at the heap, which refuses what does not fit (OutOfMemoryError);
 * `fitsMemory` refuses dims that fit into no memory where they are computed; `countOf` and `wordsOf` refuse numbers
 * that memory does not bound.
 */

/** Bytes that 32-bit addresses reach. */
export const MAX_BYTES = 2 ** 32;
/** Values of four bytes that fit into them. */
export const MAX_VALUES = MAX_BYTES / 4;
/** The largest count, index or table entry that a kernel takes. */
export const MAX_COUNT = 2 ** 31 - 1;

/** The order of values in memory; src/tensor.ts says what each is. */
export type Layout = 'planar' | 'channelsLast';

/** dims as batch x channels x pixels: how kernels see a tensor of any rank. */
export interface Extent {
  readonly batch: number;
  readonly channels: number;
  readonly pixels: number;
  /** Channels rounded up to a multiple of 4. */
  readonly lanes: number;
  /** Bytes in the channelsLast layout. */
  readonly bytes: number;
}

/** Product of whole numbers of at least 0: exact, or Infinity beyond 2^53. */
export function product(...factors: readonly number[]): number {
  return sizeOf(factors);
}

/** Number of values of these dims: exact, or Infinity beyond 2^53. */
export function sizeOf(dims: readonly number[]): number {
  let size = 1;
  for (let axis = 0; axis < dims.length; axis++) size *= dims[axis]!;
  if (size <= Number.MAX_SAFE_INTEGER) return size;
  return dims.includes(0) ? 0 : Number.POSITIVE_INFINITY;
}

/** Whether the values fit into the largest memory, and so every product of some of the dims into a kernel's count. */
export function fitsMemory(dims: readonly number[]): boolean {
  return sizeOf(dims.includes(0) ? dims.filter((dim) => dim !== 0) : dims) <= MAX_VALUES;
}

/** Whether both are the same, axis by axis. */
export function sameDims(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

/** Channels with the zeros behind them. */
export function lanesOf(channels: number): number {
  return roundUp(channels, 4);
}

export function extentOf(dims: readonly number[]): Extent {
  const batch = dims.length >= 2 ? dims[0]! : 1;
  const channels = dims[dims.length >= 2 ? 1 : 0] ?? 1;
  let pixels = 1;
  for (let axis = 2; axis < dims.length; axis++) pixels *= dims[axis]!;
  const lanes = lanesOf(channels);
  return { batch, channels, pixels, lanes, bytes: batch * pixels * lanes * 4 };
}

/** Bytes of values of these dims in a layout. */
export function bytesOf(dims: readonly number[], layout: Layout): number {
  return layout === 'planar' ? sizeOf(dims) * 4 : extentOf(dims).bytes;
}

/** Whether values of these dims are the same bytes in both layouts. */
export function layoutsCoincide(dims: readonly number[]): boolean {
  const { channels, pixels, lanes } = extentOf(dims);
  return pixels === 1 && channels === lanes;
}

/**
 * The distance, in values, of neighbours along each axis in row-major order: the product of the dims behind it.
 * @param innermost the distance along the last axis
 */
export function rowMajorStrides(dims: readonly number[], innermost = 1): number[] {
  const strides = new Array<number>(dims.length);
  let stride = innermost;
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= dims[axis]!;
  }
  return strides;
}

/**
 * A number on its way to a kernel.
 * @throws RangeError naming the owner and the count if it is more than a kernel takes
 */
export function countOf(owner: string, what: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0 && value <= MAX_COUNT) return value;
  throw new RangeError(`${owner}: ${what} must be a whole number of at most ${MAX_COUNT}, got ${value}`);
}

/**
 * Words of a descriptor or a table: counts, addresses and distances, which may go backwards.
 * @throws RangeError if one does not fit into 32 bits
 */
export function wordsOf(owner: string, values: readonly number[]): Int32Array {
  const wrong = values.find((value) => !(Number.isSafeInteger(value) && Math.abs(value) < MAX_BYTES));
  if (wrong === undefined) return Int32Array.from(values);
  throw new RangeError(`${owner}: a distance must be a whole number of less than ${MAX_BYTES} bytes, got ${wrong}`);
}
