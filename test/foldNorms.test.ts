/**
 * Convolutions and BatchNorms of a first block that are folded into one convolution: outputs, gradients and statistics
 * against float64, and what is left as it is.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Graph, GraphNode } from '../src/graph/graph.js';
import { useAllOperations } from '../src/graph/operations.js';
import { inferShapes } from '../src/graph/shapes.js';
import { createRuntime, type Runtime } from '../src/index.js';
import { differentiate } from '../src/passes/differentiate.js';
import { Executable } from '../src/plan/executable.js';
import { Tensor } from '../src/tensor.js';
import { joinNorms } from '../src/train/gradients/joinNorms.js';
import { gradientRuleOf } from '../src/train/gradients/table.js';
import { foldNorms } from '../src/train/passes/foldNorms.js';
import { evaluate, type GraphSpec, graphOf, inFloat64 } from './gradientCheck.js';
import type { Nd } from './oracle.js';
import { randomNd, relativeError, seededRandom, supportedBuilds } from './support.js';

/** Of the largest magnitude, or of the sum of magnitudes. */
const TOLERANCE = 5e-6;
/** Small enough to meet no kinks. */
const STEP = 1e-6;
const DIRECTIONS = 4;
const MOMENTUM = 0.1;
const GRADIENT = 'dy';

useAllOperations();

type Kernel = readonly [number, number];
type Pads = readonly [number, number, number, number];

interface Block {
  readonly image: readonly [number, number, number, number];
  readonly outChannels: number;
  /** Kernel and padding of each branch. */
  readonly branches: readonly (readonly [Kernel, Pads])[];
  readonly tail?: readonly ('relu' | 'pool')[];
  readonly affine?: boolean;
  readonly changes?: object;
}

const square = (size: number, pad: number): readonly [Kernel, Pads] => [
  [size, size],
  [pad, pad, pad, pad],
];
/** The three branches of an Asymmetric Convolution Block. */
function acb(size: number, pad: number): Block['branches'] {
  const beside = pad - Math.floor(size / 2);
  return [
    square(size, pad),
    [
      [size, 1],
      [pad, beside, pad, beside],
    ],
    [
      [1, size],
      [beside, pad, beside, pad],
    ],
  ];
}

const BLOCKS: Readonly<Record<string, Block>> = {
  '3x3, 3 channels': { image: [3, 3, 9, 8], outChannels: 8, branches: acb(3, 1) },
  '3x3, 3 channels, relu': { image: [3, 3, 9, 8], outChannels: 9, branches: acb(3, 1), tail: ['relu'] },
  '5x5, 1 channel, no padding, pool': { image: [3, 1, 12, 11], outChannels: 24, branches: acb(5, 0), tail: ['pool'] },
  '5x5, 2 channels, relu, pool': { image: [7, 2, 8, 9], outChannels: 16, branches: acb(5, 2), tail: ['relu', 'pool'] },
  '3x3 alone, 1 channel, pool, relu': {
    image: [4, 1, 9, 7],
    outChannels: 24,
    branches: [square(3, 1)],
    tail: ['pool', 'relu'],
  },
  '3x5 and 2x2, uneven padding, not affine': {
    image: [5, 2, 10, 9],
    outChannels: 12,
    branches: [
      [
        [3, 5],
        [2, 1, 0, 3],
      ],
      [
        [2, 2],
        [1, 0, 0, 1],
      ],
    ],
    affine: false,
  },
};

/** Inputs: the image, then of each branch its weight, gamma, beta, running mean and variance. */
function specOf({ image, outChannels, branches, tail = [], affine = true, changes }: Block): GraphSpec {
  const vector = [outChannels];
  const nodes: GraphSpec['nodes'][number][] = branches.flatMap(([kernel, pads], i) => {
    const inputs = [1, 2, 3, 4, 5].map((j) => `input${5 * i + j}`);
    const norm = affine ? inputs.slice(1) : [undefined, undefined, ...inputs.slice(3)];
    const window = { kernel, stride: [1, 1], dilation: [1, 1], pads };
    return [
      { op: 'conv2d', inputs: ['input0', inputs[0]], window, paddingMode: 'zeros', groups: 1, ...changes },
      { op: 'batchNorm', inputs: [`v${2 * i}`, ...norm], eps: 1e-5, momentum: MOMENTUM },
    ];
  });
  const add = (node: Record<string, unknown> & { op: string; inputs: readonly unknown[] }): string => {
    nodes.push(node);
    return `v${nodes.length - 1}`;
  };
  let sum = 'v1';
  for (let i = 1; i < branches.length; i++) sum = add({ op: 'add', inputs: [sum, `v${2 * i + 1}`] });
  for (const op of tail) {
    const window = { kernel: [3, 2], stride: [2, 2], dilation: [1, 1], pads: [1, 0, 1, 0] };
    const pool = { op: 'maxPool2d', window, ceilMode: false, countIncludePad: false };
    sum = add({ ...(op === 'pool' ? pool : { op }), inputs: [sum] });
  }
  const weights = branches.flatMap(([kernel]) => [[outChannels, image[1], ...kernel], vector, vector, vector, vector]);
  return { dims: [image, ...weights], nodes };
}

