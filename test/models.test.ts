/**
 * Networks: against references that PyTorch computed, against the oracle (referenceNetworks.ts), their parameter counts
 * against published ones, and their forms against one another. toACNet: same function, keys of the train form.
 */
import {
  ACBlock,
  Add,
  AvgPool2d,
  alexnet,
  BatchNorm2d,
  Conv2d,
  type Conv2dOptions,
  cifarQuick,
  createRuntime,
  type DenseModelOptions,
  densenet,
  densenet121,
  Flatten,
  type Form,
  fuseStateDict,
  GlobalAvgPool2d,
  type Layer,
  Linear,
  lenet5bn,
  MaxPool2d,
  OutOfMemoryError,
  ReLU,
  type Runtime,
  resnet18,
  resnetCifar,
  Sequential,
  type StateDict,
  Tensor,
  toACNet,
  vgg16,
  wideResnet,
} from 'acnet-wasm';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { references } from './referenceNetworks.js';
import {
  randomNd,
  readFixture,
  relativeError,
  sameBits,
  seededRandom,
  supportedBuilds,
  take,
  toTensor,
  withRuntime,
} from './support.js';

type Build = (runtime: Runtime, options?: DenseModelOptions) => Layer;

const TOLERANCE = 1e-5;

interface Network {
  build: Build;
  /** Trainable parameters in base form, and blocks in the other ones. */
  parameters: number;
  blocks: number;
  /** Keys in train form and what they are in base form; undefined: the same. */
  keys: [train: string, base?: string][];
  /** Options of a network small enough for the oracle, and its input. */
  small: DenseModelOptions;
  input: number[];
}

