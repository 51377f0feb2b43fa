/**
 * Operations on values that are known when a file is read, so that a weight that comes through Cast, Transpose or a
 * multiplication is a weight like any other. Values are computed at once, so that a chain of thousands of nodes does
 * not become as many nested calls.
 */

import { broadcast as broadcastShapes } from '../../../nodes/dims.js';
import { showList } from '../../../shown.js';
import { rowMajorStrides, sizeOf } from '../../../sizes.js';
import { Constant, DataType, isIntegerType, typeName } from '../file/tensors.js';
import type { NodeContext } from './nodeContext.js';
import type { Arithmetic } from './shapeValues.js';

const DOUBLE = 11;
const BOOL = 9;

/** ONNX's Cast, to float32, float64 and integers. */
export function castConstant(node: NodeContext, constant: Constant, to: number): Constant {
  const integer = isIntegerType(to);
  if (!integer && to !== DataType.FLOAT && to !== DOUBLE) node.unsupported(`a cast to ${typeName(to)}`);
  if (integer === constant.integer && to !== BOOL) return constant;
  node.spend(8 * constant.size);
  const convert =
    to === BOOL ? (value: number) => Number(value !== 0) : integer ? Math.trunc : (value: number) => value;
  const values = Float64Array.from(constant.values, convert);
  return new Constant(constant.dims, integer, () => values);
}

/** ONNX's Transpose; axis i of the result is axis permutation[i] of the constant. */
export function transposeConstant(node: NodeContext, constant: Constant, permutation: readonly number[]): Constant {
  const dims = permutation.map((axis) => constant.dims[axis]!);
  const values = transpose(node, constant, permutation, dims);
  return new Constant(dims, constant.integer, () => values);
}

function transpose(
  node: NodeContext,
  { values, dims, size }: Constant,
  permutation: readonly number[],
  outDims: readonly number[],
): ArrayLike<number> {
  const array = values instanceof Float32Array ? Float32Array : Float64Array;
  node.spend(array.BYTES_PER_ELEMENT * size);
  const strides = rowMajorStrides(dims);
  const steps = permutation.map((axis) => strides[axis]!);
  const result = new array(size);
  const index = new Array<number>(outDims.length).fill(0);
  let from = 0;
  for (let i = 0; i < result.length; i++) {
    result[i] = values[from]!;
    for (let axis = outDims.length - 1; axis >= 0; axis--) {
      from += steps[axis]!;
      if (++index[axis]! < outDims[axis]!) break;
      from -= steps[axis]! * outDims[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}

/**
 * Add, Sub, Mul and Div of two float constants, rounded as the kernels would; undefined for one that would be larger
 * than both, or has integers, where the kernels would not do what ONNX says.
 */
export function calculateConstants(
  node: NodeContext,
  operation: Arithmetic,
  a: Constant,
  b: Constant,
): Constant | undefined {
  const dims = broadcastDims(node, a.dims, b.dims);
  const size = sizeOf(dims);
  if (a.integer || b.integer || size > Math.max(a.size, b.size)) return undefined;
  node.spend(4 * size);
  const x = broadcast(a, dims);
  const y = broadcast(b, dims);
  const values = new Float32Array(size);
  for (let i = 0; i < size; i++) values[i] = calculateOne(operation, x(i), y(i));
  return new Constant(dims, false, () => values);
}

function broadcastDims(node: NodeContext, a: readonly number[], b: readonly number[]): number[] {
  return broadcastShapes(a, b) ?? node.broken(`dims [${showList(a)}] and [${showList(b)}] do not broadcast`);
}

/** ONNX's Expand. */
export function expandConstant(node: NodeContext, constant: Constant, shape: readonly number[]): Constant {
  if (shape.some((dim) => dim < 0)) node.broken(`its shape is [${showList(shape)}]`);
  const dims = broadcastDims(node, constant.dims, shape);
  const size = sizeOf(dims);
  node.spend(8 * size);
  const value = broadcast(constant, dims);
  const array = constant.integer ? Float64Array : Float32Array;
  const values = new array(size);
  for (let i = 0; i < size; i++) values[i] = value(i);
  return new Constant(dims, constant.integer, () => values);
}

function calculateOne(operation: Arithmetic, a: number, b: number): number {
  if (operation === 'Add') return a + b;
  if (operation === 'Sub') return a - b;
  return operation === 'Mul' ? a * b : a / b;
}

/** Reads a constant by the place in the broadcast result. */
function broadcast(constant: Constant, dims: readonly number[]): (place: number) => number {
  const data = constant.integer ? constant.values : constant.tensor.data;
  if (constant.size === 1) return () => data[0]!;
  const own = [...new Array<number>(dims.length - constant.dims.length).fill(1), ...constant.dims];
  if (own.every((dim, axis) => dim === dims[axis])) return (place) => data[place]!;
  return (place) => {
    let rest = place;
    let from = 0;
    let stride = 1;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      if (own[axis] !== 1) from += (rest % dims[axis]!) * stride;
      rest = Math.floor(rest / dims[axis]!);
      stride *= own[axis]!;
    }
    return data[from]!;
  };
}