function valuesOf({ dims }: GraphSpec, offset: number): Nd[] {
  const random = seededRandom(7);
  return dims.map((dim, i) => {
    if (i === 0) return randomNd(random, dim, offset - 1, offset + 1);
    return dim.length > 1 ? randomNd(random, dim) : randomNd(random, dim, 0.5, 1.5);
  });
}

function foldedGraph(graph: Graph, wanted: readonly string[], dims: readonly (readonly number[])[]): Graph {
  const shapes = inferShapes(graph, dims);
  return foldNorms(joinNorms(graph, shapes), shapes, wanted);
}

const opsOf = ({ nodes }: Graph): string[] => nodes.map(({ op }) => op);

/** The output, the gradient of each input but the image, and all inputs after the run. */
function run(runtime: Runtime, spec: GraphSpec, values: readonly Nd[], seed: Nd) {
  const graph = graphOf(spec);
  const shapes = inferShapes(graph, spec.dims);
  const wanted = graph.inputs.slice(1);
  const folded = { ...foldedGraph(graph, wanted, spec.dims), inputs: [...graph.inputs, GRADIENT] };
  assert.equal(opsOf(folded).slice(0, 3), ['tapMoments', 'foldNorms', 'foldedConv']);
  assert.is(folded.nodes.length, 3);
  const [output] = graph.outputs as [string];
  const made = differentiate(folded, shapes, new Map([[output, GRADIENT]]), wanted, gradientRuleOf);
  const executable = new Executable(runtime, { ...made.graph, outputs: [output, ...made.gradients.values()] });
  const feeds = [...values, seed].map(({ data, dims }) => {
    return new Tensor('float32', Float32Array.from(data), dims).to(runtime);
  });
  const results = executable.run(feeds).map((tensor) => tensor.data);
  const names = [...made.gradients.keys()];
  const after = feeds.map((tensor) => tensor.data);
  executable.dispose();
  for (const feed of feeds) feed.dispose();
  return { output: results[0]!, gradientOf: (name: string) => results[1 + names.indexOf(name)], after };
}

for (const build of await supportedBuilds()) {
  for (const [name, block] of Object.entries(BLOCKS)) {
    for (const offset of [0, 20]) {
      test(`${build}: ${name}, values about ${offset}`, async () => {
        const runtime = await createRuntime({ simd: build, threads: 1 });
        const spec = specOf(block);
        const graph = graphOf(spec);
        const values = valuesOf(spec, offset);
        const exact = values.map(inFloat64);
        const reference = evaluate(graph, exact);
        const seed = randomNd(seededRandom(3), reference.get(graph.outputs[0]!)!.dims, -0.5, 1);
        const { output, gradientOf, after } = run(runtime, spec, values, seed);
        const error = relativeError(output, reference.get(graph.outputs[0]!)!.data);
        assert.ok(error < TOLERANCE, `the output errs ${error}`);
        block.branches.forEach(([kernel], branch) => {
          const first = 1 + 5 * branch;
          for (const [i, what] of ['weight', 'gamma', 'beta'].entries()) {
            if (i > 0 && block.affine === false) continue;
            const errs = directionalError(graph, exact, seed, first + i, gradientOf(`input${first + i}`)!);
            assert.ok(errs < TOLERANCE, `the gradient of ${what} of ${kernel} errs ${errs}`);
          }
          // Inputs with lanes behind their values are copied for a run.
          if (block.outChannels % 4 > 0) return;
          const [mean, variance] = momentsOf(reference.get(`v${2 * branch}`)!);
          for (const [i, batch] of [mean, variance].entries()) {
            const before = values[first + 3 + i]!.data;
            const expected = batch.map((value, c) => (1 - MOMENTUM) * before[c]! + MOMENTUM * value);
            const errs = relativeError(after[first + 3 + i]!, expected);
            assert.ok(errs < 1e-6, `the running ${i === 0 ? 'mean' : 'variance'} of ${kernel} errs ${errs}`);
          }
        });
        runtime.dispose();
      });
    }
  }
}