// Published: VGG-16 without its large linear layers 14.7 M in convolutions; ResNet-56 0.85 M; WRN-16-8 11.0 M;
// DenseNet-40 1.0 M; torchvision's AlexNet 61.1 M, ResNet-18 11,689,512, DenseNet-121 7,978,856.
const NETWORKS: Record<string, Network> = {
  lenet5bn: {
    build: lenet5bn,
    parameters: 431_150,
    blocks: 2,
    keys: [
      ['stem.conv1.acb.square_conv.weight', 'stem.conv1.conv.weight'],
      ['stem.conv2.acb.ver_bn.running_mean', 'stem.conv2.bn.running_mean'],
      ['linear1.weight'],
      ['linear2.bias'],
    ],
    small: { channels: [3, 4], numClasses: 5 },
    input: [2, 1, 28, 28],
  },
  cifarQuick: {
    build: cifarQuick,
    parameters: 117_034,
    blocks: 3,
    keys: [
      ['conv1.acb.square_conv.weight', 'conv1.conv.weight'],
      ['conv2.acb.square_bn.bias', 'conv2.bn.bias'],
      ['conv3.acb.hor_conv.weight', 'conv3.conv.weight'],
      ['fc1.weight'],
      ['fc2.weight'],
    ],
    small: { channels: [3, 4, 2] },
    input: [2, 3, 32, 32],
  },
  vgg16: {
    build: vgg16,
    parameters: 14_986_698,
    blocks: 13,
    keys: [
      ['stem.conv1.acb.square_conv.weight', 'stem.conv1.conv.weight'],
      ['stem.conv13.acb.square_bn.running_var', 'stem.conv13.bn.running_var'],
      ['linear1.weight'],
      ['linear2.weight'],
    ],
    small: { channels: [2, 3, 2, 4, 3, 2, 3, 2, 3, 2, 3, 2, 4], inChannels: 2, numClasses: 3 },
    input: [1, 2, 32, 32],
  },
  resnetCifar: {
    build: resnetCifar,
    parameters: 855_770,
    blocks: 55,
    keys: [
      ['stage1.conv1.square_conv.weight', 'stage1.conv1.conv.weight'],
      ['stage1.block0.conv1.acb.square_conv.weight', 'stage1.block0.conv1.conv.weight'],
      ['stage3.block8.conv2.square_bn.weight', 'stage3.block8.conv2.bn.weight'],
      ['stage2.projection.conv.weight'],
      ['stage3.projection.bn.running_mean'],
      ['linear.weight'],
    ],
    small: { channels: [2, 3, 4], blocksPerStage: 2 },
    input: [2, 3, 12, 16],
  },
  wideResnet: {
    build: wideResnet,
    parameters: 10_962_170,
    blocks: 13,
    keys: [
      ['conv1.square_conv.weight', 'conv1.weight'],
      ['stage1.block1.proj.bn.weight'],
      ['stage3.block1.proj.conv.weight'],
      ['stage1.block1.conv1.bn.running_var'],
      ['stage2.block2.conv2.acb.square_conv.weight', 'stage2.block2.conv2.conv.weight'],
      ['last_bn.bias'],
      ['linear.weight'],
    ],
    small: { channels: [2, 3, 4, 5], blocksPerStage: 2 },
    input: [2, 3, 16, 12],
  },
  densenet: {
    build: densenet,
    parameters: 1_019_722,
    blocks: 37,
    keys: [
      ['conv1.square_conv.weight', 'conv1.weight'],
      ['stage1.layer0.conv.bn.weight'],
      ['stage3.layer11.conv.acb.square_conv.weight', 'stage3.layer11.conv.conv.weight'],
      ['trans1.bn.running_mean'],
      ['trans2.conv.weight'],
      ['last_bn.weight'],
      ['linear.bias'],
    ],
    small: { channels: [3], blocksPerStage: [2, 1, 2], growth: 2 },
    input: [2, 3, 12, 16],
  },
  alexnet: {
    build: alexnet,
    parameters: 61_101_992,
    blocks: 5,
    keys: [
      ['features.0.acb.square_conv.weight', 'features.0.conv.weight'],
      ['features.10.acb.ver_conv.weight', 'features.10.conv.weight'],
      ['classifier.1.weight'],
      ['classifier.4.weight'],
      ['classifier.6.weight'],
    ],
    small: { channels: [2, 3, 2, 3, 2], numClasses: 4 },
    input: [1, 3, 224, 224],
  },
  resnet18: {
    build: resnet18,
    parameters: 11_689_512,
    blocks: 16,
    keys: [
      ['conv1.conv.weight'],
      ['conv1.bn.weight'],
      ['stage1.0.conv1.acb.square_conv.weight', 'stage1.0.conv1.conv.weight'],
      ['stage4.1.conv2.square_conv.weight', 'stage4.1.conv2.conv.weight'],
      ['stage2.0.shortcut.conv.weight'],
      ['linear.weight'],
    ],
    small: { channels: [2, 3, 4, 5], blocksPerStage: [2, 1, 1, 2], numClasses: 4 },
    input: [1, 3, 64, 48],
  },
  densenet121: {
    build: densenet121,
    parameters: 7_978_856,
    blocks: 58,
    keys: [
      ['features.conv0.weight'],
      ['features.norm0.running_mean'],
      ['features.denseblock1.denselayer1.norm1.weight'],
      ['features.denseblock4.denselayer16.conv1.weight'],
      ['features.denseblock4.denselayer16.conv2.square_conv.weight', 'features.denseblock4.denselayer16.conv2.weight'],
      ['features.transition3.norm.bias'],
      ['features.transition3.conv.weight'],
      ['features.norm5.weight'],
      ['classifier.weight'],
    ],
    small: { channels: [4], blocksPerStage: [2, 1, 1, 2], growth: 2, numClasses: 3 },
    input: [1, 3, 64, 48],
  },
};

const random = seededRandom(11);
const builds = await supportedBuilds();

/** Values for these keys: weights that keep the magnitude of a signal, statistics unlike those of a new network. */
function randomState(dims: Record<string, readonly number[]>): StateDict {
  const state: StateDict = {};
  for (const [key, size] of Object.entries(dims)) {
    const fanIn = size.slice(1).reduce((a, b) => a * b, 1);
    const bound = Math.sqrt(6 / fanIn);
    const [low, high] =
      size.length > 1
        ? [-bound, bound]
        : key.endsWith('running_var') || key.endsWith('weight')
          ? [0.5, 1.5]
          : [-0.3, 0.3];
    state[key] = toTensor(randomNd(random, size, low, high));
  }
  return state;
}

function dimsOf(net: Layer): Record<string, readonly number[]> {
  return Object.fromEntries(Object.entries(net.stateDict()).map(([key, { dims }]) => [key, [...dims]]));
}

