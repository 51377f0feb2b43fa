/**
 * Operations on values that are known when a file is read, so that a weight that comes through Cast, Transpose or a
 * multiplication is a weight like any other, and what shapes are computed with is numbers. Values are computed at once,
 * so that a chain of thousands of nodes does not become as many nested calls. Only what JavaScript computes exactly: the
 * rest is the kernels'.
 */

import { broadcast as broadcastShapes } from '../../../nodes/dims.js';
import { showList } from '../../../shown.js';
import { rowMajorStrides, sizeOf } from '../../../sizes.js';
import { Constant, DataType, isIntegerType, typeName } from '../file/tensors.js';
import type { NodeContext } from './nodeContext.js';

/** What is known of a node's inputs, where all are known; undefined: it is left out. */
export type Known = readonly (Constant | undefined)[];

/** Gives undefined where the kernels have to compute it. */
export type Fold = (node: NodeContext, inputs: Known) => Constant | undefined;

/** An array for values that are computed from others: of floats in float32, unless one is more precise. */
function arrayFor(integer: boolean, size: number, from: readonly Constant[]): Float32Array | Float64Array {
  const isDouble = integer || from.some((one) => !one.integer && one.values instanceof Float64Array);
  return isDouble ? new Float64Array(size) : new Float32Array(size);
}

/** ONNX's Cast, to float32, float64 and integers. */
export function castConstant(node: NodeContext, constant: Constant, to: number): Constant {
  const integer = isIntegerType(to);
  if (!integer && to !== DataType.FLOAT && to !== DataType.DOUBLE) node.unsupported(`a cast to ${typeName(to)}`);
  if (integer === constant.integer && to !== DataType.BOOL) return constant;
  node.spend(8 * constant.size);
  const convert =
    to === DataType.BOOL ? (value: number) => Number(value !== 0) : integer ? Math.trunc : (value: number) => value;
  const values =
    to === DataType.FLOAT ? Float32Array.from(constant.values) : Float64Array.from(constant.values, convert);
  return new Constant(constant.dims, integer, () => values);
}

/** Values at regular places of a constant: transposed, sliced, repeated. `steps`: from one value to the next. */
export function takeStrided(
  node: NodeContext,
  { values, integer }: Constant,
  dims: readonly number[],
  steps: readonly number[],
  start = 0,
): Constant {
  const array = values instanceof Float32Array ? Float32Array : Float64Array;
  const size = sizeOf(dims);
  node.spend(array.BYTES_PER_ELEMENT * size);
  const result = new array(size);
  const index = new Array<number>(dims.length).fill(0);
  let from = start;
  for (let i = 0; i < size; i++) {
    result[i] = values[from]!;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      from += steps[axis]!;
      if (++index[axis]! < dims[axis]!) break;
      from -= steps[axis]! * dims[axis]!;
      index[axis] = 0;
    }
  }
  return new Constant(dims, integer, () => result);
}

/** ONNX's Transpose; axis i of the result is axis permutation[i] of the constant. */
export function transposeConstant(node: NodeContext, constant: Constant, permutation: readonly number[]): Constant {
  const strides = rowMajorStrides(constant.dims);
  return takeStrided(
    node,
    constant,
    permutation.map((axis) => constant.dims[axis]!),
    permutation.map((axis) => strides[axis]!),
  );
}

/** ONNX's Expand. */
export function expandConstant(node: NodeContext, constant: Constant, shape: readonly number[]): Constant {
  if (shape.some((dim) => dim < 0)) node.broken(`its shape is [${showList(shape)}]`);
  const dims = broadcastDims(node, constant.dims, shape);
  return takeStrided(node, constant, dims, broadcastStrides(constant, dims));
}

/** Positions of an axis from one on, at a distance. */
export function sliceConstant(
  node: NodeContext,
  constant: Constant,
  ranges: readonly { readonly start: number; readonly step: number; readonly count: number }[],
): Constant {
  const strides = rowMajorStrides(constant.dims);
  return takeStrided(
    node,
    constant,
    ranges.map(({ count }) => count),
    ranges.map(({ step }, axis) => strides[axis]! * step),
    ranges.reduce((at, { start }, axis) => at + start * strides[axis]!, 0),
  );
}

/** ONNX's Tile. */
export function tileConstant(node: NodeContext, constant: Constant, repeats: readonly number[]): Constant {
  const strides = rowMajorStrides(constant.dims);
  const tiled = takeStrided(
    node,
    constant,
    repeats.flatMap((count, axis) => [count, constant.dims[axis]!]),
    repeats.flatMap((_, axis) => [0, strides[axis]!]),
  );
  return tiled.reshaped(repeats.map((count, axis) => count * constant.dims[axis]!));
}