/** How far gradients are from differences of float64 values, along the worst of some directions of an input. */
function directionalError(graph: Graph, exact: readonly Nd[], seed: Nd, which: number, gradient: Float32Array): number {
  const random = seededRandom(which);
  const { data, dims } = exact[which]!;
  const magnitudes = gradient.reduce((sum, x) => sum + Math.abs(x), 0);
  const errors = Array.from({ length: DIRECTIONS }, () => {
    const direction = Array.from(data, () => (random() < 0.5 ? -1 : 1));
    const valueAt = (distance: number): number => {
      const moved = { data: Float64Array.from(data, (x, i) => x + distance * direction[i]!), dims };
      const output = evaluate(
        graph,
        exact.map((value, i) => (i === which ? moved : value)),
      ).get(graph.outputs[0]!)!.data;
      return Array.from(output).reduce((sum, y, i) => sum + y * seed.data[i]!, 0);
    };
    const expected = (valueAt(STEP) - valueAt(-STEP)) / (2 * STEP);
    return Math.abs(gradient.reduce((sum, x, i) => sum + x * direction[i]!, 0) - expected) / magnitudes;
  });
  return Math.max(...errors);
}

/** Mean and unbiased variance of each channel. */
function momentsOf({ data, dims }: Nd): [number[], number[]] {
  const [batch, channels, height, width] = dims as [number, number, number, number];
  const pixels = height * width;
  const of = (c: number): number[] =>
    Array.from(
      { length: batch * pixels },
      (_, i) => data[(Math.floor(i / pixels) * channels + c) * pixels + (i % pixels)]!,
    );
  const means = Array.from({ length: channels }, (_, c) => of(c).reduce((sum, x) => sum + x) / (batch * pixels));
  const variances = means.map((mean, c) => {
    return of(c).reduce((sum, x) => sum + (x - mean) ** 2, 0) / (batch * pixels - 1);
  });
  return [means, variances];
}

test('only what saves time and asks for nothing more is folded', () => {
  const block = BLOCKS['3x3, 3 channels']!;
  const isFolded = (changed: Partial<Block>, change = (graph: Graph): Graph => graph, wanted?: readonly string[]) => {
    const spec = specOf({ ...block, ...changed });
    const graph = change(graphOf(spec));
    return opsOf(foldedGraph(graph, wanted ?? graph.inputs.slice(1), spec.dims)).includes('foldedConv');
  };
  const edited =
    (edit: (node: GraphNode) => object) =>
    (graph: Graph): Graph => {
      return { ...graph, nodes: graph.nodes.map((node) => ({ ...node, ...edit(node) }) as GraphNode) };
    };
  const ofNorms = (more: object) => edited(({ op }) => (op === 'batchNorm' ? more : {}));
  assert.is(isFolded({}), true);
  assert.is(isFolded({}, undefined, ['input0', 'input1']), false, 'an image that needs a gradient');
  assert.is(isFolded({ image: [3, 4, 9, 8] }), false, 'four channels');
  assert.is(isFolded({ image: [1, 3, 3, 3] }), false, 'few pixels');
  assert.is(isFolded({ changes: { algorithm: 'gemm' } }), false, 'a forced algorithm');
  assert.is(isFolded({ changes: { paddingMode: 'reflect' } }), false, 'padding that is not zero');
  assert.is(isFolded({ branches: [square(3, 3)] }), false, 'windows that see nothing');
  const strided = { window: { kernel: [3, 3], stride: [2, 2], dilation: [1, 1], pads: [1, 1, 1, 1] } };
  assert.is(isFolded({ branches: [square(3, 1)], changes: strided }), false, 'strides');
  assert.is(isFolded({}, ofNorms({ momentum: undefined })), false, 'running statistics');
  assert.is(
    isFolded({}, (graph) => ({ ...graph, outputs: [...graph.outputs, 'v0'] })),
    false,
    'a read convolution',
  );
  const biased = edited(({ op, inputs }) => (op === 'conv2d' ? { inputs: [...inputs, 'input2'] } : {}));
  assert.is(isFolded({}, biased), false, 'a bias');
});

test.run();
