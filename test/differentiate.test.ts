/** The gradient of every operation against differences of the oracle's float64 values, and operations without one. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { GraphNode } from '../src/graph/graph.js';
import { useAllOperations } from '../src/graph/operations.js';
import { inferShapes } from '../src/graph/shapes.js';
import { createRuntime } from '../src/index.js';
import { differentiate } from '../src/passes/differentiate.js';
import { joinNorms } from '../src/train/gradients/joinNorms.js';
import { gradientRuleOf } from '../src/train/gradients/table.js';
import type { NormSumNode } from '../src/train/ops/normSum.js';
import { differences, type GraphSpec, gradientsOf, graphOf, inFloat64 } from './gradientCheck.js';
import { randomNd, relativeError, seededRandom } from './support.js';

/** Differences of float64 values err 1e-8 of them, float32 gradients some 1e-6. */
const TOLERANCE = 2e-5;
const STEP = 1e-4;
const GRADIENT = 'dy';

interface Case extends GraphSpec {
  readonly name: string;
  /** Least value of the inputs; negative if they should include values below zero. */
  readonly least?: number;
  /** How many of the inputs have a gradient; default all. */
  readonly differentiable?: number;
}

const one = (name: string, dims: Case['dims'], settings: Record<string, unknown> = {}, least?: number): Case => {
  const inputs = dims.map((_, i) => `input${i}`);
  const op = name.split(' ')[0]!;
  return { name, dims, nodes: [{ op, inputs, ...settings }], ...(least !== undefined && { least }) };
};

const image = [2, 3, 5, 6];
const plain = { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pads: [1, 1, 1, 1] };
const conv = (changes: object, more: object = {}) => ({
  window: { ...plain, ...changes },
  paddingMode: 'zeros',
  groups: 1,
  ...more,
});
const poolOf = (changes: object, more: object = {}) => {
  const window = { ...plain, kernel: [2, 2], stride: [2, 2], pads: [0, 0, 0, 0], ...changes };
  return { window, ceilMode: false, countIncludePad: false, ...more };
};

/**
 * The sum of BatchNorms of as many images as they have momenta, of an addend, and a ReLU. Inputs: for each its image, gamma
 * and beta; then the addend; then running mean and variance of each.
 */
function sumOfNorms(momenta: readonly (number | undefined)[], addend: 'none' | 'first' | 'last', relu: boolean): Case {
  const channels = 5;
  const dims = [3, channels, 3, 2];
  const count = momenta.length;
  const differentiable = 3 * count + (addend === 'none' ? 0 : 1);
  const nodes: Case['nodes'][number][] = momenta.map((momentum, i) => {
    const statistics = [0, 1].map((j) => `input${differentiable + 2 * i + j}`);
    const inputs = [...[0, 1, 2].map((j) => `input${3 * i + j}`), ...statistics];
    return { op: 'batchNorm', inputs, eps: 1e-5, momentum };
  });
  let sum = 'v0';
  const add = (inputs: readonly string[]): void => {
    nodes.push({ op: 'add', inputs });
    sum = `v${nodes.length - 1}`;
  };
  if (addend === 'first') add([`input${3 * count}`, sum]);
  for (let i = 1; i < count; i++) add(i % 2 === 0 ? [`v${i}`, sum] : [sum, `v${i}`]);
  if (addend === 'last') add([sum, `input${3 * count}`]);
  if (relu) nodes.push({ op: 'relu', inputs: [sum] });
  const vector = [channels];
  return {
    name: `sum of batchNorms (momenta ${momenta.join()}), addend ${addend}${relu ? ', relu' : ''}`,
    dims: [
      ...momenta.flatMap(() => [dims, vector, vector]),
      ...(addend === 'none' ? [] : [dims]),
      ...momenta.flatMap(() => [vector, vector]),
    ],
    nodes,
    least: 0.5,
    differentiable,
  };
}

/** The same with a max pool behind the sum, before or behind the ReLU. */
function pooledNorms(count: number, changes: object, relu: 'none' | 'before' | 'behind'): Case {
  const { name, nodes, ...rest } = sumOfNorms(new Array(count).fill(0.1), 'none', relu === 'before');
  const pool = { op: 'maxPool2d', inputs: [`v${nodes.length - 1}`], ...poolOf(changes) };
  const last = { op: 'relu', inputs: [`v${nodes.length}`] };
  const all = [...nodes, pool, ...(relu === 'behind' ? [last] : [])];
  return { ...rest, nodes: all, name: `${name}, pooled ${JSON.stringify(changes)}, relu ${relu}` };
}

