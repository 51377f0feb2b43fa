/**
 * Every operation of the Graph, through InferenceSession: random graphs against the float64 oracles, in both builds and
 * with inputs of both layouts; then cases that random graphs rarely contain.
 */
import { type Graph, InferenceSession, type Runtime, Tensor } from 'acnet-wasm';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as array from './arrayOracle.js';
import { graphFrom, type NodeSpec } from './graphSpec.js';
import * as oracle from './oracle.js';
import { type RandomGraph, randomGraph } from './randomGraph.js';
import {
  type Build,
  largestDifference,
  randomNd,
  sameBits,
  seededRandom,
  supportedBuilds,
  toTensor,
  withRuntime,
} from './support.js';

const SEED = 20190811;
const GRAPHS = 400;
/** Some rounding of float32 per node of a chain, relative to the largest value in the graph. */
const TOLERANCE = 4e-6;

type Values = Record<string, oracle.Nd>;

function check(outputs: Record<string, Tensor>, expected: Values, tolerance: number, what: string): void {
  assert.equal(Object.keys(outputs).sort(), Object.keys(expected).sort(), `${what}: names`);
  for (const [name, tensor] of Object.entries(outputs)) {
    const { data, dims } = expected[name]!;
    assert.equal([...tensor.dims], [...dims], `${what}: dims of ${name}`);
    checkLanes(tensor, what);
    const difference = largestDifference(tensor.data, data);
    assert.ok(difference <= tolerance, `${what}: ${name} is off by ${difference}, at most ${tolerance} is allowed`);
  }
}

/** The part of a resident tensor that the package does not expose. */
interface Residence {
  readonly ptr: number;
  readonly layout: 'planar' | 'channelsLast';
  readonly runtime: { readonly heap: { floats(ptr: number, count: number): Float32Array } };
}

/** What a session computes, where the executor leaves it. */
function runResident(session: InferenceSession, feeds: Record<string, Tensor>): Record<string, Tensor> {
  type Runner = { runResident(feeds: Record<string, Tensor>): Record<string, Tensor> };
  return (session as unknown as Runner).runResident(feeds);
}

/** In channels-last memory, what lies behind the last channel of a pixel is zero. */
function checkLanes(tensor: Tensor, what: string): void {
  const { ptr, layout, runtime } = (Tensor as unknown as { residenceOf(tensor: Tensor): Residence }).residenceOf(
    tensor,
  );
  const channels = tensor.dims.length >= 2 ? tensor.dims[1]! : (tensor.dims[0] ?? 1);
  const lanes = Math.ceil(channels / 4) * 4;
  if (layout === 'planar' || lanes === channels) return;
  const values = runtime.heap.floats(ptr, (tensor.size / channels) * lanes);
  assert.ok(
    values.every((value, i) => i % lanes < channels || value === 0),
    `${what}: lanes behind ${channels} channels are not zero`,
  );
}

function disposeAll(tensors: Record<string, Tensor>): void {
  for (const tensor of Object.values(tensors)) tensor.dispose();
}

function tensorsOf(values: Values): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, toTensor(value)]));
}

/** The same values resident in row-major order, as the output of a matrix product. */
async function rowMajor(runtime: Runtime, value: oracle.Nd): Promise<Tensor> {
  const node = { op: 'reshape', inputs: ['x'], output: 'y', target: value.dims };
  const graph = graphFrom({ inputs: ['x'], outputs: ['y'], nodes: [node] });
  const session = await InferenceSession.create(graph, { runtime, reparameterize: false });
  const { y } = runResident(session, { x: new Tensor('float32', Float32Array.from(value.data), [value.data.length]) });
  await session.release();
  return y!;
}

