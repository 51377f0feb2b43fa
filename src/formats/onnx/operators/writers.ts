/**
 * What each operation of the Graph is written as: one operator of ONNX, or a few. The compiler asks for a line for each
 * operation. readers.ts goes the other way.
 */
import { UnsupportedError } from '../../../errors.js';
import type { GraphNode } from '../../../graph/graph.js';
import { show } from '../../../shown.js';
import { int, ints } from './attributes.js';
import { writeBatchNormalization } from './batchNorm.js';
import { writeConv } from './convolution.js';
import {
  writeArithmetic,
  writeClip,
  writeComparison,
  writeGelu,
  writeKept,
  writeSlope,
  writeUnary,
} from './elementwise.js';
import { writeGemm } from './matrices.js';
import { writeGather, writePad, writeSlice } from './moves.js';
import type { NodeWriter } from './nodeWriter.js';
import { writeStandardize } from './norms.js';
import { isDilated, writePool } from './pools.js';
import { writeArgMax, writeCumSum, writeReduce, writeTopPlaces } from './reductions.js';
import { writeReshape, writeShape } from './reshape.js';
import { writeResize } from './resize.js';
import { writeDepthToSpace } from './subPixels.js';

interface Writer<N extends GraphNode> {
  readonly write: (node: N, to: NodeWriter) => void;
  /** The first opset that has what is written, where that is not the oldest. */
  readonly opset?: (node: N) => number | undefined;
}

type Writers = { readonly [Op in GraphNode['op']]: Writer<Extract<GraphNode, { op: Op }>> };

const WRITERS: Writers = {
  conv2d: { write: writeConv, opset: ({ paddingMode }) => (paddingMode === 'circular' ? 19 : undefined) },
  batchNorm: { write: writeBatchNormalization },
  linear: { write: writeGemm },
  add: { write: (node, to) => writeArithmetic(node, 'Add', to) },
  sub: { write: (node, to) => writeArithmetic(node, 'Sub', to) },
  mul: { write: (node, to) => writeArithmetic(node, 'Mul', to) },
  div: { write: (node, to) => writeArithmetic(node, 'Div', to) },
  pow: { write: (node, to) => writeArithmetic(node, 'Pow', to) },
  min: { write: (node, to) => writeArithmetic(node, 'Min', to) },
  max: { write: (node, to) => writeArithmetic(node, 'Max', to) },
  equal: { write: writeComparison },
  less: { write: writeComparison },
  lessOrEqual: { write: writeComparison },
  slope: { write: writeSlope },
  keepIf: { write: writeKept },
  keepUnless: { write: writeKept },
  relu: { write: writeUnary },
  leakyRelu: { write: writeUnary },
  sigmoid: { write: writeUnary },
  hardSigmoid: { write: writeUnary },
  sqrt: { write: writeUnary },
  reciprocal: { write: writeUnary },
  abs: { write: writeUnary },
  neg: { write: writeUnary },
  floor: { write: writeUnary },
  ceil: { write: writeUnary },
  round: { write: writeUnary },
  sign: { write: writeUnary },
  softsign: { write: writeUnary },
  thresholdedRelu: { write: writeUnary },
  exp: { write: writeUnary },
  log: { write: writeUnary },
  tanh: { write: writeUnary },
  erf: { write: writeUnary },
  softplus: { write: writeUnary },
  selu: { write: writeUnary },
  hardSwish: { write: writeUnary, opset: () => 14 },
  mish: { write: writeUnary, opset: () => 18 },
  gelu: { write: writeGelu, opset: () => 20 },
  geluTanh: { write: writeGelu, opset: () => 20 },
  clip: { write: writeClip },
  maxPool2d: { write: writePool },
  avgPool2d: { write: writePool, opset: (node) => (isDilated(node) ? 19 : undefined) },
  globalAvgPool2d: { write: ({ inputs }, to) => to.add('GlobalAveragePool', inputs) },
  globalMaxPool2d: { write: ({ inputs }, to) => to.add('GlobalMaxPool', inputs) },
  resize: { write: writeResize, opset: ({ scales }) => (scales === undefined ? 18 : undefined) },
  softmax: { write: ({ inputs, axis }, to) => to.add('Softmax', inputs, [int('axis', axis)]) },
  logSoftmax: { write: ({ inputs, axis }, to) => to.add('LogSoftmax', inputs, [int('axis', axis)]) },
  concat: { write: ({ inputs, axis }, to) => to.add('Concat', inputs, [int('axis', axis)]) },
  flatten: { write: ({ inputs, axis }, to) => to.add('Flatten', inputs, [int('axis', axis)]) },
  reshape: { write: writeReshape, opset: ({ allowZero }) => (allowZero ? 14 : undefined) },
  squeeze: {
    write: ({ inputs, axes }, to) => to.add('Squeeze', axes ? [...inputs, to.integers('axes', axes)] : inputs),
  },
  unsqueeze: {
    write: ({ inputs, axes }, to) => to.add('Unsqueeze', [...inputs, to.integers('axes', axes ?? [])]),
  },
  transpose: {
    write: ({ inputs, permutation }, to) => to.add('Transpose', inputs, permutation && [ints('perm', permutation)]),
  },
  slice: { write: writeSlice },
  pad: { write: writePad, opset: ({ mode }) => (mode === 'wrap' ? 19 : undefined) },
  reduceMean: { write: writeReduce },
  reduceSum: { write: writeReduce },
  reduceMax: { write: writeReduce },
  reduceMin: { write: writeReduce },
  reduceProd: { write: writeReduce },
  reduceL1: { write: writeReduce },
  reduceSumSquare: { write: writeReduce },
  argMax: { write: writeArgMax },
  lastArgMax: { write: writeArgMax },
  topPlaces: { write: writeTopPlaces },
  cumSum: { write: writeCumSum },
  standardize: { write: writeStandardize },
  depthToSpace: { write: writeDepthToSpace },
  spaceToDepth: { write: writeDepthToSpace },
  expand: { write: ({ inputs, target }, to) => to.add('Expand', [...inputs, writeShape(target, to)]) },
  gather: { write: writeGather },
  gatherElements: { write: writeGather },
  identity: { write: ({ inputs }, to) => to.add('Identity', inputs) },
  matMul: { write: ({ inputs }, to) => to.add('MatMul', inputs) },
};

/** @throws UnsupportedError for what only training graphs have */
export function writerOf(node: GraphNode): Writer<GraphNode> {
  if (Object.hasOwn(WRITERS, node.op)) return WRITERS[node.op] as Writer<GraphNode>;
  throw new UnsupportedError(`writeOnnx: operations must be those of inference, got ${show(node.op)}`);
}
