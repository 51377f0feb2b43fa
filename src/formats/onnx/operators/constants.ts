/** Constants, the arithmetic of shapes, and what takes its dims from there. */
import { type DimOf, isNumeric, type NamedDims } from '../../../nodes/dims.js';
import { showList } from '../../../shown.js';
import { sizeOf } from '../../../sizes.js';
import { Constant, DataType, isIntegerType, readTensor, typeName } from '../file/tensors.js';
import { integersOf, MAX_EXTENT } from './arguments.js';
import { castConstant } from './fold.js';
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
  if (dims === undefined) node.open('it needs an input of known rank');
  return node.define(vector(dims.slice(node.int('start', 0), node.int('end', dims.length))));
}

export function lowerSize(node: NodeContext): string {
  const dims = node.constant(0)?.dims ?? node.dims(0);
  if (dims === undefined || !isNumeric(dims)) node.open('it needs an input whose dims the file states');
  const size = sizeOf(dims);
  return node.define(new Constant([], true, () => [size]));
}

/** Of sizes that are not all known, an element; of values of the Graph, whatever the indices are. */
export function lowerGather(node: NodeContext): string {
  const value = node.integers(0);
  const axis = node.int('axis', 0);
  if (value !== undefined && node.constant(0) === undefined) {
    const indices = node.integers(1) ?? integersOf(node.parameter(1, 'indices'));
    const isAlong = !value.scalar && (axis === 0 || axis === -1);
    if (indices === undefined || !isAlong) node.open('its indices are no scalar or vector');
    return node.define(
      gather(value, indices) ?? node.broken(`its indices are outside of a vector of ${value.elements.length}`),
    );
  }
  const indices = node.constant(1);
  const first = indices?.values[0];
  // One position is a slice, which keeps the layout.
  if (indices?.size === 1 && indices.dims.length <= 1 && Number.isSafeInteger(first)) {
    const cut = { axes: [axis], starts: [first!], ends: [first === -1 ? MAX_EXTENT : first! + 1], steps: [1] };
    const inputs = [node.numericOperand(0)];
    const isScalar = indices.dims.length === 0;
    const part = node.emit({ op: 'slice', inputs, ...cut }, isScalar ? node.derive('part') : node.output);
    const output = isScalar ? node.emit({ op: 'squeeze', inputs: [part], axes: [axis] }) : part;
    return node.isInteger(0) ? node.markInteger(output) : output;
  }
  return lowerGatherElements(node, 'gather');
}

export function lowerGatherElements(node: NodeContext, op: 'gather' | 'gatherElements' = 'gatherElements'): string {
  const inputs = [node.numericOperand(0), node.numericOperand(1)] as const;
  const output = node.emit({ op, inputs, axis: node.int('axis', 0) });
  return node.isInteger(0) ? node.markInteger(output) : output;
}

export function lowerCast(node: NodeContext, to: number): string {
  const integers = node.integers(0);
  if (integers !== undefined && (to === DataType.INT64 || to === DataType.INT32)) return node.define(integers);
  if (integers !== undefined) node.open(`a cast to ${typeName(to)}`);
  const x = node.numericOperand(0);
  if (to === DataType.FLOAT || to === DataType.DOUBLE) return node.emit({ op: 'identity', inputs: [x] });
  if (!isIntegerType(to)) return node.unsupported(`a cast to ${typeName(to)}`);
  if (to === DataType.BOOL) {
    const isZero = node.emit({ op: 'equal', inputs: [x, node.newScalar('zero', 0)] }, node.derive('isZero'));
    return node.markInteger(node.emit({ op: 'sub', inputs: [node.newScalar('one', 1), isZero] }));
  }
  if (node.isInteger(0)) return node.markInteger(node.emit({ op: 'identity', inputs: [x] }));
  // Towards zero.
  const magnitude = node.emit({ op: 'abs', inputs: [x] }, node.derive('magnitude'));
  const whole = node.emit({ op: 'floor', inputs: [magnitude] }, node.derive('whole'));
  const sign = node.emit({ op: 'sign', inputs: [x] }, node.derive('sign'));
  return node.markInteger(node.emit({ op: 'mul', inputs: [whole, sign] }));
}

/** The second input need not be known for what its type says. */
export function lowerCastLike(node: NodeContext): string {
  const known = node.constant(0);
  return known === undefined
    ? lowerCast(node, node.typeLike(1))
    : node.define(castConstant(node, known, node.typeLike(1)));
}

export function lowerExpand(node: NodeContext): string {
  const shape = node.integers(1) ?? integersOf(node.parameter(1, 'shape')) ?? node.broken('its shape is no vector');
  if (shape.elements.includes(undefined)) node.open('its shape is computed from what the file does not state');
  const target = shape.elements as readonly (number | DimOf)[];
  const output = node.emit({ op: 'expand', inputs: [node.numericOperand(0)], target });
  return node.isInteger(0) ? node.markInteger(output) : output;
}

/** Each axis gets one of size 1 before it, which is repeated and becomes part of it. */
export function lowerTile(node: NodeContext): string {
  const repeats = node.numbers(1, 'repeats');
  const dims = node.dims(0);
  if (dims === undefined) node.open('it needs an input of known rank');
  if (repeats.length !== dims.length || repeats.some((count) => count < 0)) {
    node.broken(`its repeats are [${showList(repeats)}]`);
  }
  let value = node.numericOperand(0);
  const sizes = [...dims];
  repeats.forEach((count, axis) => {
    if (count === 1) return;
    const column = node.emit({ op: 'unsqueeze', inputs: [value], axes: [axis] }, node.derive('column'));
    const ones = new Array<number>(dims.length - axis).fill(1);
    const many = node.emit({ op: 'expand', inputs: [column], target: [count, ...ones] }, node.derive('many'));
    const size = sizes[axis]!;
    const target = sizes.map((one, i) => (i !== axis ? one : typeof size === 'number' ? size * count : -1));
    value = node.emit({ op: 'reshape', inputs: [many], target, allowZero: true }, node.derive('tiled'));
    sizes[axis] = typeof size === 'number' ? size * count : { value, axis };
  });
  const output = node.emit({ op: 'identity', inputs: [value] });
  return node.isInteger(0) ? node.markInteger(output) : output;
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
  const integer = isIntegerType(proto?.dataType);
  const values = new (integer ? Float64Array : Float32Array)(size).fill(value);
  return node.define(new Constant(dims, integer, () => values));
}
