/** Constants, and the arithmetic of shapes. */
import type { NamedDims } from '../../../nodes/dims.js';
import { showList } from '../../../shown.js';
import { sizeOf } from '../../../sizes.js';
import { Constant, DataType, isIntegerType, readTensor, typeName } from '../file/tensors.js';
import { integersOf } from './arguments.js';
import { castConstant, expandConstant } from './fold.js';
import type { NodeContext } from './nodeContext.js';
import { gather, vector } from './shapeValues.js';

export function lowerConstant(node: NodeContext): string {
  return node.define(readConstant(node));
}

function readConstant(node: NodeContext): Constant {
  const value = node.attribute('value');
  if (value !== undefined) return value.t === undefined ? node.broken('its value is no tensor') : readTensor(value.t);
  const scalar = node.attribute('value_float') ?? node.attribute('value_int');
  if (scalar !== undefined) {
    const integer = scalar.name === 'value_int';
    const number = (integer ? scalar.i : scalar.f) ?? 0;
    return new Constant([], integer, () => [number]);
  }
  const list = node.attribute('value_floats') ?? node.attribute('value_ints');
  if (list === undefined) node.unsupported('its value is no tensor and no number');
  const integer = list.name === 'value_ints';
  const numbers = integer ? list.ints : list.floats;
  return new Constant([numbers.length], integer, () => numbers);
}

export function lowerShape(node: NodeContext): string {
  const dims: NamedDims | undefined = node.constant(0)?.dims ?? node.dims(0);
  if (dims === undefined) node.unsupported('it needs an input of known rank');
  return node.define(vector(dims.slice(node.int('start', 0), node.int('end', dims.length))));
}

export function lowerGather(node: NodeContext): string {
  const value = node.integers(0);
  if (value === undefined || value.scalar) node.unsupported('it is taken only where shapes are computed');
  const indices = node.integers(1) ?? integersOf(node.parameter(1, 'indices'));
  const axis = node.int('axis', 0);
  if (indices === undefined || (axis !== 0 && axis !== -1)) node.unsupported('its indices are no scalar or vector');
  return node.define(
    gather(value, indices) ?? node.broken(`its indices are outside of a vector of ${value.elements.length}`),
  );
}

export function lowerCast(node: NodeContext, to: number): string {
  const integers = node.integers(0);
  if (integers !== undefined && (to === DataType.INT64 || to === DataType.INT32)) return node.define(integers);
  const constant = node.constant(0);
  if (constant !== undefined) return node.define(castConstant(node, constant, to));
  if (integers !== undefined || to !== DataType.FLOAT) node.unsupported(`a cast to ${typeName(to)}`);
  return node.emit({ op: 'identity', inputs: [node.operand(0)] });
}

/** Known values only: exporters use it for the biases that layers do not have. */
export function lowerExpand(node: NodeContext): string {
  const shape = node.numbers(1, 'shape');
  const constant = node.constant(0) ?? node.unsupported('it is taken only of known values');
  return node.define(expandConstant(node, constant, shape));
}

export function lowerConstantOfShape(node: NodeContext): string {
  const dims = node.numbers(0, 'shape');
  if (dims.some((dim) => dim < 0)) node.broken(`its shape is [${showList(dims)}]`);
  const proto = node.attribute('value')?.t;
  const fill = proto && readTensor(proto);
  if (fill !== undefined && fill.size !== 1) node.broken(`its value must have 1 element, got ${fill.size}`);
  const size = sizeOf(dims);
  if (!Number.isSafeInteger(size)) node.broken(`its shape is [${showList(dims)}]`);
  node.spend(8 * size);
  const value = fill?.values[0] ?? 0;
  const values = new Float64Array(size).fill(value);
  return node.define(new Constant(dims, isIntegerType(proto?.dataType), () => values));
}