function within(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  const error = relativeError(actual, expected);
  assert.ok(error <= TOLERANCE, `${what}: relative error ${error}, allowed ${TOLERANCE}`);
}

function blocksOf(keys: readonly string[]): number {
  return keys.filter((key) => /(^|\.)(square|fused)_conv\.weight$/.test(key)).length;
}

const FIXTURES: [name: string, Build, DenseModelOptions][] = [
  ['cfqkbnc-small', cifarQuick, { channels: [8, 8, 12] }],
  ['src20', resnetCifar, { channels: [8, 12, 16], blocksPerStage: 3 }],
];

for (const simd of builds) {
  for (const [name, build, options] of FIXTURES) {
    test(`${simd}: ${name} from PyTorch`, () =>
      withRuntime(simd, (runtime) => {
        const { tensors: state } = readFixture(`networks/${name}.safetensors`);
        const { tensors: io } = readFixture(`networks/${name}.io.safetensors`);
        const expected = io.output!.data;
        const net = build(runtime, options).loadStateDict(state).eval();
        const own = net.stateDict();
        assert.equal(Object.keys(own), Object.keys(state), 'keys, in the order of PyTorch');
        for (const [key, { data }] of Object.entries(own)) assert.ok(sameBits(data, state[key]!.data), key);
        within(take(net.forward(io.input!)), expected, 'train form');
        net.switchToDeploy();
        within(take(net.forward(io.input!)), expected, 'switchToDeploy');
        net.dispose();
        const fresh = build(runtime, { ...options, form: 'deploy' })
          .loadStateDict(fuseStateDict(state))
          .eval();
        within(take(fresh.forward(io.input!)), expected, 'fuseStateDict and deploy form');
        fresh.dispose();
      }));
  }
}

for (const [name, { build, parameters, blocks, keys }] of Object.entries(NETWORKS)) {
  test(`${name}: parameters and keys`, () =>
    withRuntime('baseline', (runtime) => {
      const base = build(runtime, { form: 'base' });
      const baseDims = dimsOf(base);
      base.dispose();
      const trainable = Object.entries(baseDims).filter(([key]) => !key.includes('.running_'));
      const count = trainable.reduce((sum, [, dims]) => sum + dims.reduce((a, b) => a * b, 1), 0);
      assert.is(count, parameters);
      assert.is(blocksOf(Object.keys(baseDims)), 0);

      const train = build(runtime);
      const trainDims = dimsOf(train);
      train.dispose();
      assert.is(blocksOf(Object.keys(trainDims)), blocks);
      for (const [inTrain, inBase = inTrain] of keys) {
        assert.ok(trainDims[inTrain], `train form: ${inTrain}`);
        assert.ok(baseDims[inBase], `base form: ${inBase}`);
      }
    }));
}

test('alexnet: branches of length 3 on the 11 x 11 and 5 x 5 layers', () =>
  withRuntime('baseline', (runtime) => {
    const net = alexnet(runtime, { channels: [2, 3, 2, 2, 2], numClasses: 2 });
    const dims = dimsOf(net);
    net.dispose();
    assert.equal(dims['features.0.acb.square_conv.weight'], [2, 3, 11, 11]);
    assert.equal(dims['features.0.acb.ver_conv.weight'], [2, 3, 3, 1]);
    assert.equal(dims['features.0.acb.hor_conv.weight'], [2, 3, 1, 3]);
    assert.equal(dims['features.3.acb.square_conv.weight'], [3, 2, 5, 5]);
    assert.equal(dims['features.3.acb.ver_conv.weight'], [3, 2, 3, 1]);
  }));

