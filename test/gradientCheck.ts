/** Gradients of graphs in two ways: by the package, and as differences of the oracle's float64 values. */
import type { Graph, GraphNode } from '../src/graph/graph.js';
import { inferShapes } from '../src/graph/shapes.js';
import type { Runtime } from '../src/index.js';
import { differentiate } from '../src/passes/differentiate.js';
import { Executable } from '../src/plan/executable.js';
import { Tensor } from '../src/tensor.js';
import { joinNorms } from '../src/train/gradients/joinNorms.js';
import { gradientRuleOf } from '../src/train/gradients/table.js';
import { sumConvolutions } from '../src/train/model/sumConvolutions.js';
import * as array from './arrayOracle.js';
import { runGraph } from './graphOracle.js';
import type { Nd } from './oracle.js';

/** Without paths and layers; nodes read input0, input1, ... and v0, v1, ..., the outputs of the nodes before them. */
export interface GraphSpec {
  readonly dims: readonly (readonly number[])[];
  readonly nodes: readonly (Record<string, unknown> & { readonly op: string; readonly inputs: readonly unknown[] })[];
}

/** @param outputs default the last node's */
export function graphOf({ dims, nodes }: GraphSpec, outputs = [`v${nodes.length - 1}`]): Graph {
  const built = nodes.map((node, i) => ({ path: '', layer: 'Test', ...node, outputs: [`v${i}`] }));
  const inputs = dims.map((_, i) => `input${i}`);
  return { inputs, outputs, nodes: built as unknown as GraphNode[] };
}

/**
 * Gradients of the sum of outputs times seeds, as `backward` computes them.
 * @returns one for each input; undefined if no output depends on it
 */
export function gradientsOf(
  runtime: Runtime,
  graph: Graph,
  inputs: readonly Nd[],
  seeds: readonly Nd[],
): (Float32Array | undefined)[] {
  const shapes = inferShapes(
    graph,
    inputs.map(({ dims }) => dims),
  );
  const seedNames = seeds.map((_, i) => `dy${i}`);
  const withSeeds = { ...joinNorms(graph, shapes), inputs: [...graph.inputs, ...seedNames] };
  const seedOf = new Map(graph.outputs.map((name, i) => [name, seedNames[i]!]));
  const { graph: both, gradients } = differentiate(withSeeds, shapes, seedOf, graph.inputs, gradientRuleOf);
  const whole = sumConvolutions({ ...both, outputs: [...gradients.values()] }, withSeeds.nodes.length);
  const executable = new Executable(runtime, whole);
  const feeds = [...inputs, ...seeds].map(({ data, dims }) => new Tensor('float32', Float32Array.from(data), dims));
  const results = executable.run(feeds).map((tensor) => {
    const { data } = tensor;
    tensor.dispose();
    return data;
  });
  executable.dispose();
  const names = [...gradients.keys()];
  return graph.inputs.map((name) => results[names.indexOf(name)]);
}

/** All values of a graph, in float64. */
export function evaluate(graph: Graph, inputs: readonly Nd[]): Map<string, Nd> {
  const shapes = inferShapes(
    graph,
    inputs.map(({ dims }) => dims),
  );
  const values = new Map(graph.inputs.map((name, i) => [name, inputs[i]!]));
  for (const node of graph.nodes) {
    const given = node.inputs.map((name) => (name === undefined ? undefined : values.get(name)));
    values.set(node.outputs[0], referenceOf(node, given, shapes.get(node.outputs[0])!));
  }
  return values;
}

