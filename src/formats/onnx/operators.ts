/**
 * What each operator of ONNX becomes: one handler per operator, from its NodeContext. Where a definition
 * changed up to opset 21, the handler takes all forms: lists of integers, bounds and the like moved from attributes to
 * inputs, one operator after the other.
 */
import type { DimOf, Pads, Pair, Window } from '../../graph/graph.js';
import { type Dim, type NamedDims, sameDim } from '../../nodes/dims.js';
import { COORDINATES, MODES, ROUNDINGS } from '../../ops/resize.js';
import { show, showList } from '../../shown.js';
import { sizeOf } from '../../sizes.js';
import { Tensor } from '../../tensor.js';
import { calculateConstants, castConstant, expandConstant, transposeConstant } from './fold.js';
import type { NodeContext } from './nodeContext.js';
import {
  type Arithmetic,
  calculate,
  type Element,
  gather,
  type Integers,
  MAX_ELEMENTS,
  slice,
  vector,
} from './shapeValues.js';
import { Constant, DataType, isIntegerType, MAX_RANK, readTensor, typeName } from './tensors.js';

interface Operator {
  /** Gives the node's output a value, known or of the Graph; returns its name. */
  readonly lower: (node: NodeContext) => string;
  /** Inputs that have to be known before the Graph is built. */
  readonly parameters?: readonly number[];
  /** Whether its output is known where all of its inputs are, or the first one is. */
  readonly foldable?: boolean | 'first';
}

/** What Clip does without a bound. */
const LARGEST_FLOAT = (2 - 2 ** -23) * 2 ** 127;
/** Sizes of windows, steps and paddings in a file of sense. */
const MAX_EXTENT = 2 ** 31 - 1;

/** A plain object: what is computed when a module is loaded stays in every page. */
export const OPERATORS: Readonly<Record<string, Operator>> = {
  Conv: { lower: lowerConv, parameters: [1, 2] },
  BatchNormalization: { lower: lowerBatchNormalization, parameters: [1, 2, 3, 4] },
  Relu: { lower: (node) => node.emit({ op: 'relu', inputs: [node.operand(0)] }) },
  LeakyRelu: {
    lower: (node) => node.emit({ op: 'leakyRelu', inputs: [node.operand(0)], alpha: node.float('alpha', 0.01) }),
  },
  Clip: { lower: lowerClip, parameters: [1, 2] },
  Sigmoid: { lower: (node) => node.emit({ op: 'sigmoid', inputs: [node.operand(0)] }) },
  HardSwish: { lower: (node) => node.emit({ op: 'hardSwish', inputs: [node.operand(0)] }) },
  HardSigmoid: {
    lower: (node) =>
      node.emit({
        op: 'hardSigmoid',
        inputs: [node.operand(0)],
        alpha: node.float('alpha', 0.2),
        beta: node.float('beta', 0.5),
      }),
  },
  Add: { lower: (node) => lowerArithmetic(node, 'Add', 'add'), foldable: true },
  Sub: { lower: (node) => lowerArithmetic(node, 'Sub', 'sub'), foldable: true },
  Mul: { lower: (node) => lowerArithmetic(node, 'Mul', 'mul'), foldable: true },
  Div: { lower: (node) => lowerArithmetic(node, 'Div', 'div'), foldable: true },
  Sum: { lower: lowerSum },
  MaxPool: { lower: (node) => lowerPool(node, 'maxPool2d') },
  AveragePool: { lower: (node) => lowerPool(node, 'avgPool2d') },
  GlobalAveragePool: { lower: (node) => lowerGlobalPool(node, 'globalAvgPool2d') },
  GlobalMaxPool: { lower: (node) => lowerGlobalPool(node, 'globalMaxPool2d') },
  Resize: { lower: lowerResize, parameters: [1, 2, 3] },
  Upsample: { lower: lowerUpsample, parameters: [1] },
  Gemm: { lower: lowerGemm },
  MatMul: { lower: lowerMatMul },
  Flatten: { lower: lowerFlatten },
  Reshape: { lower: lowerReshape, parameters: [1], foldable: true },
  Transpose: { lower: lowerTranspose, foldable: true },
  Concat: { lower: lowerConcat, foldable: true },
  Slice: { lower: lowerSlice, parameters: [1, 2, 3, 4], foldable: true },
  Pad: { lower: lowerPad, parameters: [1, 2, 3] },
  Softmax: { lower: (node) => lowerSoftmax(node, 'softmax') },
  LogSoftmax: { lower: (node) => lowerSoftmax(node, 'logSoftmax') },
  Identity: { lower: lowerIdentity, foldable: true },
  Dropout: { lower: lowerDropout, parameters: [1, 2] },
  Constant: { lower: lowerConstant },
  Squeeze: { lower: lowerSqueeze, parameters: [1], foldable: true },
  Unsqueeze: { lower: lowerUnsqueeze, parameters: [1], foldable: true },
  ReduceMean: { lower: lowerReduceMean, parameters: [1] },
  Shape: { lower: lowerShape },
  Gather: { lower: lowerGather, parameters: [1], foldable: true },
  Cast: { lower: (node) => lowerCast(node, node.int('to', DataType.FLOAT)), foldable: true },
  CastLike: { lower: (node) => lowerCast(node, node.typeLike(1)), foldable: 'first' },
  Expand: { lower: lowerExpand, parameters: [1], foldable: true },
  ConstantOfShape: { lower: lowerConstantOfShape, parameters: [0] },
};

