/**
 * Random layers against the float64 oracle (fast-check, fixed seed; a failure prints the smallest counterexample it
 * found and how to replay it). Errors are measured against the sum of magnitudes that went into an output, which is
 * what the rounding of float32 is proportional to, so that an output near zero needs no generous tolerance.
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
  type Tensor,
} from 'acnet-wasm';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as oracle from './oracle.js';
import {
  type Build,
  largestDifference,
  randomNd,
  sameBits,
  seededRandom,
  supportedBuilds,
  take,
  toTensor,
  withRuntime,
} from './support.js';

// 2 to the power -23; sums of a few hundred float32 products in blocks stay within some of it.
const FLOAT32_EPSILON = 1.2e-7;
const CONV_TOLERANCE = 8 * FLOAT32_EPSILON;
// Normalising adds the rounding of statistics to that of the convolution.
const TRAIN_TOLERANCE = 24 * FLOAT32_EPSILON;

const SEED = 20190811;
const RUNS = { conv: 200, block: 100, pool: 150, small: 40 };

type Padding = number | [number, number] | 'same' | 'valid';

interface ConvCase {
  dataSeed: number;
  batch: number;
  inChannels: number;
  outChannels: number;
  groups: number;
  kernelSize: [number, number];
  branchSize: number;
  stride: [number, number];
  dilation: [number, number];
  padding: Padding;
  paddingMode: oracle.PaddingMode;
  height: number;
  width: number;
  flag: boolean;
  /** Kernels to force. */
  algorithm?: 'winogradF4x4K3' | 'winogradF2x2K3' | 'winogradF2x3K5' | 'winogradF1x4K5' | 'winogradF4x4K3S2';
}

const pairOf = (low: number, high: number) =>
  fc.tuple(fc.integer({ min: low, max: high }), fc.integer({ min: low, max: high }));

/** Channels per group that are multiples of four and that are not; depthwise; one group. */
const channelsArbitrary = fc.oneof(
  fc.record({
    groups: fc.constant(1),
    groupIn: fc.integer({ min: 1, max: 19 }),
    groupOut: fc.integer({ min: 1, max: 37 }),
  }),
  fc.record({
    groups: fc.integer({ min: 2, max: 5 }),
    groupIn: fc.integer({ min: 1, max: 9 }),
    groupOut: fc.integer({ min: 1, max: 9 }),
  }),
  fc.record({
    groups: fc.integer({ min: 2, max: 21 }),
    groupIn: fc.constant(1),
    groupOut: fc.integer({ min: 1, max: 3 }),
  }),
);

const paddingArbitrary: fc.Arbitrary<Padding> = fc.oneof(
  fc.integer({ min: 0, max: 4 }),
  pairOf(0, 4),
  fc.constant('same' as const),
  fc.constant('valid' as const),
);

const kernelArbitrary = fc.oneof(
  { weight: 3, arbitrary: pairOf(1, 7) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 7 }).map((k): [number, number] => [k, k]) },
);

const convArbitrary: fc.Arbitrary<ConvCase> = fc
  .record({
    dataSeed: fc.nat(),
    batch: fc.integer({ min: 1, max: 3 }),
    channels: channelsArbitrary,
    kernelSize: kernelArbitrary,
    branch: fc.nat(),
    stride: fc.oneof(fc.constant<[number, number]>([1, 1]), pairOf(1, 3)),
    dilation: fc.oneof(fc.constant<[number, number]>([1, 1]), pairOf(1, 3)),
    padding: paddingArbitrary,
    paddingMode: fc.constantFrom<oracle.PaddingMode>('zeros', 'zeros', 'reflect', 'replicate', 'circular'),
    out: fc.oneof(fc.constant<[number, number]>([1, 1]), pairOf(1, 9)),
    slack: pairOf(0, 2),
    flag: fc.boolean(),
  })
  .map(({ channels, branch, stride, out, slack, ...rest }) => {
    const { kernelSize, dilation, padding, paddingMode } = rest;
    const ownStride: [number, number] = padding === 'same' ? [1, 1] : stride;
    const pads = oracle.resolvePads(padding, kernelSize, dilation);
    const sizeOf = (axis: 0 | 1) => {
      const padded = pads[axis] + pads[axis + 2]!;
      const size =
        (out[axis] - 1) * ownStride[axis] + dilation[axis] * (kernelSize[axis] - 1) + 1 - padded + slack[axis];
      const largest = Math.max(pads[axis], pads[axis + 2]!);
      const smallest = paddingMode === 'reflect' ? largest + 1 : paddingMode === 'circular' ? largest : 1;
      return Math.max(size, smallest, 1);
    };
    return {
      ...rest,
      stride: ownStride,
      groups: channels.groups,
      inChannels: channels.groups * channels.groupIn,
      outChannels: channels.groups * channels.groupOut,
      branchSize: 1 + (branch % Math.min(...kernelSize)),
      height: sizeOf(0),
      width: sizeOf(1),
    };
  });

