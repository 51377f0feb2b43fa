/** `Trainer` against runs of PyTorch's SGD (test/fixtures/training), its options, its state, and what it refuses. */
import {
  ACBlock,
  BatchNorm2d,
  Conv2d,
  cifarQuick,
  createRuntime,
  Flatten,
  GlobalAvgPool2d,
  type Layer,
  Linear,
  lenet5bn,
  ReLU,
  type Runtime,
  resnetCifar,
  Sequential,
  type StateDict,
  Tensor,
} from 'acnet-wasm';
import { Trainer } from 'acnet-wasm/train';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  randomNd,
  readFixture,
  relativeError,
  sameBits,
  seededRandom,
  supportedBuilds,
  toTensor,
  withoutPrefix,
  withRuntime,
} from './support.js';

const LOSS_TOLERANCE = 1e-3;
/** Relative to a tensor's largest magnitude, or to 0.01 if that is smaller. */
const STATE_TOLERANCE = 2e-3;

interface Config {
  network: string;
  lr: number;
  momentum: number;
  weightDecay: number;
  steps: number;
  batch: number;
  n?: number;
  deps?: number[];
}

function modelOf(runtime: Runtime, { network, n, deps }: Config): Layer {
  if (network === 'lenet5bn') return lenet5bn(runtime);
  return resnetCifar(runtime, { blocksPerStage: n!, channels: deps! });
}

/** Part `i` of `count` along the first axis. */
function part({ data, dims }: Tensor, i: number): Tensor {
  const size = data.length / dims[0]!;
  return new Tensor('float32', data.slice(i * size, (i + 1) * size), dims.slice(1));
}

function readRun(name: string) {
  const { tensors, metadata } = readFixture(`training/${name}.safetensors`);
  const config = JSON.parse(metadata.config!) as Config;
  const batch = (step: number): Tensor => {
    if (tensors.input !== undefined) return part(tensors.input, step);
    const { data, dims } = part(tensors.images!, step);
    return new Tensor(
      'float32',
      data.map((pixel) => (pixel / 255 - 0.5) / 0.5),
      dims,
    );
  };
  const labels = (step: number): Float32Array => part(tensors.labels!, step).data;
  return { tensors, config, batch, labels };
}

/** A small network with seeded weights. */
function smallNetwork(runtime: Runtime, seed: number): Sequential {
  const model = new Sequential(runtime, [
    new Conv2d(runtime, { inChannels: 2, outChannels: 4, kernelSize: 3, padding: 1 }),
    new BatchNorm2d(runtime, { numFeatures: 4 }),
    new ReLU(runtime),
    new Flatten(runtime),
    new Linear(runtime, { inFeatures: 64, outFeatures: 3 }),
  ]);
  const random = seededRandom(seed);
  const state: StateDict = {};
  for (const [key, { dims, data }] of Object.entries(model.stateDict())) {
    const isRandom = key.endsWith('weight') && dims.length > 1;
    state[key] = isRandom ? toTensor(randomNd(random, dims, -0.5, 0.5)) : new Tensor('float32', data, dims);
  }
  return model.loadStateDict(state);
}

const LABELS = [0, 2, 1, 2];

function smallBatch(seed = 1): Tensor {
  return toTensor(randomNd(seededRandom(seed), [4, 2, 4, 4]));
}

function expectSameState(actual: StateDict, expected: StateDict): void {
  assert.equal(Object.keys(actual), Object.keys(expected));
  for (const [key, { data }] of Object.entries(expected)) assert.ok(sameBits(actual[key]!.data, data), key);
}

