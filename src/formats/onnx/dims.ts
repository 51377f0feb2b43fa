/**
 * What is known of the dims of a graph's values before it runs. A dim is a number, or the size of an axis of some value
 * (DimOf): of a graph input where it can be followed back to one, as the batch nearly always can, otherwise of the
 * value itself. Nothing is checked here; what does not fit is simply not known, and is refused when the graph runs.
 */
import type { DimOf, Node, PoolNode, ReshapeNode, SliceNode, Window } from '../../graph/graph.js';

export type Dim = number | DimOf;
/** undefined: not even the rank is known. */
export type Dims = readonly Dim[] | undefined;
type Partial = readonly (Dim | undefined)[] | undefined;

export function sameDim(a: Dim | undefined, b: Dim | undefined): boolean {
  if (typeof a === 'object' && typeof b === 'object') return a.value === b.value && a.axis === b.axis;
  return a === b && a !== undefined;
}

/** The dims of a node's output; `inputs` are those of its inputs. */
export function inferDims(node: Node, inputs: readonly Dims[]): Dims {
  return outputDims(node, inputs)?.map((dim, axis) => dim ?? { value: node.output, axis });
}

function outputDims(node: Node, inputs: readonly Dims[]): Partial {
  const [first] = inputs as [Dims];
  switch (node.op) {
    case 'conv2d':
      return first?.length === 4
        ? [first[0], node.weight.dims[0], ...spatial(first, node.window, false)]
        : [undefined, node.weight.dims[0], undefined, undefined];
    case 'linear':
      return [first?.[0], node.weight.dims[0]];
    case 'maxPool2d':
    case 'avgPool2d':
      return first && poolDims(first, node);
    case 'globalAvgPool2d':
    case 'globalMaxPool2d':
      return first?.map((dim, axis) => (axis < 2 ? dim : 1));
    case 'add':
    case 'sub':
    case 'mul':
    case 'div':
      return broadcast(first, inputs[1]);
    case 'matMul':
      return matMulDims(first, inputs[1]);
    case 'concat':
      return concatDims(inputs, node.axis);
    case 'flatten':
      return flattenDims(first, node.axis);
    case 'reshape':
      return reshapeDims(first, node);
    case 'squeeze':
      return squeezeDims(first, node.axes);
    case 'unsqueeze':
      return unsqueezeDims(first, node.axes ?? []);
    case 'transpose':
      return first && (node.permutation?.map((axis) => first[axis]) ?? [...first].reverse());
    case 'slice':
      return first && sliceDims(first, node);
    case 'pad':
      return first?.map((dim, axis) => plus(dim, (node.pads[axis] ?? 0) + (node.pads[axis + first.length] ?? 0)));
    case 'reduceMean':
      return reduceDims(first, node.axes, node.keepDims);
    default:
      return first;
  }
}

function plus(dim: Dim, difference: number): Dim | undefined {
  if (difference === 0) return dim;
  return typeof dim === 'number' && dim + difference >= 0 ? dim + difference : undefined;
}

function spatial(dims: readonly Dim[], { kernel, stride, dilation, pads }: Window, ceil: boolean): Partial & object {
  return [0, 1].map((i) => {
    const [before, after] = [pads[i]!, pads[i + 2]!];
    const space = before + after - dilation[i]! * (kernel[i]! - 1) - 1;
    const dim = dims[2 + i];
    if (stride[i] === 1 && space === -1) return dim;
    if (typeof dim !== 'number' || dim + space < 0) return undefined;
    if (!ceil) return Math.floor((dim + space) / stride[i]!) + 1;
    const count = Math.ceil((dim + space) / stride[i]!) + 1;
    // Whether a last window that begins in the padding counts is the executor's to say.
    return (count - 1) * stride[i]! >= dim + before ? undefined : count;
  });
}

function poolDims(dims: readonly Dim[], node: PoolNode): Partial {
  return dims.length === 4 ? [dims[0], dims[1], ...spatial(dims, node.window, node.ceilMode)] : undefined;
}

function broadcast(a: Dims, b: Dims): Partial {
  if (a === undefined || b === undefined) return undefined;
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    if (x === 1 || sameDim(x, y)) return y;
    if (y === 1) return x;
    // A number that is not 1 wins over a name: that can only be 1 or the same.
    if (typeof x === 'number') return typeof y === 'number' ? undefined : x;
    return typeof y === 'number' ? y : undefined;
  });
}

function matMulDims(a: Dims, b: Dims): Partial {
  if (a === undefined || b === undefined || a.length < 2 || b.length < 2) return undefined;
  const outer = broadcast(a.slice(0, -2), b.slice(0, -2));
  return outer && [...outer, a.at(-2), b.at(-1)];
}