function referenceOf(node: GraphNode, given: readonly (Nd | undefined)[], dims: readonly number[]): Nd {
  const inputs = given as readonly Nd[];
  const x = inputs[0]!;
  const front = (axis: number): number => (axis < 0 ? axis + x.dims.length : axis);
  switch (node.op) {
    case 'leakyRelu':
      return array.map(x, (value) => (value < 0 ? node.alpha! * value : value));
    case 'clip':
      return array.map(x, (value) => Math.min(Math.max(value, node.alpha!), node.beta!));
    case 'sigmoid':
    case 'hardSigmoid':
    case 'hardSwish':
      return array.map(x, (value) => array.unaries[node.op](value, node.alpha ?? 0.2, node.beta ?? 0.5));
    case 'softmax':
    case 'logSoftmax':
      return array.softmax(x, front(node.axis), node.op === 'logSoftmax');
    case 'matMul':
      return array.matMul(x, inputs[1]!);
    case 'reduceMean':
      return array.reduceMean(x, node.axes?.map(front) ?? x.dims.map((_, axis) => axis), node.keepDims);
    case 'concat':
      return array.concat(inputs, front(node.axis));
    case 'transpose':
      return array.transpose(x, node.permutation ?? x.dims.map((_, axis) => x.dims.length - 1 - axis));
    case 'flatten':
    case 'reshape':
    case 'squeeze':
    case 'unsqueeze':
      return array.reshape(x, dims);
    case 'slice': {
      const ranges = x.dims.map((end) => ({ start: 0, end, step: 1 }));
      node.axes.forEach((axis, i) => {
        ranges[front(axis)] = { start: node.starts[i]!, end: node.ends[i]!, step: node.steps[i]! };
      });
      return array.slice(x, ranges);
    }
    case 'pad':
      return array.pad(x, node.pads, node.mode, node.value);
    case 'globalMaxPool2d':
      return array.globalMaxPool2d(x);
    default: {
      const names = inputs.map((input, i) => input && `input${i}`);
      const alone = { ...node, inputs: names } as unknown as GraphNode;
      const isByBatch = node.op === 'batchNorm' && node.momentum !== undefined;
      const read = isByBatch ? [...inputs.slice(0, 3), ...moments(x)] : inputs;
      const feeds = Object.fromEntries(names.map((name, i) => [name, read[i]!]));
      const graph = { inputs: names, outputs: node.outputs, nodes: [alone] };
      return runGraph(graph as never, feeds)[node.outputs[0]]!;
    }
  }
}

/** Mean and biased variance of each channel. */
function moments({ data, dims }: Nd): [Nd, Nd] {
  const [batch, channels, height, width] = dims as [number, number, number, number];
  const pixels = height * width;
  const of = (f: (value: number, c: number) => number): number[] => {
    const sums = new Array<number>(channels).fill(0);
    for (let i = 0; i < batch * channels * pixels; i++) {
      const c = Math.floor(i / pixels) % channels;
      sums[c]! += f(data[i]!, c) / (batch * pixels);
    }
    return sums;
  };
  const mean = of((value) => value);
  const variance = of((value, c) => (value - mean[c]!) ** 2);
  return [
    { data: mean, dims: [channels] },
    { data: variance, dims: [channels] },
  ];
}

/**
 * Gradients of the sum of outputs times seeds, for every value of an input, by a step in both directions.
 * @param inputs in float64; the one of that number is written to meanwhile
 */
export function differences(
  graph: Graph,
  inputs: readonly Nd[],
  seeds: readonly Nd[],
  which: number,
  step: number,
): Float64Array {
  const data = inputs[which]!.data as Float64Array;
  const valueAt = (i: number, x: number): number => {
    data[i] = x;
    const values = evaluate(graph, inputs);
    return graph.outputs.reduce((total, name, k) => {
      const output = values.get(name)!.data;
      return Array.from(output).reduce((sum, y, j) => sum + y * seeds[k]!.data[j]!, total);
    }, 0);
  };
  return Float64Array.from(data, (x, i) => {
    const difference = valueAt(i, x + step) - valueAt(i, x - step);
    data[i] = x;
    return difference / (2 * step);
  });
}

export function inFloat64({ data, dims }: Nd): Nd {
  return { data: Float64Array.from(data), dims };
}