for (const build of await supportedBuilds()) {
  for (const name of ['lenet5bn-acb', 'src8-acb']) {
    test(`${build}: ${name} learns as in PyTorch`, async () => {
      await withRuntime(build, (runtime) => {
        const { tensors, config, batch, labels } = readRun(name);
        const { lr, momentum, weightDecay } = config;
        const model = modelOf(runtime, config).loadStateDict(withoutPrefix(tensors, 'start.'));
        const trainer = new Trainer(model, { lr, momentum, weightDecay });
        for (let step = 0; step < config.steps; step++) {
          const error = Math.abs(trainer.step(batch(step), labels(step)) - tensors.losses!.data[step]!);
          assert.ok(error <= LOSS_TOLERANCE, `the loss of step ${step} errs ${error}`);
        }
        const state = model.stateDict();
        for (const [key, { data }] of Object.entries(withoutPrefix(tensors, 'end.'))) {
          if (key.endsWith('num_batches_tracked')) continue;
          const error = relativeError(state[key]!.data, data);
          assert.ok(error <= STATE_TOLERANCE, `${key} errs ${error}`);
        }
        trainer.dispose();
        model.dispose();
      });
    });
  }

  test(`${build}: a run that is taken up goes on with the same bits`, async () => {
    await withRuntime(build, (runtime) => {
      const options = { lr: 0.1, momentum: 0.9, dampening: 0.2, clipNorm: 0.5, labelSmoothing: 0.1 };
      const whole = smallNetwork(runtime, 1);
      const trainer = new Trainer(whole, options);
      for (let i = 0; i < 3; i++) trainer.step(smallBatch(i), LABELS);
      const [model, optimizer] = [whole.stateDict(), trainer.stateDict()];
      const losses = [3, 4, 5].map((i) => trainer.step(smallBatch(i), LABELS));
      const resumed = smallNetwork(runtime, 2).loadStateDict(model);
      const other = new Trainer(resumed, options).loadStateDict(optimizer);
      assert.equal(
        [3, 4, 5].map((i) => other.step(smallBatch(i), LABELS)),
        losses,
      );
      expectSameState(resumed.stateDict(), whole.stateDict());
      expectSameState(other.stateDict(), trainer.stateDict());
      for (const one of [trainer, other, whole, resumed]) one.dispose();
    });
  });
}

/** What each option of SGD does, in float64, to one parameter of a linear model whose gradients are known. */
test('the options of SGD are those of PyTorch', async () => {
  await withRuntime('baseline', (runtime) => {
    const cases = [
      {},
      { momentum: 0.9 },
      { momentum: 0.9, dampening: 0.3, weightDecay: 0.1 },
      { momentum: 0.8, nesterov: true, weightDecay: 0.01 },
      { clipNorm: 0.05, weightDecay: 0.1 },
      { clipNorm: 100 },
      { labelSmoothing: 0.2 },
    ];
    for (const options of cases) {
      const {
        momentum = 0,
        dampening = 0,
        weightDecay = 0,
        nesterov = false,
        clipNorm,
        labelSmoothing = 0,
      } = options as Partial<Record<string, number>> & { nesterov?: boolean };
      const model = new Linear(runtime, { inFeatures: 2, outFeatures: 3, bias: false });
      const start = [0.3, -0.2, 0.5, 0.1, -0.4, 0.7];
      model.loadStateDict({ weight: new Tensor('float32', start, [3, 2]) });
      const trainer = new Trainer(model, { lr: 0.5, ...options });
      const x = [1, -2, 0.5, 0.25];
      const labels = [2, 0];
      const weight = [...start];
      const velocity = weight.map(() => 0);
      for (let step = 0; step < 3; step++) {
        if (step === 2) trainer.lr = 0.25;
        const { loss, gradient } = softmaxRegression(weight, x, labels, labelSmoothing);
        const got = trainer.step(new Tensor('float32', x, [2, 2]), labels);
        assert.ok(Math.abs(got - loss) < 1e-6, `${JSON.stringify(options)}: ${got}, not ${loss}`);
        const norm = Math.hypot(...gradient);
        const scale = clipNorm === undefined ? 1 : Math.min(1, clipNorm / (norm + 1e-6));
        gradient.forEach((value, i) => {
          const g = value * scale + weightDecay * weight[i]!;
          velocity[i] = step === 0 ? g : momentum * velocity[i]! + (1 - dampening) * g;
          const change = momentum === 0 ? g : nesterov ? g + momentum * velocity[i]! : velocity[i]!;
          weight[i]! -= trainer.lr * change;
        });
        assert.ok(relativeError(model.stateDict().weight!.data, weight) < 1e-6, JSON.stringify(options));
      }
      trainer.dispose();
      model.dispose();
    }
  });
});