/** Runs with feeds in JavaScript's memory, then resident in either layout, and disposes of the outputs. */
async function checkGraph(runtime: Runtime, made: RandomGraph): Promise<void> {
  const session = await InferenceSession.create(made.graph, { runtime, reparameterize: false });
  const tolerance = TOLERANCE * made.largest;
  const host = tensorsOf(made.inputs);
  const first = runResident(session, host);
  check(first, made.outputs, tolerance, 'host feeds');
  const resident = Object.fromEntries(Object.entries(host).map(([name, tensor]) => [name, tensor.to(runtime)]));
  const second = runResident(session, resident);
  disposeAll(first);
  check(second, made.outputs, tolerance, 'resident feeds');
  const planar: Record<string, Tensor> = {};
  for (const [name, value] of Object.entries(made.inputs)) planar[name] = await rowMajor(runtime, value);
  const third = runResident(session, planar);
  check(third, made.outputs, tolerance, 'row-major feeds');
  // Outputs own their bytes: they outlive feeds, other outputs and the session, and the feeds are unchanged.
  for (const name of Object.keys(resident)) assert.equal(resident[name]!.data, host[name]!.data, `feed ${name}`);
  for (const tensors of [resident, planar]) disposeAll(tensors);
  await session.release();
  const names = Object.keys(third);
  third[names[0]!]!.dispose();
  check(second, made.outputs, tolerance, 'after release');
  disposeAll(second);
  disposeAll(third);
}

/** One node over inputs x0, x1, ... to y. */
function single(node: object, inputCount = 1): Graph {
  const inputs = Array.from({ length: inputCount }, (_, i) => `x${i}`);
  return graphFrom({ inputs, outputs: ['y'], nodes: [{ inputs, output: 'y', ...node } as unknown as NodeSpec] });
}

async function runOnce(
  runtime: Runtime,
  graph: Graph,
  inputs: readonly oracle.Nd[],
): Promise<Record<string, oracle.Nd>> {
  const session = await InferenceSession.create(graph, { runtime, reparameterize: false });
  const feeds = Object.fromEntries(inputs.map((value, i) => [graph.inputs[i]!, toTensor(value)]));
  const outputs = runResident(session, feeds);
  await session.release();
  const values = Object.entries(outputs).map(([name, tensor]) => [name, { data: tensor.data, dims: tensor.dims }]);
  disposeAll(outputs);
  return Object.fromEntries(values);
}

test('a session without a runtime makes its own', async () => {
  const session = await InferenceSession.create(single({ op: 'relu' }));
  const { y } = await session.run({ x0: new Tensor('float32', [-1, 2], [2]) });
  assert.equal([...y!.data], [0, 2]);
  assert.equal(session.inputNames, ['x0']);
  assert.equal(session.outputNames, ['y']);
  await session.release();
});

test('random graphs hold every operation', () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 300; seed++) for (const { op } of randomGraph(seed, 12).graph.nodes) seen.add(op);
  const all =
    'abs add avgPool2d batchNorm clip concat conv2d cumSum depthToSpace div expand flatten gather geluTanh ' +
    'globalAvgPool2d globalMaxPool2d hardSigmoid hardSwish identity keepIf keepUnless leakyRelu linear logSoftmax ' +
    'matMul max maxPool2d min mish mul neg pad reduceL1 reduceMax reduceMean reduceMin reduceProd reduceSum ' +
    'reduceSumSquare relu reshape resize sigmoid slice slope softmax softplus softsign squeeze standardize sub ' +
    'tanh transpose unsqueeze';
  assert.equal([...seen].sort().join(' '), all);
});

for (const simd of await supportedBuilds()) {
  const onRuntime = (name: string, body: (runtime: Runtime) => Promise<void>) => {
    test(`${simd}: ${name}`, () => withRuntime(simd as Build, body));
  };

  onRuntime(`${GRAPHS} random graphs`, async (runtime) => {
    const arbitrary = fc.record({ seed: fc.noShrink(fc.nat(2 ** 31 - 1)), nodes: fc.integer({ min: 0, max: 14 }) });
    const property = fc.asyncProperty(arbitrary, async ({ seed, nodes }) => {
      const { used } = runtime.memory;
      await checkGraph(runtime, randomGraph(seed, nodes));
      assert.is(runtime.memory.used, used, 'memory in use');
    });
    await fc.assert(property, { seed: SEED, numRuns: GRAPHS, includeErrorInReport: true });
  });
}

