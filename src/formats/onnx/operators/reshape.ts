/** Operators that give the same values other dims. */
import type { DimOf, ReshapeNode } from '../../../graph/graph.js';
import { sameDim } from '../../../nodes/dims.js';
import { sizeOf } from '../../../sizes.js';
import type { Constant } from '../file/tensors.js';
import { checkAxes, integersOf, readAxes } from './arguments.js';
import { int } from './attributes.js';
import type { Known } from './fold.js';
import type { NodeContext } from './nodeContext.js';
import type { NodeWriter } from './nodeWriter.js';
import { type Integers, vector } from './shapeValues.js';

export function lowerFlatten(node: NodeContext): string {
  const axis = node.int('axis', 1);
  const rank = node.dims(0)?.length;
  if (rank === undefined || rank >= 2) return node.emit({ op: 'flatten', inputs: [node.numericOperand(0)], axis });
  // A Graph's flatten takes no vectors; all of the axis lies on one side.
  const behind = axis === 0 || axis === -rank;
  return node.emit({ op: 'reshape', inputs: [node.numericOperand(0)], target: behind ? [1, -1] : [-1, 1] });
}

export function foldFlatten(node: NodeContext, [constant]: Known): Constant {
  const { dims } = constant!;
  const given = node.int('axis', 1);
  const axis = given < 0 ? given + dims.length : given;
  return constant!.reshaped([sizeOf(dims.slice(0, axis)), sizeOf(dims.slice(axis))]);
}

export function lowerReshape(node: NodeContext): string {
  const allowZero = node.flag('allowzero', false);
  const shape = readShape(node) ?? node.broken('its shape is no vector');
  const known = node.constant(0);
  if (known !== undefined && shape.elements.every((size) => typeof size === 'number')) {
    return node.defineReshaped(known, { op: 'reshape', target: shape.elements as number[], allowZero });
  }
  const integers = node.integers(0);
  if (integers !== undefined && shape.elements.length === 1) return node.define({ ...integers, scalar: false });
  const dims = node.dims(0);
  const target = shape.elements.map((size, axis) => {
    if (typeof size === 'object' && !allowZero && sameDim(size, dims?.[axis])) return 0;
    if (typeof size === 'number' && size < -1) node.broken(`its shape holds ${size}`);
    return size;
  });
  const open = target.filter((size) => size === -1 || size === undefined).length;
  if (target.filter((size) => size === -1).length > 1) node.broken('its shape holds -1 more than once');
  // One size that nobody can tell is whatever is left.
  if (open > 1) node.open('its shape is computed from sizes that the file does not state');
  return node.emit({
    op: 'reshape',
    inputs: [node.numericOperand(0)],
    target: target.map((size) => size ?? -1),
    ...(allowZero && { allowZero }),
  });
}

function readShape(node: NodeContext): Integers | undefined {
  if (node.opset < 5) return vector(node.ints('shape') ?? node.broken('it has no shape'));
  return node.integers(1) ?? integersOf(node.parameter(1, 'shape'));
}

export function lowerSqueeze(node: NodeContext): string {
  const given = readAxes(node, 13);
  const axes = given && checkAxes(node, given);
  const integers = node.integers(0);
  if (integers !== undefined) {
    if (integers.elements.length !== 1) node.broken(`it squeezes a vector of ${integers.elements.length}`);
    return node.define({ ...integers, scalar: true });
  }
  const constant = node.constant(0);
  if (constant !== undefined) {
    return node.defineReshaped(constant, { op: 'squeeze', axes });
  }
  return node.emit({ op: 'squeeze', inputs: [node.numericOperand(0)], axes });
}

export function lowerUnsqueeze(node: NodeContext): string {
  const given = readAxes(node, 13) ?? node.broken('it has no axes');
  const rank = node.dims(0)?.length;
  const axes = checkAxes(node, given, rank === undefined ? undefined : rank + given.length);
  const integers = node.integers(0);
  if (integers?.scalar && axes.length === 1) return node.define({ ...integers, scalar: false });
  const constant = node.constant(0);
  if (constant !== undefined) {
    return node.defineReshaped(constant, { op: 'unsqueeze', axes });
  }
  return node.emit({ op: 'unsqueeze', inputs: [node.numericOperand(0)], axes });
}

export function writeReshape(node: ReshapeNode, to: NodeWriter): void {
  const [input] = node.inputs as [string];
  // ONNX writes 0 for "same as input", unless allowzero is set.
  const target = node.target.map((size, axis) =>
    typeof size === 'object' && size.value === input && size.axis === axis && !node.allowZero ? 0 : size,
  );
  to.add('Reshape', [input, writeShape(target, to)], node.allowZero ? [int('allowzero', 1)] : []);
}

/** A list of sizes; those that are only known when the model runs are computed there. */
export function writeShape(target: readonly (number | DimOf)[], to: NodeWriter): string {
  if (target.every((size) => typeof size === 'number')) return to.integers('shape', target);
  const pieces = target.map((size) => {
    if (typeof size === 'number') return to.integers('size', [size]);
    const shape = to.add('Shape', [size.value], [], to.derive('dims'));
    const axis = to.integers('axis', [size.axis]);
    return to.add('Gather', [shape, axis], [int('axis', 0)], to.derive('size'));
  });
  return to.add('Concat', pieces, [int('axis', 0)], to.derive('shape'));
}