/** What Winograd can compute, forced, so that every shape of image meets every scheme. */
const winogradArbitrary: fc.Arbitrary<ConvCase> = fc
  .record({
    dataSeed: fc.nat(),
    batch: fc.integer({ min: 1, max: 3 }),
    inChannels: fc.integer({ min: 1, max: 19 }),
    outChannels: fc.integer({ min: 1, max: 21 }),
    algorithm: fc.constantFrom(
      'winogradF4x4K3' as const,
      'winogradF2x2K3' as const,
      'winogradF2x3K5' as const,
      'winogradF1x4K5' as const,
      'winogradF4x4K3S2' as const,
    ),
    branch: fc.nat(),
    padding: paddingArbitrary,
    paddingMode: fc.constantFrom<oracle.PaddingMode>('zeros', 'reflect', 'replicate', 'circular'),
    height: fc.integer({ min: 5, max: 15 }),
    width: fc.integer({ min: 5, max: 15 }),
    flag: fc.boolean(),
  })
  .map(({ branch, ...rest }) => {
    const k = rest.algorithm.endsWith('K5') ? 5 : 3;
    const s = rest.algorithm === 'winogradF4x4K3S2' ? 2 : 1;
    // 'same' is for stride 1.
    const padding = s === 2 && rest.padding === 'same' ? 1 : rest.padding;
    const same = { ...rest, padding, branchSize: 1 + (branch % k), groups: 1 };
    return { ...same, kernelSize: [k, k], stride: [s, s], dilation: [1, 1] };
  });

interface PoolCase {
  dataSeed: number;
  batch: number;
  channels: number;
  kernelSize: [number, number];
  stride: [number, number];
  padding: [number, number];
  dilation: [number, number];
  ceilMode: boolean;
  countIncludePad: boolean;
  height: number;
  width: number;
}

const poolArbitrary: fc.Arbitrary<PoolCase> = fc
  .record({
    dataSeed: fc.nat(),
    batch: fc.integer({ min: 1, max: 3 }),
    channels: fc.integer({ min: 1, max: 13 }),
    kernelSize: pairOf(1, 5),
    stride: pairOf(1, 4),
    pad: fc.tuple(fc.nat(), fc.nat()),
    dilation: fc.oneof(fc.constant<[number, number]>([1, 1]), pairOf(1, 3)),
    ceilMode: fc.boolean(),
    countIncludePad: fc.boolean(),
    extra: pairOf(0, 9),
  })
  .map(({ pad, extra, ...rest }) => {
    const { kernelSize, dilation } = rest;
    // PyTorch allows at most half a kernel of padding.
    const padding = ([0, 1] as const).map((axis) => pad[axis] % (Math.floor(kernelSize[axis] / 2) + 1)) as [
      number,
      number,
    ];
    const sizeOf = (axis: 0 | 1) => {
      return Math.max(1, dilation[axis] * (kernelSize[axis] - 1) + 1 - 2 * padding[axis] + extra[axis]);
    };
    return { ...rest, padding, height: sizeOf(0), width: sizeOf(1) };
  });

const shapeArbitrary = fc.record({
  dataSeed: fc.nat(),
  batch: fc.integer({ min: 1, max: 3 }),
  channels: fc.integer({ min: 1, max: 23 }),
  other: fc.integer({ min: 1, max: 23 }),
  height: fc.integer({ min: 1, max: 9 }),
  width: fc.integer({ min: 1, max: 9 }),
  flag: fc.boolean(),
});

/** Options of one convolution as the oracle takes them. */
function convOptions(c: ConvCase): oracle.ConvOptions {
  const { stride, dilation, paddingMode, groups } = c;
  return { stride, dilation, paddingMode, groups, pads: oracle.resolvePads(c.padding, c.kernelSize, dilation) };
}

function layerOptions(c: ConvCase) {
  const { inChannels, outChannels, kernelSize, stride, padding, dilation, groups, paddingMode } = c;
  const forced = c.algorithm && { algorithm: c.algorithm };
  return { inChannels, outChannels, kernelSize, stride, padding, dilation, groups, paddingMode, ...forced };
}

