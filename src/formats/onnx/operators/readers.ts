/**
 * What each operator of ONNX becomes: one handler per operator, from its NodeContext. Where a definition changed up to
 * opset 23, the handler takes all forms: lists of integers, bounds and the like moved from attributes to inputs, one
 * operator after the other. writers.ts goes the other way.
 */
import { DataType } from '../file/tensors.js';
import { normalizeAxis } from './arguments.js';
import { lowerBatchNormalization } from './batchNorm.js';
import {
  lowerCast,
  lowerCastLike,
  lowerConstant,
  lowerConstantOfShape,
  lowerExpand,
  lowerGather,
  lowerGatherElements,
  lowerShape,
  lowerSize,
  lowerTile,
} from './constants.js';
import { lowerConv } from './convolution.js';
import { lowerEinsum } from './einsum.js';
import {
  lowerArithmetic,
  lowerCelu,
  lowerClip,
  lowerComparison,
  lowerDropout,
  lowerGelu,
  lowerIdentity,
  lowerLogic,
  lowerMany,
  lowerMean,
  lowerNot,
  lowerPow,
  lowerPRelu,
  lowerSelu,
  lowerUnary,
  lowerWhere,
} from './elementwise.js';
import {
  castConstant,
  expandConstant,
  type Fold,
  foldElements,
  gatherConstant,
  nonZeroConstant,
  rangeConstant,
  scatterConstant,
  tileConstant,
} from './fold.js';
import { lowerGemm, lowerMatMul } from './matrices.js';
import {
  foldConcat,
  foldSlice,
  foldTranspose,
  lowerConcat,
  lowerPad,
  lowerSlice,
  lowerSplit,
  lowerTranspose,
} from './moves.js';
import type { NodeContext } from './nodeContext.js';
import {
  lowerGroupNormalization,
  lowerInstanceNormalization,
  lowerLayerNormalization,
  lowerLpNormalization,
  lowerLrn,
  lowerMeanVarianceNormalization,
} from './norms.js';
import { lowerGlobalLpPool, lowerGlobalPool, lowerLpPool, lowerPool } from './pools.js';
import { foldReduce, lowerArgMax, lowerCumSum, lowerReduce, lowerReduceLogSumExp, lowerTopK } from './reductions.js';
import { foldFlatten, lowerFlatten, lowerReshape, lowerSqueeze, lowerUnsqueeze } from './reshape.js';
import { lowerResize, lowerUpsample } from './resize.js';
import { lowerSoftmax } from './softmax.js';
import { lowerConvTranspose, lowerDepthToSpace } from './subPixels.js';

export interface Operator {
  /** Gives the node's outputs values, known or of the Graph; returns the name of the first. */
  readonly lower: (node: NodeContext) => string;
  /** Inputs that have to be known before the Graph is built. */
  readonly parameters?: readonly number[];
  /** Whether its output is known where all of its inputs are, or the first one is. */
  readonly foldable?: boolean | 'first';
  /** What it makes of inputs that are all known. */
  readonly fold?: Fold;
  /** Inputs that `fold` cannot do without, from the first one on; default 1. */
  readonly needs?: number;
  /** Whether it gives its outputs behind the first, too. */
  readonly hasOutputs?: boolean;
}

/** Of what is computed only from values that are known. */
function refuse(node: NodeContext): never {
  const isOpen = Array.from({ length: node.inputCount }, (_, i) => i).some((i) => node.isOpen(i));
  return isOpen ? node.open('it is computed from sizes') : node.unsupported('it is taken only of known values');
}

