/**
 * NaN and infinity go through as IEEE says, ReLU(NaN) is NaN, max pooling propagates NaN. Channels are padded to a
 * multiple of four in memory: what is in those lanes never reaches a result, which is why most shapes here have three
 * or five channels, and why layers are chained.
 */
import {
  ACBlock,
  Add,
  AvgPool2d,
  BatchNorm2d,
  Concat,
  Conv2d,
  Flatten,
  GlobalAvgPool2d,
  Linear,
  MaxPool2d,
  ReLU,
  type Runtime,
  Sequential,
  type StateDict,
  Tensor,
} from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Heap } from '../src/runtime/heap.js';
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

const { NaN: NAN, POSITIVE_INFINITY: INF } = Number;
const PLAIN: oracle.ConvOptions = {
  stride: [1, 1],
  dilation: [1, 1],
  pads: [1, 1, 1, 1],
  paddingMode: 'zeros',
  groups: 1,
};
const NORM_KEYS = { weight: 'gamma', bias: 'beta', running_mean: 'runningMean', running_var: 'runningVar' } as const;

/** The non-finite values as the oracle has them, exactly; the others closely. */
function expectSame(actual: Tensor, expected: oracle.Nd, what: string): void {
  assert.equal([...actual.dims], [...expected.dims], `${what}: dims`);
  const values = take(actual);
  const finite = values.map((value, i) => {
    const wanted = expected.data[i]!;
    if (Number.isFinite(wanted)) return value;
    assert.ok(Object.is(value, wanted), `${what}: element ${i} is ${value}, expected ${wanted}`);
    return 0;
  });
  const error = relativeError(
    finite,
    Float64Array.from(expected.data, (v) => (Number.isFinite(v) ? v : 0)),
  );
  assert.ok(error < 5e-6, `${what}: relative error ${error}`);
}

function countNonFinite({ data }: oracle.Nd, first = 0, end = data.length): number {
  return Array.from(data)
    .slice(first, end)
    .filter((value) => !Number.isFinite(value)).length;
}

function stateOf(arrays: Record<string, oracle.Nd>): StateDict {
  return Object.fromEntries(Object.entries(arrays).map(([key, array]) => [key, toTensor(array)]));
}

function randomNorm(random: () => number, channels: number) {
  return {
    gamma: randomNd(random, [channels], 0.5, 1.5).data,
    beta: randomNd(random, [channels]).data,
    runningMean: randomNd(random, [channels]).data,
    runningVar: randomNd(random, [channels], 0.1, 2).data,
  };
}

function normArrays(norm: ReturnType<typeof randomNorm>, prefix = ''): Record<string, oracle.Nd> {
  const entries = Object.entries(NORM_KEYS).map(([key, field]): [string, oracle.Nd] => {
    return [prefix + key, { data: norm[field], dims: [norm[field].length] }];
  });
  return Object.fromEntries(entries);
}

/** A random image with these values at places spread over it, one of them in the last channel of the last pixel. */
function imageWith(values: readonly number[], seed: number, dims: readonly number[]) {
  const image = randomNd(seededRandom(seed), dims);
  values.forEach((value, i) => {
    image.data[image.data.length - 1 - i * 53] = value;
  });
  return image;
}

const CONVOLUTIONS = [
  { inChannels: 3, outChannels: 5, groups: 1 },
  { inChannels: 5, outChannels: 3, groups: 1 },
  { inChannels: 6, outChannels: 4, groups: 2 },
  { inChannels: 9, outChannels: 9, groups: 3 },
  { inChannels: 5, outChannels: 5, groups: 5 },
  { inChannels: 5, outChannels: 10, groups: 5 },
  { inChannels: 17, outChannels: 33, groups: 1 },
];
const SPECIALS: readonly (readonly number[])[] = [[NAN], [INF], [-INF], [INF, -INF, NAN]];

const WINOGRAD = ['winogradF4x4K3', 'winogradF2x2K3', 'winogradF2x3K5', 'winogradF1x4K5', 'winogradF4x4K3S2'] as const;
type Winograd = (typeof WINOGRAD)[number];

