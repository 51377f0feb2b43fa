/**
 * Folds what is done to each channel (BatchNorm with running statistics, constants that are added or multiplied) into
 * the convolution or linear layer before it, else into the one behind it, else into such a step before it.
 *
 * Behind a convolution, y = ((W * x + b) - mean) scale + shift: W' = W scale by output channel,
 * b' = (b - mean) scale + shift. This holds in every padding mode.
 *
 * Before one, W' = W scale by input channel, b' = b + the sum of W (shift - mean scale). Zeros of the padding would get no
 * shift, so there must be no such padding, or no shift; the other padding modes repeat values that have it.
 */
import { type BatchNormNode, type Conv2dNode, countUses, type LinearNode, type Node } from '../graph/graph.js';
import { type Affine, compose, foldBias } from '../merge/affine.js';
import { IN_ORDER, type Rows, scaleInputs, scaleRows } from '../merge/rows.js';
import { type AffineStep, affineOf, affineStep, toNorm } from './affine.js';
import type { ExactValues } from './exactValues.js';
import { knownLayouts } from './knownDims.js';
import type { Pass } from './pass.js';

type Weighted = Conv2dNode | LinearNode;

export const foldAffine: Pass = (graph, { values, merges }) => {
  const uses = countUses(graph);
  const layouts = knownLayouts(graph);
  const position = new Map(graph.nodes.map((node, i) => [node.output, i]));
  const nodes: (Node | undefined)[] = [...graph.nodes];
  const stepOf = (node: Node): AffineStep | undefined => affineStep(node, graph, layouts, values);
  const producerOf = (name: string): Node | undefined =>
    uses.get(name) === 1 ? nodes[position.get(name) ?? -1] : undefined;
  let changed = false;
  graph.nodes.forEach((original, i) => {
    const node = foldOwnNorm(original, values);
    const step = stepOf(node);
    const source = step?.source ?? node.inputs[0];
    const producer = source === undefined ? undefined : producerOf(source);
    const fused = producer && (step === undefined ? foldBefore(producer, node) : foldInto(producer, node, step));
    if (producer !== undefined && fused !== undefined) {
      nodes[position.get(producer.output)!] = undefined;
      merges.move(producer.output, node.output);
    }
    nodes[i] = fused ?? node;
    changed ||= nodes[i] !== original;
  });
  return changed ? { ...graph, nodes: nodes.filter((node) => node !== undefined) } : graph;

  function foldInto(producer: Node, node: Node, step: AffineStep): Node | undefined {
    const tail = { relu: step.relu, residual: step.residual, output: node.output };
    if (isWeighted(producer)) {
      return isPlain(producer) ? foldAfter(producer, step.affine, tail, values) : undefined;
    }
    const first = stepOf(producer);
    if (first === undefined || first.relu || first.residual.length > 0) return undefined;
    return joinSteps(producer, first, step, node, values);
  }

  function foldBefore(producer: Node, node: Node): Node | undefined {
    if (!isWeighted(node) || (node.op === 'conv2d' && node.parallel !== undefined)) return undefined;
    const step = stepOf(producer);
    if (step === undefined || step.relu || step.residual.length > 0) return undefined;
    return foldIntoInput(node, step, values);
  }
};

function isWeighted(node: Node): node is Weighted {
  return node.op === 'conv2d' || node.op === 'linear';
}

/** Whether the product is all that the node computes. */
function isPlain(node: Weighted): boolean {
  return node.inputs.length === 1 && node.relu !== true && !(node.op === 'conv2d' && node.parallel !== undefined);
}

/** A BatchNorm that a convolution carries with it becomes part of its weights. */
function foldOwnNorm(node: Node, values: ExactValues): Node {
  if (node.op !== 'conv2d' || node.norm === undefined || node.parallel !== undefined) return node;
  const { norm, ...rest } = node;
  const affine = affineOf(norm, values);
  return (
    foldAfter(
      rest,
      affine,
      { relu: node.relu === true, residual: node.inputs.slice(1), output: node.output },
      values,
    ) ?? node
  );
}

/** What comes behind the step that is folded. */
interface Tail {
  readonly relu: boolean;
  readonly residual: readonly string[];
  readonly output: string;
}

function foldAfter(node: Weighted, affine: Affine, tail: Tail, values: ExactValues): Weighted | undefined {
  const { scale } = affine;
  const [outChannels] = node.weight.dims as [number];
  if ((node.op === 'conv2d' && node.norm !== undefined) || scale.length !== outChannels) return undefined;
  const weight = values.weights(scaleRows(values.rows(node.weight), scale), node.weight.dims);
  const bias = node.bias && values.of(node.bias);
  const folded = values.round(foldBias(affine, bias), [outChannels]);
  if (weight === undefined || folded === undefined) return undefined;
  return {
    ...node,
    weight,
    bias: folded,
    inputs: [node.inputs[0]!, ...tail.residual],
    output: tail.output,
    ...(tail.relu && { relu: true }),
  };
}

function foldIntoInput(node: Weighted, { source, affine }: AffineStep, values: ExactValues): Weighted | undefined {
  const [outChannels, inPerGroup] = node.weight.dims as [number, number];
  const groups = node.op === 'conv2d' ? node.groups : 1;
  const { scale } = affine;
  if (scale.length !== inPerGroup * groups || (node.op === 'conv2d' && node.norm !== undefined)) return undefined;
  const constant = foldBias(affine, undefined);
  const seesZeros = node.op === 'conv2d' && node.paddingMode === 'zeros' && node.window.pads.some((pad) => pad > 0);
  if (seesZeros && constant.some((value) => value !== 0)) return undefined;
  const taps = node.weight.size / outChannels / inPerGroup;
  const firstInput = (o: number): number => Math.floor(o / (outChannels / groups)) * inPerGroup;
  const rows = values.rows(node.weight);
  const bias = new Float64Array(outChannels);
  if (node.bias !== undefined) bias.set(values.of(node.bias));
  if (constant.some((value) => value !== 0)) addConstant(bias, rows, constant, taps, firstInput);
  const weight = values.weights(scaleInputs(rows, scale, taps, firstInput), node.weight.dims);
  const folded = values.round(bias, [outChannels]);
  if (weight === undefined || folded === undefined) return undefined;
  const hasBias = node.bias !== undefined || constant.some((value) => value !== 0);
  return { ...node, weight, bias: hasBias ? folded : undefined, inputs: [source, ...node.inputs.slice(1)] };
}

/** What a constant for each input channel adds up to in each output channel. */
function addConstant(
  bias: Float64Array,
  rows: Rows,
  constant: Float64Array,
  taps: number,
  firstInput: (o: number) => number,
): void {
  const row = new Float64Array(rows.size);
  for (let o = 0; o < rows.count; o++) {
    row.fill(0);
    rows.add(o, 1, row, IN_ORDER);
    for (let i = 0, c = firstInput(o); i < row.length; c++) {
      for (const end = i + taps; i < end; i++) bias[o]! += row[i]! * constant[c]!;
    }
  }
}

/** Two steps as one BatchNorm. */
function joinSteps(
  producer: Node,
  first: AffineStep,
  second: AffineStep,
  node: Node,
  values: ExactValues,
): BatchNormNode | undefined {
  if (first.affine.scale.length !== second.affine.scale.length) return undefined;
  const norm = toNorm(compose(first.affine, second.affine), values);
  if (norm === undefined) return undefined;
  return {
    op: 'batchNorm',
    path: producer.path,
    layer: producer.layer,
    inputs: [first.source, ...second.residual],
    output: node.output,
    norm,
    momentum: undefined,
    ...(second.relu && { relu: true }),
  };
}