function softmaxRegression(weight: readonly number[], x: readonly number[], labels: readonly number[], share: number) {
  const gradient = weight.map(() => 0);
  let loss = 0;
  labels.forEach((label, row) => {
    const image = x.slice(row * 2, row * 2 + 2);
    const logits = [0, 1, 2].map((c) => weight[c * 2]! * image[0]! + weight[c * 2 + 1]! * image[1]!);
    const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
    logits.forEach((logit, c) => {
      const target = (c === label ? 1 - share : 0) + share / 3;
      loss -= (target * Math.log(Math.exp(logit) / sum)) / labels.length;
      const slope = (Math.exp(logit) / sum - target) / labels.length;
      for (const i of [0, 1]) gradient[c * 2 + i]! += slope * image[i]!;
    });
  });
  return { loss, gradient };
}

test('evaluation merges branches anew when the model has changed', async () => {
  await withRuntime('baseline', (runtime) => {
    const block = new ACBlock(runtime, { inChannels: 2, outChannels: 3, kernelSize: 3, padding: 1 });
    const model = new Sequential(runtime, [block, new GlobalAvgPool2d(runtime), new Flatten(runtime)]);
    const trainer = new Trainer(model, { lr: 0.5, momentum: 0.9 });
    const [images, random] = [smallBatch(2), seededRandom(11)];
    const losses = [0, 1, 2].map(() => {
      const { loss } = trainer.evaluate(images, LABELS);
      assert.is(trainer.evaluate(images, LABELS).loss, loss);
      const fresh = new Trainer(model, { lr: 0 });
      assert.is(fresh.evaluate(images, LABELS).loss, loss);
      fresh.dispose();
      trainer.step(smallBatch(3), LABELS);
      return loss;
    });
    assert.is(new Set(losses).size, losses.length);
    const gamma = randomNd(random, [3], 1, 2);
    const before = trainer.evaluate(images, LABELS).loss;
    block.loadStateDict({ ...block.stateDict(), 'square_bn.weight': new Tensor('float32', gamma.data, gamma.dims) });
    assert.is.not(trainer.evaluate(images, LABELS).loss, before);
    trainer.dispose();
    model.dispose();
  });
});

test('evaluation leaves the model as it was, in its mode', async () => {
  await withRuntime('baseline', (runtime) => {
    const model = smallNetwork(runtime, 3);
    const trainer = new Trainer(model, { lr: 0.1 });
    trainer.step(smallBatch(), LABELS);
    const before = model.stateDict();
    const { loss, correct } = trainer.evaluate(smallBatch(2), LABELS);
    expectSameState(model.stateDict(), before);
    assert.is(model.training, true);
    const output = model.eval().forward(smallBatch(2));
    const logits = output.data;
    output.dispose();
    let [expected, right] = [0, 0];
    LABELS.forEach((label, row) => {
      const ofRow = [...logits.subarray(row * 3, row * 3 + 3)];
      expected += Math.log(ofRow.reduce((sum, logit) => sum + Math.exp(logit), 0)) - ofRow[label]!;
      right += ofRow.indexOf(Math.max(...ofRow)) === label ? 1 : 0;
    });
    assert.ok(Math.abs(loss - expected / 4) < 1e-5, `${loss}, not ${expected / 4}`);
    assert.is(correct, right);
    // In evaluation mode a step uses running statistics and leaves them as they are.
    const statistics = model.stateDict();
    trainer.step(smallBatch(), LABELS);
    const after = model.stateDict();
    assert.ok(sameBits(after['1.running_mean']!.data, statistics['1.running_mean']!.data));
    assert.not.ok(sameBits(after['1.weight']!.data, statistics['1.weight']!.data));
    trainer.dispose();
    model.dispose();
  });
});

test('frozen parameters stay', async () => {
  await withRuntime('baseline', (runtime) => {
    const model = smallNetwork(runtime, 4);
    const trainer = new Trainer(model, { lr: 0.1, momentum: 0.9, weightDecay: 0.1, freeze: ['0.', '1.'] });
    const before = model.stateDict();
    trainer.step(smallBatch(), LABELS);
    const after = model.stateDict();
    for (const key of ['0.weight', '0.bias', '1.weight', '1.bias']) {
      assert.ok(sameBits(after[key]!.data, before[key]!.data), key);
    }
    for (const key of ['4.weight', '4.bias', '1.running_mean']) {
      assert.not.ok(sameBits(after[key]!.data, before[key]!.data), key);
    }
    assert.equal(Object.keys(trainer.stateDict()), ['4.weight.momentum_buffer', '4.bias.momentum_buffer']);
    trainer.dispose();
    model.dispose();
  });
});