function expectClose(actual: Tensor, expected: oracle.Nd, allowed: number, what: string): void {
  assert.equal([...actual.dims], [...expected.dims], `${what}: dims`);
  const difference = largestDifference(take(actual), expected.data);
  assert.ok(difference <= allowed, `${what}: differs by ${difference}, allowed ${allowed}`);
}

function expectExact(actual: Tensor, expected: oracle.Nd, what: string): void {
  assert.equal([...actual.dims], [...expected.dims], `${what}: dims`);
  const values = take(actual);
  for (let i = 0; i < values.length; i++) {
    const same =
      values[i] === Math.fround(expected.data[i]!) || (Number.isNaN(values[i]) && Number.isNaN(expected.data[i]));
    assert.ok(same, `${what}: element ${i} is ${values[i]}, expected ${expected.data[i]}`);
  }
}

function loadAll(layer: { loadStateDict(state: StateDict): unknown }, arrays: Record<string, oracle.Nd>): void {
  layer.loadStateDict(Object.fromEntries(Object.entries(arrays).map(([key, array]) => [key, toTensor(array)])));
}

function randomNorm(random: () => number, channels: number, affine: boolean): oracle.BatchNormState {
  return {
    ...(affine && { gamma: randomNd(random, [channels], -1.5, 1.5).data, beta: randomNd(random, [channels]).data }),
    runningMean: randomNd(random, [channels], -0.5, 0.5).data,
    runningVar: randomNd(random, [channels], 0.05, 2).data,
  };
}

function normState(norm: oracle.BatchNormState): Record<string, oracle.Nd> {
  const dims = [norm.runningMean.length];
  return {
    ...(norm.gamma && { weight: { data: norm.gamma, dims } }),
    ...(norm.beta && { bias: { data: norm.beta, dims } }),
    running_mean: { data: norm.runningMean, dims },
    running_var: { data: norm.runningVar, dims },
  };
}

function blockState(state: oracle.BlockState): Record<string, oracle.Nd> {
  const arrays: Record<string, oracle.Nd> = {};
  for (const name of ['square', 'ver', 'hor'] as const) {
    arrays[`${name}_conv.weight`] = state[name].weight;
    for (const [key, array] of Object.entries(normState(state[name].norm))) arrays[`${name}_bn.${key}`] = array;
  }
  return arrays;
}

/** The most by which a BatchNorm multiplies rounding errors of its input. */
function amplification(norm: oracle.BatchNormState, variance: ArrayLike<number>, eps: number): number {
  return Math.max(...Array.from(variance, (v, c) => Math.abs(norm.gamma?.[c] ?? 1) / Math.sqrt(v + eps)));
}

function checkConv2d(runtime: Runtime, c: ConvCase): void {
  const random = seededRandom(c.dataSeed);
  const input = randomNd(random, [c.batch, c.inChannels, c.height, c.width]);
  const weight = randomNd(random, [c.outChannels, c.inChannels / c.groups, ...c.kernelSize]);
  const bias = c.flag ? randomNd(random, [c.outChannels]) : undefined;
  const layer = new Conv2d(runtime, { ...layerOptions(c), bias: c.flag });
  loadAll(layer, { weight, ...(bias && { bias }) });
  const resident = toTensor(input).to(runtime);
  const output = layer.forward(resident);
  const options = convOptions(c);
  const scale = oracle.convolutionScale(input, weight, bias?.data, options);
  expectClose(output, oracle.conv2d(input, weight, bias?.data, options), CONV_TOLERANCE * scale, 'forward');
  expectExact(resident, input, 'the input, afterwards');
  layer.dispose();
}

interface BlockFixture {
  block: ACBlock;
  input: oracle.Nd;
  state: oracle.BlockState;
  options: oracle.BlockOptions;
  momentum: number;
}

function makeBlock(runtime: Runtime, c: ConvCase): BlockFixture {
  const random = seededRandom(c.dataSeed);
  const eps = 10 ** -(1 + 4 * random());
  const momentum = random();
  const groupIn = c.inChannels / c.groups;
  const branch = (height: number, width: number): oracle.Branch => ({
    weight: randomNd(random, [c.outChannels, groupIn, height, width]),
    norm: randomNorm(random, c.outChannels, c.flag),
  });
  const input = randomNd(random, [c.batch, c.inChannels, c.height, c.width]);
  const state = { square: branch(...c.kernelSize), ver: branch(c.branchSize, 1), hor: branch(1, c.branchSize) };
  const block = new ACBlock(runtime, { ...layerOptions(c), branchSize: c.branchSize, affine: c.flag, eps, momentum });
  loadAll(block, blockState(state));
  return { block, input, state, options: { ...convOptions(c), eps }, momentum };
}

