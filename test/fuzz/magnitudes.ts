/**
 * How large the values of a graph can become: a bound for each, which rounding errors are proportional to. A
 * convolution's is that of its input times the largest sum of magnitudes of an output channel's weights.
 */
import type { BatchNormNode, Graph, GraphNode, PoolNode, Tensor, UnaryNode } from 'acnet-wasm';

/** Beyond this, sums on the way may overflow. */
const MOST = 1e30;

/** Undefined where a node amplifies differences without a bound, or a bound is too large. */
export function magnitudesOf(graph: Graph, ofInput: number): ReadonlyMap<string, number> | undefined {
  const bounds = new Map<string, number>();
  for (const name of graph.inputs) bounds.set(name, ofInput);
  for (const [name, { tensor }] of graph.values ?? []) bounds.set(name, largest(tensor));
  for (const node of graph.nodes) {
    const bound = boundOf(
      node,
      node.inputs.map((name) => bounds.get(name!)!),
      graph,
    );
    if (!(bound < MOST)) return undefined;
    bounds.set(node.outputs[0], bound);
  }
  return bounds;
}

/** Steps, and what is steep somewhere. */
const AMPLIFIES: ReadonlySet<GraphNode['op']> = new Set([
  'sqrt',
  'reciprocal',
  'floor',
  'ceil',
  'round',
  'sign',
  'thresholdedRelu',
  'exp',
  'log',
  'pow',
  'equal',
  'less',
  'lessOrEqual',
  'keepIf',
  'keepUnless',
  'reduceProd',
  'reduceSumSquare',
  'argMax',
  'lastArgMax',
  'topPlaces',
  'gatherElements',
  'standardize',
]);

function clip({ alpha = Number.NEGATIVE_INFINITY, beta = Number.POSITIVE_INFINITY }: UnaryNode, value: number): number {
  return Math.min(Math.max(value, alpha), beta);
}

function boundOf(node: GraphNode, inputs: readonly number[], graph: Graph): number {
  const [first = 0, second = 0] = inputs;
  const stored = (name: string | undefined) => graph.values?.get(name!)?.tensor;
  switch (node.op) {
    case 'conv2d':
    case 'linear':
      return first * largestRow(stored(node.inputs[1])!) + largest(stored(node.inputs[2])) + (inputs[3] ?? 0);
    case 'batchNorm':
      return ofNorm(node, stored, first) + (inputs[5] ?? 0);
    case 'add':
    case 'sub':
      return first + second;
    case 'mul':
      return Math.max(first, 1) * Math.max(second, 1);
    case 'div': {
      const divisor = stored(node.inputs[1]);
      return divisor === undefined ? Number.POSITIVE_INFINITY : first / smallest(divisor);
    }
    case 'matMul': {
      const constant = node.inputs.map(stored).find((one) => one !== undefined);
      const depth = constant === undefined ? 5000 : constant.size;
      return Math.max(first, 1) * Math.max(second, 1) * depth;
    }
    case 'min':
    case 'max':
      return Math.max(first, second);
    case 'slope':
      return Math.max(first, 1) * second;
    case 'hardSwish':
    case 'mish':
    case 'gelu':
    case 'geluTanh':
    case 'softplus':
      return 2 * first + 1;
    case 'selu':
      return Math.abs(node.beta ?? 1) * (Math.abs(node.alpha ?? 1) + 1) * (first + 1);
    case 'tanh':
    case 'erf':
    case 'softsign':
      return Math.max(2 * first, 1);
    case 'reduceSum':
    case 'reduceL1':
    case 'cumSum':
      return first * 5000;
    case 'leakyRelu':
      return first * Math.max(1, Math.abs(node.alpha ?? 1));
    case 'logSoftmax':
      return 2 * first + 20;
    case 'clip':
      return Math.max(first, Math.abs(clip(node, -first)), Math.abs(clip(node, first)));
    case 'sigmoid':
    case 'hardSigmoid':
    case 'softmax':
      return Math.max(first, 1);
    case 'maxPool2d':
    case 'avgPool2d':
      return mayBeEmpty(node) ? Number.POSITIVE_INFINITY : first;
    case 'concat':
      return Math.max(...inputs);
    case 'pad':
      return Math.max(first, Math.abs(node.value));
    default:
      return AMPLIFIES.has(node.op) ? Number.POSITIVE_INFINITY : first;
  }
}

/** Whether a window may lie in padding as a whole: the largest of nothing is -infinity, its mean no number. */
function mayBeEmpty({ window: { kernel, dilation, pads }, ceilMode }: PoolNode): boolean {
  return ceilMode || dilation.some((step) => step > 1) || pads.some((pad, side) => pad >= kernel[side % 2]!);
}

function ofNorm(
  { inputs, eps }: BatchNormNode,
  stored: (name: string | undefined) => Tensor | undefined,
  input: number,
): number {
  const [gamma, beta, mean, variance] = inputs.slice(1, 5).map((name) => stored(name)?.data);
  let bound = 0;
  for (let c = 0; c < mean!.length; c++) {
    const scale = Math.abs(gamma?.[c] ?? 1) / Math.sqrt(variance![c]! + eps);
    const ofChannel = (input + Math.abs(mean![c]!)) * scale + Math.abs(beta?.[c] ?? 0);
    if (!(ofChannel <= bound)) bound = infiniteIfNaN(ofChannel);
  }
  return bound;
}

function largestRow({ data, dims }: Tensor): number {
  const size = data.length / dims[0]!;
  let most = 0;
  for (let row = 0; row < dims[0]!; row++) {
    let sum = 0;
    for (let i = row * size; i < (row + 1) * size; i++) sum += Math.abs(data[i]!);
    if (!(sum <= most)) most = infiniteIfNaN(sum);
  }
  return most;
}

function largest(tensor: Tensor | undefined): number {
  let most = 0;
  for (const value of tensor?.data ?? []) if (!(Math.abs(value) <= most)) most = infiniteIfNaN(Math.abs(value));
  return most;
}

function smallest({ data }: Tensor): number {
  return data.reduce((least, value) => Math.min(least, Math.abs(value)), Number.POSITIVE_INFINITY);
}

/** So that no later value counts as larger. */
function infiniteIfNaN(bound: number): number {
  return Number.isNaN(bound) ? Number.POSITIVE_INFINITY : bound;
}
