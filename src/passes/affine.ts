/** What BatchNorms with running statistics and additions or multiplications of constants do to each channel. */
import type { Graph, Node, Norm } from '../graph/graph.js';
import { type Affine, normAffine, normValues } from '../merge/affine.js';
import type { Tensor } from '../tensor.js';
import type { ExactValues } from './exactValues.js';
import { isPerChannel, type Layout } from './knownDims.js';

/** What a BatchNorm with running statistics does. */
export function affineOf(norm: Norm, values: ExactValues): Affine {
  return normAffine(normValues(norm, (parameter) => values.of(parameter)));
}

/** As a BatchNorm; undefined where the coefficients are not finite. */
export function toNorm(affine: Affine, values: ExactValues): Norm | undefined {
  const dims = [affine.scale.length];
  const gamma = values.round(affine.scale, dims);
  const beta = values.round(affine.shift, dims);
  const mean = values.round(affine.mean, dims);
  const variance = values.round(new Float64Array(affine.scale.length).fill(1), dims);
  return gamma && beta && mean && variance && { gamma, beta, mean, variance, eps: 0 };
}

/** What a node does to each channel of one of its inputs, `source`. */
export interface AffineStep {
  readonly source: string;
  readonly affine: Affine;
  readonly relu: boolean;
  /** A residual that is added behind it. */
  readonly residual: readonly string[];
}

/** undefined: the node is none, or the shape of its input is not known well enough to say so. */
export function affineStep(
  node: Node,
  graph: Graph,
  layouts: ReadonlyMap<string, Layout>,
  values: ExactValues,
): AffineStep | undefined {
  if (node.op === 'batchNorm') {
    if (node.momentum !== undefined || !values.afford(node.norm.mean.size)) return undefined;
    const [source, ...residual] = node.inputs as [string, ...string[]];
    return { source, affine: affineOf(node.norm, values), relu: node.relu === true, residual };
  }
  if (node.op !== 'add' && node.op !== 'sub' && node.op !== 'mul' && node.op !== 'div') return undefined;
  const [left, right] = node.inputs as [string, string];
  const constantRight = graph.constants?.get(right);
  const constant = constantRight ?? graph.constants?.get(left);
  const source = constantRight === undefined ? right : left;
  const layout = layouts.get(source);
  if (constant === undefined || layout === undefined) return undefined;
  const coefficients = perChannel(constant, layout, values);
  const affine = coefficients && binaryAffine(node.op, coefficients, constantRight !== undefined);
  return affine && { source, affine, relu: node.relu === true, residual: [] };
}

/** A constant's value for each channel, where it differs along no other axis and does not make the value larger. */
function perChannel(constant: Tensor, layout: Layout, values: ExactValues): Float64Array | undefined {
  if (!isPerChannel(constant.dims, layout) || !values.afford(layout.channels)) return undefined;
  const data = values.of(constant);
  return data.length === 1 ? new Float64Array(layout.channels).fill(data[0]!) : Float64Array.from(data);
}

function binaryAffine(op: 'add' | 'sub' | 'mul' | 'div', c: Float64Array, constantRight: boolean): Affine | undefined {
  const zeros = new Float64Array(c.length);
  const ones = zeros.map(() => 1);
  switch (op) {
    case 'add':
      return { mean: zeros, scale: ones, shift: c };
    case 'sub':
      return constantRight
        ? { mean: c, scale: ones, shift: zeros }
        : { mean: zeros, scale: ones.map(() => -1), shift: c };
    case 'mul':
      return { mean: zeros, scale: c, shift: zeros };
    case 'div':
      return constantRight ? { mean: zeros, scale: c.map((value) => 1 / value), shift: zeros } : undefined;
  }
}