for (const [name, { build, small, input }] of Object.entries(NETWORKS)) {
  const image = toTensor(randomNd(random, input));
  const reference = references[name]!;

  test(`${name}: every form against the oracle`, () =>
    withRuntime('baseline', (runtime) => {
      const base = build(runtime, { ...small, form: 'base' });
      const baseState = randomState(dimsOf(base));
      base.loadStateDict(baseState).eval();
      within(take(base.forward(image)), reference(baseState, image).data, 'base form');
      base.dispose();

      const net = build(runtime, small);
      const state = randomState(dimsOf(net));
      const expected = reference(state, image).data;
      net.loadStateDict(state).eval();
      within(take(net.forward(image)), expected, 'train form');
      net.switchToDeploy();
      within(take(net.forward(image)), expected, 'switchToDeploy');
      const fused = net.stateDict();
      net.dispose();

      const deployed = build(runtime, { ...small, form: 'deploy' });
      assert.equal(
        dimsOf(deployed),
        Object.fromEntries(Object.entries(fused).map(([key, { dims }]) => [key, [...dims]])),
      );
      deployed.loadStateDict(fuseStateDict(state)).eval();
      within(take(deployed.forward(image)), expected, 'fuseStateDict and deploy form');
      deployed.dispose();
    }));

  test(`${name}: training mode moves every running mean, and a second forward computes the same`, () =>
    withRuntime('baseline', (runtime) => {
      const net = build(runtime, small);
      const state = randomState(dimsOf(net));
      net.loadStateDict(state);
      const batch = toTensor(randomNd(random, [3, ...input.slice(1)]));
      const output = take(net.forward(batch));
      assert.ok(output.every(Number.isFinite));
      for (const [key, { data }] of Object.entries(net.stateDict())) {
        const same = sameBits(data, state[key]!.data);
        assert.is(same, !key.includes('.running_'), `${key} ${same ? 'stayed' : 'moved'}`);
      }
      assert.ok(sameBits(take(net.forward(batch)), output));
      net.dispose();
    }));

  test(`${name}: toACNet keeps the function and gives the keys of the train form`, () =>
    withRuntime('baseline', (runtime) => {
      const base = build(runtime, { ...small, form: 'base' });
      base.loadStateDict(randomState(dimsOf(base))).eval();
      const expected = take(base.forward(image));
      const net = toACNet(base);
      within(take(net.forward(image)), expected, 'toACNet');
      const train = build(runtime, small);
      // AlexNet's builder has shorter branches than the rule of toACNet makes, and a block of size 11.
      if (name !== 'alexnet') assert.equal(dimsOf(net), dimsOf(train));
      else assert.is(blocksOf(Object.keys(net.stateDict())), 4);
      train.dispose();
      assert.ok(sameBits(take(base.forward(image)), expected), 'the given network computes what it did');
      base.dispose();
      within(take(net.switchToDeploy().forward(image)), expected, 'toACNet, then switchToDeploy');
      net.dispose();
    }));
}

test('staged networks of any width and depth: forms agree, and toACNet has the keys of the train form', () =>
  withRuntime('baseline', (runtime) =>
    fc.assert(
      fc.property(
        fc.constantFrom('resnetCifar', 'wideResnet', 'densenet', 'resnet18', 'densenet121'),
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 4, maxLength: 4 }),
        fc.array(fc.integer({ min: 1, max: 2 }), { minLength: 4, maxLength: 4 }),
        fc.integer({ min: 1, max: 3 }),
        (name, widths, depths, growth) => {
          const { build, small } = NETWORKS[name]!;
          const options: DenseModelOptions = {
            channels: widths.slice(0, small.channels!.length),
            blocksPerStage: depths.slice(0, name === 'resnet18' || name === 'densenet121' ? 4 : 3),
            ...(small.growth !== undefined && { growth }),
          };
          if (name === 'densenet121') options.channels = [widths[0]! + 4];
          const image = toTensor(randomNd(random, [1, 3, 32, 32]));
          const base = build(runtime, { ...options, form: 'base' });
          base.loadStateDict(randomState(dimsOf(base))).eval();
          const net = toACNet(base);
          within(take(net.forward(image)), take(base.forward(image)), 'toACNet');
          const train = build(runtime, options);
          assert.equal(dimsOf(net), dimsOf(train));
          const state = randomState(dimsOf(train));
          const expected = take(train.loadStateDict(state).eval().forward(image));
          const deployed = build(runtime, { ...options, form: 'deploy' })
            .loadStateDict(fuseStateDict(state))
            .eval();
          within(take(deployed.forward(image)), expected, 'deploy form');
          for (const layer of [base, net, train, deployed]) layer.dispose();
        },
      ),
      { numRuns: 40, seed: 3 },
    ),
  ));

