/**
 * Stored values: what new ones cost, that results are those of a layer made with them, values that nodes compute in
 * place of stored ones, and what nodes update.
 */
import {
  ACBlock,
  BatchNorm2d,
  Conv2d,
  cifarQuick,
  type Graph,
  InferenceSession,
  type Layer,
  Linear,
  ReLU,
  type Runtime,
  Sequential,
  type StateDict,
  type StoredValue,
  Tensor,
} from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { graphFrom, type NodeSpec } from './graphSpec.js';
import * as oracle from './oracle.js';
import {
  randomNd,
  relativeError,
  sameBits,
  seededRandom,
  supportedBuilds,
  take,
  toTensor,
  withRuntime,
} from './support.js';

interface Allocation {
  readonly isFree: boolean;
}
type Internals = Runtime & {
  readonly heap: { allocate(...sizes: number[]): Allocation; expectRoom(bytes: number): void };
};

const LAYERS: Readonly<Record<string, { dims: readonly number[]; make: (runtime: Runtime) => Layer }>> = {
  'Winograd convolution': {
    dims: [1, 8, 12, 12],
    make: (runtime) => new Conv2d(runtime, { inChannels: 8, outChannels: 12, kernelSize: 3, padding: 1 }),
  },
  'GEMM convolution': {
    dims: [1, 6, 9, 9],
    make: (runtime) => new Conv2d(runtime, { inChannels: 6, outChannels: 5, kernelSize: 3, algorithm: 'gemm' }),
  },
  'grouped convolution': {
    dims: [1, 6, 9, 9],
    make: (runtime) => new Conv2d(runtime, { inChannels: 6, outChannels: 4, kernelSize: 3, groups: 2 }),
  },
  'depthwise convolution': {
    dims: [1, 6, 9, 9],
    make: (runtime) => new Conv2d(runtime, { inChannels: 6, outChannels: 6, kernelSize: 3, groups: 6 }),
  },
  linear: { dims: [3, 10], make: (runtime) => new Linear(runtime, { inFeatures: 10, outFeatures: 7 }) },
  BatchNorm: { dims: [2, 5, 4, 4], make: (runtime) => new BatchNorm2d(runtime, { numFeatures: 5 }) },
  'block of parallel kernels': {
    dims: [1, 16, 28, 28],
    make: (runtime) => new ACBlock(runtime, { inChannels: 16, outChannels: 16, kernelSize: 3, padding: 1 }),
  },
  'block of kernels one after the other': {
    dims: [1, 2, 7, 7],
    make: (runtime) => new ACBlock(runtime, { inChannels: 2, outChannels: 3, kernelSize: 3, algorithm: 'gemm' }),
  },
  network: { dims: [1, 3, 32, 32], make: (runtime) => cifarQuick(runtime) },
};

function randomState(layer: Layer, random: () => number): StateDict {
  const entries = Object.entries(layer.stateDict()).map(([key, { dims }]) => {
    const low = key.endsWith('running_var') ? 0.5 : -1;
    return [key, toTensor(randomNd(random, dims, low, 1))] as const;
  });
  return Object.fromEntries(entries);
}

/** What `work` allocates and does not free, and how many plans it makes. */
function watch(runtime: Runtime, work: () => void): { kept: number; plans: number } {
  const { heap } = runtime as Internals;
  const { allocate, expectRoom } = heap;
  const made: Allocation[] = [];
  let plans = 0;
  heap.allocate = (...sizes) => {
    const allocation = allocate.apply(heap, sizes);
    made.push(allocation);
    return allocation;
  };
  heap.expectRoom = (bytes) => {
    plans++;
    expectRoom.call(heap, bytes);
  };
  try {
    work();
  } finally {
    heap.allocate = allocate;
    heap.expectRoom = expectRoom;
  }
  return { kept: made.filter(({ isFree }) => !isFree).length, plans };
}