/** What rounding in a block is proportional to, given the variances its BatchNorms divide by. */
function blockScale(
  { input, state, options }: BlockFixture,
  variance: Record<'square' | 'ver' | 'hor', ArrayLike<number>>,
) {
  const kernel: oracle.Pair = [state.square.weight.dims[2]!, state.square.weight.dims[3]!];
  let scale = 0;
  for (const name of ['square', 'ver', 'hor'] as const) {
    const { weight, norm } = state[name];
    const branch: oracle.Pair = [weight.dims[2]!, weight.dims[3]!];
    const pads = oracle.branchPads(options.pads, kernel, branch, options.dilation);
    const convolution = oracle.convolutionScale(input, weight, norm.runningMean, { ...options, pads });
    scale += convolution * amplification(norm, variance[name], options.eps) + oracle.largestMagnitude(norm.beta ?? []);
  }
  return scale;
}

function runningVariances({ state: { square, ver, hor } }: BlockFixture) {
  return { square: square.norm.runningVar, ver: ver.norm.runningVar, hor: hor.norm.runningVar };
}

function checkBlockEval(runtime: Runtime, c: ConvCase): void {
  const made = makeBlock(runtime, c);
  const { block, input, state, options } = made;
  block.eval();
  const allowed = CONV_TOLERANCE * blockScale(made, runningVariances(made));
  const expected = oracle.acBlockEval(input, state, options);
  expectClose(block.forward(toTensor(input)), expected, allowed, 'train form');

  const merged = oracle.merge(state, options.eps);
  const { weight, bias } = block.equivalentKernelBias();
  // One rounding to float32 at the very end.
  expectClose(weight, merged.weight, FLOAT32_EPSILON * oracle.largestMagnitude(merged.weight.data), 'merged weight');
  const biasScale = oracle.largestMagnitude(merged.bias);
  expectClose(bias, { data: merged.bias, dims: [c.outChannels] }, FLOAT32_EPSILON * biasScale, 'merged bias');

  block.switchToDeploy();
  expectClose(block.forward(toTensor(input)), expected, allowed, 'deploy form');
  block.dispose();
}

function checkBlockTrain(runtime: Runtime, c: ConvCase): void {
  const made = makeBlock(runtime, c);
  const { block, input, state, options, momentum } = made;
  const convolutions = oracle.blockConvolutions(input, state, options);
  const statistics = convolutions.map(oracle.batchStatistics);
  // A single value has no variance to update the running one with.
  if (statistics[0]!.count > 1) {
    const [square, ver, hor] = statistics.map((s) => s.variance) as [number[], number[], number[]];
    const scale = blockScale(made, { square, ver, hor });
    const expected = oracle.acBlockTrain(input, state, options, momentum);
    block.train();
    expectClose(block.forward(toTensor(input)), expected.output, TRAIN_TOLERANCE * scale, 'training mode');

    const after = block.stateDict();
    for (const name of ['square', 'ver', 'hor'] as const) {
      const norm = state[name].norm;
      const largest = oracle.largestMagnitude(convolutions.flatMap(({ data }) => [...Array.from(data), 1]));
      const near = (key: 'runningMean' | 'runningVar', allowed: number) => {
        const tensor = after[`${name}_bn.${key === 'runningMean' ? 'running_mean' : 'running_var'}`]!;
        expectClose(tensor, { data: expected[name][key], dims: [c.outChannels] }, allowed, `${name} ${key}`);
        norm[key] = Float32Array.from(expected[name][key]);
      };
      near('runningMean', TRAIN_TOLERANCE * largest);
      near('runningVar', TRAIN_TOLERANCE * largest * largest);
    }
    for (const tensor of Object.values(after)) tensor.dispose();

    // Evaluation after a training step must use the new statistics, not weights folded before it.
    block.eval();
    const allowed = TRAIN_TOLERANCE * blockScale(made, runningVariances(made));
    expectClose(
      block.forward(toTensor(input)),
      oracle.acBlockEval(input, state, options),
      allowed,
      'evaluation after it',
    );
  }
  block.dispose();
}

function checkMaxPool2d(runtime: Runtime, c: PoolCase): void {
  const random = seededRandom(c.dataSeed);
  const input = randomNd(random, [c.batch, c.channels, c.height, c.width]);
  // Below zero too, so that padding with zeros would show.
  if (random() < 0.5) for (let i = 0; i < input.data.length; i++) input.data[i]! -= 1;
  const { kernelSize, stride, padding, dilation, ceilMode } = c;
  const layer = new MaxPool2d(runtime, { kernelSize, stride, padding, dilation, ceilMode });
  const expected = oracle.maxPool2d(input, { kernel: kernelSize, stride, padding, dilation, ceilMode });
  expectExact(layer.forward(toTensor(input)), expected, 'forward');
  layer.dispose();
}