export function operatorOf(opType: string): Operator | undefined {
  return Object.hasOwn(OPERATORS, opType) ? OPERATORS[opType] : undefined;
}

function normalizeAxis(node: NodeContext, axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (normal < 0 || normal >= rank) node.broken(`its axis ${axis} is outside of a tensor of rank ${rank}`);
  return normal;
}

// Convolution, pooling, normalisation

function lowerConv(node: NodeContext): string {
  const weight = node.parameter(1, 'weight');
  expectTwoSpatialDims(node, weight.dims.length - 2, 'convolution');
  const [outChannels, , ...kernel] = weight.dims as [number, number, number, number];
  const groups = node.int('group', 1);
  if (!(groups >= 1) || outChannels % groups !== 0)
    node.broken(`${groups} groups do not divide ${outChannels} channels`);
  const shape = node.ints('kernel_shape') ?? kernel;
  if (shape.length !== 2 || !shape.every((size, i) => size === kernel[i])) {
    node.broken(`its kernel_shape is [${showList(shape)}], its weight has dims [${showList(weight.dims)}]`);
  }
  if (weight.size === 0) node.broken(`its weight must have dims from 1, got [${showList(weight.dims)}]`);
  const bias = node.has(2) ? node.parameter(2, 'bias') : undefined;
  if (bias !== undefined) expectVector(node, bias, outChannels, 'bias');
  return node.emit({
    op: 'conv2d',
    inputs: [node.operand(0), node.parameterName(1, 'weight'), bias && node.parameterName(2, 'bias')],
    window: readWindow(node, kernel),
    paddingMode: 'zeros',
    groups,
  });
}

function expectTwoSpatialDims(node: NodeContext, spatial: number, what: string): void {
  if (spatial !== 2) node.unsupported(`its ${what} must be 2-D, got ${spatial}-D`);
}

function expectVector(node: NodeContext, constant: Constant, size: number, role: string): void {
  if (constant.dims.length !== 1 || constant.size !== size) {
    node.broken(`its ${role} must have dims [${size}], got [${showList(constant.dims)}]`);
  }
}

function readWindow(node: NodeContext, kernel: Pair): Window {
  const stride = readPair(node, 'strides', 1);
  const dilation = readPair(node, 'dilations', 1);
  return { kernel, stride, dilation, pads: readPads(node, kernel, stride, dilation) };
}

function readPair(node: NodeContext, name: string, byDefault: number): Pair {
  const pair = node.ints(name) ?? [byDefault, byDefault];
  if (pair.length !== 2 || !pair.every((value) => value >= 1 && value <= MAX_EXTENT)) {
    node.broken(`its ${name} must be two integers from 1, got [${showList(pair)}]`);
  }
  return pair as unknown as Pair;
}