/** ONNX's Gather. */
export function gatherConstant(node: NodeContext, constant: Constant, indices: Constant, axis: number): Constant {
  const { dims, values, integer } = constant;
  const inner = sizeOf(dims.slice(axis + 1));
  const outDims = [...dims.slice(0, axis), ...indices.dims, ...dims.slice(axis + 1)];
  const size = sizeOf(outDims);
  node.spend(8 * size);
  const result = arrayFor(integer, size, [constant]);
  const places = Array.from(indices.values, (index) => placeIn(node, index, dims[axis]!));
  let to = 0;
  for (let outer = 0; outer < sizeOf(dims.slice(0, axis)); outer++) {
    for (const place of places) {
      const from = (outer * dims[axis]! + place) * inner;
      for (let i = 0; i < inner; i++) result[to++] = values[from + i]!;
    }
  }
  return new Constant(outDims, integer, () => result);
}

function placeIn(node: NodeContext, index: number, size: number): number {
  const place = index < 0 ? index + size : index;
  return place >= 0 && place < size ? place : node.broken(`its index ${index} is outside of an axis of ${size}`);
}

/** ONNX's Concat. */
export function concatConstants(node: NodeContext, parts: readonly Constant[], axis: number): Constant {
  const [first] = parts as [Constant, ...Constant[]];
  const fits = parts.every(
    ({ dims }) => dims.length === first.dims.length && dims.every((dim, i) => i === axis || dim === first.dims[i]),
  );
  if (!fits) node.broken('its inputs have dims that do not fit each other');
  const dims = first.dims.map((dim, i) => (i === axis ? parts.reduce((sum, part) => sum + part.dims[axis]!, 0) : dim));
  node.spend(8 * sizeOf(dims));
  const { integer } = first;
  const result = arrayFor(integer, sizeOf(dims), parts);
  const runs = parts.map((part) => sizeOf(part.dims.slice(axis)));
  let to = 0;
  for (let outer = 0; outer < sizeOf(dims.slice(0, axis)); outer++) {
    parts.forEach(({ values }, part) => {
      const run = runs[part]!;
      for (let i = 0; i < run; i++) result[to++] = values[outer * run + i]!;
    });
  }
  return new Constant(dims, integer, () => result);
}

/** ONNX's Range. */
export function rangeConstant(node: NodeContext, [start, limit, delta]: Known): Constant {
  const [from, to, step] = [start, limit, delta].map((one) => one!.values[0] ?? 0) as [number, number, number];
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (!Number.isSafeInteger(count)) node.broken(`it goes from ${from} to ${to} by ${step}`);
  node.spend(8 * count);
  const values = arrayFor(start!.integer, count, [start!]);
  for (let i = 0; i < count; i++) values[i] = from + i * step;
  return new Constant([count], start!.integer, () => values);
}

/** ONNX's NonZero: the indices of what is not 0, an axis in each row. */
export function nonZeroConstant(node: NodeContext, { dims, values, size }: Constant): Constant {
  const places: number[] = [];
  for (let i = 0; i < size; i++) if (values[i] !== 0) places.push(i);
  node.spend(16 * places.length * Math.max(1, dims.length));
  const strides = rowMajorStrides(dims);
  const indices = dims.flatMap((dim, axis) => places.map((place) => Math.floor(place / strides[axis]!) % dim));
  return new Constant([dims.length, places.length], true, () => indices);
}

/** ONNX's ScatterND, which puts values in the place of others. */
export function scatterConstant(node: NodeContext, [data, indices, updates]: Known): Constant {
  const { dims, integer } = data!;
  const depth = indices!.dims.at(-1) ?? 0;
  const run = sizeOf(dims.slice(depth));
  const count = depth === 0 ? 1 : indices!.size / depth;
  if (depth > dims.length || updates!.size !== count * run) node.broken('its updates do not fit its indices');
  node.spend(8 * data!.size);
  const result = arrayFor(integer, data!.size, [data!]);
  result.set(data!.values as ArrayLike<number>);
  const strides = rowMajorStrides(dims);
  for (let i = 0; i < count; i++) {
    let to = 0;
    for (let axis = 0; axis < depth; axis++) {
      to += placeIn(node, indices!.values[i * depth + axis]!, dims[axis]!) * strides[axis]!;
    }
    for (let k = 0; k < run; k++) result[to + k] = updates!.values[i * run + k]!;
  }
  return new Constant(dims, integer, () => result);
}