for (const build of await supportedBuilds()) {
  for (const [name, { dims, make }] of Object.entries(LAYERS)) {
    for (const training of [false, true]) {
      const mode = training ? 'training' : 'evaluation';
      test(`${build}: new values of a ${name} in ${mode}: packing and the run, nothing else`, () =>
        withRuntime(build, (runtime) => {
          const random = seededRandom(41);
          const layer = make(runtime);
          const setMode = (one: Layer): Layer => (training ? one.train() : one.eval());
          setMode(layer);
          const x = toTensor(randomNd(random, dims)).to(runtime);
          const states = [randomState(layer, random), randomState(layer, random)] as const;
          layer.forward(x).dispose();
          for (const state of [...states, states[0]]) {
            layer.loadStateDict(state);
            let output: Tensor | undefined;
            const { kept, plans } = watch(runtime, () => {
              output = layer.forward(x);
            });
            assert.equal({ kept, plans }, { kept: 1, plans: 0 });
            const fresh = setMode(make(runtime)).loadStateDict(state);
            assert.ok(sameBits(take(output!), take(fresh.forward(x))), 'as a fresh layer');
            for (const [key, { data }] of Object.entries(layer.stateDict())) {
              assert.ok(sameBits(data, fresh.stateDict()[key]!.data), key);
            }
            fresh.dispose();
          }
          const again = watch(runtime, () => layer.forward(x).dispose());
          assert.equal(again, { kept: 0, plans: 0 });
          layer.dispose();
          x.dispose();
        }));
    }
  }
}

test('gammas that are set, and statistics that a run has moved, are seen by layers around', () =>
  withRuntime('baseline', (runtime) => {
    const random = seededRandom(5);
    const block = new ACBlock(runtime, { inChannels: 4, outChannels: 4, kernelSize: 3, padding: 1 });
    const net = new Sequential(runtime, { block, relu: new ReLU(runtime) });
    const x = toTensor(randomNd(random, [2, 4, 8, 8]));
    net.eval();
    const before = take(net.forward(x));
    block.initGamma(0.25);
    const after = take(net.forward(x));
    assert.not.ok(sameBits(before, after));
    assert.ok(
      relativeError(
        after,
        before.map((value) => value / 4),
      ) < 1e-6,
      'a quarter, as shifts are 0',
    );
    block.train().forward(x).dispose();
    block.eval();
    const fresh = new ACBlock(runtime, { inChannels: 4, outChannels: 4, kernelSize: 3, padding: 1 }).eval();
    fresh.loadStateDict(block.stateDict());
    assert.ok(sameBits(take(block.forward(x)), take(fresh.forward(x))));
    fresh.dispose();
    net.dispose();
  }));

test('weights that Winograd cannot take, and others after them', () =>
  withRuntime('baseline', (runtime) => {
    const random = seededRandom(6);
    const options = { inChannels: 4, outChannels: 4, kernelSize: 3, padding: 1, algorithm: 'winogradF4x4K3' } as const;
    const conv = new Conv2d(runtime, options);
    const x = toTensor(randomNd(random, [1, 4, 8, 8]));
    const tame = randomState(conv, random);
    const weight = toTensor(randomNd(random, [4, 4, 3, 3]));
    weight.data[0] = Number.POSITIVE_INFINITY;
    const wild = { ...tame, weight };
    const forward = (state: StateDict) => take(conv.loadStateDict(state).forward(x));
    const expected = forward(tame);
    const settings = { stride: [1, 1], dilation: [1, 1], pads: [1, 1, 1, 1], paddingMode: 'zeros', groups: 1 } as const;
    const reference = Float64Array.from(oracle.conv2d(x, weight, tame.bias!.data, settings).data);
    for (let round = 0; round < 2; round++) {
      const output = forward(wild);
      // Channels whose kernels are finite are not touched by those that are not.
      assert.ok(relativeError(output.subarray(64), reference.subarray(64)) < 1e-5);
      assert.ok(output.subarray(0, 64).some((value) => !Number.isFinite(value)));
      assert.ok(sameBits(forward(tame), expected), 'as before');
    }
    conv.dispose();
  }));

