/** Operators that work value by value, and those that do nothing in inference. */
import type { BinaryNode, UnaryNode } from '../../../graph/graph.js';
import { showList } from '../../../shown.js';
import type { AttributeProto } from '../file/proto.js';
import { normalizeAxis } from './arguments.js';
import { float } from './attributes.js';
import { calculateConstants } from './fold.js';
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

export function lowerArithmetic(node: NodeContext, operation: Arithmetic, op: 'add' | 'sub' | 'mul' | 'div'): string {
  const [a, b] = [node.integers(0), node.integers(1)];
  if (a !== undefined && b !== undefined) {
    return node.define(calculate(operation, a, b) ?? node.broken('its inputs are of different lengths'));
  }
  const [x, y] = [node.constant(0), node.constant(1)];
  // With an axis, as before opset 7, the kernels broadcast.
  const folded = x && y && !node.attribute('axis') && calculateConstants(node, operation, x, y);
  if (folded) return node.define(folded);
  return node.emit({ op, inputs: [node.operand(0), alignedOperand(node)] });
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

export function lowerSum(node: NodeContext): string {
  let sum = node.operand(0);
  if (node.inputCount === 1) return node.emit({ op: 'identity', inputs: [sum] });
  for (let i = 1; i < node.inputCount; i++) {
    const output = i === node.inputCount - 1 ? node.output : node.derive(`sum${i}`);
    sum = node.emit({ op: 'add', inputs: [sum, node.operand(i)] }, output);
  }
  return sum;
}

/** Also of a Dropout, which does nothing in inference. */
export function lowerIdentity(node: NodeContext): string {
  const known = node.integers(0) ?? node.constant(0);
  return known === undefined ? node.emit({ op: 'identity', inputs: [node.operand(0)] }) : node.define(known);
}

export function lowerDropout(node: NodeContext): string {
  const training = node.has(2) && node.parameter(2, 'training_mode').values[0] !== 0;
  const ratio = node.has(1) ? node.parameter(1, 'ratio').values[0] : undefined;
  if (training && ratio !== 0) node.unsupported('it is in training mode');
  return lowerIdentity(node);
}

export function writeArithmetic(node: BinaryNode, opType: Arithmetic, to: NodeWriter): void {
  to.finish(node, (output) => to.add(opType, node.inputs, [], output));
}

export function writeLeakyRelu({ inputs, alpha }: UnaryNode, to: NodeWriter): void {
  to.add('LeakyRelu', inputs, given({ alpha }));
}

export function writeHardSigmoid({ inputs, alpha, beta }: UnaryNode, to: NodeWriter): void {
  to.add('HardSigmoid', inputs, given({ alpha, beta }));
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