/** Values that operations have to pass on as IEEE 754 says. */
const SPECIAL = [Number.NaN, Infinity, -Infinity, 0, -0, 1e-30, -1e-30, 3e38, -3e38, 90, -90, -87.5, -60, 1.5, -1.5];

const vector = (values: readonly number[]): oracle.Nd => ({ data: Float32Array.from(values), dims: [values.length] });

/** A node, its inputs' dims, and what the message must say. */
const REFUSED: readonly (readonly [object, readonly (readonly number[])[], ...string[]])[] = [
  [
    { op: 'add' },
    [
      [2, 3],
      [2, 4],
    ],
    '[2, 3]',
    '[2, 4]',
  ],
  [{ op: 'softmax', axis: 2 }, [[2, 3]], 'at least 3 dims', '[2, 3]'],
  [{ op: 'softmax', axis: -3 }, [[2, 3]], 'at least 3 dims', '[2, 3]'],
  [
    { op: 'concat', axis: 0 },
    [
      [2, 3],
      [2, 4],
    ],
    'axis 0',
    '[2, 3]',
    '[2, 4]',
  ],
  [{ op: 'flatten', axis: 3 }, [[2, 3]], '[2, 3]'],
  [{ op: 'reshape', target: [4, 2] }, [[2, 3]], '[2, 3]', '[4, 2]', '6 values', '8'],
  [{ op: 'reshape', target: [-1, 4] }, [[2, 3]], '[2, 3]', '[-1, 4]'],
  [{ op: 'reshape', target: [-1, -1] }, [[2, 3]], '[-1, -1]', 'at most one'],
  [{ op: 'reshape', target: [-2, 3] }, [[2, 3]], '[-2, 3]'],
  [{ op: 'reshape', target: [6, 1, 0] }, [[2, 3]], 'target 2', '[2, 3]'],
  [{ op: 'reshape', target: [0, 3], allowZero: true }, [[2, 3]], '[0, 3]'],
  [{ op: 'reshape', target: [{ value: 'z', axis: 0 }, 3] }, [[2, 3]], 'z'],
  [{ op: 'reshape', target: [{ value: 'x0', axis: 2 }, 3] }, [[2, 3]], 'at least 3 dims', '[2, 3]'],
  [{ op: 'squeeze', axes: [1] }, [[2, 3]], 'axis 1', '[2, 3]'],
  [{ op: 'unsqueeze', axes: [0, 4] }, [[2, 3]], '-4 to 3', '[0, 4]'],
  [{ op: 'unsqueeze', axes: [1, -3] }, [[2, 3]], 'differ', '[1, -3]'],
  [{ op: 'transpose', permutation: [0, 0] }, [[2, 3]], '[0, 0]', '[2, 3]'],
  [{ op: 'transpose', permutation: [0] }, [[2, 3]], '[0]', '[2, 3]'],
  [{ op: 'slice', axes: [0], starts: [0], ends: [1], steps: [0] }, [[2, 3]], 'steps', '0'],
  [{ op: 'slice', axes: [0, 0], starts: [0, 0], ends: [1, 1], steps: [1, 1] }, [[2, 3]], 'differ', '[0, 0]'],
  [{ op: 'slice', axes: [0, 1], starts: [0], ends: [1, 1], steps: [1, 1] }, [[2, 3]], 'starts', '1'],
  [{ op: 'pad', pads: [0, 0, 0], mode: 'edge', value: 0 }, [[2, 3]], '4 whole numbers', '[0, 0, 0]'],
  [{ op: 'pad', pads: [0, 3, 0, 0], mode: 'reflect', value: 0 }, [[2, 3]], '3 and 0', 'axis 1', 'reflect'],
  [{ op: 'pad', pads: [0, -3, 0, -1], mode: 'constant', value: 0 }, [[2, 3]], '-3 and -1', 'axis 1'],
  [{ op: 'pad', pads: [-2, 0, 3, 0], mode: 'edge', value: 0 }, [[2, 3]], '-2 and 3', 'axis 0', 'edge'],
  [{ op: 'reduceMean', axes: [1, -1], keepDims: true }, [[2, 3]], 'differ', '[1, -1]'],
  [{ op: 'reduceMean', axes: [2], keepDims: true }, [[2, 3]], 'at least 3 dims', '[2, 3]'],
  [
    { op: 'matMul' },
    [
      [2, 3],
      [2, 3],
    ],
    '[2, 3]',
  ],
  [{ op: 'matMul' }, [[], [3]], 'at least 1 dim', '[]'],
  [
    { op: 'matMul' },
    [
      [2, 4, 3],
      [3, 3, 3],
    ],
    '[2, 4, 3]',
    '[3, 3, 3]',
  ],
  [{ op: 'globalMaxPool2d' }, [[2, 3]], '4 dims', '[2, 3]'],
  [{ op: 'relu' }, [[2, 0]], '[2, 0]'],
  [{ op: 'sub' }, [[2, 0], [1]], '[2, 0]'],
  [
    { op: 'matMul' },
    [
      [2, 0],
      [0, 2],
    ],
    '[2, 0]',
  ],
  [{ op: 'reduceMean', axes: [1], keepDims: false }, [[2, 0]], '[2, 0]'],
  [{ op: 'softmax', axis: 0 }, [[0]], '[0]'],
  [{ op: 'relu' }, [[1, 1, 1, 1, 1, 1, 1, 1, 1]], 'at most 8 dims'],
];

