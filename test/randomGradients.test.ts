/**
 * Random graphs: the package's gradients against differences of float64 values. Inputs near a kink are drawn anew.
 * GRAPHS is the number of graphs, SEED the first seed.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Graph, GraphNode } from '../src/graph/graph.js';
import { useAllOperations } from '../src/graph/operations.js';
import { printGraph } from '../src/graph/print.js';
import { createRuntime } from '../src/index.js';
import { gradientRuleOf } from '../src/train/gradients/table.js';
import { differences, evaluate, gradientsOf, inFloat64 } from './gradientCheck.js';
import type { Nd } from './oracle.js';
import { RandomDifferentiable } from './randomDifferentiable.js';
import { largestDifference } from './support.js';

const GRAPHS = Number(process.env.GRAPHS ?? 60);
const SEED = Number(process.env.SEED ?? 1);
const MIN_NODES = 3;
const MAX_NODES = 10;
const MAX_DRAWS = 20;
/** For float32 gradients in a chain. */
const TOLERANCE = 5e-5;
const STEP = 1e-6;
/** Between a value and a kink: more than a step or rounding moves it. */
const MARGIN = 2e-4;
/** Beyond these, rounding grows. */
const MAX_MAGNITUDE = 30;
const MIN_VARIANCE = 0.02;

const OPERATIONS = [
  ...['conv2d', 'batchNorm', 'linear', 'maxPool2d', 'avgPool2d', 'globalAvgPool2d', 'globalMaxPool2d'],
  ...['relu', 'leakyRelu', 'clip', 'sigmoid', 'hardSigmoid', 'hardSwish', 'add', 'sub', 'mul', 'div', 'matMul'],
  ...['softmax', 'logSoftmax', 'reduceMean', 'concat', 'slice', 'pad', 'transpose', 'flatten', 'reshape', 'squeeze'],
  ...['unsqueeze', 'identity'],
];

/** Inputs that are far enough from all kinks; undefined if none were found. */
function drawSmooth(one: RandomDifferentiable): { inputs: Nd[]; seeds: Nd[] } | undefined {
  for (let draw = 0; draw < MAX_DRAWS; draw++) {
    const { inputs, seeds } = one.draw();
    if (isSmooth(one.graph, evaluate(one.graph, inputs))) return { inputs: inputs.map(inFloat64), seeds };
  }
  return undefined;
}

function isSmooth(graph: Graph, values: ReadonlyMap<string, Nd>): boolean {
  return graph.nodes.every((node) => {
    if (Array.from(values.get(node.outputs[0])!.data).some((value) => Math.abs(value) > MAX_MAGNITUDE)) return false;
    const x = values.get(node.inputs[0]!)!;
    if (node.op === 'batchNorm') return variances(x).every((variance) => variance > MIN_VARIANCE);
    const kinks = kinksOf(node);
    // Only zeros that no input moves lie exactly there: those of paddings, or of an earlier ReLU.
    const isFar = (value: number, kink: number) => value === kink || Math.abs(value - kink) > MARGIN;
    return (
      Array.from(x.data).every((value) => kinks.every((kink) => isFar(value, kink))) &&
      windowsOf(node, x).every(hasOneMaximum)
    );
  });
}

function kinksOf(node: GraphNode): readonly number[] {
  switch (node.op) {
    case 'relu':
    case 'leakyRelu':
      return [0];
    case 'clip':
      return [node.alpha!, node.beta!];
    case 'hardSigmoid': {
      const { alpha = 0.2, beta = 0.5 } = node;
      return [-beta / alpha, (1 - beta) / alpha];
    }
    case 'hardSwish':
      return [-3, 3];
    default:
      return [];
  }
}

/** What each window of a maximum sees. */
function windowsOf(node: GraphNode, { data, dims }: Nd): number[][] {
  const [batch, channels, height, width] = dims as [number, number, number, number];
  const plane = (i: number): number[] => Array.from(data).slice(i * height * width, (i + 1) * height * width);
  const planes = (): number[][] => Array.from({ length: batch * channels }, (_, i) => plane(i));
  if (node.op === 'globalMaxPool2d') return planes();
  if (node.op !== 'maxPool2d') return [];
  const { kernel, stride, dilation, pads } = node.window;
  const positions = (axis: 0 | 1, size: number): number[][] => {
    const reach = dilation[axis] * (kernel[axis] - 1);
    const count = Math.floor((size + pads[axis] + pads[axis + 2]! - reach - 1) / stride[axis]) + 1;
    return Array.from({ length: count }, (_, out) =>
      Array.from({ length: kernel[axis] }, (_, tap) => out * stride[axis] - pads[axis] + tap * dilation[axis]).filter(
        (position) => position >= 0 && position < size,
      ),
    );
  };
  return planes().flatMap((values) =>
    positions(0, height).flatMap((rows) =>
      positions(1, width).map((columns) =>
        rows.flatMap((row) => columns.map((column) => values[row * width + column]!)),
      ),
    ),
  );
}

/** Equal ones are the same value twice, or zeros of a ReLU. */
function hasOneMaximum(values: readonly number[]): boolean {
  const largest = Math.max(...values);
  return values.every((value) => value === largest || largest - value > MARGIN);
}

function variances({ data, dims }: Nd): number[] {
  const [batch, channels, height, width] = dims as [number, number, number, number];
  return Array.from({ length: channels }, (_, c) => {
    const ofChannel = Array.from(data).filter((_, i) => Math.floor(i / (height * width)) % channels === c);
    const mean = ofChannel.reduce((sum, value) => sum + value, 0) / ofChannel.length;
    return ofChannel.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (batch * height * width);
  });
}

useAllOperations();
const runtime = await createRuntime({ simd: 'baseline' });
const seen = new Map<string, number>();

test(`${GRAPHS} random graphs`, () => {
  let done = 0;
  for (let seed = SEED; done < GRAPHS; seed++) {
    const one = new RandomDifferentiable(seed, MIN_NODES + (seed % (MAX_NODES - MIN_NODES + 1)));
    const drawn = drawSmooth(one);
    if (drawn === undefined) continue;
    const { inputs, seeds } = drawn;
    const used = runtime.memory.used;
    const gradients = gradientsOf(runtime, one.graph, inputs, seeds);
    assert.is(runtime.memory.used, used, `memory in use after seed ${seed}`);
    one.graph.inputs.forEach((name, i) => {
      // A statistic, which a run by the batch's own does not read, has no gradient.
      if (isStatistic(one.graph, name)) return;
      const expected = differences(one.graph, inputs, seeds, i, STEP);
      const error = relativeError(gradients[i] ?? new Float32Array(expected.length), expected);
      assert.ok(error < TOLERANCE, `seed ${seed}: the gradient of ${name} errs ${error}\n${printGraph(one.graph)}`);
    });
    for (const op of one.operations) seen.set(op, (seen.get(op) ?? 0) + 1);
    done++;
  }
});

/** If all that reaches an input cancels, as with a factor on a BatchNorm's image, rounding of values near 1 is left. */
function relativeError(actual: Float32Array, expected: Float64Array): number {
  return largestDifference(actual, expected) / expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0.1);
}

function isStatistic({ nodes }: Graph, name: string): boolean {
  return nodes.some(({ op, inputs }) => op === 'batchNorm' && inputs.slice(3).includes(name));
}

test('every operation that has a gradient was among them', () => {
  const known = [...OPERATIONS].filter((op) => op === 'batchNorm' || gradientRuleOf(op) !== undefined);
  assert.equal(known, OPERATIONS);
  assert.equal([...seen.keys()].sort(), [...OPERATIONS].sort());
});

test.run();