/** The same graph with its stored values as inputs. */
function withInputs(graph: Graph): { graph: Graph; feeds: (values: Graph['values']) => Record<string, Tensor> } {
  const names = [...graph.values!.keys()];
  return {
    graph: { ...graph, inputs: [...graph.inputs, ...names], values: new Map() },
    feeds: (values) => Object.fromEntries(names.map((name) => [name, values!.get(name)!.tensor])),
  };
}

const WINDOW = { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pads: [1, 1, 1, 1] };

function graphWith(random: () => number, algorithm: string | undefined, groups: number): Graph {
  const tensor = (...dims: number[]) => toTensor(randomNd(random, dims));
  const norm = {
    gamma: tensor(8),
    beta: tensor(8),
    mean: tensor(8),
    variance: toTensor(randomNd(random, [8], 0.5, 2)),
    eps: 1e-5,
  };
  const weight = tensor(8, 8 / groups, 3, 3);
  const conv = { op: 'conv2d', weight, bias: tensor(8), window: WINDOW, paddingMode: 'zeros', groups, algorithm };
  const nodes: NodeSpec[] = [
    { ...conv, inputs: ['x'], output: 'a' },
    { op: 'relu', inputs: ['a'], output: 'b' },
    { op: 'batchNorm', norm, momentum: undefined, inputs: ['b', 'x'], output: 'c' },
    { op: 'globalAvgPool2d', inputs: ['c'], output: 'd' },
    { op: 'flatten', axis: 1, inputs: ['d'], output: 'e' },
    { op: 'linear', weight: tensor(5, 8), bias: tensor(5), inputs: ['e'], output: 'y' },
  ];
  return graphFrom({ inputs: ['x'], outputs: ['y', 'c'], nodes });
}

for (const build of await supportedBuilds()) {
  test(`${build}: parameters that come with every run give the same bits as stored ones`, () =>
    withRuntime(build, async (runtime) => {
      const random = seededRandom(8);
      for (const [algorithm, groups] of [
        ['gemm', 1],
        ['gemm', 2],
        ['depthwise', 8],
        ['winogradF4x4K3', 1],
        [undefined, 1],
      ] as const) {
        const stored = [graphWith(random, algorithm, groups), graphWith(random, algorithm, groups)];
        const { graph, feeds } = withInputs(stored[0]!);
        const options = { runtime, reparameterize: false };
        const session = await InferenceSession.create(graph, options);
        const x = toTensor(randomNd(random, [2, 8, 9, 10]));
        for (const one of [...stored, ...stored]) {
          const fixed = await InferenceSession.create(one, options);
          const expected = fixed.runSync({ x });
          const actual = session.runSync({ x, ...feeds(one.values) });
          for (const name of one.outputs) {
            assert.ok(sameBits(actual[name]!.data, expected[name]!.data), `${algorithm}, ${groups} groups: ${name}`);
          }
          await fixed.release();
        }
        await session.release();
      }
    }));
}

test('parameters that come with a run must have the dims that the node expects', () =>
  withRuntime('baseline', async (runtime) => {
    const { graph, feeds } = withInputs(graphWith(seededRandom(9), 'gemm', 1));
    const session = await InferenceSession.create(graph, { runtime, reparameterize: false });
    const x = toTensor(randomNd(seededRandom(1), [1, 8, 9, 10]));
    const good = feeds(graphWith(seededRandom(9), 'gemm', 1).values);
    const { used } = runtime.memory;
    const wrong: [name: string, dims: number[], words: RegExp][] = [
      ['a.weight', [8, 8, 3], /weight must have dims \[outChannels, inChannels \/ 1, 3, 3\]/],
      ['a.weight', [8, 8, 3, 5], /weight must have dims/],
      ['a.weight', [8, 4, 3, 3], /input has 8 channels, this layer expects 4/],
      ['a.bias', [7], /bias must have 8 values, got \[7\]/],
      ['c.gamma', [9], /norm must have 8 values/],
      ['y.weight', [5, 8, 1], /weight must have 2 dims/],
      ['y.bias', [4], /bias must have 5 values/],
    ];
    for (const [name, dims, words] of wrong) {
      const bad = { ...good, [name]: toTensor(randomNd(seededRandom(2), dims)) };
      assert.throws(
        () => session.runSync({ x, ...bad }),
        (error: Error) => {
          return error instanceof RangeError && words.test(error.message);
        },
        `${name} [${dims}]`,
      );
      assert.is(runtime.memory.used, used);
    }
    await session.release();
  }));