function checkAvgPool2d(runtime: Runtime, c: PoolCase): void {
  // Average pooling has no dilation: inputs are only larger than they need to be.
  const input = randomNd(seededRandom(c.dataSeed), [c.batch, c.channels, c.height, c.width]);
  const { kernelSize, stride, padding, ceilMode, countIncludePad } = c;
  const layer = new AvgPool2d(runtime, { kernelSize, stride, padding, ceilMode, countIncludePad });
  const expected = oracle.avgPool2d(input, { kernel: kernelSize, stride, padding, ceilMode, countIncludePad });
  expectClose(layer.forward(toTensor(input)), expected, 4 * FLOAT32_EPSILON, 'forward');
  layer.dispose();
}

interface ShapeCase {
  dataSeed: number;
  batch: number;
  channels: number;
  other: number;
  height: number;
  width: number;
  flag: boolean;
}

const imageOf = (c: ShapeCase, random: () => number, channels = c.channels) =>
  randomNd(random, [c.batch, channels, c.height, c.width]);

function checkBatchNorm2d(runtime: Runtime, c: ShapeCase): void {
  const random = seededRandom(c.dataSeed);
  const input = imageOf(c, random);
  const norm = randomNorm(random, c.channels, c.flag);
  const eps = 1e-3;
  const momentum = random();
  const layer = new BatchNorm2d(runtime, { numFeatures: c.channels, affine: c.flag, eps, momentum });
  loadAll(layer, normState(norm));
  const allowedWith = (variance: ArrayLike<number>) => TRAIN_TOLERANCE * (1 + amplification(norm, variance, eps));
  layer.eval();
  const allowed = allowedWith(norm.runningVar);
  expectClose(layer.forward(toTensor(input)), oracle.batchNormEval(input, norm, eps), allowed, 'evaluation');
  const { variance, count } = oracle.batchStatistics(input);
  if (count > 1) {
    const expected = oracle.batchNormTrain(input, norm, eps, momentum);
    layer.train();
    expectClose(layer.forward(toTensor(input)), expected.output, allowedWith(variance), 'training');
    const after = layer.stateDict();
    const dims = [c.channels];
    expectClose(after.running_mean!, { data: expected.runningMean, dims }, TRAIN_TOLERANCE, 'running_mean');
    expectClose(after.running_var!, { data: expected.runningVar, dims }, TRAIN_TOLERANCE, 'running_var');
    for (const tensor of Object.values(after)) tensor.dispose();
  }
  layer.dispose();
}

function checkLinear(runtime: Runtime, c: ShapeCase): void {
  const random = seededRandom(c.dataSeed);
  const inFeatures = c.channels * c.height;
  const outFeatures = c.other;
  const input = randomNd(random, [c.batch, inFeatures]);
  const weight = randomNd(random, [outFeatures, inFeatures]);
  const bias = c.flag ? randomNd(random, [outFeatures]) : undefined;
  const layer = new Linear(runtime, { inFeatures, outFeatures, bias: c.flag });
  loadAll(layer, { weight, ...(bias && { bias }) });
  const expected = oracle.linear(input, weight, bias?.data);
  expectClose(layer.forward(toTensor(input)), expected, CONV_TOLERANCE * (1 + inFeatures), 'forward');
  layer.dispose();
}

function checkUnary(runtime: Runtime, c: ShapeCase): void {
  const input = imageOf(c, seededRandom(c.dataSeed));
  const pool = new GlobalAvgPool2d(runtime);
  const expected = oracle.globalAvgPool2d(input);
  expectClose(pool.forward(toTensor(input)), expected, 4 * FLOAT32_EPSILON, 'GlobalAvgPool2d');
  const relu = new ReLU(runtime);
  expectExact(relu.forward(toTensor(input)), oracle.relu(input), 'ReLU');
  const flatten = new Flatten(runtime);
  expectExact(flatten.forward(toTensor(input)), oracle.flatten(input), 'Flatten');
  for (const layer of [pool, relu, flatten]) layer.dispose();
}