test('one seed, equal bits with one, two and three threads', async () => {
  const run = async (threads: number): Promise<{ losses: number[]; state: StateDict }> => {
    const runtime = await createRuntime({ simd: 'baseline', threads });
    const { tensors, config, batch, labels } = readRun('src8-acb');
    const model = modelOf(runtime, config).loadStateDict(withoutPrefix(tensors, 'start.'));
    const trainer = new Trainer(model, { lr: 0.1, momentum: 0.9 });
    const losses = [0, 1].map((step) => trainer.step(batch(step), labels(step)));
    const state = model.stateDict();
    runtime.dispose();
    return { losses, state };
  };
  const [one, ...others] = [await run(1), await run(2), await run(3)];
  for (const other of others) {
    assert.equal(other.losses, one!.losses);
    expectSameState(other.state, one!.state);
  }
});

test('steps take no more memory, and disposal gives all of it back', async () => {
  await withRuntime('baseline', (runtime) => {
    const model = smallNetwork(runtime, 5);
    const used = runtime.memory.used;
    const trainer = new Trainer(model, { lr: 0.1, momentum: 0.9 });
    trainer.step(smallBatch(), LABELS);
    const after = runtime.memory.used;
    for (let i = 0; i < 50; i++) trainer.step(smallBatch(i), LABELS);
    assert.is(runtime.memory.used, after);
    trainer.dispose();
    trainer.dispose();
    assert.is(runtime.memory.used, used);
    model.dispose();
  });
});

test('a loss that is no number is told', async () => {
  await withRuntime('baseline', (runtime) => {
    const model = smallNetwork(runtime, 6);
    const trainer = new Trainer(model, { lr: 0.1 });
    const x = smallBatch();
    x.data[0] = Number.NaN;
    assert.ok(Number.isNaN(trainer.step(x, LABELS)));
    trainer.dispose();
    model.dispose();
  });
});