test('options: names and values are checked, and no memory is used then', () =>
  withRuntime('baseline', (runtime) => {
    const { used } = runtime.memory;
    const refuses = (action: () => unknown, error: new (...args: never[]) => Error, ...parts: string[]) => {
      assert.throws(action, (thrown: unknown) => {
        assert.instance(thrown, error);
        for (const part of parts) assert.ok((thrown as Error).message.includes(part), `${part} in: ${thrown}`);
        return true;
      });
      assert.is(runtime.memory.used, used);
    };
    for (const [name, { build, small }] of Object.entries(NETWORKS)) {
      const make = (options: object) => () => build(runtime, options as DenseModelOptions);
      for (const option of ['numClasses', 'inChannels', ...Object.keys(small).filter((key) => key === 'growth')]) {
        for (const value of [0, -1, 1.5, Number.NaN])
          refuses(make({ [option]: value }), RangeError, name, option, `${value}`);
        for (const value of ['3', true, {}]) refuses(make({ [option]: value }), TypeError, name, option);
      }
      refuses(make({ form: 'fused' }), RangeError, name, 'form', 'base', 'fused');
      refuses(make({ form: 1 }), TypeError, name, 'form');
      const channels = [...small.channels!];
      refuses(make({ channels: 16 }), TypeError, name, 'channels', '16');
      refuses(make({ channels: [...channels, 1] }), RangeError, name, 'channels', `${channels.length} number`);
      refuses(make({ channels: [...channels.slice(1), 0] }), RangeError, name, `channels[${channels.length - 1}]`, '0');
      refuses(make({ channels: [...channels.slice(1), '8'] }), TypeError, name, `channels[${channels.length - 1}]`);
      refuses(make({ chanels: channels }), TypeError, name, 'chanels', 'channels');
      if (small.blocksPerStage === undefined) refuses(make({ blocksPerStage: 2 }), TypeError, name, 'blocksPerStage');
      else {
        for (const value of [0, 2.5]) refuses(make({ blocksPerStage: value }), RangeError, name, 'blocksPerStage');
        refuses(make({ blocksPerStage: '2' }), TypeError, name, 'blocksPerStage');
        refuses(make({ blocksPerStage: [2] }), RangeError, name, 'blocksPerStage', '[2]');
        refuses(make({ blocksPerStage: [2, 2, 0, 2] }), RangeError, name, 'blocksPerStage');
      }
      if (small.growth === undefined) refuses(make({ growth: 2 }), TypeError, name, 'growth');
      refuses(() => build({} as Runtime), TypeError, name, 'runtime');
    }
    refuses(() => vgg16(runtime, { channels: new Array<number>(13).fill(2 ** 20) }), OutOfMemoryError);
  }));

/** Runs `action` in ever larger holes of memory until it fits; before that it must leave memory in use as it was. */
async function exhaust(
  prepare: (runtime: Runtime) => Layer | undefined,
  action: (base: Layer | undefined, runtime: Runtime) => Layer,
) {
  for (let failures = 0; ; failures++) {
    const runtime = await createRuntime({ simd: 'baseline', maximumMemory: 2 ** 20 });
    try {
      const base = prepare(runtime);
      const before = base?.stateDict() ?? {};
      const fillers: Tensor[] = [];
      const filler = new Tensor('float32', new Float32Array(64), [1, 64]);
      assert.throws(() => {
        for (;;) fillers.push(filler.to(runtime));
      }, /out of memory/);
      for (let free = 0; free < failures * 512; free += 256) fillers.pop()!.dispose();
      const { used } = runtime.memory;
      try {
        action(base, runtime);
        return failures;
      } catch (error) {
        assert.instance(error, OutOfMemoryError);
        assert.is(runtime.memory.used, used);
        for (const [key, { data }] of Object.entries(before))
          assert.ok(sameBits(base!.stateDict()[key]!.data, data), key);
      }
    } finally {
      runtime.dispose();
    }
  }
}

test('memory exhausted: a network that does not fit leaves nothing behind, nor does toACNet', async () => {
  const make = (runtime: Runtime) => densenet(runtime, { ...NETWORKS.densenet!.small, form: 'base' });
  const building = await exhaust(
    () => undefined,
    (_, runtime) => make(runtime),
  );
  assert.ok(building > 5, `${building} failures`);
  const converting = await exhaust(make, (base) => toACNet(base!));
  assert.ok(converting > 5, `${converting} failures`);
});

