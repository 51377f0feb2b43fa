/** Norms of an image's own statistics: what is standardised is scaled and shifted by operators of their own. */
import type { StandardizeNode } from '../../../graph/graph.js';
import { Tensor } from '../../../tensor.js';
import { checkAxes, normalizeAxis } from './arguments.js';
import type { NodeContext } from './nodeContext.js';
import type { NodeWriter } from './nodeWriter.js';
import { addReduce } from './reductions.js';

export function lowerInstanceNormalization(node: NodeContext): string {
  const rank = node.dims(0)?.length ?? 4;
  const axes = Array.from({ length: rank - 2 }, (_, i) => 2 + i);
  const x = emitStandardize(node, node.operand(0), axes, node.float('epsilon', 1e-5));
  return emitScaled(node, x, (index, role) => perChannel(node, index, role, rank - 2));
}

export function lowerLayerNormalization(node: NodeContext): string {
  const rank = node.dims(0)?.length;
  const axis = node.int('axis', -1);
  if (rank === undefined && axis >= 0) node.open('it needs an input of known rank');
  const first = rank === undefined ? axis : normalizeAxis(node, axis, rank) - rank;
  const axes = Array.from({ length: -first }, (_, i) => first + i);
  const eps = node.float('epsilon', 1e-5);
  emitStatistics(node, axes, eps);
  const x = emitStandardize(node, node.operand(0), axes, eps);
  return emitScaled(node, x, (index) => node.operand(index));
}

/** The mean, and one over the deviation, where something reads them. */
function emitStatistics(node: NodeContext, axes: readonly number[], eps: number): void {
  const [, mean, scale] = node.outputs;
  if (mean === undefined && scale === undefined) return;
  const x = node.operand(0);
  const average = (value: string, output: string) =>
    node.emit({ op: 'reduceMean', inputs: [value], axes, keepDims: true }, output);
  const centre = average(x, mean ?? node.derive('mean'));
  if (scale === undefined) return;
  const centred = node.emit({ op: 'sub', inputs: [x, centre] }, node.derive('centred'));
  const squares = node.emit({ op: 'mul', inputs: [centred, centred] }, node.derive('squares'));
  const variance = average(squares, node.derive('variance'));
  const sum = node.emit({ op: 'add', inputs: [variance, node.newScalar('epsilon', eps)] }, node.derive('sum'));
  const deviation = node.emit({ op: 'sqrt', inputs: [sum] }, node.derive('deviation'));
  node.emit({ op: 'reciprocal', inputs: [deviation] }, scale);
}

/** Each group as one row. Before opset 21 scale and bias are those of groups. */
export function lowerGroupNormalization(node: NodeContext): string {
  const dims = node.dims(0);
  const groups = node.int('num_groups', 0);
  if (dims === undefined) node.open('it needs an input of known rank');
  if (!(groups >= 1)) node.broken(`its num_groups is ${groups}`);
  const rows = node.emit({ op: 'reshape', inputs: [node.operand(0)], target: [0, groups, -1] }, node.derive('groups'));
  const standard = emitStandardize(node, rows, [2], node.float('epsilon', 1e-5));
  const back = (value: string) =>
    node.emit({ op: 'reshape', inputs: [value], target: dims, allowZero: true }, node.derive('image'));
  if (node.parameter(1, 'scale').size !== groups) {
    return emitScaled(node, back(standard), (index, role) => perChannel(node, index, role, dims.length - 2));
  }
  const scaled = emitScaled(node, standard, (index, role) => perChannel(node, index, role, 1), node.derive('scaled'));
  return node.emit({ op: 'reshape', inputs: [scaled], target: dims, allowZero: true });
}

/** Over batch and pixels, unless axes are named. */
export function lowerMeanVarianceNormalization(node: NodeContext): string {
  const axes = checkAxes(node, node.ints('axes') ?? [0, 2, 3]);
  // Its definition adds 1e-9 to the deviation.
  return node.emit({ op: 'standardize', inputs: [node.operand(0)], axes, eps: 1e-18 });
}