function readPads(node: NodeContext, kernel: Pair, stride: Pair, dilation: Pair): Pads {
  const mode = node.string('auto_pad', 'NOTSET');
  if (mode === 'VALID') return [0, 0, 0, 0];
  if (mode === 'NOTSET' || mode === '') {
    const pads = node.ints('pads') ?? [0, 0, 0, 0];
    if (pads.length !== 4 || !pads.every((pad) => Math.abs(pad) <= MAX_EXTENT)) {
      node.broken(`its pads must be four integers, got [${showList(pads)}]`);
    }
    return pads as unknown as Pads;
  }
  if (mode !== 'SAME_UPPER' && mode !== 'SAME_LOWER') node.broken(`its auto_pad is ${show(mode)}`);
  const dims = node.dims(0);
  const totals = [0, 1].map((i) => samePadding(node, dims?.[2 + i], dilation[i]! * (kernel[i]! - 1) + 1, stride[i]!));
  const before = totals.map((total) => (mode === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2)));
  return [before[0]!, before[1]!, totals[0]! - before[0]!, totals[1]! - before[1]!];
}

/** What SAME adds to an axis in all, so that the output has ceil(size / stride). */
function samePadding(node: NodeContext, size: Dim | undefined, extent: number, stride: number): number {
  if (stride === 1) return extent - 1;
  if (typeof size !== 'number') {
    node.unsupported(`auto_pad with stride ${stride} needs an input whose height and width the file states`);
  }
  return Math.max(0, (Math.ceil(size / stride) - 1) * stride + extent - size);
}

function lowerPool(node: NodeContext, op: 'maxPool2d' | 'avgPool2d'): string {
  const kernel = node.ints('kernel_shape') ?? node.broken('it has no kernel_shape');
  expectTwoSpatialDims(node, kernel.length, 'pooling');
  return node.emit({
    op,
    inputs: [node.operand(0)],
    window: readWindow(node, readPair(node, 'kernel_shape', 1)),
    ceilMode: node.flag('ceil_mode', false),
    countIncludePad: node.flag('count_include_pad', false),
  });
}

function lowerGlobalPool(node: NodeContext, op: 'globalAvgPool2d' | 'globalMaxPool2d'): string {
  const rank = node.dims(0)?.length ?? 4;
  expectTwoSpatialDims(node, rank - 2, 'pooling');
  return node.emit({ op, inputs: [node.operand(0)] });
}

function lowerBatchNormalization(node: NodeContext): string {
  if (node.flag('training_mode', false)) node.unsupported('it is in training mode');
  if (!node.flag('spatial', true)) node.unsupported('it has statistics for each place');
  const gamma = node.parameter(1, 'scale');
  const names = ['bias', 'mean', 'variance'];
  const [beta, mean, variance] = names.map((name, i) => node.parameter(2 + i, name)) as [Constant, Constant, Constant];
  [gamma, beta, mean, variance].forEach((one, i) => {
    expectVector(node, one, gamma.size, ['scale', ...names][i]!);
  });
  const parameters = ['scale', ...names].map((role, i) => node.parameterName(1 + i, role));
  return node.emit({
    op: 'batchNorm',
    inputs: [node.operand(0), ...(parameters as [string, string, string, string])],
    eps: node.float('epsilon', 1e-5),
    momentum: undefined,
  });
}

// Element by element

