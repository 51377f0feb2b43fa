/** The table of all operations: what Graphs from files may hold, and those that are written by hand. */

import { cumSum, topPlaces } from '../ops/alongAxis.js';
import { batchNorm } from '../ops/batchNorm.js';
import { binary } from '../ops/binary.js';
import { concat } from '../ops/concat.js';
import { conv2d } from '../ops/conv2d.js';
import { depthToSpace } from '../ops/depthToSpace.js';
import { expand } from '../ops/expand.js';
import { flatten } from '../ops/flatten.js';
import { functions } from '../ops/functions.js';
import { furtherBinary } from '../ops/furtherBinary.js';
import { gather } from '../ops/gather.js';
import { globalPool } from '../ops/globalPool.js';
import { identity } from '../ops/identity.js';
import { linear } from '../ops/linear.js';
import { matMul } from '../ops/matMul.js';
import { type OperationRule, useOperation } from '../ops/operation.js';
import { pad } from '../ops/pad.js';
import { pool } from '../ops/pool.js';
import { reduce } from '../ops/reduce.js';
import { reshape } from '../ops/reshape.js';
import { resize } from '../ops/resize.js';
import { slice } from '../ops/slice.js';
import { softmax } from '../ops/softmax.js';
import { squeeze } from '../ops/squeeze.js';
import { standardize } from '../ops/standardize.js';
import { transpose } from '../ops/transpose.js';
import { unary } from '../ops/unary.js';
import type { GraphNode } from './graph.js';

type Op = GraphNode['op'];
type NodeOf<O extends Op, N = GraphNode> = N extends GraphNode ? (O extends N['op'] ? N : never) : never;

const OPERATIONS: { readonly [O in Op]: OperationRule<NodeOf<O>> } = {
  conv2d,
  linear,
  batchNorm,
  maxPool2d: pool,
  avgPool2d: pool,
  globalAvgPool2d: globalPool,
  globalMaxPool2d: globalPool,
  relu: unary,
  leakyRelu: unary,
  clip: unary,
  sigmoid: unary,
  hardSigmoid: unary,
  hardSwish: unary,
  sqrt: functions,
  reciprocal: functions,
  abs: functions,
  neg: functions,
  floor: functions,
  ceil: functions,
  round: functions,
  sign: functions,
  softsign: functions,
  thresholdedRelu: functions,
  exp: functions,
  log: functions,
  tanh: functions,
  erf: functions,
  gelu: functions,
  geluTanh: functions,
  mish: functions,
  softplus: functions,
  selu: functions,
  add: binary,
  sub: binary,
  mul: binary,
  div: binary,
  pow: furtherBinary,
  min: furtherBinary,
  max: furtherBinary,
  equal: furtherBinary,
  less: furtherBinary,
  lessOrEqual: furtherBinary,
  slope: furtherBinary,
  keepIf: furtherBinary,
  keepUnless: furtherBinary,
  resize,
  matMul,
  softmax,
  logSoftmax: softmax,
  reduceMean: reduce,
  reduceSum: reduce,
  reduceMax: reduce,
  reduceMin: reduce,
  reduceProd: reduce,
  reduceL1: reduce,
  reduceSumSquare: reduce,
  argMax: reduce,
  lastArgMax: reduce,
  standardize,
  cumSum,
  topPlaces,
  gather,
  gatherElements: gather,
  expand,
  depthToSpace,
  spaceToDepth: depthToSpace,
  concat,
  slice,
  pad,
  transpose,
  flatten,
  reshape,
  squeeze,
  unsqueeze: squeeze,
  identity,
};

/** Call it before using a Graph whose nodes no layer has added. */
export function useAllOperations(): void {
  for (const [op, rule] of Object.entries(OPERATIONS)) useOperation(op, rule as OperationRule);
}