/** A chain of a convolution, perhaps a BatchNorm, and a ReLU, with random values in all of them. */
function chain(runtime: Runtime, conv: Conv2dOptions, norm: { affine: boolean; eps: number } | undefined): Sequential {
  const layers: Layer[] = [new Conv2d(runtime, conv)];
  if (norm !== undefined) layers.push(new BatchNorm2d(runtime, { numFeatures: conv.outChannels, ...norm }));
  const net = new Sequential(runtime, [...layers, new ReLU(runtime)]);
  return net.loadStateDict(randomState(dimsOf(net))).eval();
}

test('toACNet: any convolution of size 2 to 6 becomes a block of the same function', () =>
  withRuntime('baseline', (runtime) =>
    fc.assert(
      fc.property(
        fc.record({
          kernelSize: fc.integer({ min: 2, max: 6 }),
          stride: fc.integer({ min: 1, max: 2 }),
          padding: fc.integer({ min: 0, max: 3 }),
          dilation: fc.integer({ min: 1, max: 2 }),
          groups: fc.constantFrom(1, 2, 4),
          paddingMode: fc.constantFrom('zeros' as const, 'reflect' as const, 'circular' as const),
          bias: fc.boolean(),
        }),
        fc.option(fc.record({ affine: fc.boolean(), eps: fc.constantFrom(1e-5, 1e-3) }), { nil: undefined }),
        (options, norm) => {
          const base = chain(runtime, { inChannels: 4, outChannels: 8, ...options }, norm);
          const image = toTensor(randomNd(random, [2, 4, 13, 12]));
          const expected = take(base.forward(image));
          const net = toACNet(base);
          const keys = Object.keys(net.stateDict());
          assert.is(keys.length, 15);
          assert.ok(keys.every((key) => key.startsWith('0.')));
          within(take(net.forward(image)), expected, 'train form');
          within(take(net.switchToDeploy().forward(image)), expected, 'deploy form');
          assert.equal(Object.keys(net.stateDict()), ['0.fused_conv.weight', '0.fused_conv.bias']);
          for (const layer of [base, net]) layer.dispose();
        },
      ),
      { numRuns: 60, seed: 5 },
    ),
  ));

test('toACNet: other convolutions stay, and so does every other layer', () =>
  withRuntime('baseline', (runtime) => {
    const image = toTensor(randomNd(random, [2, 3, 15, 15]));
    for (const kernelSize of [1, 7, 11, [1, 3], [3, 1], [3, 5]] as const) {
      const base = chain(runtime, { inChannels: 3, outChannels: 4, kernelSize }, { affine: true, eps: 1e-5 });
      const net = toACNet(base);
      const [before, after] = [base.stateDict(), net.stateDict()];
      assert.equal(Object.keys(after), Object.keys(before));
      for (const [key, { data }] of Object.entries(after)) assert.ok(sameBits(data, before[key]!.data), key);
      assert.ok(sameBits(take(net.forward(image)), take(base.forward(image))));
      for (const layer of [base, net]) layer.dispose();
    }
    const block = { inChannels: 3, outChannels: 4, kernelSize: 3, branchSize: 1, gammaInit: 0.5 };
    const base = new Sequential(runtime, [
      new ACBlock(runtime, block),
      new ACBlock(runtime, { ...block, inChannels: 4 }).switchToDeploy(),
      new MaxPool2d(runtime, { kernelSize: 2, ceilMode: true }),
      new AvgPool2d(runtime, { kernelSize: 3, stride: 1, padding: 1, countIncludePad: false }),
      new BatchNorm2d(runtime, { numFeatures: 4, affine: false, eps: 0.1 }),
      new Sequential(runtime, { pool: new GlobalAvgPool2d(runtime), flatten: new Flatten(runtime) }),
      new Linear(runtime, { inFeatures: 4, outFeatures: 2, bias: false }),
    ]).eval();
    const net = toACNet(base);
    assert.is(net.training, false);
    assert.equal(dimsOf(net), dimsOf(base));
    const expected = take(base.forward(image));
    assert.ok(sameBits(take(net.forward(image)), expected));
    // Each has parameters of its own.
    net.loadStateDict(randomState(dimsOf(net)));
    assert.ok(!sameBits(take(net.forward(image)), expected));
    assert.ok(sameBits(take(base.forward(image)), expected));
    base.dispose();
    take(net.forward(image));
    net.dispose();
    const add = toACNet(new Add(runtime));
    assert.equal(
      [...take(add.forward(image, image))],
      [...image.data].map((value) => value * 2),
    );
    add.dispose();
  }));

