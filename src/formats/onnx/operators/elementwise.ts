/** Operators that work value by value, and those that do nothing in inference. */
import type { BinaryNode, FunctionNode, FurtherBinaryNode, UnaryNode } from '../../../graph/graph.js';
import { show, showList } from '../../../shown.js';
import type { AttributeProto } from '../file/proto.js';
import { DataType } from '../file/tensors.js';
import { normalizeAxis } from './arguments.js';
import { float, int, string } from './attributes.js';
import type { NodeContext } from './nodeContext.js';
import type { NodeWriter } from './nodeWriter.js';
import { type Arithmetic, calculate } from './shapeValues.js';

/** What Clip does without a bound. */
const LARGEST_FLOAT = (2 - 2 ** -23) * 2 ** 127;

export function lowerClip(node: NodeContext): string {
  const bound = (index: number, name: string, byDefault: number) => {
    if (node.opset < 11) return node.float(name, byDefault);
    if (!node.has(index)) return byDefault;
    const constant = node.parameter(index, name);
    if (constant.size !== 1) node.broken(`its ${name} must be a scalar, got dims [${showList(constant.dims)}]`);
    return constant.tensor.data[0]!;
  };
  return node.emit({
    op: 'clip',
    inputs: [node.operand(0)],
    alpha: bound(1, 'min', -LARGEST_FLOAT),
    beta: bound(2, 'max', LARGEST_FLOAT),
  });
}

/** Of one value, whose name in the Graph is ONNX's but for its first letter; `numbers`: attributes and their defaults. */
export function lowerUnary(
  node: NodeContext,
  numbers: { readonly alpha?: number; readonly beta?: number } = {},
): string {
  const op = (node.opType[0]!.toLowerCase() + node.opType.slice(1)) as (UnaryNode | FunctionNode)['op'];
  const given = Object.entries(numbers).map(([name, byDefault]) => [name, node.float(name, byDefault)]);
  return node.emit({ op, inputs: [node.operand(0)], ...Object.fromEntries(given) });
}

/** Also Elu, which scales by nothing. */
export function lowerSelu(node: NodeContext, alpha: number, gamma: number): string {
  const beta = node.float('gamma', gamma);
  return node.emit({ op: 'selu', inputs: [node.operand(0)], alpha: node.float('alpha', alpha), beta });
}

/** alpha times the Elu of x / alpha. */
export function lowerCelu(node: NodeContext): string {
  const alpha = node.float('alpha', 1);
  const inputs = [node.operand(0), node.newScalar('alpha', alpha)];
  const scaled = node.emit({ op: 'div', inputs }, node.derive('scaled'));
  return node.emit({ op: 'selu', inputs: [scaled], alpha: 1, beta: alpha });
}

export function lowerGelu(node: NodeContext): string {
  const approximate = node.string('approximate', 'none');
  if (approximate !== 'none' && approximate !== 'tanh') node.broken(`its approximate is ${show(approximate)}`);
  return node.emit({ op: approximate === 'tanh' ? 'geluTanh' : 'gelu', inputs: [node.operand(0)] });
}

export function lowerArithmetic(node: NodeContext, operation: Arithmetic, op: 'add' | 'sub' | 'mul' | 'div'): string {
  const [a, b] = [node.integers(0), node.integers(1)];
  if (a !== undefined && b !== undefined) {
    return node.define(calculate(operation, a, b) ?? node.broken('its inputs are of different lengths'));
  }
  return node.emit({ op, inputs: [node.operand(0), alignedOperand(node)] });
}

/** Squares and roots have operations of their own. */
export function lowerPow(node: NodeContext): string {
  const exponent = node.constant(1);
  const power = exponent?.size === 1 && exponent.dims.length <= (node.dims(0)?.length ?? 0) && exponent.values[0];
  const x = node.operand(0);
  if (power === 1) return node.emit({ op: 'identity', inputs: [x] });
  if (power === 2) return node.emit({ op: 'mul', inputs: [x, x] });
  if (power === 0.5) return node.emit({ op: 'sqrt', inputs: [x] });
  return node.emit({ op: 'pow', inputs: [x, node.numericOperand(1)] });
}

/** `isTurned`: with the operands the other way round. */
export function lowerComparison(node: NodeContext, op: 'equal' | 'less' | 'lessOrEqual', isTurned = false): string {
  const inputs = [node.numericOperand(0), node.numericOperand(1)];
  return node.markInteger(node.emit({ op, inputs: isTurned ? inputs.reverse() : inputs }));
}

/** And, Or and Xor of booleans, which are 0 and 1. */
export function lowerLogic(node: NodeContext): string {
  const inputs = [node.numericOperand(0), node.numericOperand(1)];
  if (node.opType !== 'Xor') return node.markInteger(node.emit({ op: node.opType === 'And' ? 'min' : 'max', inputs }));
  const difference = node.emit({ op: 'sub', inputs }, node.derive('difference'));
  return node.markInteger(node.emit({ op: 'abs', inputs: [difference] }));
}

export function lowerNot(node: NodeContext): string {
  const inputs = [node.newScalar('one', 1), node.numericOperand(0)];
  return node.markInteger(node.emit({ op: 'sub', inputs }));
}

/** The sum of what is chosen from either side and zeros. */
export function lowerWhere(node: NodeContext): string {
  const condition = node.numericOperand(0);
  const sides = (['keepIf', 'keepUnless'] as const).map((op, i) =>
    node.emit({ op, inputs: [condition, node.numericOperand(1 + i)] }, node.derive(op)),
  );
  const output = node.emit({ op: 'add', inputs: sides });
  return node.isInteger(1) ? node.markInteger(output) : output;
}