/** Of three channels to three, with a kernel of one column. */
const LINE = { op: 'conv2d', ...conv({ kernel: [3, 1], pads: [1, 0, 1, 0] }) };
const LINE_WEIGHT = [3, 3, 3, 1];

/** What sumConvolutions and joinNorms may take in, and what they must leave alone. */
const NOT_TAKEN_IN: readonly Case[] = [
  {
    name: 'a value that a convolution reads between two others',
    dims: [image, LINE_WEIGHT],
    nodes: [
      { op: 'sigmoid', inputs: ['input0'] },
      { ...LINE, inputs: ['input0', 'input1'] },
      { op: 'softmax', inputs: ['input0'], axis: 1 },
      { op: 'add', inputs: ['v0', 'v1'] },
      { op: 'add', inputs: ['v3', 'v2'] },
    ],
  },
  {
    name: "a convolution's gradient that two values get",
    dims: [image, image, LINE_WEIGHT],
    nodes: [
      { op: 'sigmoid', inputs: ['input0'] },
      { op: 'add', inputs: ['input0', 'input1'] },
      { ...LINE, inputs: ['v1', 'input2'] },
      { op: 'add', inputs: ['v0', 'v2'] },
    ],
  },
  {
    name: 'a convolution and a value of each channel',
    dims: [image, LINE_WEIGHT, [3, 1, 1]],
    nodes: [
      { ...LINE, inputs: ['input0', 'input1'] },
      { op: 'add', inputs: ['v0', 'input2'] },
      { op: 'sigmoid', inputs: ['v1'] },
    ],
  },
  ...[{ op: 'relu' }, { op: 'maxPool2d', ...poolOf({ kernel: [1, 1], stride: [1, 1] }) }].map((node): Case => {
    const norm = { op: 'batchNorm', eps: 1e-5, momentum: 0.1 };
    return {
      name: `a BatchNorm, ${node.op}, and a sum`,
      dims: [image, [3], [3], image, [3], [3]],
      nodes: [
        { ...norm, inputs: ['input0', 'input1', 'input2', 'input4', 'input5'] },
        { ...node, inputs: ['v0'] },
        { op: 'add', inputs: ['v1', 'input3'] },
        { op: 'relu', inputs: ['v2'] },
      ],
      differentiable: 4,
      least: 0.5,
    };
  }),
];