test('what does not fit is refused, and nothing has changed', async () => {
  await withRuntime('baseline', (runtime) => {
    const model = smallNetwork(runtime, 7);
    const make = (options: object) => () => new Trainer(model, { lr: 0.1, ...options });
    const wrong: [() => unknown, RegExp][] = [
      [() => new Trainer({} as Layer, { lr: 1 }), /Trainer: model must be a layer/],
      [make({ lr: undefined }), /Trainer: lr must be/],
      [make({ lr: -1 }), /Trainer: lr must be/],
      [make({ momentum: Number.NaN }), /Trainer: momentum must be/],
      [make({ nesterov: true }), /Trainer: nesterov takes a momentum above 0 and no dampening/],
      [make({ clipNorm: 0 }), /Trainer: clipNorm must be above 0, got 0/],
      [make({ labelSmoothing: 1.5 }), /Trainer: labelSmoothing must be at most 1, got 1.5/],
      [make({ freeze: ['x'] }), /Trainer: freeze names "?'?x/],
      [make({ decay: 1 }), /decay/],
    ];
    for (const [work, message] of wrong) assert.throws(work, message);
    const trainer = new Trainer(model, { lr: 0.1, momentum: 0.9 });
    trainer.step(smallBatch(), LABELS);
    const [before, optimizer] = [model.stateDict(), trainer.stateDict()];
    const used = runtime.memory.used;
    const x = smallBatch();
    const steps: [() => unknown, RegExp][] = [
      [() => trainer.step(x, [0, 1, 3, 0]), /Trainer.step: labels\[2\] must be a whole number from 0 to 2, got 3/],
      [() => trainer.step(x, [0, 1, -1, 0]), /Trainer.step: labels\[2\] must be a whole number from 0 to 2, got -1/],
      [() => trainer.step(x, [0, 1, 0.5, 0]), /Trainer.step: labels\[2\] must be a whole number/],
      [() => trainer.step(x, [0, 1, 2]), /Trainer.step: labels must be 4, one for each image, got 3/],
      [() => trainer.evaluate(x, [0, 1, 2, 3]), /Trainer.evaluate: labels\[3\] must be a whole number from 0 to 2/],
      [() => trainer.step(x, 3 as unknown as number[]), /Trainer.step: labels must be an array of classes, got 3/],
      [() => trainer.step({} as Tensor, LABELS), /Trainer.step: input must be a Tensor/],
      [() => trainer.step(toTensor(randomNd(seededRandom(1), [4, 3, 4, 4])), LABELS), /input has 3 channels/],
      [() => trainer.loadStateDict({ x }), /missing: .*momentum_buffer.*; surplus: .*x/],
      [() => trainer.loadStateDict({ ...optimizer, '4.bias.momentum_buffer': x }), /must have dims \[3\], got/],
    ];
    for (const [work, message] of steps) assert.throws(work, message);
    expectSameState(model.stateDict(), before);
    expectSameState(trainer.stateDict(), optimizer);
    trainer.step(smallBatch(), LABELS);
    assert.ok(runtime.memory.used - used < 100_000);
    trainer.dispose();
    assert.throws(() => trainer.step(x, LABELS), /Trainer.step: this trainer is disposed/);
    const images = new Sequential(runtime, [new Conv2d(runtime, { inChannels: 2, outChannels: 2, kernelSize: 1 })]);
    const ofImages = new Trainer(images, { lr: 1 });
    assert.throws(() => ofImages.step(x, LABELS), /the model must give logits \[N, classes\]/);
    ofImages.dispose();
    images.dispose();
    model.dispose();
  });
});

test('a batch of one with BatchNorm over one pixel is refused', async () => {
  await withRuntime('baseline', (runtime) => {
    const model = new Sequential(runtime, [
      new BatchNorm2d(runtime, { numFeatures: 2 }),
      new Flatten(runtime),
      new Linear(runtime, { inFeatures: 2, outFeatures: 2 }),
    ]);
    const before = model.stateDict();
    const trainer = new Trainer(model, { lr: 1 });
    assert.throws(
      () => trainer.step(new Tensor('float32', [1, 2], [1, 2, 1, 1]), [0]),
      /more than one value per channel/,
    );
    expectSameState(model.stateDict(), before);
    trainer.dispose();
    model.dispose();
  });
});

/** What is not in the types of the package. */
interface WithMemory {
  memoryOf(inputDims: readonly number[]): Record<string, number> | undefined;
}

test('a step of Cifar-quick takes at most 1.15 times the memory that it cannot do without', async () => {
  await withRuntime('baseline', (runtime) => {
    const dims = [128, 3, 32, 32];
    const model = cifarQuick(runtime).train();
    const trainer = new Trainer(model, { lr: 0.01, momentum: 0.9 }) as Trainer & WithMemory;
    const labels = Array.from({ length: 128 }, (_, i) => i % 10);
    assert.is(trainer.memoryOf(dims), undefined);
    for (let step = 0; step < 2; step++) trainer.step(toTensor(randomNd(seededRandom(step), dims)), labels);
    const needed = trainer.memoryOf(dims)!;
    // What the first block's pool gives, and its places; outputs of six branches and of two sums; images, and with padding.
    const [middle, small] = [128 * 32 * 225 * 4, 128 * 64 * 49 * 4];
    const images = 128 * 4 * (32 * 32 + 36 * 36) * 4;
    const least = 6 * middle + 4 * small + images;
    assert.ok(needed.activations! > least && needed.activations! < 1.2 * least, `${needed.activations}, ${least}`);
    const parameters = Object.entries(model.stateDict()).filter(([key]) => !key.includes('running'));
    const bytes = parameters.reduce((sum, [, { size }]) => sum + size * 4, 0);
    assert.equal([needed.parameters, needed.gradients, needed.momentum], [bytes, bytes, bytes]);
    const ratio = runtime.memory.peak / (needed.activations! + 3 * bytes);
    console.log(`peak ${runtime.memory.peak} bytes, ${ratio.toFixed(3)} times what a step needs`);
    assert.ok(ratio < 1.15, `${ratio}`);
    for (const one of [trainer, model]) one.dispose();
  });
});

test.run();