function kernelOf(algorithm: Winograd): number {
  return algorithm.endsWith('K5') ? 5 : 3;
}

function strideOf(algorithm: Winograd | undefined): number {
  return algorithm === 'winogradF4x4K3S2' ? 2 : 1;
}

function checkConv2d(runtime: Runtime, kernel: number, paddingMode: oracle.PaddingMode, algorithm?: Winograd): void {
  const pads = kernel === 1 ? ([0, 0, 0, 0] as const) : PLAIN.pads;
  const stride = strideOf(algorithm);
  const options: oracle.ConvOptions = { ...PLAIN, paddingMode, pads, stride: [stride, stride] };
  // Winograd computes none with groups.
  for (const shape of CONVOLUTIONS.filter(({ groups }) => groups === 1 || algorithm === undefined)) {
    for (const [seed, values] of SPECIALS.entries()) {
      const { inChannels, outChannels, groups } = shape;
      const input = imageWith(values, seed, [2, inChannels, 5, 7]);
      const weight = randomNd(seededRandom(seed + 9), [outChannels, inChannels / groups, kernel, kernel]);
      const padding = options.pads[0];
      const forced = algorithm && { algorithm };
      const how = { kernelSize: kernel, stride, padding, paddingMode, bias: false, ...forced };
      const layer = new Conv2d(runtime, { ...shape, ...how });
      layer.loadStateDict(stateOf({ weight }));
      const expected = oracle.conv2d(input, weight, undefined, { ...options, groups });
      assert.ok(countNonFinite(expected) > 0);
      expectSame(layer.forward(toTensor(input)), expected, `${JSON.stringify(shape)} of ${values}`);
      layer.dispose();
    }
  }
}

/** Values whose transforms would overflow though the convolution itself does not. */
function checkLargest(runtime: Runtime, kernel: number, algorithm: Winograd): void {
  const dims = [1, 1, kernel, kernel];
  const weight = { data: new Float32Array(kernel * kernel).fill(0), dims };
  // The window's first and last place: at most two large values meet, of opposite signs.
  weight.data[0] = 0.5;
  weight.data[kernel * kernel - 1] = -0.5;
  const input = { data: new Float32Array(81).fill(3e38), dims: [1, 1, 9, 9] };
  for (let i = 0; i < 81; i += 2) input.data[i] = 1e38;
  const stride = strideOf(algorithm);
  const layer = new Conv2d(runtime, {
    inChannels: 1,
    outChannels: 1,
    kernelSize: kernel,
    stride,
    padding: 1,
    bias: false,
    algorithm,
  });
  layer.loadStateDict(stateOf({ weight }));
  const expected = oracle.conv2d(input, weight, undefined, { ...PLAIN, stride: [stride, stride] });
  assert.is(countNonFinite(expected), 0);
  expectSame(layer.forward(toTensor(input)), expected, `${algorithm} of 3e38`);
  layer.dispose();
}

function checkBlock(runtime: Runtime): void {
  for (const shape of CONVOLUTIONS) {
    for (const [seed, values] of SPECIALS.entries()) {
      const { inChannels, outChannels, groups } = shape;
      const random = seededRandom(seed);
      const input = imageWith(values, seed + 5, [1, inChannels, 6, 7]);
      const branch = (height: number, width: number) => ({
        weight: randomNd(random, [outChannels, inChannels / groups, height, width]),
        norm: randomNorm(random, outChannels),
      });
      const state = { square: branch(3, 3), ver: branch(3, 1), hor: branch(1, 3) };
      const options = { ...PLAIN, groups, eps: 1e-5 };
      const arrays: Record<string, oracle.Nd> = {};
      for (const name of ['square', 'ver', 'hor'] as const) {
        arrays[`${name}_conv.weight`] = state[name].weight;
        Object.assign(arrays, normArrays(state[name].norm, `${name}_bn.`));
      }
      const block = new ACBlock(runtime, { ...shape, kernelSize: 3, padding: 1 }).loadStateDict(stateOf(arrays)).eval();
      const what = `${JSON.stringify(shape)} of ${values}`;
      expectSame(block.forward(toTensor(input)), oracle.acBlockEval(input, state, options), `train form ${what}`);
      block.switchToDeploy();
      // One kernel instead of three: infinities that met with opposite signs may no longer meet.
      const { weight, bias } = oracle.merge(state, options.eps);
      expectSame(block.forward(toTensor(input)), oracle.conv2d(input, weight, bias, options), `deploy form ${what}`);
      block.dispose();
    }
  }
}