const CASES: readonly Case[] = [
  ...NOT_TAKEN_IN,
  pooledNorms(1, {}, 'none'),
  pooledNorms(3, {}, 'behind'),
  pooledNorms(2, { kernel: [3, 2], stride: [2, 1], pads: [1, 1, 1, 1] }, 'before'),
  pooledNorms(3, { kernel: [2, 1], stride: [1, 1] }, 'behind'),
  ...[1, 2, 3, 4, 5].flatMap((count) =>
    (['none', 'first', 'last'] as const).flatMap((addend) =>
      [false, true].map((relu) => sumOfNorms(new Array(count).fill(0.1), addend, relu)),
    ),
  ),
  sumOfNorms([undefined, 0.1], 'last', true),
  sumOfNorms([undefined, undefined, undefined], 'none', true),
  one('conv2d', [image, [4, 3, 3, 3], [4]], conv({})),
  one('conv2d strided', [image, [4, 3, 3, 3]], conv({ stride: [2, 3] })),
  one(
    'conv2d of one pixel, strided',
    [image, [4, 3, 1, 1]],
    conv({ kernel: [1, 1], stride: [2, 2], pads: [0, 0, 0, 0] }),
  ),
  one('conv2d dilated and strided', [image, [4, 3, 2, 2]], conv({ kernel: [2, 2], stride: [2, 2], dilation: [2, 3] })),
  one('conv2d cropping', [image, [4, 3, 2, 2]], conv({ kernel: [2, 2], pads: [-1, 0, 1, -2] })),
  one(
    'conv2d in groups',
    [
      [2, 4, 5, 6],
      [6, 2, 3, 3],
    ],
    conv({}, { groups: 2 }),
  ),
  one('conv2d depthwise', [image, [3, 1, 3, 3]], conv({ stride: [2, 1] }, { groups: 3 })),
  ...['reflect', 'replicate', 'circular'].map((paddingMode) =>
    one(`conv2d ${paddingMode}`, [image, [4, 3, 3, 3]], conv({ pads: [2, 1, 0, 2] }, { paddingMode })),
  ),
  one('linear', [[5, 7], [3, 7], [3]]),
  one('maxPool2d', [image], poolOf({ kernel: [3, 2], stride: [2, 1], pads: [1, 1, 1, 1] })),
  one('avgPool2d', [image], poolOf({ kernel: [3, 2], stride: [2, 1], pads: [1, 0, 1, 1] })),
  one('avgPool2d counting pads', [image], poolOf({ kernel: [3, 3], pads: [1, 1, 1, 1] }, { countIncludePad: true })),
  one('globalAvgPool2d', [image]),
  one('globalMaxPool2d', [image]),
  ...['relu', 'sigmoid', 'hardSigmoid', 'hardSwish'].map((op) => one(op, [image], {}, -3)),
  one('leakyRelu', [[7, 5]], { alpha: 0.1 }),
  one('clip', [[7, 5]], { alpha: -0.5, beta: 0.4 }),
  ...['add', 'sub', 'mul', 'div'].flatMap((op) => [
    one(op, [image, image], {}, 0.5),
    one(`${op} with channels`, [image, [3, 1, 1]], {}, 0.5),
    one(
      `${op} of rows and columns`,
      [
        [4, 1, 3],
        [5, 1],
      ],
      {},
      0.5,
    ),
  ]),
  one('matMul', [
    [3, 4],
    [4, 5],
  ]),
  one('matMul of batches', [
    [2, 1, 3, 4],
    [3, 4, 5],
  ]),
  one('matMul of vectors', [[4], [4]]),
  one('matMul of a matrix and a vector', [[2, 3, 4], [4]]),
  ...['softmax', 'logSoftmax'].flatMap((op) => [
    one(op, [[4, 5]], { axis: 1 }),
    one(`${op} of rows`, [image], { axis: 2 }),
  ]),
  one('reduceMean', [image], { axes: [1, 3], keepDims: false }),
  one('reduceMean of all', [image], { axes: undefined, keepDims: true }),
  one('concat', [image, [2, 4, 5, 6], image], { axis: 1 }),
  one('concat of rows', [image, [2, 3, 1, 6]], { axis: -2 }),
  one('slice', [image], { axes: [1, 3], starts: [1, -1], ends: [3, -6], steps: [1, -2] }),
  one('pad', [image], { pads: [0, 1, 2, -1, 1, 0, 1, 2], mode: 'constant', value: 3 }),
  ...['reflect', 'edge', 'wrap'].map((mode) =>
    one(`pad ${mode}`, [image], { pads: [0, 0, 2, 1, 0, 0, 1, 3], mode, value: 0 }),
  ),
  one('transpose', [image], { permutation: [2, 0, 3, 1] }),
  one('transpose of all', [[3, 4, 5]], { permutation: undefined }),
  one('reshape', [image], { target: [3, 0, -1] }),
  one('flatten', [image], { axis: 1 }),
  one('squeeze', [[2, 1, 3, 1]], { axes: undefined }),
  one('unsqueeze', [[2, 3]], { axes: [1] }),
  one('identity', [image]),
  {
    name: 'scalars',
    dims: [image, []],
    nodes: [
      { op: 'reduceMean', inputs: ['input0'], axes: undefined, keepDims: false },
      { op: 'pad', inputs: ['v0'], pads: [], mode: 'constant', value: 0 },
      { op: 'sub', inputs: ['input1', 'v1'] },
    ],
  },
  {
    name: 'a value that is read three times',
    dims: [image],
    nodes: [
      { op: 'sigmoid', inputs: ['input0'] },
      { op: 'mul', inputs: ['v0', 'v0'] },
      { op: 'add', inputs: ['v1', 'v0'] },
      { op: 'mul', inputs: ['v2', 'input0'] },
    ],
  },
];

useAllOperations();
const runtime = await createRuntime({ simd: 'baseline' });

