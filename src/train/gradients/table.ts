/** The gradients of all operations that have one. */
import type { GraphNode } from '../../graph/graph.js';
import type { GradientRule } from '../../passes/differentiate.js';
import type { FoldedConvNode } from '../ops/foldedConv.js';
import type { FoldNormsNode } from '../ops/foldNorms.js';
import type { NormSumNode } from '../ops/normSum.js';
import { globalPoolGradient, poolGradientRule, unaryGradientRule } from './activations.js';
import { binaryGradient } from './arithmetic.js';
import { conv2dGradient, linearGradient } from './convolution.js';
import { foldedConvGradient, foldNormsGradientRule } from './foldedConv.js';
import {
  concatGradient,
  identityGradient,
  padGradientRule,
  reshapeGradient,
  sliceGradientRule,
  transposeGradient,
} from './moves.js';
import { normSumGradientRule } from './normalisation.js';
import { matMulGradient, reduceMeanGradient, softmaxGradientRule } from './products.js';

type Op = GraphNode['op'];
type NodeOf<O extends Op, N = GraphNode> = N extends GraphNode ? (O extends N['op'] ? N : never) : never;

/** What passes have made of others. */
interface MadeRules {
  readonly normSum: GradientRule<NormSumNode>;
  readonly foldNorms: GradientRule<FoldNormsNode>;
  readonly foldedConv: GradientRule<FoldedConvNode>;
}

const GRADIENTS: { readonly [O in Op]?: GradientRule<NodeOf<O>> } & MadeRules = {
  conv2d: conv2dGradient,
  linear: linearGradient,
  normSum: normSumGradientRule,
  foldNorms: foldNormsGradientRule,
  foldedConv: foldedConvGradient,
  maxPool2d: poolGradientRule,
  avgPool2d: poolGradientRule,
  globalAvgPool2d: globalPoolGradient,
  globalMaxPool2d: globalPoolGradient,
  relu: unaryGradientRule,
  leakyRelu: unaryGradientRule,
  clip: unaryGradientRule,
  sigmoid: unaryGradientRule,
  hardSigmoid: unaryGradientRule,
  hardSwish: unaryGradientRule,
  add: binaryGradient,
  sub: binaryGradient,
  mul: binaryGradient,
  div: binaryGradient,
  matMul: matMulGradient,
  softmax: softmaxGradientRule,
  logSoftmax: softmaxGradientRule,
  reduceMean: reduceMeanGradient,
  concat: concatGradient,
  slice: sliceGradientRule,
  pad: padGradientRule,
  transpose: transposeGradient,
  flatten: reshapeGradient,
  reshape: reshapeGradient,
  squeeze: reshapeGradient,
  unsqueeze: reshapeGradient,
  identity: identityGradient,
};

export function gradientRuleOf(op: string): GradientRule | undefined {
  return (GRADIENTS as unknown as Readonly<Record<string, GradientRule>>)[op];
}