/** A reduction over some axes, from a first value on. */
export function reduceConstant(
  node: NodeContext,
  constant: Constant,
  axes: readonly number[],
  keepDims: boolean,
  by: (total: number, value: number) => number,
): Constant | undefined {
  const kept = constant.dims.flatMap((_, axis) => (axes.includes(axis) ? [] : [axis]));
  const { values } = transposeConstant(node, constant, [...kept, ...axes]);
  const run = sizeOf(axes.map((axis) => constant.dims[axis]!));
  if (run === 0) return undefined;
  const size = constant.size / run;
  const result = arrayFor(constant.integer, size, [constant]);
  for (let i = 0; i < size; i++) {
    let total = values[i * run]!;
    for (let k = 1; k < run; k++) total = by(total, values[i * run + k]!);
    result[i] = total;
  }
  const dims = keepDims
    ? constant.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
    : kept.map((axis) => constant.dims[axis]!);
  return new Constant(dims, constant.integer, () => result);
}

type Calculate = (a: number, b: number, c: number) => number;

/** By ONNX's names. Booleans are 0 and 1. */
const CALCULATIONS: Readonly<Record<string, Calculate>> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
  Min: Math.min,
  Max: Math.max,
  Neg: (a) => -a,
  Abs: Math.abs,
  Sqrt: Math.sqrt,
  Reciprocal: (a) => 1 / a,
  Floor: Math.floor,
  Ceil: Math.ceil,
  Sign: Math.sign,
  // Halves to the even one.
  Round: (a) => (Math.abs(a % 1) === 0.5 ? 2 * Math.round(a / 2) : Math.round(a)),
  Where: (a, b, c) => (a === 0 ? c : b),
};

/** Those that give booleans. */
const CONDITIONS: Readonly<Record<string, Calculate>> = {
  Equal: (a, b) => Number(a === b),
  Less: (a, b) => Number(a < b),
  LessOrEqual: (a, b) => Number(a <= b),
  Greater: (a, b) => Number(a > b),
  GreaterOrEqual: (a, b) => Number(a >= b),
  And: (a, b) => a & b,
  Or: (a, b) => a | b,
  Xor: (a, b) => a ^ b,
  Not: (a) => 1 - a,
};

/**
 * Element by element, floats rounded as the kernels would; undefined for floats that would be more than those of any
 * input, and before opset 7 with an axis.
 */
export const foldElements: Fold = (node, inputs) => {
  const all = inputs as readonly Constant[];
  if (all.length === 0 || all.length > 3 || node.attribute('axis') !== undefined) return undefined;
  const condition = CONDITIONS[node.opType];
  const dims = all.reduce<number[]>((sum, one) => broadcastDims(node, sum, one.dims), []);
  const size = sizeOf(dims);
  const { integer } = all.at(-1)!;
  const isLarger = all.every((one) => one.size < size);
  if (isLarger && !integer) return undefined;
  node.spend(8 * size);
  const exact = condition ?? CALCULATIONS[node.opType] ?? calculationOf(node);
  const calculate: Calculate = integer && node.opType === 'Div' ? (a, b) => Math.trunc(a / b) : exact;
  const [a, b, c] = [0, 1, 2].map((i) => broadcast(all[i] ?? all[0]!, dims)) as [Place, Place, Place];
  const isInteger = integer || condition !== undefined;
  const values = arrayFor(isInteger, size, all);
  for (let i = 0; i < size; i++) values[i] = calculate(a(i), b(i), c(i)) + (isInteger ? 0 : -0);
  if (isInteger && !values.every(Number.isFinite)) node.broken('it divides integers by 0');
  return new Constant(dims, isInteger, () => values);
};

/** Of those whose attributes say what they compute. */
function calculationOf(node: NodeContext): Calculate {
  // Mod
  if (node.flag('fmod', false)) return (a, b) => a % b;
  return (a, b) => a - b * Math.floor(a / b);
}

function broadcastDims(node: NodeContext, a: readonly number[], b: readonly number[]): number[] {
  return broadcastShapes(a, b) ?? node.broken(`dims [${showList(a)}] and [${showList(b)}] do not broadcast`);
}

function broadcastStrides({ dims }: Constant, outDims: readonly number[]): number[] {
  const strides = rowMajorStrides(dims).map((stride, axis) => (dims[axis] === 1 ? 0 : stride));
  return [...new Array<number>(outDims.length - dims.length).fill(0), ...strides];
}

type Place = (place: number) => number;

/** Reads a constant by the place in the broadcast result. */
function broadcast(constant: Constant, dims: readonly number[]): Place {
  const { values } = constant;
  if (constant.size === 1) return () => values[0]!;
  const own = [...new Array<number>(dims.length - constant.dims.length).fill(1), ...constant.dims];
  if (own.every((dim, axis) => dim === dims[axis])) return (place) => values[place]!;
  const strides = broadcastStrides(constant, dims);
  return (place) => {
    let rest = place;
    let from = 0;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      from += (rest % dims[axis]!) * strides[axis]!;
      rest = Math.floor(rest / dims[axis]!);
    }
    return values[from]!;
  };
}