export function lowerLpNormalization(node: NodeContext): string {
  const p = node.int('p', 2);
  if (p !== 1 && p !== 2) node.broken(`its p is ${p}`);
  const x = node.operand(0);
  const reduction = { axes: [node.int('axis', -1)], keepDims: true, inputs: [x] } as const;
  const total = node.emit({ op: p === 1 ? 'reduceL1' : 'reduceSumSquare', ...reduction }, node.derive('total'));
  const norm = p === 1 ? total : node.emit({ op: 'sqrt', inputs: [total] }, node.derive('norm'));
  return node.emit({ op: 'div', inputs: [x, norm] });
}

/** x / (bias + alpha mean(x^2))^beta, the mean over neighbouring channels: as pixels one below the other. */
export function lowerLrn(node: NodeContext): string {
  const dims = node.dims(0);
  const channels = dims?.[1];
  if (dims === undefined || typeof channels !== 'number') node.open('it needs channels that the file states');
  const size = node.int('size', 1);
  if (!(size >= 1)) node.broken(`its size is ${size}`);
  const x = node.operand(0);
  const derive = (name: string) => node.derive(name);
  const squares = node.emit({ op: 'mul', inputs: [x, x] }, derive('squares'));
  const columns = node.emit({ op: 'reshape', inputs: [squares], target: [0, 1, channels, -1] }, derive('columns'));
  const before = Math.floor((size - 1) / 2);
  const window = {
    kernel: [size, 1],
    stride: [1, 1],
    dilation: [1, 1],
    pads: [before, 0, size - 1 - before, 0],
  } as const;
  const means = node.emit(
    { op: 'avgPool2d', inputs: [columns], window, ceilMode: false, countIncludePad: true },
    derive('means'),
  );
  const back = node.emit({ op: 'reshape', inputs: [means], target: dims, allowZero: true }, derive('image'));
  const alpha = node.newScalar('alpha', node.float('alpha', 1e-4));
  const scaled = node.emit({ op: 'mul', inputs: [back, alpha] }, derive('scaled'));
  const bias = node.newScalar('bias', node.float('bias', 1));
  const sum = node.emit({ op: 'add', inputs: [scaled, bias] }, derive('sum'));
  const beta = node.newScalar('beta', node.float('beta', 0.75));
  const divisor = node.emit({ op: 'pow', inputs: [sum, beta] }, derive('divisor'));
  return node.emit({ op: 'div', inputs: [x, divisor] });
}

function emitStandardize(node: NodeContext, x: string, axes: readonly number[], eps: number): string {
  return node.emit({ op: 'standardize', inputs: [x], axes, eps }, node.derive('standardized'));
}

/** Times the scale, plus the bias where there is one. */
function emitScaled(
  node: NodeContext,
  x: string,
  operand: (index: number, role: string) => string,
  output = node.output,
): string {
  const scale = operand(1, 'scale');
  if (!node.has(2)) return node.emit({ op: 'mul', inputs: [x, scale] }, output);
  const scaled = node.emit({ op: 'mul', inputs: [x, scale] }, node.derive('scaled'));
  return node.emit({ op: 'add', inputs: [scaled, operand(2, 'bias')] }, output);
}

/** A vector, with an axis of size 1 for each axis of the image. */
function perChannel(node: NodeContext, index: number, role: string, spatial: number): string {
  const { tensor, size, dims } = node.parameter(index, role);
  if (dims.length !== 1) node.broken(`its ${role} must be a vector`);
  if (spatial < 0) node.broken('its input must have a batch and channels');
  const ones = new Array<number>(spatial).fill(1);
  return node.newConstant(role, new Tensor('float32', tensor.data, [size, ...ones]));
}

/** As the means that it is made of. */
export function writeStandardize({ inputs, axes, eps }: StandardizeNode, to: NodeWriter): void {
  const [x] = inputs as [string];
  const mean = (value: string, name: string) => addReduce('reduceMean', value, axes, true, to, to.derive(name));
  const centred = to.add('Sub', [x, mean(x, 'mean')], [], to.derive('centred'));
  const squares = to.add('Mul', [centred, centred], [], to.derive('squares'));
  const sum = to.add('Add', [mean(squares, 'variance'), to.scalar('epsilon', eps)], [], to.derive('sum'));
  to.add('Div', [centred, to.add('Sqrt', [sum], [], to.derive('deviation'))]);
}
