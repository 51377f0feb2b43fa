/**
 * What each operator of ONNX becomes: one handler per operator, from its NodeContext. Where a definition changed up to
 * opset 21, the handler takes all forms: lists of integers, bounds and the like moved from attributes to inputs, one
 * operator after the other. writers.ts goes the other way.
 */
import { DataType } from '../file/tensors.js';
import { lowerBatchNormalization } from './batchNorm.js';
import { lowerCast, lowerConstant, lowerConstantOfShape, lowerExpand, lowerGather, lowerShape } from './constants.js';
import { lowerConv } from './convolution.js';
import { lowerArithmetic, lowerClip, lowerDropout, lowerIdentity, lowerSum } from './elementwise.js';
import { lowerGemm, lowerMatMul } from './matrices.js';
import { lowerReduceMean } from './means.js';
import { lowerConcat, lowerPad, lowerSlice, lowerTranspose } from './moves.js';
import type { NodeContext } from './nodeContext.js';
import { lowerGlobalPool, lowerPool } from './pools.js';
import { lowerFlatten, lowerReshape, lowerSqueeze, lowerUnsqueeze } from './reshape.js';
import { lowerResize, lowerUpsample } from './resize.js';
import { lowerSoftmax } from './softmax.js';

interface Operator {
  /** Gives the node's output a value, known or of the Graph; returns its name. */
  readonly lower: (node: NodeContext) => string;
  /** Inputs that have to be known before the Graph is built. */
  readonly parameters?: readonly number[];
  /** Whether its output is known where all of its inputs are, or the first one is. */
  readonly foldable?: boolean | 'first';
}

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
