/** What BatchNorms with running statistics and additions or multiplications of constants do to each channel. */
import type { BatchNormNode, GraphNode } from '../graph/graph.js';
import { type Affine, mapNorm, type NormOf, normAffine } from '../merge/affine.js';
import type { Tensor } from '../tensor.js';
import type { ExactValues } from './exactValues.js';
import { isPerChannel, type Layout } from './knownDims.js';
import type { PassValues } from './pass.js';

/** Names of a BatchNorm's parameters. */
export function normOf({ inputs: [, gamma, beta, mean, variance], eps }: BatchNormNode): NormOf<string> {
  return { gamma, beta, mean, variance, eps };
}

/** What a BatchNorm with running statistics does; undefined if its values may change or the budget is spent. */
function affineOf(node: BatchNormNode, stored: PassValues, values: ExactValues): Affine | undefined {
  const norm = normOf(node);
  const [gamma, beta, mean, variance] = node.inputs.slice(1, 5).map((name) => stored.frozen(name));
  const isFrozen = !norm.gamma === !gamma && !norm.beta === !beta && mean !== undefined && variance !== undefined;
  if (!isFrozen || !values.afford(mean.size)) return undefined;
  return normAffine(mapNorm({ gamma, beta, mean, variance, eps: norm.eps }, (tensor) => values.of(tensor)));
}

/** As gamma, beta, mean and variance of a BatchNorm; undefined where the coefficients are not finite. */
export function toNorm({ mean, scale, shift }: Affine, values: ExactValues): Tensor[] | undefined {
  const variance = new Float64Array(scale.length).fill(1);
  const rounded = [scale, shift, mean, variance].map((coefficients) => values.round(coefficients, [scale.length]));
  return rounded.every((tensor) => tensor !== undefined) ? rounded : undefined;
}

/** What a node does to each channel of one of its inputs, `source`. */
export interface AffineStep {
  readonly source: string;
  readonly affine: Affine;
  readonly relu: boolean;
  /** A value that is added afterwards. */
  readonly addend: string | undefined;
}

/** Returns undefined if the node is no such step, or if its input's shape is not known well enough. */
export function affineStep(
  node: GraphNode,
  stored: PassValues,
  layouts: ReadonlyMap<string, Layout>,
  values: ExactValues,
): AffineStep | undefined {
  if (node.op === 'batchNorm') {
    const affine = node.momentum === undefined ? affineOf(node, stored, values) : undefined;
    return affine && { source: node.inputs[0], affine, relu: node.relu === true, addend: node.inputs[5] };
  }
  if (node.op !== 'add' && node.op !== 'sub' && node.op !== 'mul' && node.op !== 'div') return undefined;
  const [left, right] = node.inputs as [string, string];
  const constantRight = stored.frozen(right);
  const constant = constantRight ?? stored.frozen(left);
  const source = constantRight === undefined ? right : left;
  const layout = layouts.get(source);
  if (constant === undefined || layout === undefined) return undefined;
  const coefficients = perChannel(constant, layout, values);
  const affine = coefficients && binaryAffine(node.op, coefficients, constantRight !== undefined);
  return affine && { source, affine, relu: node.relu === true, addend: undefined };
}

/** A constant's value for each channel; undefined if it differs along other axes or makes the value larger. */
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
