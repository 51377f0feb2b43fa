/**
 * Shapes of the operations that treat tensors as arrays of any rank, as ONNX and numpy define them. What is worked out
 * on the way (which axes, which part of an axis) is exported for those who carry the operation out.
 */
import { showName } from '../shown.js';
import { countOf, sizeOf } from '../sizes.js';
import { format } from '../tensor.js';
import type {
  AxisNode,
  BinaryNode,
  DimOf,
  Node,
  PadNode,
  ReduceNode,
  ReshapeNode,
  SliceNode,
  SqueezeNode,
  TransposeNode,
} from './graph.js';
import { fail, title } from './shapeErrors.js';

type Dims = readonly number[];

/** Which positions of an axis a slice takes. */
export interface Range {
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

/** What padding does to an axis: the part of the input that stays, and where in the output it begins. */
export interface PaddedAxis {
  readonly inStart: number;
  readonly outStart: number;
  readonly count: number;
  readonly outSize: number;
}

/** numpy's broadcasting of two shapes; undefined where they do not go together. */
export function broadcast(a: Dims, b: Dims): number[] | undefined {
  const rank = Math.max(a.length, b.length);
  const dims: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const [one, other] = [a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1];
    if (one !== other && one !== 1 && other !== 1) return undefined;
    dims.push(one === 1 ? other : one);
  }
  return dims;
}

export function binaryDims(node: BinaryNode, a: Dims, b: Dims): Dims {
  const dims = broadcast(a, b);
  if (dims !== undefined) return dims;
  throw new RangeError(
    `${title(node)}: inputs must have the same dims, or of size 1 where they differ, got ${format(a)} and ${format(b)}`,
  );
}

/** An axis counted from the front. */
export function frontAxis(node: Node, axis: number, input: Dims): number {
  if (!Number.isInteger(axis)) throw new RangeError(`${title(node)}: axis must be a whole number, got ${axis}`);
  if (axis >= input.length) fail(node, 'input', input, `at least ${axis + 1} dims`);
  if (axis < -input.length) fail(node, 'input', input, `at least ${-axis} dims`);
  return axis < 0 ? axis + input.length : axis;
}

function frontAxes(node: Node, axes: readonly number[], input: Dims): number[] {
  const front = axes.map((axis) => frontAxis(node, axis, input));
  if (new Set(front).size < front.length) {
    throw new RangeError(`${title(node)}: axes must differ from one another, got ${format(axes)}`);
  }
  return front;
}

export function concatDims(node: AxisNode, inputs: readonly Dims[]): Dims {
  const [first, ...others] = inputs as [Dims, ...Dims[]];
  const joined = frontAxis(node, node.axis, first);
  for (const other of others) {
    if (other.length !== first.length || other.some((dim, axis) => axis !== joined && dim !== first[axis])) {
      throw new RangeError(
        `${title(node)}: inputs must have the same dims but for axis ${joined}, got ${format(first)} and ${format(other)}`,
      );
    }
  }
  return first.map((dim, axis) => (axis === joined ? inputs.reduce((sum, dims) => sum + dims[axis]!, 0) : dim));
}

/** Unlike elsewhere the axis may lie behind the last one, but a vector, which has no batch axis, is refused as in PyTorch. */
export function flattenDims(node: AxisNode, input: Dims): Dims {
  const isBehind = node.axis === input.length && input.length >= 2;
  const axis = isBehind || node.axis === 0 ? node.axis : frontAxis(node, node.axis, input);
  return [sizeOf(input.slice(0, axis)), sizeOf(input.slice(axis))];
}

/** @param dimsOf of another value, for sizes that are taken from it */
export function reshapeDims(node: ReshapeNode, input: Dims, dimsOf: (value: string) => Dims | undefined): Dims {
  const target = node.target.map((entry, axis) => resolveTarget(node, entry, axis, input, dimsOf));
  const wrong = (reason: string): never => {
    throw new RangeError(`${title(node)}: cannot reshape ${format(input)} to ${format(target)}: ${reason}`);
  };
  if (target.some((dim) => !Number.isSafeInteger(dim) || dim < -1)) wrong('dims must be whole numbers of at least -1');
  const free = target.indexOf(-1);
  if (free !== target.lastIndexOf(-1)) wrong('at most one dim may be -1');
  const [size, known] = [sizeOf(input), sizeOf(target.filter((dim) => dim !== -1))];
  if (free < 0 ? known !== size : size % known !== 0) {
    wrong(`the input has ${size} values, the target ${free < 0 ? '' : 'a multiple of '}${known}`);
  }
  return target.map((dim) => (dim === -1 ? size / known : dim));
}

function resolveTarget(
  node: ReshapeNode,
  entry: number | DimOf,
  axis: number,
  input: Dims,
  dimsOf: (value: string) => Dims | undefined,
): number {
  if (typeof entry !== 'number') {
    const dims = dimsOf(entry.value);
    if (dims === undefined) {
      throw new RangeError(`${title(node)}: target ${axis} is a dim of ${showName(entry.value)}, which is not known`);
    }
    return dims[frontAxis(node, entry.axis, dims)]!;
  }
  if (entry !== 0 || node.allowZero === true) return entry;
  if (axis >= input.length) {
    throw new RangeError(
      `${title(node)}: target ${axis} is 0, but the input has no axis ${axis} (dims ${format(input)})`,
    );
  }
  return input[axis]!;
}

export function squeezeDims(node: SqueezeNode, input: Dims): Dims {
  if (node.op === 'unsqueeze') return unsqueezeDims(node, input);
  if (node.axes === undefined) return input.filter((dim) => dim !== 1);
  const axes = frontAxes(node, node.axes, input);
  const wide = axes.find((axis) => input[axis] !== 1);
  if (wide !== undefined) fail(node, 'input', input, `size 1 in axis ${wide}`);
  return input.filter((_, axis) => !axes.includes(axis));
}