CASES.forEach((one, seed) => {
  test(one.name, () => {
    const random = seededRandom(seed + 1);
    const graph = graphOf(one);
    const inputs = one.dims.map((dims) => randomNd(random, dims, one.least ?? -1, one.least === 0.5 ? 2 : 1));
    const shape = inferShapes(graph, one.dims).get(graph.outputs[0]!)!;
    const dy = randomNd(random, shape);
    const count = one.differentiable ?? inputs.length;
    const used = runtime.memory.used;
    const gradients = gradientsOf(runtime, graph, inputs, [dy]);
    assert.is(runtime.memory.used, used);
    const precise = inputs.map(inFloat64);
    for (let i = 0; i < count; i++) {
      const error = relativeError(gradients[i]!, differences(graph, precise, [dy], i, STEP));
      assert.ok(error < TOLERANCE, `the gradient of input ${i} errs ${error}`);
    }
  });
});

test('BatchNorms take in what follows, and only what nobody else reads', () => {
  const joined = (given: Case, outputs?: readonly string[]): string[] => {
    const graph = { ...graphOf(given), ...(outputs && { outputs }) };
    const { nodes } = joinNorms(graph, inferShapes(graph, given.dims));
    inferShapes({ ...graph, nodes }, given.dims);
    return nodes.map((node) => {
      const { op, branches, low, inputs, pool } = node as unknown as NormSumNode;
      if (op !== 'normSum') return op;
      return `${branches.length}${low === 0 ? ' relu' : ''}${inputs[0] ? ' addend' : ''}${pool ? ' pool' : ''}`;
    });
  };
  assert.equal(joined(sumOfNorms([0.1, 0.1, 0.1], 'none', true)), ['3 relu']);
  assert.equal(joined(sumOfNorms([0.1, 0.1, 0.1], 'first', true)), ['3 relu addend']);
  assert.equal(joined(sumOfNorms([0.1, 0.1, 0.1], 'last', true)), ['3 relu addend']);
  assert.equal(joined(sumOfNorms([0.1, 0.1], 'none', false), ['v0', 'v2']), ['1', '1 addend']);
  assert.equal(joined(sumOfNorms([0.1, 0.1], 'none', true), ['v2', 'v3']), ['2', 'relu']);
  for (const relu of ['before', 'behind'] as const) {
    assert.equal(joined(pooledNorms(3, {}, relu)), ['3 relu pool']);
    assert.equal(
      joined(pooledNorms(1, { dilation: [1, 2], kernel: [2, 1] }, relu)).at(-1),
      {
        before: 'maxPool2d',
        behind: 'relu',
      }[relu],
    );
  }
  const twoAddends = sumOfNorms([0.1, 0.1], 'last', true);
  const more = { op: 'add', inputs: ['v3', 'input6'] };
  const [norm, other, sum, addend] = twoAddends.nodes;
  const nodes = [norm!, other!, sum!, addend!, more, { op: 'relu', inputs: ['v4'] }];
  assert.equal(joined({ ...twoAddends, nodes }), ['2 addend', 'add', 'relu']);
  const broadcast = [norm!, { op: 'add', inputs: ['v0', 'input1'] }];
  assert.equal(
    joined({ ...twoAddends, dims: twoAddends.dims.map((dims, i) => (i === 1 ? [5, 1, 1] : dims)), nodes: broadcast }),
    ['1', 'add'],
  );
});

test('an operation without a gradient is named', () => {
  const graph = graphOf(one('relu', [image]));
  const strange = { ...graph.nodes[0]!, op: 'strange', path: 'head.strange' } as unknown as GraphNode;
  const shapes = inferShapes(graph, [image]);
  const run = (nodes: readonly GraphNode[]) =>
    differentiate({ ...graph, nodes }, shapes, new Map([['v0', GRADIENT]]), ['input0'], gradientRuleOf);
  assert.throws(() => run([strange]), /strange of .*Test.* \(.*head.strange.*\) has no gradient/);
  const fused = { ...graphOf(one('add', [image, image])).nodes[0]!, relu: true } as GraphNode;
  assert.throws(() => run([fused]), /add of .*Test.* must be differentiated before anything is fused into it/);
});

test('what does not depend on what is asked for has no gradient', () => {
  const graph = graphOf(one('relu', [image]));
  const shapes = inferShapes(graph, [image]);
  const asked = { ...graph, inputs: ['input0', 'other'] };
  const { gradients, graph: same } = differentiate(
    asked,
    shapes,
    new Map([['v0', GRADIENT]]),
    ['other'],
    gradientRuleOf,
  );
  assert.is(gradients.size, 0);
  assert.is(same.nodes.length, 1);
});

test.run();