function checkJoins(runtime: Runtime, c: ShapeCase): void {
  const random = seededRandom(c.dataSeed);
  const a = imageOf(c, random);
  const b = imageOf(c, random);
  const add = new Add(runtime);
  const resident = toTensor(a).to(runtime);
  expectExact(add.forward(resident, toTensor(b)), oracle.add(a, b), 'Add');
  const double = add.forward(resident, resident);
  expectExact(double, oracle.add(a, a), 'Add to itself');
  const parts = [a, imageOf(c, random, c.other), b];
  const concat = new Concat(runtime);
  expectExact(concat.forward(...parts.map(toTensor)), oracle.concat(parts), 'Concat');
  resident.dispose();
  for (const layer of [add, concat]) layer.dispose();
}

function checkSequential(runtime: Runtime, c: ShapeCase): void {
  const random = seededRandom(c.dataSeed);
  const input = imageOf(c, random);
  const norm = randomNorm(random, c.other, true);
  const kernel = randomNd(random, [c.other, c.channels, 3, 3]);
  const outHeight = oracle.poolOutSize(c.height, 2, 2, 1, false);
  const outWidth = oracle.poolOutSize(c.width, 2, 2, 1, false);
  const inFeatures = c.other * outHeight * outWidth;
  const convBias = c.flag ? randomNd(random, [c.other]) : undefined;
  const matrix = randomNd(random, [7, inFeatures]);
  const bias = randomNd(random, [7]);
  const layer = new Sequential(runtime, [
    new Conv2d(runtime, { inChannels: c.channels, outChannels: c.other, kernelSize: 3, padding: 1, bias: c.flag }),
    new BatchNorm2d(runtime, { numFeatures: c.other }),
    new ReLU(runtime),
    new MaxPool2d(runtime, { kernelSize: 2, padding: 1 }),
    new Flatten(runtime),
    new Linear(runtime, { inFeatures, outFeatures: 7 }),
    new ReLU(runtime),
  ]);
  const norms = Object.entries(normState(norm)).map(([key, array]): [string, oracle.Nd] => [`1.${key}`, array]);
  loadAll(layer, {
    '0.weight': kernel,
    ...(convBias && { '0.bias': convBias }),
    ...Object.fromEntries(norms),
    '5.weight': matrix,
    '5.bias': bias,
  });
  layer.eval();

  const options: oracle.ConvOptions = {
    stride: [1, 1],
    dilation: [1, 1],
    pads: [1, 1, 1, 1],
    paddingMode: 'zeros',
    groups: 1,
  };
  const convolved = oracle.conv2d(input, kernel, convBias?.data, options);
  const normal = oracle.batchNormEval(convolved, norm, 1e-5);
  const pooled = oracle.maxPool2d(oracle.relu(normal), {
    kernel: [2, 2],
    stride: [2, 2],
    padding: [1, 1],
    dilation: [1, 1],
    ceilMode: false,
  });
  const expected = oracle.relu(oracle.linear(oracle.flatten(pooled), matrix, bias.data));
  const scale = oracle.convolutionScale(input, kernel, norm.runningMean, options);
  const featureScale = (scale + 1) * amplification(norm, norm.runningVar, 1e-5) + 1;
  expectClose(layer.forward(toTensor(input)), expected, CONV_TOLERANCE * featureScale * (1 + inFeatures), 'forward');
  layer.dispose();
}

/** A plan is kept per input shape: alternating shapes must not mix them up. */
function checkShapeChange(runtime: Runtime, c: ConvCase): void {
  const { block, input } = makeBlock(runtime, c);
  block.eval();
  const random = seededRandom(c.dataSeed + 1);
  const other = randomNd(random, [c.batch + 1, c.inChannels, c.height + 1, c.width + 2]);
  const first = take(block.forward(toTensor(input)));
  const second = take(block.forward(toTensor(other)));
  const resident = toTensor(input).to(runtime);
  assert.ok(sameBits(take(block.forward(resident)), first), 'the first shape again, resident');
  resident.dispose();
  assert.ok(sameBits(take(block.forward(toTensor(other))), second), 'the second shape again');
  block.switchToDeploy();
  const deployed = take(block.forward(toTensor(other)));
  block.forward(toTensor(input)).dispose();
  assert.ok(sameBits(take(block.forward(toTensor(other))), deployed), 'the second shape in deploy form');
  block.dispose();
}

