/** What BatchNorms with running statistics and additions or multiplications of constants do to each channel. */
import type { Graph, Node, Norm } from '../graph/graph.js';
import type { Tensor } from '../tensor.js';
import type { ExactValues } from './exactValues.js';
import { isPerChannel, type Layout } from './knownDims.js';

/** y = (x - mean) * scale + shift, channel by channel. */
export interface Affine {
  readonly mean: Float64Array;
  readonly scale: Float64Array;
  readonly shift: Float64Array;
}

export function normAffine(norm: Norm, values: ExactValues): Affine {
  const mean = Float64Array.from(values.of(norm.mean));
  const gamma = norm.gamma && values.of(norm.gamma);
  const beta = norm.beta && values.of(norm.beta);
  const scale = Float64Array.from(values.of(norm.variance), (v, c) => (gamma?.[c] ?? 1) / Math.sqrt(v + norm.eps));
  return { mean, scale, shift: mean.map((_, c) => beta?.[c] ?? 0) };
}

/** First one, then the other. */
export function compose(first: Affine, second: Affine): Affine {
  return {
    mean: first.mean,
    scale: first.scale.map((scale, c) => scale * second.scale[c]!),
    shift: first.shift.map((shift, c) => (shift - second.mean[c]!) * second.scale[c]! + second.shift[c]!),
  };
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
    return { source, affine: normAffine(node.norm, values), relu: node.relu === true, residual };
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