/** BatchNorms in training that share statistics, and one that reads them. */
function sharedStatistics(): Graph {
  const vector = (...values: number[]): Tensor => new Tensor('float32', values, [values.length]);
  const values = new Map<string, StoredValue>([
    ['mean', { tensor: vector(0), role: 'statistic' }],
    ['variance', { tensor: vector(1), role: 'statistic' }],
  ]);
  const common = { path: '', layer: 'Test', op: 'batchNorm', eps: 0 } as const;
  const inputs = (image: string) => [image, undefined, undefined, 'mean', 'variance'] as const;
  const training = { momentum: 0.5, updates: ['mean', 'variance'] };
  return {
    inputs: ['x', 'z'],
    outputs: ['read', 'first', 'second'],
    values,
    nodes: [
      { ...common, ...training, inputs: inputs('x'), outputs: ['first'] },
      { ...common, ...training, inputs: inputs('z'), outputs: ['second'] },
      { ...common, momentum: undefined, inputs: inputs('x'), outputs: ['read'] },
    ],
  };
}

test('updates happen in order once a run is through; its nodes read what was there before', () =>
  withRuntime('baseline', async (runtime) => {
    const session = await InferenceSession.create(sharedStatistics(), { runtime, reparameterize: false });
    const x = new Tensor('float32', [1, 3], [2, 1, 1, 1]);
    const z = new Tensor('float32', [10, 20], [2, 1, 1, 1]);
    let [mean, variance] = [0, 1];
    for (let run = 0; run < 3; run++) {
      const { read, first } = session.runSync({ x, z });
      const expected = [...x.data].map((value) => (value - mean) / Math.sqrt(variance));
      assert.ok(relativeError(read!.data, expected) < 1e-6, `run ${run}: ${read!.data}, expected ${expected}`);
      assert.ok(relativeError(first!.data, [-1, 1]) < 1e-6);
      // For x: mean 2, unbiased variance 2; for z: 15 and 50.
      mean = (mean / 2 + 1) / 2 + 7.5;
      variance = (variance / 2 + 1) / 2 + 25;
    }
    await session.release();
  }));

test('a graph that updates what it may not, or lacks what it needs, is refused', () =>
  withRuntime('baseline', async (runtime) => {
    const graph = sharedStatistics();
    const frozen = new Map([...graph.values!].map(([name, { tensor }]) => [name, { tensor, role: 'frozen' as const }]));
    const [first, ...others] = graph.nodes;
    const wrong: [Partial<Graph>, RegExp][] = [
      [
        { values: frozen },
        /Test updates mean, which must be a stored value that is trainable or a statistic, got frozen/,
      ],
      [{ nodes: [{ ...first!, updates: ['x'] }, ...others] }, /updates x, .* got none/],
      [
        { nodes: [{ ...first!, inputs: ['x', undefined, undefined, undefined, 'variance'] } as never, ...others] },
        /Test must have a value for its mean, got undefined/,
      ],
      [{ nodes: [{ ...first!, inputs: ['x'] } as never, ...others] }, /a value for its mean, got undefined/],
      [{ nodes: [{ ...first!, updates: ['mean'] }, ...others] }, /Test must have updates of its mean and its variance/],
    ];
    for (const [change, words] of wrong) {
      try {
        await InferenceSession.create({ ...graph, ...change }, { runtime });
      } catch (error) {
        assert.instance(error, RangeError);
        assert.match((error as Error).message, words);
        continue;
      }
      assert.unreachable(`expected ${words}`);
    }
  }));

test.run();