/** The next forward sees any change of a block's parameters, in its own mode and in a network around it. */
function checkChangesAreSeen(runtime: Runtime, c: ConvCase): void {
  const { block, input, state, options } = makeBlock(runtime, { ...c, flag: true });
  const next = makeBlock(runtime, { ...c, flag: true, dataSeed: c.dataSeed + 1 });
  next.block.dispose();
  const network = new Sequential(runtime, [block]).eval();
  const expectBlock = (expected: oracle.BlockState, what: string) => {
    const made = { ...next, input, state: expected, options };
    const allowed = CONV_TOLERANCE * blockScale(made, runningVariances(made));
    const output = oracle.acBlockEval(input, expected, options);
    expectClose(block.forward(toTensor(input)), output, allowed, `${what}, the block`);
    expectClose(network.forward(toTensor(input)), output, allowed, `${what}, the network`);
  };
  const withGammas = (square: number, others: number): oracle.BlockState => {
    const branch = ({ weight, norm }: oracle.Branch, gamma: number) => {
      return { weight, norm: { ...norm, gamma: new Float32Array(c.outChannels).fill(gamma) } };
    };
    return {
      square: branch(next.state.square, square),
      ver: branch(next.state.ver, others),
      hor: branch(next.state.hor, others),
    };
  };
  expectBlock(state, 'as made');
  loadAll(block, blockState(next.state));
  expectBlock(next.state, 'loadStateDict');
  block.initGamma(0.75);
  expectBlock(withGammas(0.75, 0.75), 'initGamma');
  block.initSingle();
  expectBlock(withGammas(1, 0), 'initSingle');
  const prefixed = Object.entries(blockState(state)).map(([key, array]): [string, oracle.Nd] => [`0.${key}`, array]);
  loadAll(network, Object.fromEntries(prefixed));
  expectBlock(state, 'loadStateDict of the network');
  network.switchToDeploy();
  assert.is(block.form, 'deploy');
  expectBlock(state, 'switchToDeploy of the network');
  network.dispose();
}

/** Past the ends of every block and tile: many channels, many pixels, deep sums. */
const LARGE: ConvCase[] = [
  { inChannels: 67, outChannels: 45, groups: 1, kernelSize: [3, 3] as [number, number], height: 13, width: 17 },
  { inChannels: 300, outChannels: 21, groups: 1, kernelSize: [1, 1] as [number, number], height: 11, width: 7 },
  { inChannels: 150, outChannels: 6, groups: 3, kernelSize: [5, 5] as [number, number], height: 5, width: 4 },
  { inChannels: 3, outChannels: 8, groups: 1, kernelSize: [3, 3] as [number, number], height: 50, width: 61 },
  { inChannels: 70, outChannels: 70, groups: 70, kernelSize: [3, 3] as [number, number], height: 19, width: 23 },
].map((c, i) => ({
  ...c,
  dataSeed: i,
  batch: 2,
  branchSize: 1,
  stride: [1, 1],
  dilation: [1, 1],
  padding: 'same',
  paddingMode: 'zeros',
  flag: true,
}));

/** A kernel as large as an image, as in global depthwise convolutions: more taps than any block has room for. */
function checkHugeKernel(runtime: Runtime): void {
  const size = 410;
  const random = seededRandom(4);
  const input = randomNd(random, [1, 2, size, size]);
  const weight = randomNd(random, [2, 1, size, size]);
  const bystander = randomNd(random, [1, 4, 90, 90]);
  const layer = new Conv2d(runtime, { inChannels: 2, outChannels: 2, groups: 2, kernelSize: size, bias: false });
  loadAll(layer, { weight });
  const residents = Array.from({ length: 4 }, () => toTensor(bystander).to(runtime));
  const options: oracle.ConvOptions = {
    stride: [1, 1],
    dilation: [1, 1],
    pads: [0, 0, 0, 0],
    paddingMode: 'zeros',
    groups: 2,
  };
  const scale = oracle.convolutionScale(input, weight, undefined, options);
  const expected = oracle.conv2d(input, weight, undefined, options);
  expectClose(layer.forward(toTensor(input)), expected, CONV_TOLERANCE * scale, 'forward');
  expectExact(layer.stateDict().weight!, weight, 'the weights, afterwards');
  for (const tensor of residents) expectExact(tensor, bystander, 'a tensor beside it, afterwards');
  layer.dispose();
}

/** More channels than Winograd has room for. */
function checkManyChannels(runtime: Runtime): void {
  const random = seededRandom(4);
  const input = randomNd(random, [1, 6000, 4, 4]);
  const weight = randomNd(random, [2, 6000, 3, 3]);
  for (const algorithm of ['winogradF4x4K3', 'winogradF2x2K3', undefined] as const) {
    const options = { inChannels: 6000, outChannels: 2, kernelSize: 3, padding: 1, bias: false };
    const layer = new Conv2d(runtime, { ...options, ...(algorithm && { algorithm }) });
    loadAll(layer, { weight });
    const resident = toTensor(input).to(runtime);
    try {
      layer.forward(resident).dispose();
    } catch (error) {
      // It may be refused, but not if the layer chose it itself.
      assert.ok(error instanceof RangeError && algorithm !== undefined, String(error));
    }
    expectExact(layer.stateDict().weight!, weight, `${algorithm}: the weights, afterwards`);
    expectExact(resident, input, `${algorithm}: the input, afterwards`);
    layer.dispose();
  }
}