/** The lanes behind a layer's channels must be zeros for the next layer, also where its input was infinite. */
function checkChains(runtime: Runtime): void {
  const random = seededRandom(3);
  const first = randomNd(random, [5, 3, 3, 3]);
  const norm = randomNorm(random, 5);
  const second = randomNd(random, [6, 5, 3, 3]);
  const matrix = randomNd(random, [4, 6 * 4 * 4]);
  const bias = randomNd(random, [4]);
  const layer = new Sequential(runtime, [
    new Conv2d(runtime, { inChannels: 3, outChannels: 5, kernelSize: 3, padding: 1, bias: false }),
    new BatchNorm2d(runtime, { numFeatures: 5 }),
    new ReLU(runtime),
    new Conv2d(runtime, { inChannels: 5, outChannels: 6, kernelSize: 3, padding: 1, bias: false }),
    new Flatten(runtime),
    new Linear(runtime, { inFeatures: 96, outFeatures: 4 }),
  ]);
  layer.loadStateDict(
    stateOf({
      '0.weight': first,
      ...normArrays(norm, '1.'),
      '3.weight': second,
      '5.weight': matrix,
      '5.bias': bias,
    }),
  );
  layer.eval();
  for (const value of [NAN, INF, -INF]) {
    const input = randomNd(seededRandom(11), [2, 3, 4, 4]);
    // In the first image alone, in a corner: most of its results and all of the second image's are finite.
    input.data[0] = value;
    const normal = oracle.batchNormEval(oracle.conv2d(input, first, undefined, PLAIN), norm, 1e-5);
    const flat = oracle.flatten(oracle.conv2d(oracle.relu(normal), second, undefined, PLAIN));
    const expected = oracle.linear(flat, matrix, bias.data);
    expectSame(layer.forward(toTensor(input)), expected, `six layers, input ${value}`);
    assert.ok(countNonFinite(expected, 0, 4) > 0);
    assert.is(countNonFinite(expected, 4), 0);
  }
  layer.dispose();
}

/** Fused into the convolution, and each on its own. */
function checkBiasAndNorm(runtime: Runtime): void {
  const random = seededRandom(23);
  for (const algorithm of ['gemm', 'winogradF4x4K3'] as const) {
    const layers = [
      new Conv2d(runtime, { inChannels: 9, outChannels: 6, kernelSize: 3, padding: 1, algorithm }),
      new BatchNorm2d(runtime, { numFeatures: 6 }).loadStateDict(stateOf(normArrays(randomNorm(random, 6)))),
    ] as const;
    const net = new Sequential(runtime, layers).eval();
    const input = toTensor(randomNd(random, [1, 9, 8, 7]));
    const between = layers[0].forward(input);
    const apart = take(layers[1].forward(between));
    between.dispose();
    const error = relativeError(take(net.forward(input)), apart);
    assert.ok(error <= 1e-5, `${algorithm}: ${error}`);
    net.dispose();
  }
}

function checkElementwise(runtime: Runtime): void {
  const values = [NAN, INF, -INF, 0, -0, 1, -1, 3e38, -3e38, 1e-45];
  const input = { data: Float32Array.from(values), dims: [1, 5, 2, 1] };
  const relu = new ReLU(runtime);
  expectSame(relu.forward(toTensor(input)), oracle.relu(input), 'ReLU');
  const other = { data: Float32Array.from([1, -INF, 1, NAN, INF, 0, 0, 0, 0, 0]), dims: input.dims };
  const add = new Add(runtime);
  expectSame(add.forward(toTensor(input), toTensor(other)), oracle.add(input, other), 'Add');
  const concat = new Concat(runtime);
  const joined = concat.forward(toTensor(input), toTensor(other), toTensor(input));
  // Another layer, so that lanes behind the fifteenth channel would show.
  const pool = new GlobalAvgPool2d(runtime);
  expectSame(pool.forward(joined), oracle.globalAvgPool2d(oracle.concat([input, other, input])), 'Concat, pool');
  expectSame(joined, oracle.concat([input, other, input]), 'Concat');
  for (const layer of [relu, add, concat, pool]) layer.dispose();
}