function unsqueezeDims(node: SqueezeNode, input: Dims): Dims {
  const added = node.axes ?? [];
  const rank = input.length + added.length;
  for (const axis of added) {
    if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
      throw new RangeError(
        `${title(node)}: axes must be whole numbers from ${-rank} to ${rank - 1}, got ${format(added)} for an input of ` +
          `dims ${format(input)}`,
      );
    }
  }
  const dims = new Array<number>(rank).fill(0);
  for (const axis of frontAxes(node, added, dims)) dims[axis] = 1;
  let from = 0;
  return dims.map((dim) => (dim === 1 ? 1 : input[from++]!));
}

/** Axis of the input that each axis of the output is. */
export function permutationOf(node: TransposeNode, input: Dims): readonly number[] {
  if (node.permutation === undefined) return input.map((_, axis) => input.length - 1 - axis);
  const isPermutation =
    node.permutation.length === input.length && input.every((_, axis) => node.permutation!.includes(axis));
  if (!isPermutation) {
    throw new RangeError(
      `${title(node)}: permutation must name each axis of the input once, got ${format(node.permutation)} for dims ` +
        format(input),
    );
  }
  return node.permutation;
}

/** The part of each axis that a slice takes. */
export function sliceRanges(node: SliceNode, input: Dims): Range[] {
  const ranges: Range[] = input.map((count) => ({ start: 0, step: 1, count }));
  const axes = frontAxes(node, node.axes, input);
  if ([node.starts, node.ends, node.steps].some(({ length }) => length !== axes.length)) {
    throw new RangeError(
      `${title(node)}: starts, ends and steps must be as many as axes, got ${node.starts.length}, ${node.ends.length} ` +
        `and ${node.steps.length} for ${axes.length} axes`,
    );
  }
  axes.forEach((axis, i) => {
    ranges[axis] = sliceRange(node, input[axis]!, node.starts[i]!, node.ends[i]!, node.steps[i]!);
  });
  return ranges;
}

function sliceRange(node: SliceNode, size: number, start: number, end: number, step: number): Range {
  if (!Number.isInteger(step) || step === 0) {
    throw new RangeError(`${title(node)}: steps must be whole numbers other than 0, got ${step}`);
  }
  const [least, most] = step > 0 ? [0, size] : [-1, size - 1];
  const clamp = (at: number): number => Math.min(Math.max(at < 0 ? at + size : at, least), most);
  const first = step > 0 ? clamp(start) : Math.max(clamp(start), 0);
  if (!Number.isInteger(first)) throw new RangeError(`${title(node)}: starts must be whole numbers, got ${start}`);
  const count = Math.max(0, Math.ceil((clamp(end) - first) / step));
  // Backwards through an axis of size 0, the first position is its end too.
  return { start: first, step, count: Math.min(size, count) };
}

export function paddedAxes(node: PadNode, input: Dims): PaddedAxis[] {
  const rank = input.length;
  if (node.pads.length !== 2 * rank || !node.pads.every(Number.isSafeInteger)) {
    throw new RangeError(
      `${title(node)}: pads must be ${2 * rank} whole numbers for an input of dims ${format(input)}, got ` +
        format(node.pads),
    );
  }
  return input.map((size, axis) => paddedAxis(node, input, axis, size, node.pads[axis]!, node.pads[axis + rank]!));
}

function paddedAxis(node: PadNode, input: Dims, axis: number, size: number, before: number, after: number): PaddedAxis {
  for (const pad of [before, after]) countOf(title(node), 'each of pads', Math.abs(pad));
  const inStart = Math.max(0, -before);
  const count = Math.max(0, Math.min(size, size + after) - inStart);
  const outSize = size + before + after;
  const isPadded = before > 0 || after > 0;
  const least = !isPadded || node.mode === 'constant' ? 0 : node.mode === 'reflect' ? Math.max(before, after) + 1 : 1;
  if (outSize < 0 || count < least) {
    throw new RangeError(
      `${title(node)}: pads ${before} and ${after} do not fit axis ${axis} of size ${size} in mode '${node.mode}' ` +
        `(dims ${format(input)})`,
    );
  }
  return { inStart, outStart: Math.max(0, before), count, outSize };
}

/** The axes that a reduction takes away, in ascending order. */
export function reducedAxes(node: ReduceNode, input: Dims): number[] {
  if (node.axes === undefined) return input.map((_, axis) => axis);
  return frontAxes(node, node.axes, input).sort((a, b) => a - b);
}

export function reduceDims(node: ReduceNode, input: Dims): Dims {
  const axes = reducedAxes(node, input);
  return node.keepDims
    ? input.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
    : input.filter((_, axis) => !axes.includes(axis));
}

/** As numpy's matmul: a vector on the left is a row, one on the right a column, and its axis goes. */
export function matMulDims(node: Node, a: Dims, b: Dims): Dims {
  if (a.length === 0 || b.length === 0) fail(node, 'inputs', a.length === 0 ? a : b, 'at least 1 dim');
  const rows = a.length === 1 ? [] : [a.at(-2)!];
  const columns = b.length === 1 ? [] : [b.at(-1)!];
  const batch = broadcast(a.slice(0, -2), b.slice(0, -2));
  if (batch === undefined || a.at(-1) !== (b.length === 1 ? b[0] : b.at(-2))) {
    throw new RangeError(`${title(node)}: cannot multiply inputs of dims ${format(a)} and ${format(b)}`);
  }
  return [...batch, ...rows, ...columns];
}