export function lowerPRelu(node: NodeContext): string {
  let slope = node.operand(1);
  // Before opset 7 a vector is by channels.
  const spatial = (node.dims(0)?.length ?? 4) - 2;
  if (node.opset < 7 && spatial > 0 && node.constant(1)?.dims.length === 1 && node.constant(1)!.size > 1) {
    const axes = Array.from({ length: spatial }, (_, i) => 1 + i);
    slope = node.emit({ op: 'unsqueeze', inputs: [slope], axes }, node.derive('slope'));
  }
  return node.emit({ op: 'slope', inputs: [slope, node.operand(0)] });
}

/** The second operand. Before opset 7 its first axis could stand for any of the first operand's. */
function alignedOperand(node: NodeContext): string {
  const operand = node.operand(1);
  if (node.opset >= 7 || node.attribute('axis') === undefined) return operand;
  const [rank, ownRank] = [node.dims(0)?.length, node.dims(1)?.length];
  if (rank === undefined || ownRank === undefined) node.unsupported('with an axis it needs inputs of known rank');
  const missing = rank - normalizeAxis(node, node.int('axis', 0), rank) - ownRank;
  if (missing <= 0) return operand;
  const axes = Array.from({ length: missing }, (_, i) => ownRank + i);
  return node.emit({ op: 'unsqueeze', inputs: [operand], axes }, node.derive('aligned'));
}

/** Of any number of values, two by two. */
export function lowerMany(node: NodeContext, op: 'add' | 'min' | 'max', output = node.output): string {
  let value = node.operand(0);
  if (node.inputCount === 1) return node.emit({ op: 'identity', inputs: [value] }, output);
  for (let i = 1; i < node.inputCount; i++) {
    const name = i === node.inputCount - 1 ? output : node.derive(`${op}${i}`);
    value = node.emit({ op, inputs: [value, node.operand(i)] }, name);
  }
  return value;
}

export function lowerMean(node: NodeContext): string {
  const sum = lowerMany(node, 'add', node.derive('sum'));
  return node.emit({ op: 'div', inputs: [sum, node.newScalar('count', node.inputCount)] });
}

/** Also of a Dropout, which does nothing in inference. */
export function lowerIdentity(node: NodeContext): string {
  const known = node.integers(0) ?? node.constant(0);
  if (known !== undefined) return node.define(known);
  const output = node.emit({ op: 'identity', inputs: [node.numericOperand(0)] });
  return node.isInteger(0) ? node.markInteger(output) : output;
}

export function lowerDropout(node: NodeContext): string {
  const training = node.has(2) && node.parameter(2, 'training_mode').values[0] !== 0;
  const ratio = node.has(1) ? node.parameter(1, 'ratio').values[0] : undefined;
  if (training && ratio !== 0) node.unsupported('it is in training mode');
  return lowerIdentity(node);
}

export function writeArithmetic(node: BinaryNode | FurtherBinaryNode, opType: string, to: NodeWriter): void {
  to.finish(node, (output) => to.add(opType, node.inputs, [], output));
}

/** Under ONNX's name, which is that of the Graph but for its first letter, with its attributes. */
export function writeUnary({ op, inputs, alpha, beta }: UnaryNode | FunctionNode, to: NodeWriter): void {
  to.add(op[0]!.toUpperCase() + op.slice(1), inputs, given(op === 'selu' ? { alpha, gamma: beta } : { alpha, beta }));
}

export function writeGelu({ op, inputs }: FunctionNode, to: NodeWriter): void {
  to.add('Gelu', inputs, op === 'geluTanh' ? [string('approximate', 'tanh')] : []);
}

/** A comparison, as numbers. */
export function writeComparison(node: FurtherBinaryNode, to: NodeWriter): void {
  to.finish(node, (output) => {
    const condition = to.add(node.op[0]!.toUpperCase() + node.op.slice(1), node.inputs, [], to.derive('condition'));
    return to.add('Cast', [condition], [int('to', DataType.FLOAT)], output);
  });
}

export function writeSlope(node: FurtherBinaryNode, to: NodeWriter): void {
  to.finish(node, (output) => to.add('PRelu', [...node.inputs].reverse(), [], output));
}

export function writeKept(node: FurtherBinaryNode, to: NodeWriter): void {
  const [condition, value] = node.inputs as [string, string];
  to.finish(node, (output) => {
    const isSet = to.add('Cast', [condition], [int('to', DataType.BOOL)], to.derive('condition'));
    const zero = to.scalar('zero', 0);
    return to.add('Where', node.op === 'keepIf' ? [isSet, value, zero] : [isSet, zero, value], [], output);
  });
}

function given(numbers: Readonly<Record<string, number | undefined>>): AttributeProto[] {
  return Object.entries(numbers).flatMap(([name, value]) => (value === undefined ? [] : [float(name, value)]));
}

export function writeClip({ inputs, alpha, beta }: UnaryNode, to: NodeWriter): void {
  if (alpha === undefined && beta === undefined) {
    to.add('Clip', inputs);
    return;
  }
  const low = alpha === undefined ? '' : to.scalar('min', alpha);
  to.add('Clip', [...inputs, ...(beta === undefined ? [low] : [low, to.scalar('max', beta)])]);
}