function checkPools(runtime: Runtime): void {
  const max = new MaxPool2d(runtime, { kernelSize: 3, stride: 2, padding: 1 });
  const average = new AvgPool2d(runtime, { kernelSize: 3, stride: 2, padding: 1 });
  const window = { kernel: [3, 3], stride: [2, 2], padding: [1, 1], ceilMode: false } as const;
  // Sixteen channels that are computed together, and a few more.
  const dims = [1, 21, 5, 6];
  // NaN at every place of the windows in turn, first, last and in between.
  for (let place = 0; place < 30; place++) {
    for (const value of [NAN, INF, -INF]) {
      const input = randomNd(seededRandom(place), dims);
      input.data[(place % 21) * 30 + place] = value;
      const expected = oracle.maxPool2d(input, { ...window, dilation: [1, 1] });
      if (Number.isNaN(value)) assert.ok(countNonFinite(expected) > 0);
      expectSame(max.forward(toTensor(input)), expected, `MaxPool2d, ${value} at ${place}`);
      const mean = oracle.avgPool2d(input, { ...window, countIncludePad: true });
      expectSame(average.forward(toTensor(input)), mean, `AvgPool2d, ${value} at ${place}`);
    }
  }
  const lowest = { data: new Float32Array(630).fill(-INF), dims };
  expectSame(max.forward(toTensor(lowest)), oracle.maxPool2d(lowest, { ...window, dilation: [1, 1] }), 'all -Infinity');
  for (const layer of [max, average]) layer.dispose();
}

function checkBatchStatistics(runtime: Runtime): void {
  const norm = randomNorm(seededRandom(5), 5);
  const layer = new BatchNorm2d(runtime, { numFeatures: 5 });
  const dims = [2, 5, 3, 3];
  for (const value of [NAN, INF]) {
    layer.loadStateDict(stateOf(normArrays(norm))).train();
    const input = randomNd(seededRandom(6), dims);
    // In the second channel alone: no other channel may change.
    input.data[9] = value;
    const expected = oracle.batchNormTrain(input, norm, 1e-5, 0.1);
    expectSame(layer.forward(toTensor(input)), expected.output, `training with ${value}`);
    const state = layer.stateDict();
    expectSame(state.running_mean!, { data: expected.runningMean, dims: [5] }, 'running_mean');
    expectSame(state.running_var!, { data: expected.runningVar, dims: [5] }, 'running_var');
    for (const tensor of Object.values(state)) tensor.dispose();
  }
  layer.dispose();
}

/** Values far from zero: a variance taken as E[x^2] - E[x]^2 in float32 would be nothing but rounding. */
function checkOffset(runtime: Runtime): void {
  const input = randomNd(seededRandom(8), [2, 3, 16, 16], 999, 1001);
  const norm = randomNorm(seededRandom(5), 3);
  const layer = new BatchNorm2d(runtime, { numFeatures: 3, momentum: 1 });
  layer.loadStateDict(stateOf(normArrays(norm))).train();
  const expected = oracle.batchNormTrain(input, norm, 1e-5, 1);
  const error = relativeError(take(layer.forward(toTensor(input))), expected.output.data);
  assert.ok(error < 5e-4, `output: relative error ${error}`);
  const state = layer.stateDict();
  const varianceError = relativeError(state.running_var!.data as Float32Array, expected.runningVar);
  assert.ok(varianceError < 1e-5, `running_var: relative error ${varianceError}`);
  for (const tensor of Object.values(state)) tensor.dispose();
  layer.dispose();
}

