/** The table of all operations: what Graphs from files may hold, and those that are written by hand. */
import type { GraphNode } from '../graph/graph.js';
import { batchNorm } from './batchNorm.js';
import { binary } from './binary.js';
import { concat } from './concat.js';
import { conv2d } from './conv/conv2d.js';
import { linear } from './conv/linear.js';
import { flatten } from './flatten.js';
import { globalPool } from './globalPool.js';
import { identity } from './identity.js';
import { matMul } from './matMul.js';
import { type OperationRule, useOperation } from './operation.js';
import { pad } from './pad.js';
import { pool } from './pool.js';
import { reduceMean } from './reduceMean.js';
import { reshape } from './reshape.js';
import { resize } from './resize.js';
import { slice } from './slice.js';
import { softmax } from './softmax.js';
import { squeeze } from './squeeze.js';
import { transpose } from './transpose.js';
import { unary } from './unary.js';

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
  add: binary,
  sub: binary,
  mul: binary,
  div: binary,
  resize,
  matMul,
  softmax,
  logSoftmax: softmax,
  reduceMean,
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

/** To be called by whoever takes a Graph whose nodes no layer has added. */
export function useAllOperations(): void {
  for (const [op, rule] of Object.entries(OPERATIONS)) useOperation(op, rule as OperationRule);
}