function lowerClip(node: NodeContext): string {
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

function lowerArithmetic(node: NodeContext, operation: Arithmetic, op: 'add' | 'sub' | 'mul' | 'div'): string {
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

function lowerSum(node: NodeContext): string {
  let sum = node.operand(0);
  if (node.inputCount === 1) return node.emit({ op: 'identity', inputs: [sum] });
  for (let i = 1; i < node.inputCount; i++) {
    const output = i === node.inputCount - 1 ? node.output : node.derive(`sum${i}`);
    sum = node.emit({ op: 'add', inputs: [sum, node.operand(i)] }, output);
  }
  return sum;
}

// Resizing

function lowerResize(node: NodeContext): string {
  if (node.opset < 11) return lowerUpsample(node);
  if (node.flag('antialias', false)) node.unsupported('it smooths what it makes smaller (antialias)');
  const policy = node.string('keep_aspect_ratio_policy', 'stretch');
  if (policy !== 'stretch') node.unsupported(`keep_aspect_ratio_policy ${show(policy)}`);
  const resize = {
    op: 'resize',
    inputs: [node.operand(0)],
    mode: readWord(node, 'mode', MODES),
    coordinates: readWord(node, 'coordinate_transformation_mode', COORDINATES),
    rounding: readWord(node, 'nearest_mode', ROUNDINGS),
  } as const;
  const axes = node.ints('axes');
  const scales = node.has(2) ? node.parameter(2, 'scales') : undefined;
  if (scales !== undefined && scales.size > 0) {
    return node.emit({ ...resize, target: [], scales: readScales(node, Array.from(scales.values), axes) });
  }
  return node.emit({ ...resize, target: readSizes(node, axes) });
}

/** Also what Resize was in opset 10: from the first pixel on, with the scales as an input or, before opset 9, an attribute. */
function lowerUpsample(node: NodeContext): string {
  const listed = node.attribute('scales')?.floats ?? Array.from(node.parameter(1, 'scales').values);
  const scales = readScales(node, listed, undefined);
  // The definition leaves the rounding open; this is onnxruntime's.
  const isSmaller = scales.some((scale) => scale < 1);
  if (isSmaller && scales.some((scale) => scale > 1))
    node.unsupported('it makes one axis larger, the other one smaller');
  return node.emit({
    op: 'resize',
    inputs: [node.operand(0)],
    mode: readWord(node, 'mode', MODES),
    coordinates: 'asymmetric',
    rounding: isSmaller ? 'ceil' : 'floor',
    target: [],
    scales,
  });
}

function readWord<T extends string>(node: NodeContext, name: string, known: readonly T[]): T {
  const word = node.string(name, known[0]!);
  return known.find((one) => one === word) ?? node.unsupported(`${name} ${show(word)}`);
}

/** What a list, by axes or of all of them, has for height and width; `isKept` tells whether the rest changes nothing. */
function spatialEntries<T>(
  node: NodeContext,
  list: readonly T[],
  axes: readonly number[] | undefined,
  isKept: (entry: T, axis: number) => boolean,
): (T | undefined)[] {
  const rank = node.dims(0)?.length ?? (axes === undefined ? list.length : 4);
  if (rank !== 4) node.unsupported(`it resizes a value of rank ${rank}, expected images`);
  const all = checkAxes(node, axes ?? [0, 1, 2, 3], rank);
  if (all.length !== list.length) node.broken(`it has ${list.length} scales or sizes for ${all.length} axes`);
  all.forEach((axis, i) => {
    if (axis < 2 && !isKept(list[i]!, axis)) node.unsupported('it resizes the batch or channels');
  });
  return [2, 3].map((axis) => list[all.indexOf(axis)]);
}

function readScales(node: NodeContext, scales: readonly number[], axes: readonly number[] | undefined): Pair {
  const wrong = scales.find((scale) => !(scale > 0 && scale < Number.POSITIVE_INFINITY));
  if (wrong !== undefined) node.broken(`its scales hold ${wrong}, expected finite ones above 0`);
  const [down = 1, across = 1] = spatialEntries(node, scales, axes, (scale) => scale === 1);
  return [down, across];
}

function readSizes(node: NodeContext, axes: readonly number[] | undefined): (number | DimOf)[] {
  const sizes = node.integers(3) ?? integersOf(node.parameter(3, 'sizes')) ?? node.broken('its sizes are no vector');
  const dims = node.dims(0);
  if (sizes.elements.includes(undefined)) node.unsupported('its sizes are computed from what the file does not state');
  const elements = sizes.elements as readonly (number | DimOf)[];
  const wrong = elements.find((size) => typeof size === 'number' && size < 1);
  if (wrong !== undefined) node.broken(`its sizes hold ${wrong}, expected at least 1`);
  const given = spatialEntries(node, elements, axes, (size, axis) => sameDim(size, dims?.[axis]));
  return given.map((size, i) => size ?? { value: node.operand(0), axis: 2 + i });
}

/** Also of a Dropout, which does nothing in inference. */
function lowerIdentity(node: NodeContext): string {
  const known = node.integers(0) ?? node.constant(0);
  return known === undefined ? node.emit({ op: 'identity', inputs: [node.operand(0)] }) : node.define(known);
}

function lowerDropout(node: NodeContext): string {
  const training = node.has(2) && node.parameter(2, 'training_mode').values[0] !== 0;
  const ratio = node.has(1) ? node.parameter(1, 'ratio').values[0] : undefined;
  if (training && ratio !== 0) node.unsupported('it is in training mode');
  return lowerIdentity(node);
}

/** Before opset 13 the input counts as a matrix, whose columns are the axes from this one on. */
function lowerSoftmax(node: NodeContext, op: 'softmax' | 'logSoftmax'): string {
  const dims = node.dims(0);
  const axis = node.int('axis', node.opset < 13 ? 1 : -1);
  if (
    node.opset >= 13 ||
    axis === -1 ||
    (dims !== undefined && normalizeAxis(node, axis, dims.length) === dims.length - 1)
  ) {
    return node.emit({ op, inputs: [node.operand(0)], axis });
  }
  if (dims === undefined) node.unsupported('before opset 13 it needs an input of known rank');
  const matrix = node.emit({ op: 'flatten', inputs: [node.operand(0)], axis }, node.derive('matrix'));
  const rows = node.emit({ op, inputs: [matrix], axis: 1 }, node.derive('rows'));
  return node.emit({ op: 'reshape', inputs: [rows], target: dims, allowZero: true });
}

// Matrices

function lowerGemm(node: NodeContext): string {
  const alpha = node.float('alpha', 1);
  const beta = node.float('beta', 1);
  const right = node.constant(1);
  if (right !== undefined && right.dims.length !== 2)
    node.broken(`its input B must have two dims, got [${showList(right.dims)}]`);
  let left = node.operand(0);
  if (node.flag('transA', false)) {
    left = node.emit({ op: 'transpose', inputs: [left], permutation: [1, 0] }, node.derive('transA'));
  }
  let added = node.has(2) ? node.constant(2) : undefined;
  const transB = node.flag('transB', false);
  const outFeatures = right?.dims[transB ? 0 : 1];
  const asBias = added !== undefined && outFeatures !== undefined && isBias(added, outFeatures);
  const rest = node.has(2) && !asBias;
  if (!asBias) added = undefined;

  let product: string;
  if (right !== undefined && right.size > 0) {
    const output = rest ? node.derive('product') : node.output;
    const weight = weightName(node, right, alpha, transB);
    const bias = added && biasName(node, added, beta, outFeatures!);
    product = node.emit({ op: 'linear', inputs: [left, weight, bias] }, output);
  } else {
    product = emitProduct(node, left, alpha, transB, rest);
  }
  if (!rest) return product;
  let term = node.operand(2);
  if (beta !== 1) term = node.emit({ op: 'mul', inputs: [term, node.newScalar('beta', beta)] }, node.derive('term'));
  return node.emit({ op: 'add', inputs: [product, term] });
}

/** A product with a right side that is not known. */
function emitProduct(node: NodeContext, left: string, alpha: number, transB: boolean, rest: boolean): string {
  const name = (last: boolean, suffix: string) => (last && !rest ? node.output : node.derive(suffix));
  let right = node.operand(1);
  if (transB) right = node.emit({ op: 'transpose', inputs: [right], permutation: [1, 0] }, node.derive('transB'));
  const product = node.emit({ op: 'matMul', inputs: [left, right] }, name(alpha === 1, 'product'));
  if (alpha === 1) return product;
  return node.emit({ op: 'mul', inputs: [product, node.newScalar('alpha', alpha)] }, name(true, 'scaled'));
}

/** Whether a term is the same in each row of a product with so many columns. */
function isBias({ dims, size }: Constant, outFeatures: number): boolean {
  const rows = dims.slice(0, -1);
  return dims.length <= 2 && (size === 1 || size === outFeatures) && rows.every((dim) => dim === 1);
}

/** Name of B as a linear layer's weight [outFeatures, inFeatures], times alpha. */
function weightName(node: NodeContext, right: Constant, alpha: number, transB: boolean): string {
  if (transB && alpha === 1) return node.parameterName(1, 'B');
  const weight = transB ? right : transposeConstant(node, right, [1, 0]);
  if (alpha === 1) return node.newConstant('weight', weight.tensor);
  node.spend(4 * weight.size);
  const scaled = Float32Array.from(weight.values, (value) => alpha * value);
  return node.newConstant('weight', new Tensor('float32', scaled, weight.dims));
}

/** Name of C as a linear layer's bias [outFeatures], times beta. */
function biasName(node: NodeContext, { values, size, dims }: Constant, beta: number, outFeatures: number): string {
  if (beta === 1 && dims.length === 1 && size === outFeatures) return node.parameterName(2, 'C');
  const data = Float32Array.from({ length: outFeatures }, (_, i) => beta * values[size === 1 ? 0 : i]!);
  return node.newConstant('bias', new Tensor('float32', data, [outFeatures]));
}

function lowerMatMul(node: NodeContext): string {
  const right = node.constant(1);
  if (right?.dims.length === 2 && right.size > 0 && !right.integer && node.dims(0)?.length === 2) {
    const weight = node.newConstant('weight', transposeConstant(node, right, [1, 0]).tensor);
    return node.emit({ op: 'linear', inputs: [node.operand(0), weight] });
  }
  return node.emit({ op: 'matMul', inputs: [node.operand(0), node.operand(1)] });
}

// Shapes and places

function lowerFlatten(node: NodeContext): string {
  const axis = node.int('axis', 1);
  const rank = node.dims(0)?.length;
  if (rank === undefined || rank >= 2) return node.emit({ op: 'flatten', inputs: [node.operand(0)], axis });
  // A Graph's flatten takes no vectors; all of the axis lies on one side.
  const behind = axis === 0 || axis === -rank;
  return node.emit({ op: 'reshape', inputs: [node.operand(0)], target: behind ? [1, -1] : [-1, 1] });
}

function lowerReshape(node: NodeContext): string {
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
  if (open > 1) node.unsupported('its shape is computed from sizes that the file does not state');
  return node.emit({
    op: 'reshape',
    inputs: [node.operand(0)],
    target: target.map((size) => size ?? -1),
    ...(allowZero && { allowZero }),
  });
}

function readShape(node: NodeContext): Integers | undefined {
  if (node.opset < 5) return vector(node.ints('shape') ?? node.broken('it has no shape'));
  return node.integers(1) ?? integersOf(node.parameter(1, 'shape'));
}

/** A list of numbers that came as floats, as bound values do. */
function integersOf({ dims, size, values }: Constant): Integers | undefined {
  return dims.length === 1 && size <= MAX_ELEMENTS ? vector(Array.from(values)) : undefined;
}

function lowerTranspose(node: NodeContext): string {
  const permutation = node.ints('perm');
  const constant = node.constant(0);
  const rank = node.dims(0)?.length ?? permutation?.length ?? 0;
  const sorted = [...(permutation ?? [])].sort((a, b) => a - b);
  if (permutation && (permutation.length !== rank || !sorted.every((axis, i) => axis === i))) {
    node.broken(`its perm must be the numbers from 0 to ${rank - 1} in some order, got [${showList(permutation)}]`);
  }
  if (constant !== undefined) {
    const all = permutation ?? constant.dims.map((_, i) => constant.dims.length - 1 - i);
    return node.define(transposeConstant(node, constant, all));
  }
  return node.emit({ op: 'transpose', inputs: [node.operand(0)], permutation });
}

function lowerConcat(node: NodeContext): string {
  const inputs = Array.from({ length: node.inputCount }, (_, i) => i);
  const axis = node.int('axis', 1);
  const integers = axis === 0 || axis === -1 ? joinIntegers(node) : undefined;
  if (integers !== undefined) return node.define(integers);
  if (inputs.length === 0) node.broken('it has no inputs');
  return node.emit({ op: 'concat', inputs: inputs.map((i) => node.operand(i)), axis });
}

/** All inputs one behind the other, where they are vectors of integers. A file may name one ten thousand times. */
function joinIntegers(node: NodeContext): Integers | undefined {
  const elements: Element[] = [];
  for (let i = 0; i < node.inputCount; i++) {
    const integers = node.integers(i);
    if (integers === undefined || integers.scalar) return undefined;
    elements.push(...integers.elements);
    if (elements.length > MAX_ELEMENTS) node.unsupported(`a vector of more than ${MAX_ELEMENTS} integers`);
  }
  return node.inputCount > 0 ? vector(elements) : undefined;
}

interface Cut {
  readonly axes: number[];
  readonly starts: number[];
  readonly ends: number[];
  readonly steps: number[];
}

function lowerSlice(node: NodeContext): string {
  const cut = readCut(node);
  const integers = node.integers(0);
  if (integers !== undefined && !integers.scalar && cut.axes.length <= 1) {
    return node.define(cut.axes.length === 0 ? integers : slice(integers, cut.starts[0]!, cut.ends[0]!, cut.steps[0]!));
  }
  return node.emit({ op: 'slice', inputs: [node.operand(0)], ...cut });
}

/** Positions beyond 2^53 are an exporter's way to say the end, or the beginning. */
function clampPosition(position: number): number {
  return Math.min(Math.max(position, -Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
}

function readCut(node: NodeContext): Cut {
  const early = node.opset < 10;
  const positions = (name: string, index: number) =>
    early ? [...(node.longs(name) ?? node.broken(`it has no ${name}`))] : node.list(index, name);
  const starts = positions('starts', 1).map(clampPosition);
  const ends = positions('ends', 2).map(clampPosition);
  const given = early ? node.ints('axes') : node.has(3) ? node.numbers(3, 'axes') : undefined;
  const axes = given ?? starts.map((_, i) => i);
  const steps = !early && node.has(4) ? node.numbers(4, 'steps') : starts.map(() => 1);
  if ([ends, axes, steps].some((list) => list.length !== starts.length)) {
    node.broken(`it has ${starts.length} starts, ${ends.length} ends, ${axes.length} axes, ${steps.length} steps`);
  }
  if (steps.includes(0)) node.broken('it has a step of 0');
  checkAxes(node, axes);
  return { axes, starts, ends, steps };
}

/** Axes stand in a list once; without negative ones where the rank is known. */
function checkAxes(node: NodeContext, axes: readonly number[], rank = node.dims(0)?.length): number[] {
  const normal = rank === undefined ? [...axes] : axes.map((axis) => normalizeAxis(node, axis, rank));
  if (new Set(normal).size < normal.length) node.broken(`its axes [${showList(axes)}] name one twice`);
  return normal;
}

function lowerPad(node: NodeContext): string {
  const early = node.opset < 11;
  const given = early
    ? (node.ints('pads', 2 * MAX_RANK) ?? node.broken('it has no pads'))
    : node.numbers(1, 'pads', 2 * MAX_RANK);
  if (given.some((pad) => Math.abs(pad) > MAX_EXTENT)) node.broken(`its pads are [${showList(given)}]`);
  const mode = node.string('mode', 'constant');
  if (mode !== 'constant' && mode !== 'reflect' && mode !== 'edge' && mode !== 'wrap') {
    node.broken(`its mode is ${show(mode)}`);
  }
  const rank = node.dims(0)?.length;
  let pads = given;
  if (node.has(3)) {
    if (rank === undefined) node.unsupported('with axes it needs an input of known rank');
    const axes = checkAxes(node, node.numbers(3, 'axes'));
    if (given.length !== 2 * axes.length) node.broken(`it has ${given.length} pads for ${axes.length} axes`);
    pads = new Array<number>(2 * rank).fill(0);
    axes.forEach((axis, i) => {
      pads[axis] = given[i]!;
      pads[axis + rank] = given[i + axes.length]!;
    });
  }
  if (pads.length % 2 !== 0 || (rank !== undefined && pads.length !== 2 * rank)) {
    node.broken(`it has ${pads.length} pads for an input of rank ${rank ?? 'unknown'}`);
  }
  // Exporters write such a Pad before every AveragePool.
  if (pads.every((pad) => pad === 0)) return node.emit({ op: 'identity', inputs: [node.operand(0)] });
  return node.emit({ op: 'pad', inputs: [node.operand(0)], pads, mode, value: padValue(node, early) });
}

function padValue(node: NodeContext, early: boolean): number {
  if (early) return node.float('value', 0);
  return node.has(2) ? (node.parameter(2, 'constant_value').tensor.data[0] ?? 0) : 0;
}

/** The axes of Squeeze, Unsqueeze and ReduceMean: an attribute, and from some opset on an input. */
function readAxes(node: NodeContext, inputSince: number): number[] | undefined {
  if (node.opset < inputSince) return node.ints('axes');
  return node.has(1) ? node.numbers(1, 'axes') : undefined;
}

function lowerSqueeze(node: NodeContext): string {
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
  return node.emit({ op: 'squeeze', inputs: [node.operand(0)], axes });
}

function lowerUnsqueeze(node: NodeContext): string {
  const given = readAxes(node, 13) ?? node.broken('it has no axes');
  const rank = node.dims(0)?.length;
  const axes = checkAxes(node, given, rank === undefined ? undefined : rank + given.length);
  const integers = node.integers(0);
  if (integers?.scalar && axes.length === 1) return node.define({ ...integers, scalar: false });
  const constant = node.constant(0);
  if (constant !== undefined) {
    return node.defineReshaped(constant, { op: 'unsqueeze', axes });
  }
  return node.emit({ op: 'unsqueeze', inputs: [node.operand(0)], axes });
}

function lowerReduceMean(node: NodeContext): string {
  const axes = readAxes(node, 18);
  const all = axes === undefined || axes.length === 0;
  if (all && node.flag('noop_with_empty_axes', false)) return lowerIdentity(node);
  return node.emit({
    op: 'reduceMean',
    inputs: [node.operand(0)],
    axes: all ? undefined : checkAxes(node, axes),
    keepDims: node.flag('keepdims', true),
  });
}

// Constants and the arithmetic of shapes

function lowerConstant(node: NodeContext): string {
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

function lowerShape(node: NodeContext): string {
  const dims: NamedDims | undefined = node.constant(0)?.dims ?? node.dims(0);
  if (dims === undefined) node.unsupported('it needs an input of known rank');
  return node.define(vector(dims.slice(node.int('start', 0), node.int('end', dims.length))));
}

function lowerGather(node: NodeContext): string {
  const value = node.integers(0);
  if (value === undefined || value.scalar) node.unsupported('it is taken only where shapes are computed');
  const indices = node.integers(1) ?? integersOf(node.parameter(1, 'indices'));
  const axis = node.int('axis', 0);
  if (indices === undefined || (axis !== 0 && axis !== -1)) node.unsupported('its indices are no scalar or vector');
  return node.define(
    gather(value, indices) ?? node.broken(`its indices are outside of a vector of ${value.elements.length}`),
  );
}

function lowerCast(node: NodeContext, to: number): string {
  const integers = node.integers(0);
  if (integers !== undefined && (to === DataType.INT64 || to === DataType.INT32)) return node.define(integers);
  const constant = node.constant(0);
  if (constant !== undefined) return node.define(castConstant(node, constant, to));
  if (integers !== undefined || to !== DataType.FLOAT) node.unsupported(`a cast to ${typeName(to)}`);
  return node.emit({ op: 'identity', inputs: [node.operand(0)] });
}

/** Of known values: exporters make the biases that layers do not have with it. */
function lowerExpand(node: NodeContext): string {
  const shape = node.numbers(1, 'shape');
  const constant = node.constant(0) ?? node.unsupported('it is taken only of known values');
  return node.define(expandConstant(node, constant, shape));
}

function lowerConstantOfShape(node: NodeContext): string {
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