for (const simd of await supportedBuilds()) {
  const run = (name: string, body: (runtime: Runtime) => void) =>
    test(`${simd}: ${name}`, () => withRuntime(simd, (runtime) => body(runtime)));
  for (const mode of ['zeros', 'reflect', 'replicate', 'circular'] as const) {
    run(`NaN and infinity through Conv2d 3x3, ${mode}`, (runtime) => checkConv2d(runtime, 3, mode));
  }
  run('NaN and infinity through Conv2d 1x1', (runtime) => checkConv2d(runtime, 1, 'zeros'));
  for (const algorithm of WINOGRAD) {
    const kernel = kernelOf(algorithm);
    run(`NaN and infinity through ${algorithm}`, (runtime) => checkConv2d(runtime, kernel, 'zeros', algorithm));
    run(`values near the largest through ${algorithm}`, (runtime) => checkLargest(runtime, kernel, algorithm));
  }
  run('NaN and infinity through ACBlock', checkBlock);
  run('NaN and infinity through layers behind one another', checkChains);
  run('NaN and infinity through ReLU, Add, Concat', checkElementwise);
  run('NaN and infinity through pools', checkPools);
  run('NaN and infinity in batch statistics stay in their channel', checkBatchStatistics);
  run('a BatchNorm behind a convolution with a bias', checkBiasAndNorm);
  run('batch statistics of values far from zero', checkOffset);
}

/** Groups that do not end with a vector: the lanes behind the last channel lie beyond the last tile of a product. */
test('what was in memory before never comes out of the lanes behind groups', async () => {
  await withRuntime('baseline', (runtime) => {
    const { heap } = runtime as Runtime & { heap: Heap };
    const random = seededRandom(5);
    // In float64 three channels per group are one short of a tile of four, in float32 seven are one short of a tile of
    // eight.
    for (const [perGroup, inPerGroup] of [
      [3, 2],
      [7, 80],
    ] as const) {
      const channels = 2 * perGroup;
      const input = toTensor(randomNd(random, [1, 2 * inPerGroup, 5, 5]));
      const weights = [randomNd(random, [channels, inPerGroup, 1, 1]), randomNd(random, [8, channels, 3, 3])];
      const outputs = [0, NAN].map((left) => {
        const memory = heap.allocate(1 << 20);
        heap.floats(memory.ptr, 1 << 18).fill(left);
        memory.free();
        const options = { kernelSize: 1, groups: 2, bias: false };
        const layer = new Sequential(runtime, [
          new Conv2d(runtime, { inChannels: 2 * inPerGroup, outChannels: channels, ...options }),
          new Conv2d(runtime, {
            inChannels: channels,
            outChannels: 8,
            kernelSize: 3,
            bias: false,
            algorithm: 'winogradF4x4K3',
          }),
        ]);
        layer.loadStateDict(Object.fromEntries(weights.map((weight, i) => [`${i}.weight`, toTensor(weight)])));
        const output = take(layer.forward(input));
        layer.dispose();
        return output;
      });
      assert.ok(sameBits(outputs[0]!, outputs[1]!), `${perGroup} channels a group`);
    }
  });
});

for (const algorithm of WINOGRAD) {
  test(`${algorithm}: infinite weights give what a direct sum gives`, async () => {
    await withRuntime('baseline', (runtime) => {
      const kernelSize = kernelOf(algorithm);
      const stride = strideOf(algorithm);
      const options = { inChannels: 16, outChannels: 3, kernelSize, stride, padding: 1 };
      const weight = new Float32Array(3 * 16 * kernelSize ** 2).fill(0.25);
      weight[weight.length - 1] = Number.POSITIVE_INFINITY;
      const data = Float32Array.from({ length: 16 * 36 }, (_, i) => Math.sin(i));
      const input = new Tensor('float32', data, [1, 16, 6, 6]);
      const outputs = [algorithm, 'gemm' as const].map((forced) => {
        const layer = new Conv2d(runtime, { ...options, bias: false, algorithm: forced });
        layer.loadStateDict({ weight: new Tensor('float32', weight, [3, 16, kernelSize, kernelSize]) });
        const output = take(layer.forward(input));
        layer.dispose();
        return output;
      }) as [Float32Array, Float32Array];
      assert.ok(outputs[1].some((value) => Math.abs(value) === Number.POSITIVE_INFINITY));
      assert.is(outputs[0].join(), outputs[1].join());
    });
  });
}

test.run();