for (const simd of await supportedBuilds()) {
  const onRuntime = (name: string, body: (runtime: Runtime) => Promise<void>) => {
    test(`${simd}: ${name}`, () => withRuntime(simd as Build, body));
  };
  const random = seededRandom(5);

  /** One node against its oracle; values are within `tolerance` of it. */
  const checkNode = async (
    runtime: Runtime,
    node: object,
    inputs: readonly oracle.Nd[],
    expected: oracle.Nd,
    tolerance: number,
  ) => {
    const { y } = await runOnce(runtime, single(node, inputs.length), inputs);
    assert.equal([...y!.dims], [...expected.dims], JSON.stringify(node));
    const difference = largestDifference(y!.data, expected.data);
    assert.ok(difference <= tolerance, `${JSON.stringify(node)} is off by ${difference}`);
  };

  onRuntime('NaN, infinities and zeros through elementwise operations', async (runtime) => {
    const x = vector(SPECIAL);
    for (const [settings, f] of [
      [{ op: 'relu' }, (v: number) => Math.max(v, 0)],
      [{ op: 'leakyRelu', alpha: 0.25 }, (v: number) => (v < 0 ? 0.25 * v : v)],
      [{ op: 'clip', alpha: -2, beta: 2 }, (v: number) => Math.min(Math.max(v, -2), 2)],
      [{ op: 'clip' }, (v: number) => v],
      [{ op: 'hardSigmoid' }, (v: number) => Math.min(Math.max(0.2 * v + 0.5, 0), 1)],
      [{ op: 'sigmoid' }, array.unaries.sigmoid],
    ] as const) {
      await checkNode(runtime, settings, [x], array.map(x, f), 1e-6);
    }
    const y = { data: Float32Array.from(SPECIAL), dims: [SPECIAL.length, 1] };
    for (const [op, f] of [
      ['add', (a: number, b: number) => Math.fround(a + b)],
      ['sub', (a: number, b: number) => Math.fround(a - b)],
      ['mul', (a: number, b: number) => Math.fround(a * b)],
      ['div', (a: number, b: number) => Math.fround(a / b)],
    ] as const) {
      const { y: outer } = await runOnce(runtime, single({ op }, 2), [x, y]);
      assert.ok(sameBits(outer!.data, Float32Array.from(array.binary(x, y, f).data)), op);
    }
  });

  onRuntime('sigmoid is right to its last digits on both sides', async (runtime) => {
    const x = vector(Array.from({ length: 2001 }, (_, i) => Math.fround((i - 1000) * 0.086)));
    const { y } = await runOnce(runtime, single({ op: 'sigmoid' }), [x]);
    const expected = array.map(x, array.unaries.sigmoid);
    for (let i = 0; i < x.data.length; i++) {
      const relative = Math.abs(y!.data[i]! / expected.data[i]! - 1);
      assert.ok(relative < 4e-7, `sigmoid(${x.data[i]}) is ${y!.data[i]}, off by ${relative}`);
    }
  });

  onRuntime('softmax and logSoftmax of far-off values', async (runtime) => {
    const x = { data: Float32Array.from([1000, 1001, -1000, -Infinity, 3, 3]), dims: [2, 3] };
    for (const op of ['softmax', 'logSoftmax']) {
      for (const axis of [0, 1]) {
        const expected = array.softmax(x, axis, op === 'logSoftmax');
        await checkNode(runtime, { op, axis }, [x], expected, 1e-4);
      }
    }
  });

  onRuntime('a NaN is the largest of its channel only', async (runtime) => {
    const x = randomNd(random, [2, 5, 3, 4]);
    x.data[17] = Number.NaN;
    await checkNode(runtime, { op: 'globalMaxPool2d' }, [x], array.globalMaxPool2d(x), 0);
  });

  onRuntime('padding far beyond the input, and cropping it away', async (runtime) => {
    const x = randomNd(random, [2, 3]);
    for (const [mode, pads] of [
      ['wrap', [11, 7, 5, 20]],
      ['edge', [4, 9, 0, 6]],
      ['reflect', [1, 2, 1, 2]],
      ['constant', [-2, 0, 5, 0]],
      ['constant', [3, -4, -3, 9]],
      ['wrap', [-1, 5, 4, -2]],
    ] as const) {
      const node = { op: 'pad', pads, mode, value: 0.25 };
      await checkNode(runtime, node, [x], array.pad(x, pads, mode, 0.25), 0);
    }
  });

  onRuntime('nothing is moved about where there is nothing', async (runtime) => {
    const x = randomNd(random, [2, 3, 5]);
    const none = randomNd(random, [4, 0, 3]);
    const nothing = (...dims: number[]): oracle.Nd => ({ data: [], dims });
    const cut = { op: 'slice', axes: [1], starts: [1000], ends: [2000], steps: [1] };
    await checkNode(runtime, cut, [x], nothing(2, 0, 5), 0);
    await checkNode(runtime, { op: 'reshape', target: [3, 0, 7], allowZero: true }, [none], nothing(3, 0, 7), 0);
    await checkNode(runtime, { op: 'reshape', target: [0, 0] }, [nothing(2, 0, 5)], nothing(2, 0), 0);
    await checkNode(runtime, { op: 'transpose', permutation: [1, 2, 0] }, [none], nothing(0, 3, 4), 0);
    await checkNode(runtime, { op: 'unsqueeze', axes: [0] }, [none], nothing(1, 4, 0, 3), 0);
    const pads = [0, 1, 0, 0, 1, 0];
    const filled = array.build([4, 2, 3], () => 0.5);
    await checkNode(runtime, { op: 'pad', pads, mode: 'constant', value: 0.5 }, [none], filled, 0);
    const full = randomNd(random, [4, 2, 3]);
    await checkNode(runtime, { op: 'concat', axis: 1 }, [none, full, none], full, 0);
  });

  onRuntime('eight axes', async (runtime) => {
    const x = randomNd(random, [2, 1, 3, 2, 1, 2, 3, 2]);
    const permutation = [7, 2, 4, 0, 6, 1, 3, 5];
    await checkNode(runtime, { op: 'transpose', permutation }, [x], array.transpose(x, permutation), 0);
    const other = randomNd(random, [3, 1, 2, 1, 3, 1]);
    await checkNode(
      runtime,
      { op: 'sub' },
      [x, other],
      array.binary(x, other, (a, b) => Math.fround(a - b)),
      0,
    );
    const axes = [0, 3, 5, 6];
    await checkNode(runtime, { op: 'reduceMean', axes, keepDims: false }, [x], array.reduceMean(x, axes, false), 1e-6);
  });

  onRuntime('products of matrices of many sizes', async (runtime) => {
    const sizes = [
      [70, 300, 45],
      [1, 513, 33],
      [9, 1, 1],
      [33, 64, 128],
      [5, 20481, 3],
      [4, 20480, 2],
    ] as const;
    for (const [m, depth, n] of sizes) {
      const [a, b] = [randomNd(random, [m, depth]), randomNd(random, [depth, n])];
      await checkNode(runtime, { op: 'matMul' }, [a, b], array.matMul(a, b), 2e-7 * depth);
    }
  });

  onRuntime('what comes before a broadcasting addition does not absorb it', async (runtime) => {
    const weight = randomNd(random, [6, 3, 3, 3]);
    const window = { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pads: [1, 1, 1, 1] } as const;
    const options = { ...window, paddingMode: 'zeros', groups: 1 } as const;
    const base = { path: '', layer: 'Test' };
    for (const dims of [[6, 1, 1], [1, 6, 5, 4], [5, 1, 6, 5, 4], []] as const) {
      const addend = randomNd(random, dims);
      const graph = graphFrom({
        inputs: ['x'],
        outputs: ['y'],
        constants: new Map([['c', toTensor(addend)]]),
        nodes: [
          {
            ...base,
            ...options,
            op: 'conv2d',
            window,
            weight: toTensor(weight),
            bias: undefined,
            inputs: ['x'],
            output: 'a',
          },
          { ...base, op: 'add', inputs: ['a', 'c'], output: 'b' },
          { ...base, op: 'relu', inputs: ['b'], output: 'y' },
        ],
      });
      const session = await InferenceSession.create(graph, { runtime, reparameterize: false });
      // With a batch of one, dims may be equal; with two they are not.
      for (const batch of [1, 2, 1]) {
        const x = randomNd(random, [batch, 3, 5, 4]);
        const sum = array.binary(oracle.conv2d(x, weight, undefined, options), addend, (a, b) => a + b);
        const outputs = runResident(session, { x: toTensor(x) });
        check(outputs, { y: oracle.relu(sum) }, 1e-5, `${dims} on a batch of ${batch}`);
        disposeAll(outputs);
      }
      await session.release();
    }
  });

  onRuntime('batches of any size through reshapes by the size of a value', async (runtime) => {
    const weight = randomNd(random, [5, 3, 3, 3]);
    const matrix = randomNd(random, [5, 7]);
    const window = { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pads: [1, 1, 1, 1] } as const;
    const options = { ...window, paddingMode: 'zeros', groups: 1 } as const;
    const base = { path: '', layer: 'Test' };
    const graph = graphFrom({
      inputs: ['x'],
      outputs: ['y', 'x'],
      constants: new Map([['matrix', toTensor(matrix)]]),
      nodes: [
        {
          ...base,
          ...options,
          op: 'conv2d',
          window,
          weight: toTensor(weight),
          bias: undefined,
          inputs: ['x'],
          output: 'a',
        },
        { ...base, op: 'relu', inputs: ['a'], output: 'b' },
        { ...base, op: 'transpose', permutation: [0, 2, 3, 1], inputs: ['b'], output: 'c' },
        // a is fused away, but its size is still known.
        { ...base, op: 'reshape', target: [{ value: 'a', axis: 0 }, -1, 5], inputs: ['c'], output: 'd' },
        { ...base, op: 'matMul', inputs: ['d', 'matrix'], output: 'y' },
      ],
    });
    const session = await InferenceSession.create(graph, { runtime, reparameterize: false });
    let settled = 0;
    for (let round = 0; round < 3; round++) {
      for (const batch of [1, 4, 2, 3]) {
        const x = randomNd(random, [batch, 3, 4, 5]);
        const image = oracle.relu(oracle.conv2d(x, weight, undefined, options));
        const rows = array.reshape(array.transpose(image, [0, 2, 3, 1]), [batch, 20, 5]);
        const outputs = runResident(session, { x: toTensor(x) });
        check(outputs, { y: array.matMul(rows, matrix), x }, 1e-4, `batch of ${batch}`);
        disposeAll(outputs);
      }
      if (round === 0) settled = runtime.memory.used;
      assert.is(runtime.memory.used, settled, 'memory in use after each round');
    }
    await session.release();
  });

  onRuntime('values are converted only between layouts that differ', async (runtime) => {
    const base = { path: '', layer: 'Test' };
    const window = { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pads: [0, 0, 0, 0] } as const;
    const conv = { ...base, op: 'conv2d', window, paddingMode: 'zeros', groups: 1, bias: undefined } as const;
    const weight = toTensor(randomNd(random, [8, 8, 1, 1]));
    const linear = { ...base, op: 'linear', bias: undefined } as const;
    const stepsOf = async (
      nodes: readonly NodeSpec[],
      dims: readonly number[],
      constants?: ReadonlyMap<string, Tensor>,
    ) => {
      const outputs = [nodes.at(-1)!.output];
      const graph = graphFrom({ inputs: ['x'], outputs, nodes, ...(constants && { constants }) });
      const session = await InferenceSession.create(graph, { runtime, reparameterize: false });
      const steps = session.profile({ x: toTensor(randomNd(random, dims)) });
      await session.release();
      assert.ok(steps.every(({ milliseconds }) => milliseconds >= 0));
      const algorithms = steps.flatMap(({ op, algorithm }) => (op === 'conv2d' ? [algorithm] : []));
      assert.ok(algorithms.every((algorithm) => algorithm === 'gemm'));
      return steps.map(({ op }) => op).join(' ');
    };
    const image = [2, 8, 3, 3];
    const first: NodeSpec = { ...conv, weight, inputs: ['x'], output: 'a' };
    const pool = { ...base, op: 'globalAvgPool2d', inputs: ['a'], output: 'p' };
    const flat = (from: string): NodeSpec => ({ ...base, op: 'flatten', axis: 1, inputs: [from], output: 'f' });
    const classes = (features: number): NodeSpec => {
      return { ...linear, weight: toTensor(randomNd(random, [3, features])), inputs: ['f'], output: 'y' };
    };
    // Pooling goes first: src/passes/poolFirst.ts.
    assert.is(await stepsOf([first, pool, flat('p'), classes(8)], image), 'globalAvgPool2d conv2d linear');
    assert.is(await stepsOf([first, flat('a'), classes(72)], image), 'conv2d convert linear');
    const chain: NodeSpec[] = [
      first,
      { ...base, op: 'sigmoid', inputs: ['a'], output: 's' },
      { ...base, op: 'mul', inputs: ['s', 'a'], output: 'm' },
      { ...base, op: 'mul', inputs: ['m', 'scale'], output: 'n' },
      { ...base, op: 'pad', mode: 'reflect', pads: [0, 0, 1, 1, 0, 0, 1, 1], value: 0, inputs: ['n'], output: 'q' },
      { ...base, op: 'slice', axes: [2], starts: [1], ends: [4], steps: [1], inputs: ['q'], output: 'r' },
      { ...base, op: 'concat', axis: 1, inputs: ['r', 'r'], output: 'c' },
      { ...conv, weight: toTensor(randomNd(random, [8, 16, 1, 1])), inputs: ['c'], output: 'y' },
    ];
    const scale = new Map([['scale', toTensor(randomNd(random, [8, 1, 1]))]]);
    assert.is(await stepsOf(chain, image, scale), 'conv2d sigmoid mul mul pad slice concat conv2d');
    const shuffle: NodeSpec[] = [
      { ...base, op: 'reshape', target: [0, 2, 4, 9], inputs: ['x'], output: 'a' },
      { ...base, op: 'transpose', permutation: [0, 2, 1, 3], inputs: ['a'], output: 'b' },
      { ...base, op: 'reshape', target: [0, 8, 3, 3], inputs: ['b'], output: 'c' },
      { ...conv, weight, inputs: ['c'], output: 'y' },
    ];
    assert.is(await stepsOf(shuffle, image), 'transpose convert conv2d');
  });

  onRuntime('inputs that do not fit are refused, and nothing is kept', async (runtime) => {
    for (const [node, dims, ...words] of REFUSED) {
      const { used } = runtime.memory;
      const inputs = dims.map((one) => ({ data: new Float32Array(one.reduce((a, b) => a * b, 1)), dims: one }));
      const session = await InferenceSession.create(single(node, dims.length), { runtime, reparameterize: false });
      const feeds = Object.fromEntries(inputs.map((value, i) => [`x${i}`, toTensor(value)]));
      const what = JSON.stringify(node);
      try {
        runResident(session, feeds);
      } catch (error) {
        assert.instance(error, RangeError, what);
        for (const word of ['Test', ...words]) assert.ok((error as Error).message.includes(word), `${what}: ${error}`);
        assert.is(runtime.memory.used, used, what);
        await session.release();
        continue;
      }
      assert.unreachable(`${what} on ${JSON.stringify(dims)} went through`);
    }
  });

  onRuntime('a graph or feeds that make no sense', async (runtime) => {
    const refuses = async (work: () => unknown, type: typeof RangeError | typeof TypeError, ...words: string[]) => {
      try {
        await work();
      } catch (error) {
        assert.instance(error, type);
        for (const word of words) assert.ok((error as Error).message.includes(word), String(error));
        return;
      }
      assert.unreachable(`no ${type.name} about ${words.join(', ')}`);
    };
    const relu = { op: 'relu', path: 'first', layer: 'Relu', inputs: ['x'], outputs: ['y'] } as const;
    const create = (graph: Partial<Graph>) =>
      InferenceSession.create(
        { inputs: ['x'], outputs: ['y'], nodes: [relu], ...graph },
        { runtime, reparameterize: false },
      );
    await refuses(() => create({ inputs: ['z'] }), RangeError, 'Relu (first)', 'x');
    await refuses(() => create({ outputs: ['z'] }), RangeError, 'outputs', 'z');
    await refuses(() => create({ inputs: ['x', 'x'] }), RangeError, 'x');
    await refuses(() => create({ nodes: [relu, relu] }), RangeError, 'Relu (first)', 'y');
    await refuses(() => create({ nodes: [{ ...relu, inputs: [] }] }), RangeError, 'Relu (first)');
    const session = await create({});
    const x = toTensor(randomNd(random, [2, 3]));
    await refuses(() => runResident(session, {}), RangeError, 'x');
    await refuses(() => session.run({ x, z: x }), RangeError, 'z');
    await refuses(() => runResident(session, { x: [1] as unknown as Tensor }), TypeError, 'x');
    await refuses(() => runResident(session, null as unknown as Record<string, Tensor>), TypeError, 'feeds', 'null');
    const gone = toTensor(randomNd(random, [2, 3]));
    gone.dispose();
    await refuses(() => runResident(session, { x: gone }), TypeError, 'x', 'disposed');
    await withRuntime('baseline', async (other) => {
      const foreign = x.to(other);
      await refuses(() => runResident(session, { x: foreign }), RangeError, 'x', 'another runtime');
      foreign.dispose();
    });
    await session.release();
    await session.release();
    await refuses(() => runResident(session, { x }), TypeError, 'released');
    await refuses(() => InferenceSession.create({} as Graph, { runtime: {} as Runtime }), TypeError, 'runtime');
  });
}

test.run();