/** A plain object: what is computed when a module is loaded stays in every page. */
export const OPERATORS: Readonly<Record<string, Operator>> = {
  Conv: { lower: lowerConv, parameters: [1, 2] },
  ConvTranspose: { lower: lowerConvTranspose, parameters: [1, 2] },
  BatchNormalization: { lower: lowerBatchNormalization, parameters: [1, 2, 3, 4] },
  Relu: { lower: lowerUnary },
  LeakyRelu: { lower: (node) => lowerUnary(node, { alpha: 0.01 }) },
  Clip: { lower: lowerClip, parameters: [1, 2] },
  Sigmoid: { lower: lowerUnary },
  HardSwish: { lower: lowerUnary },
  HardSigmoid: { lower: (node) => lowerUnary(node, { alpha: 0.2, beta: 0.5 }) },
  Sqrt: { lower: lowerUnary, foldable: true, fold: foldElements },
  Reciprocal: { lower: lowerUnary, foldable: true, fold: foldElements },
  Abs: { lower: lowerUnary, foldable: true, fold: foldElements },
  Neg: { lower: lowerUnary, foldable: true, fold: foldElements },
  Floor: { lower: lowerUnary, foldable: true, fold: foldElements },
  Ceil: { lower: lowerUnary, foldable: true, fold: foldElements },
  Round: { lower: lowerUnary, foldable: true, fold: foldElements },
  Sign: { lower: lowerUnary, foldable: true, fold: foldElements },
  Exp: { lower: lowerUnary },
  Log: { lower: lowerUnary },
  Tanh: { lower: lowerUnary },
  Erf: { lower: lowerUnary },
  Softplus: { lower: lowerUnary },
  Softsign: { lower: lowerUnary },
  Mish: { lower: lowerUnary },
  ThresholdedRelu: { lower: (node) => lowerUnary(node, { alpha: 1 }) },
  Gelu: { lower: lowerGelu },
  Elu: { lower: (node) => lowerSelu(node, 1, 1) },
  Selu: { lower: (node) => lowerSelu(node, 1.6732632423543772, 1.0507009873554805) },
  Celu: { lower: lowerCelu },
  PRelu: { lower: lowerPRelu },
  Add: { lower: (node) => lowerArithmetic(node, 'Add', 'add'), foldable: true, fold: foldElements },
  Sub: { lower: (node) => lowerArithmetic(node, 'Sub', 'sub'), foldable: true, fold: foldElements },
  Mul: { lower: (node) => lowerArithmetic(node, 'Mul', 'mul'), foldable: true, fold: foldElements },
  Div: { lower: (node) => lowerArithmetic(node, 'Div', 'div'), foldable: true, fold: foldElements },
  Pow: { lower: lowerPow },
  Mod: { lower: refuse, foldable: true, fold: foldElements },
  Sum: { lower: (node) => lowerMany(node, 'add') },
  Min: { lower: (node) => lowerMany(node, 'min'), foldable: true, fold: foldElements },
  Max: { lower: (node) => lowerMany(node, 'max'), foldable: true, fold: foldElements },
  Mean: { lower: lowerMean },
  Equal: { lower: (node) => lowerComparison(node, 'equal'), foldable: true, fold: foldElements },
  Less: { lower: (node) => lowerComparison(node, 'less'), foldable: true, fold: foldElements },
  LessOrEqual: { lower: (node) => lowerComparison(node, 'lessOrEqual'), foldable: true, fold: foldElements },
  Greater: { lower: (node) => lowerComparison(node, 'less', true), foldable: true, fold: foldElements },
  GreaterOrEqual: { lower: (node) => lowerComparison(node, 'lessOrEqual', true), foldable: true, fold: foldElements },
  And: { lower: lowerLogic, foldable: true, fold: foldElements },
  Or: { lower: lowerLogic, foldable: true, fold: foldElements },
  Xor: { lower: lowerLogic, foldable: true, fold: foldElements },
  Not: { lower: lowerNot, foldable: true, fold: foldElements },
  Where: { lower: lowerWhere, foldable: true, fold: foldElements },
  MaxPool: { lower: (node) => lowerPool(node, 'maxPool2d') },
  AveragePool: { lower: (node) => lowerPool(node, 'avgPool2d') },
  LpPool: { lower: lowerLpPool },
  GlobalAveragePool: { lower: (node) => lowerGlobalPool(node, 'globalAvgPool2d') },
  GlobalMaxPool: { lower: (node) => lowerGlobalPool(node, 'globalMaxPool2d') },
  GlobalLpPool: { lower: lowerGlobalLpPool },
  Resize: { lower: lowerResize, parameters: [1, 2, 3] },
  Upsample: { lower: lowerUpsample, parameters: [1] },
  DepthToSpace: { lower: lowerDepthToSpace },
  SpaceToDepth: { lower: lowerDepthToSpace },
  InstanceNormalization: { lower: lowerInstanceNormalization, parameters: [1, 2] },
  LayerNormalization: { lower: lowerLayerNormalization, hasOutputs: true },
  GroupNormalization: { lower: lowerGroupNormalization, parameters: [1, 2] },
  LpNormalization: { lower: lowerLpNormalization },
  MeanVarianceNormalization: { lower: lowerMeanVarianceNormalization },
  LRN: { lower: lowerLrn },
  Gemm: { lower: lowerGemm },
  MatMul: { lower: lowerMatMul },
  Einsum: { lower: lowerEinsum },
  Flatten: { lower: lowerFlatten, foldable: true, fold: foldFlatten },
  Reshape: { lower: lowerReshape, parameters: [1], foldable: true },
  Transpose: { lower: lowerTranspose, foldable: true, fold: foldTranspose },
  Concat: { lower: lowerConcat, foldable: true, fold: foldConcat },
  Split: { lower: lowerSplit, parameters: [1], foldable: true, hasOutputs: true },
  Slice: { lower: lowerSlice, parameters: [1, 2, 3, 4], foldable: true, fold: foldSlice },
  Pad: { lower: lowerPad, parameters: [1, 2, 3] },
  Tile: {
    lower: lowerTile,
    parameters: [1],
    foldable: true,
    fold: (node, [x]) => tileConstant(node, x!, node.numbers(1, 'repeats')),
  },
  Softmax: { lower: (node) => lowerSoftmax(node, 'softmax') },
  LogSoftmax: { lower: (node) => lowerSoftmax(node, 'logSoftmax') },
  Identity: { lower: lowerIdentity, foldable: true },
  Dropout: { lower: lowerDropout, parameters: [1, 2] },
  Constant: { lower: lowerConstant },
  Squeeze: { lower: lowerSqueeze, parameters: [1], foldable: true },
  Unsqueeze: { lower: lowerUnsqueeze, parameters: [1], foldable: true },
  ReduceMean: { lower: (node) => lowerReduce(node, 'reduceMean'), parameters: [1] },
  ReduceSum: { lower: (node) => lowerReduce(node, 'reduceSum'), parameters: [1], fold: foldReduce },
  ReduceMax: { lower: (node) => lowerReduce(node, 'reduceMax'), parameters: [1], fold: foldReduce },
  ReduceMin: { lower: (node) => lowerReduce(node, 'reduceMin'), parameters: [1], fold: foldReduce },
  ReduceProd: { lower: (node) => lowerReduce(node, 'reduceProd'), parameters: [1], fold: foldReduce },
  ReduceL1: { lower: (node) => lowerReduce(node, 'reduceL1'), parameters: [1] },
  ReduceL2: { lower: (node) => lowerReduce(node, 'reduceSumSquare', 'sqrt'), parameters: [1] },
  ReduceSumSquare: { lower: (node) => lowerReduce(node, 'reduceSumSquare'), parameters: [1] },
  ReduceLogSum: { lower: (node) => lowerReduce(node, 'reduceSum', 'log'), parameters: [1] },
  ReduceLogSumExp: { lower: lowerReduceLogSumExp, parameters: [1] },
  ArgMax: { lower: lowerArgMax },
  ArgMin: { lower: lowerArgMax },
  TopK: { lower: lowerTopK, parameters: [1], hasOutputs: true },
  CumSum: { lower: lowerCumSum, parameters: [1] },
  Shape: { lower: lowerShape },
  Size: { lower: lowerSize },
  Gather: {
    lower: lowerGather,
    foldable: true,
    needs: 2,
    fold: (node, [x, at]) => gatherConstant(node, x!, at!, normalizeAxis(node, node.int('axis', 0), x!.dims.length)),
  },
  GatherElements: { lower: lowerGatherElements },
  Range: { lower: refuse, fold: rangeConstant, needs: 3, foldable: true },
  NonZero: {
    lower: refuse,
    fold: (node, [x]) => nonZeroConstant(node, x!),
    foldable: true,
  },
  ScatterND: {
    lower: refuse,
    needs: 3,
    fold: scatterConstant,
    foldable: true,
  },
  Cast: {
    lower: (node) => lowerCast(node, node.int('to', DataType.FLOAT)),
    foldable: true,
    fold: (node, [x]) => castConstant(node, x!, node.int('to', DataType.FLOAT)),
  },
  CastLike: { lower: lowerCastLike, foldable: 'first' },
  Expand: {
    lower: lowerExpand,
    parameters: [1],
    foldable: true,
    fold: (node, [x]) => expandConstant(node, x!, node.numbers(1, 'shape')),
  },
  ConstantOfShape: { lower: lowerConstantOfShape, parameters: [0] },
};

export function operatorOf(opType: string): Operator | undefined {
  return Object.hasOwn(OPERATORS, opType) ? OPERATORS[opType] : undefined;
}
