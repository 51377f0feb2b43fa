/**
 * Dims, and arithmetic with them. The same rules serve a graph that runs, where all dims are numbers, and one that is
 * read or rewritten, where a dim may be the size of an axis of some value: of a graph input if it can be traced back to
 * one, as the batch nearly always can, otherwise of the value itself. Given numbers only, rules return numbers.
 */
import { sizeOf } from '../sizes.js';

/** The size of an axis of a value. */
export interface DimOf {
  readonly value: string;
  readonly axis: number;
}

/** undefined: the rule cannot tell. */
export type Dim = number | DimOf | undefined;
export type Dims = readonly number[];
/** What is known of the dims of a value of known rank. */
export type KnownDims = readonly Dim[];
/** The same after the value has named the sizes that the rule could not tell. */
export type NamedDims = readonly (number | DimOf)[];

export function isNumeric(dims: KnownDims): dims is Dims {
  return dims.every((dim) => typeof dim === 'number');
}

/** Whether both are known to be the same size. */
export function sameDim(a: Dim, b: Dim): boolean {
  if (typeof a === 'object' && typeof b === 'object') return a.value === b.value && a.axis === b.axis;
  return a === b && a !== undefined;
}

/** Whether two sizes are known not to be the same. */
export function differ(a: Dim, b: Dim): boolean {
  return typeof a === 'number' && typeof b === 'number' && a !== b;
}

export function plus(a: Dim, b: Dim): Dim {
  if (a === 0) return b;
  if (b === 0) return a;
  return typeof a === 'number' && typeof b === 'number' ? a + b : undefined;
}

/** The product of `dims` over that of `divisors`, if at most one name remains after cancelling. */
export function quotient(dims: KnownDims, divisors: KnownDims): Dim {
  const rest = [...dims];
  for (const divisor of divisors) {
    if (typeof divisor === 'number') continue;
    const place = rest.findIndex((dim) => sameDim(dim, divisor));
    if (place < 0) return undefined;
    rest.splice(place, 1);
  }
  const names = rest.filter((dim) => typeof dim !== 'number');
  const number = sizeOf(rest.filter(isNumber)) / sizeOf(divisors.filter(isNumber));
  if (names.length === 0) return Number.isNaN(number) || number % 1 !== 0 ? undefined : number;
  return names.length === 1 && number === 1 ? names[0] : undefined;
}

function isNumber(dim: Dim): dim is number {
  return typeof dim === 'number';
}

/** numpy's broadcasting of two shapes; undefined if they are incompatible. */
export function broadcast<D extends Dim>(a: readonly D[], b: readonly D[]): D[] | undefined {
  const rank = Math.max(a.length, b.length);
  const dims: Dim[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const [inA, inB] = [axis - rank + a.length, axis - rank + b.length];
    const [one, other] = [inA < 0 ? 1 : a[inA], inB < 0 ? 1 : b[inB]];
    if (differ(one, other) && one !== 1 && other !== 1) return undefined;
    dims.push(broadcastDim(one, other));
  }
  return dims as D[];
}

function broadcastDim(a: Dim, b: Dim): Dim {
  if (a === 1 || sameDim(a, b)) return b;
  if (b === 1) return a;
  // A number other than 1 wins over a name, which can only be 1 or the same number.
  if (typeof a === 'number') return a;
  return typeof b === 'number' ? b : undefined;
}