function concatDims(inputs: readonly Dims[], axis: number): Partial {
  const rank = inputs.find((dims) => dims !== undefined)?.length;
  if (rank === undefined) return undefined;
  const along = axis < 0 ? axis + rank : axis;
  return Array.from({ length: rank }, (_, i) => {
    const dims = inputs.map((one) => one?.[i]);
    if (i !== along) return dims.find((dim) => typeof dim === 'number') ?? dims.find((dim) => dim !== undefined);
    return dims.reduce((sum, dim) => (typeof sum === 'number' && typeof dim === 'number' ? sum + dim : undefined), 0);
  });
}

function flattenDims(dims: Dims, axis: number): Partial {
  if (dims === undefined) return [undefined, undefined];
  return [product(dims.slice(0, axis)), product(dims.slice(axis))];
}

function product(dims: readonly Dim[]): Dim | undefined {
  return quotient(dims, []);
}

/** The product of `dims` over that of `divisors`, when names that stand in both are left out and one at most remains. */
function quotient(dims: readonly Dim[], divisors: readonly Dim[]): Dim | undefined {
  const rest = [...dims];
  for (const divisor of divisors) {
    if (typeof divisor === 'number') continue;
    const place = rest.findIndex((dim) => sameDim(dim, divisor));
    if (place < 0) return undefined;
    rest.splice(place, 1);
  }
  const names = rest.filter((dim) => typeof dim === 'object');
  const number = numbersOf(rest) / numbersOf(divisors);
  if (!Number.isSafeInteger(number) || names.length > 1) return undefined;
  if (names.length === 0) return number;
  return number === 1 ? names[0] : undefined;
}

function numbersOf(dims: readonly Dim[]): number {
  return dims.reduce<number>((total, dim) => (typeof dim === 'number' ? total * dim : total), 1);
}

function reshapeDims(dims: Dims, node: ReshapeNode): Partial {
  const target = node.target.map((size, axis) => (size === 0 && !node.allowZero ? dims?.[axis] : size));
  const known = target.filter((size) => size !== undefined && size !== -1);
  return target.map((size) => {
    if (size !== -1) return size;
    return dims && known.length === target.length - 1 ? quotient(dims, known as Dim[]) : undefined;
  });
}

function squeezeDims(dims: Dims, axes: readonly number[] | undefined): Partial {
  if (dims === undefined) return undefined;
  if (axes === undefined) {
    return dims.every((dim) => typeof dim === 'number') ? dims.filter((dim) => dim !== 1) : undefined;
  }
  const gone = new Set(axes.map((axis) => (axis < 0 ? axis + dims.length : axis)));
  return dims.filter((_, axis) => !gone.has(axis));
}

function unsqueezeDims(dims: Dims, axes: readonly number[]): Partial {
  if (dims === undefined) return undefined;
  const rank = dims.length + axes.length;
  const added = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)));
  const rest = dims.values();
  return Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : rest.next().value));
}

function sliceDims(dims: readonly Dim[], { axes, starts, ends, steps }: SliceNode): Partial {
  const result: (Dim | undefined)[] = [...dims];
  axes.forEach((axis, i) => {
    const along = axis < 0 ? axis + dims.length : axis;
    const size = dims[along];
    if (typeof size === 'number') result[along] = sliceLength(size, starts[i]!, ends[i]!, steps[i]!);
    else if (starts[i] !== 0 || ends[i]! < Number.MAX_SAFE_INTEGER || steps[i] !== 1) result[along] = undefined;
  });
  return result;
}

/** How many elements ONNX's Slice takes of an axis. */
function sliceLength(size: number, start: number, end: number, step: number): number {
  const [first, last] = sliceBounds(size, start, end, step);
  return Math.max(0, Math.ceil((last - first) / step));
}

/** Where a slice begins and where it has ended, both clamped to the axis. */
export function sliceBounds(size: number, start: number, end: number, step: number): [first: number, last: number] {
  const clamp = (position: number, low: number, high: number) =>
    Math.min(Math.max(position < 0 ? position + size : position, low), high);
  return step > 0
    ? [clamp(start, 0, size), clamp(end, 0, size)]
    : [clamp(start, 0, size - 1), clamp(end, -1, size - 1)];
}

function reduceDims(dims: Dims, axes: readonly number[] | undefined, keepDims: boolean): Partial {
  if (dims === undefined) return axes === undefined && !keepDims ? [] : undefined;
  const reduced = new Set(axes?.map((axis) => (axis < 0 ? axis + dims.length : axis)) ?? dims.keys());
  return keepDims
    ? dims.map((dim, axis) => (reduced.has(axis) ? 1 : dim))
    : dims.filter((_, axis) => !reduced.has(axis));
}
