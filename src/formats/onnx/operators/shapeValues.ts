/**
 * Integer tensors that are known when a file is read, or known to be the size of an axis: what exporters compute shapes
 * with. `x.view(x.size(0), -1)` arrives as Shape, Gather, Unsqueeze, Concat and Reshape; evaluated here, it is a
 * Reshape to [size of axis 0 of x, -1]. Scalars and vectors only, as shapes are.
 */
import { type Dim, sameDim } from '../../../nodes/dims.js';
import { rangeOf } from '../../../ops/slice.js';

export interface Integers {
  /** Of no dims; otherwise a vector. */
  readonly scalar: boolean;
  /** undefined: some integer, which nobody can tell before the graph runs. */
  readonly elements: readonly Dim[];
}

/** A shape has at most some ten elements; a file may claim any number. */
export const MAX_ELEMENTS = 1024;

export function vector(elements: readonly Dim[]): Integers {
  return { scalar: false, elements };
}

/** ONNX's Gather along axis 0; undefined where an index is not known or outside. */
export function gather(value: Integers, indices: Integers): Integers | undefined {
  const elements: Dim[] = [];
  for (const index of indices.elements) {
    const place = typeof index === 'number' && index < 0 ? index + value.elements.length : index;
    if (typeof place !== 'number' || place < 0 || place >= value.elements.length) return undefined;
    elements.push(value.elements[place]);
  }
  return { scalar: indices.scalar, elements };
}

/** ONNX's Slice of a vector. */
export function slice(value: Integers, start: number, end: number, step: number): Integers {
  const range = rangeOf(value.elements.length, start, end, step);
  return vector(Array.from({ length: range.count }, (_, i) => value.elements[range.start + i * range.step]));
}

export type Arithmetic = 'Add' | 'Sub' | 'Mul' | 'Div';

/** Element by element; undefined where the lengths differ. */
export function calculate(operation: Arithmetic, a: Integers, b: Integers): Integers | undefined {
  const length = Math.max(a.elements.length, b.elements.length);
  if ([a, b].some(({ elements }) => elements.length !== 1 && elements.length !== length)) return undefined;
  const of = ({ elements }: Integers, i: number) => elements[elements.length === 1 ? 0 : i];
  const elements = Array.from({ length }, (_, i) => calculateOne(operation, of(a, i), of(b, i)));
  return { scalar: a.scalar && b.scalar, elements };
}

function calculateOne(operation: Arithmetic, a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return calculateNumbers(operation, a, b);
  if (operation === 'Mul') return a === 1 ? b : b === 1 ? a : undefined;
  if (operation === 'Add') return a === 0 ? b : b === 0 ? a : undefined;
  if (operation === 'Sub') return b === 0 ? a : undefined;
  return b === 1 ? a : sameDim(a, b) ? 1 : undefined;
}

/** On integers: a quotient is rounded towards zero. What is not exact is not known. */
function calculateNumbers(operation: Arithmetic, a: number, b: number): Dim {
  const result = { Add: a + b, Sub: a - b, Mul: a * b, Div: Math.trunc(a / b) }[operation];
  return Number.isSafeInteger(result) ? result + 0 : undefined;
}
