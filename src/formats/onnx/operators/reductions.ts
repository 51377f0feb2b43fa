/** Reduce*, ArgMax and ArgMin, TopK, CumSum. The axes of reductions became an input in opset 18, of ReduceSum in 13. */
import type { CumSumNode, ReduceNode, TopPlacesNode } from '../../../graph/graph.js';
import { type Constant, DataType } from '../file/tensors.js';
import { checkAxes, normalizeAxis, readAxes } from './arguments.js';
import { int, ints } from './attributes.js';
import { lowerIdentity } from './elementwise.js';
import { type Known, reduceConstant } from './fold.js';
import type { NodeContext } from './nodeContext.js';
import type { NodeWriter } from './nodeWriter.js';

const OPSET_OF_AXES_INPUT = 18;
const OPSET_OF_SUM_AXES = 13;

function reducedAxes(node: NodeContext): number[] | undefined {
  const axes = readAxes(node, node.opType === 'ReduceSum' ? OPSET_OF_SUM_AXES : OPSET_OF_AXES_INPUT);
  return axes === undefined || axes.length === 0 ? undefined : axes;
}

/** @param behind what is made of each result */
export function lowerReduce(node: NodeContext, op: ReduceNode['op'], behind?: 'sqrt' | 'log'): string {
  const axes = reducedAxes(node);
  if (axes === undefined && node.flag('noop_with_empty_axes', false)) return lowerIdentity(node);
  const output = behind === undefined ? node.output : node.derive('total');
  const total = emitReduce(node, op, node.operand(0), axes, node.flag('keepdims', true), output);
  return behind === undefined ? total : node.emit({ op: behind, inputs: [total] });
}

function emitReduce(
  node: NodeContext,
  op: ReduceNode['op'],
  input: string,
  axes: readonly number[] | undefined,
  keepDims: boolean,
  output = node.output,
): string {
  return node.emit({ op, inputs: [input], axes: axes && checkAxes(node, axes), keepDims }, output);
}

/** log(sum(exp(x))), of x less its largest value, so that nothing overflows. */
export function lowerReduceLogSumExp(node: NodeContext): string {
  const x = node.operand(0);
  const axes = reducedAxes(node);
  const keepDims = node.flag('keepdims', true);
  const largest = (keeps: boolean, name: string) => emitReduce(node, 'reduceMax', x, axes, keeps, node.derive(name));
  const shifted = node.emit({ op: 'sub', inputs: [x, largest(true, 'largest')] }, node.derive('shifted'));
  const powers = node.emit({ op: 'exp', inputs: [shifted] }, node.derive('powers'));
  const sum = emitReduce(node, 'reduceSum', powers, axes, keepDims, node.derive('sum'));
  const logarithm = node.emit({ op: 'log', inputs: [sum] }, node.derive('logarithm'));
  return node.emit({ op: 'add', inputs: [logarithm, largest(keepDims, 'shift')] });
}

const TOTALS: Readonly<Record<string, (total: number, value: number) => number>> = {
  ReduceSum: (total, value) => total + value,
  ReduceProd: (total, value) => total * value,
  ReduceMax: Math.max,
  ReduceMin: Math.min,
};

/** Of integers; floats are the kernels'. */
export function foldReduce(node: NodeContext, [input]: Known): Constant | undefined {
  const by = TOTALS[node.opType];
  if (by === undefined || !input!.integer) return undefined;
  const axes = reducedAxes(node) ?? input!.dims.map((_, axis) => axis);
  const front = axes.map((axis) => normalizeAxis(node, axis, input!.dims.length));
  return reduceConstant(node, input!, front, node.flag('keepdims', true), by);
}

/** ArgMin is ArgMax of the negative. */
export function lowerArgMax(node: NodeContext): string {
  let input = node.numericOperand(0);
  if (node.opType === 'ArgMin') input = node.emit({ op: 'neg', inputs: [input] }, node.derive('negative'));
  const op = node.flag('select_last_index', false) ? 'lastArgMax' : 'argMax';
  return node.markInteger(emitReduce(node, op, input, [node.int('axis', 0)], node.flag('keepdims', true)));
}

/** Their places, and the values there. */
export function lowerTopK(node: NodeContext): string {
  const count = node.opset < 10 ? node.int('k', 0) : (node.numbers(1, 'k')[0] ?? 0);
  if (!(count >= 1)) node.broken(`its k must be at least 1, got ${count}`);
  const axis = node.int('axis', -1);
  const x = node.numericOperand(0);
  const [values, places] = node.outputs;
  const ordered = node.flag('largest', true) ? x : node.emit({ op: 'neg', inputs: [x] }, node.derive('negative'));
  const found = node.emit({ op: 'topPlaces', inputs: [ordered], axis, count }, places ?? node.derive('places'));
  node.markInteger(found);
  if (values === undefined) return found;
  return node.emit({ op: 'gatherElements', inputs: [x, found], axis }, values);
}

export function lowerCumSum(node: NodeContext): string {
  const axis = node.numbers(1, 'axis')[0] ?? 0;
  const [exclusive, reverse] = [node.flag('exclusive', false), node.flag('reverse', false)];
  return node.emit({ op: 'cumSum', inputs: [node.operand(0)], axis, exclusive, reverse });
}

export function writeReduce({ op, inputs, axes, keepDims }: ReduceNode, to: NodeWriter): void {
  addReduce(op, inputs[0]!, axes, keepDims, to);
}

/** Writes a reduction; returns the name of its output, which is the node's unless another is given. */
export function addReduce(
  op: ReduceNode['op'],
  input: string,
  axes: readonly number[] | undefined,
  keepDims: boolean,
  to: NodeWriter,
  output?: string,
): string {
  const opType = op[0]!.toUpperCase() + op.slice(1);
  const attributes = [int('keepdims', keepDims ? 1 : 0)];
  const since = op === 'reduceSum' ? OPSET_OF_SUM_AXES : OPSET_OF_AXES_INPUT;
  if (axes === undefined) return to.add(opType, [input], attributes, output);
  if (to.opset < since) return to.add(opType, [input], [...attributes, ints('axes', axes)], output);
  return to.add(opType, [input, to.integers('axes', axes)], attributes, output);
}

export function writeArgMax({ op, inputs, axes, keepDims }: ReduceNode, to: NodeWriter): void {
  const attributes = [int('axis', axes![0]!), int('keepdims', keepDims ? 1 : 0)];
  if (op === 'lastArgMax') attributes.push(int('select_last_index', 1));
  writeCast(to.add('ArgMax', inputs, attributes, to.derive('places')), to);
}

export function writeTopPlaces({ inputs, axis, count }: TopPlacesNode, to: NodeWriter): void {
  const operands = [...inputs, to.integers('k', [count])];
  writeCast(to.add('TopK', operands, [int('axis', axis)], to.derive('places'), [to.derive('largest')]), to);
}

/** Whole numbers as floats. */
function writeCast(integers: string, to: NodeWriter): void {
  to.add('Cast', [integers], [int('to', DataType.FLOAT)]);
}

export function writeCumSum({ inputs, axis, exclusive, reverse }: CumSumNode, to: NodeWriter): void {
  const attributes = [int('exclusive', exclusive ? 1 : 0), int('reverse', reverse ? 1 : 0)];
  to.add('CumSum', [...inputs, to.integers('axis', [axis])], attributes);
}
