/**
 * Folds what is done to each channel (BatchNorm with running statistics, constants that are added or multiplied) into
 * the convolution or linear layer before it, else into the one behind it, else into such a step before it.
 *
 * Behind a convolution, y = ((W * x + b) - mean) scale + shift: W' = W scale by output channel,
 * b' = (b - mean) scale + shift. This holds in every padding mode.
 *
 * Before one, W' = W scale by input channel, b' = b + the sum of W (shift - mean scale). Zeros of the padding would get
 * no shift, so there must be no such padding, or no shift; the other padding modes repeat values that have it.
 */
import { type BatchNormNode, countUses, type GraphNode, type WeightedNode } from '../graph/graph.js';
import { compose, foldBias } from '../merge/affine.js';
import { IN_ORDER, type Rows, scaleInputs, scaleRows } from '../merge/rows.js';
import { type AffineStep, affineStep, toNorm } from './affine.js';
import type { ExactValues } from './exactValues.js';
import { isOpen } from './fuse.js';
import { knownLayouts } from './knownDims.js';
import { type Pass, PassValues } from './pass.js';

export const foldAffine: Pass = (graph, { values, merges, shapesOf }) => {
  const uses = countUses(graph);
  const layouts = knownLayouts(graph, shapesOf(graph));
  const stored = new PassValues(graph);
  const position = new Map(graph.nodes.flatMap((node, i) => node.outputs.map((output) => [output, i])));
  const nodes: (GraphNode | undefined)[] = [...graph.nodes];
  const stepOf = (node: GraphNode): AffineStep | undefined => affineStep(node, stored, layouts, values);
  const producerOf = (name: string | undefined): GraphNode | undefined =>
    name !== undefined && uses.get(name) === 1 ? nodes[position.get(name) ?? -1] : undefined;
  let changed = false;
  graph.nodes.forEach((node, i) => {
    const step = stepOf(node);
    const producer = producerOf(step?.source ?? node.inputs[0]);
    const fused = producer && (step === undefined ? foldBefore(producer, node) : foldInto(producer, node, step));
    if (producer === undefined || fused === undefined) return;
    nodes[position.get(producer.outputs[0])!] = undefined;
    merges.move(producer.outputs[0], node.outputs[0]);
    nodes[i] = fused;
    changed = true;
  });
  return changed ? stored.graphOf(nodes.filter((node) => node !== undefined)) : graph;

  function foldInto(producer: GraphNode, node: GraphNode, step: AffineStep): GraphNode | undefined {
    if (isWeighted(producer)) {
      return isOpen(producer) ? foldAfter(producer, step, node.outputs, stored, values) : undefined;
    }
    const first = stepOf(producer);
    if (first === undefined || first.relu || first.addend !== undefined) return undefined;
    return joinSteps(producer, first, step, node.outputs, stored, values);
  }

  function foldBefore(producer: GraphNode, node: GraphNode): GraphNode | undefined {
    if (!isWeighted(node) || (node.op === 'conv2d' && node.parallel !== undefined)) return undefined;
    const step = stepOf(producer);
    if (step === undefined || step.relu || step.addend !== undefined) return undefined;
    return foldIntoInput(node, step, stored, values);
  }
};

function isWeighted(node: GraphNode): node is WeightedNode {
  return node.op === 'conv2d' || node.op === 'linear';
}

function foldAfter(
  node: WeightedNode,
  { affine, addend, relu }: AffineStep,
  outputs: WeightedNode['outputs'],
  stored: PassValues,
  values: ExactValues,
): WeightedNode | undefined {
  const own = stored.parameters(node);
  const outChannels = own?.weight.dims[0];
  if (own === undefined || affine.scale.length !== outChannels) return undefined;
  const weight = values.weights(scaleRows(values.rows(own.weight), affine.scale), own.weight.dims);
  const folded = values.round(foldBias(affine, own.bias && values.of(own.bias)), [outChannels]);
  if (weight === undefined || folded === undefined) return undefined;
  const parameters = stored.addParameters(node.path || node.outputs[0], weight, folded);
  return { ...node, inputs: [node.inputs[0], ...parameters, addend], outputs, ...(relu && { relu }) };
}

function foldIntoInput(
  node: WeightedNode,
  { source, affine }: AffineStep,
  stored: PassValues,
  values: ExactValues,
): WeightedNode | undefined {
  const own = stored.parameters(node);
  if (own === undefined) return undefined;
  const [outChannels, inPerGroup] = own.weight.dims as [number, number];
  const groups = node.op === 'conv2d' ? node.groups : 1;
  const { scale } = affine;
  if (scale.length !== inPerGroup * groups) return undefined;
  const constant = foldBias(affine, undefined);
  const seesZeros = node.op === 'conv2d' && node.paddingMode === 'zeros' && node.window.pads.some((pad) => pad > 0);
  if (seesZeros && constant.some((value) => value !== 0)) return undefined;
  const taps = own.weight.size / outChannels / inPerGroup;
  const firstInput = (o: number): number => Math.floor(o / (outChannels / groups)) * inPerGroup;
  const rows = values.rows(own.weight);
  const bias = new Float64Array(outChannels);
  if (own.bias !== undefined) bias.set(values.of(own.bias));
  if (constant.some((value) => value !== 0)) addConstant(bias, rows, constant, taps, firstInput);
  const weight = values.weights(scaleInputs(rows, scale, taps, firstInput), own.weight.dims);
  const folded = values.round(bias, [outChannels]);
  if (weight === undefined || folded === undefined) return undefined;
  const hasBias = own.bias !== undefined || constant.some((value) => value !== 0);
  const parameters = stored.addParameters(node.path || node.outputs[0], weight, hasBias ? folded : undefined);
  return { ...node, inputs: [source, ...parameters, node.inputs[3]] };
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
  { path, layer, outputs: [owner] }: GraphNode,
  first: AffineStep,
  second: AffineStep,
  outputs: BatchNormNode['outputs'],
  stored: PassValues,
  values: ExactValues,
): BatchNormNode | undefined {
  if (first.affine.scale.length !== second.affine.scale.length) return undefined;
  const norm = toNorm(compose(first.affine, second.affine), values);
  if (norm === undefined) return undefined;
  const name = (role: string, i: number): string => stored.add(`${path || owner}.${role}`, norm[i]!);
  const [gamma, beta, mean, variance] = ['gamma', 'beta', 'mean', 'variance'].map(name) as [
    string,
    string,
    string,
    string,
  ];
  return {
    op: 'batchNorm',
    path,
    layer,
    inputs: [first.source, gamma, beta, mean, variance, second.addend],
    outputs,
    eps: 0,
    momentum: undefined,
    ...(second.relu && { relu: true }),
  };
}