/** What a block is before anything is loaded. */
function checkStart(runtime: Runtime): void {
  const options = { inChannels: 6, outChannels: 4, kernelSize: 3, groups: 2 };
  for (const [more, gamma] of [
    [{}, 1],
    [{ gammaInit: 0.25 }, 0.25],
    [{ gammaInit: 0 }, 0],
    [{ reduceGamma: true }, Math.fround(1 / 3)],
  ] as const) {
    const block = new ACBlock(runtime, { ...options, ...more });
    assert.is(block.form, 'train');
    assert.is(block.training, true);
    const state = block.stateDict('stem.');
    const read = (key: string) => [...(state[`stem.${key}`]!.data as Float32Array)];
    for (const name of ['square', 'ver', 'hor']) {
      assert.equal(read(`${name}_bn.weight`), new Array(4).fill(gamma));
      assert.equal(read(`${name}_bn.bias`), [0, 0, 0, 0]);
      assert.equal(read(`${name}_bn.running_mean`), [0, 0, 0, 0]);
      assert.equal(read(`${name}_bn.running_var`), [1, 1, 1, 1]);
      // Uniform within one over the root of the fan-in: not zeros, not too large.
      const weights = read(`${name}_conv.weight`);
      const largest = oracle.largestMagnitude(weights);
      const bound = 1 / Math.sqrt(3 * (name === 'square' ? 9 : 3));
      assert.ok(largest > bound / 4 && largest <= bound, `${name}: largest weight ${largest}, bound ${bound}`);
    }
    assert.is(Object.keys(state).length, 15);
    block.dispose();
  }
}

for (const simd of await supportedBuilds()) {
  const check = <T>(
    name: string,
    arbitrary: fc.Arbitrary<T>,
    numRuns: number,
    body: (runtime: Runtime, value: T) => void,
  ) =>
    test(`${simd}: ${name}`, () =>
      withRuntime(simd as Build, (runtime) => {
        fc.assert(
          fc.property(arbitrary, (value) => {
            const before = runtime.memory.used;
            body(runtime, value);
            assert.is(runtime.memory.used, before, 'memory in use after the run');
          }),
          { seed: SEED, numRuns },
        );
      }));

  check('Conv2d', convArbitrary, RUNS.conv, checkConv2d);
  check('Conv2d, Winograd', winogradArbitrary, RUNS.block, checkConv2d);
  check('ACBlock, evaluation and deploy form', convArbitrary, RUNS.block, checkBlockEval);
  check('ACBlock, Winograd', winogradArbitrary, RUNS.small, checkBlockEval);
  check('ACBlock, Winograd, training mode', winogradArbitrary, RUNS.small, checkBlockTrain);
  check('ACBlock, training mode', convArbitrary, RUNS.block, checkBlockTrain);
  check('MaxPool2d', poolArbitrary, RUNS.pool, checkMaxPool2d);
  check('AvgPool2d', poolArbitrary, RUNS.pool, checkAvgPool2d);
  check('BatchNorm2d', shapeArbitrary, RUNS.small, checkBatchNorm2d);
  check('Linear', shapeArbitrary, RUNS.small, checkLinear);
  check('GlobalAvgPool2d, ReLU, Flatten', shapeArbitrary, RUNS.small, checkUnary);
  check('Add, Concat', shapeArbitrary, RUNS.small, checkJoins);
  check('Sequential', shapeArbitrary, RUNS.small, checkSequential);
  check('one block, many input shapes', convArbitrary, RUNS.small, checkShapeChange);
  check('ACBlock, changes of its parameters', convArbitrary, RUNS.small, checkChangesAreSeen);
  test(`${simd}: Conv2d of 6,000 channels`, () => withRuntime(simd, checkManyChannels));
  test(`${simd}: ACBlock as made`, () => withRuntime(simd, checkStart));
  test(`${simd}: Conv2d, depthwise, kernel 410 x 410`, () => withRuntime(simd, checkHugeKernel));
  for (const c of LARGE)
    test(`${simd}: Conv2d ${JSON.stringify(c)}`, () => withRuntime(simd, (runtime) => checkConv2d(runtime, c)));
}

test.run();