test('toACNet: what the branches take over, and names', () =>
  withRuntime('baseline', (runtime) => {
    const conv = () => new Conv2d(runtime, { inChannels: 2, outChannels: 3, kernelSize: 3, bias: false });
    const bn = () => new BatchNorm2d(runtime, { numFeatures: 3, momentum: 0.3 });
    const relu = () => new ReLU(runtime);
    const keysOf = (base: Layer): string[] => {
      const net = toACNet(base);
      const keys = Object.keys(net.stateDict()).filter((key) => /square_conv|^[^_]*\.(weight|mean)$/.test(key));
      for (const layer of [base, net]) layer.dispose();
      return keys;
    };
    assert.equal(keysOf(conv()), ['square_conv.weight']);
    assert.equal(keysOf(new Sequential(runtime, { conv: conv(), bn: bn() })), ['square_conv.weight']);
    assert.equal(keysOf(new Sequential(runtime, { conv: conv(), bn: bn(), relu: relu() })), ['acb.square_conv.weight']);
    assert.equal(keysOf(new Sequential(runtime, { first: conv(), bn: bn(), relu: relu() })), [
      'first.square_conv.weight',
    ]);
    assert.equal(keysOf(new Sequential(runtime, { conv: conv(), acb: relu() })), ['conv.square_conv.weight']);
    assert.equal(keysOf(new Sequential(runtime, { conv: conv(), relu: relu(), bn: bn() })), [
      'acb.square_conv.weight',
      'bn.weight',
    ]);

    const base = new Sequential(runtime, { conv: conv(), bn: bn() });
    const state = randomState(dimsOf(base));
    base.loadStateDict(state);
    const net = toACNet(base, { branchGamma: 0.25 });
    assert.instance(net, ACBlock);
    assert.is(net.training, true);
    const after = net.stateDict();
    assert.equal(after['square_conv.weight']!.data, state['conv.weight']!.data);
    for (const key of ['weight', 'bias', 'running_mean', 'running_var']) {
      assert.equal(after[`square_bn.${key}`]!.data, state[`bn.${key}`]!.data, key);
    }
    for (const branch of ['ver', 'hor']) assert.equal([...after[`${branch}_bn.weight`]!.data], [0.25, 0.25, 0.25]);
    assert.ok(after['ver_conv.weight']!.data.some((value) => value !== 0));
    // The momentum is the BatchNorm's too.
    const image = toTensor(randomNd(random, [2, 2, 6, 6]));
    take(base.forward(image));
    take(net.forward(image));
    const moved = base.stateDict()['bn.running_mean']!.data;
    within(net.stateDict()['square_bn.running_mean']!.data, moved, 'running_mean after a forward in training mode');
    for (const layer of [base, net]) layer.dispose();
  }));

test('toACNet: bad arguments', () =>
  withRuntime('baseline', (runtime) => {
    const conv = new Conv2d(runtime, { inChannels: 2, outChannels: 3, kernelSize: 3 });
    const { used } = runtime.memory;
    assert.throws(() => toACNet({} as Layer), /toACNet: layer must be a layer, got {}/);
    assert.throws(() => toACNet(conv, { branchGamma: Number.NaN }), /branchGamma.*NaN/);
    assert.throws(() => toACNet(conv, { gamma: 1 } as object), /gamma.*branchGamma/);
    assert.is(runtime.memory.used, used);
    conv.dispose();
    assert.throws(() => toACNet(conv), /Conv2d\.toACNet: this layer is disposed/);
  }));

test('forms', () =>
  withRuntime('baseline', (runtime) => {
    const forms: Form[] = ['train', 'base', 'deploy'];
    for (const form of forms) {
      const net = cifarQuick(runtime, { form, channels: [1, 1, 1] });
      assert.is(net.training, true);
      net.switchToDeploy().switchToDeploy();
      const keys = Object.keys(net.stateDict());
      assert.is(keys.filter((key) => key.includes('fused_conv')).length, form === 'base' ? 0 : 6);
      net.dispose();
    }
  }));

test.run();
