/**
 * Memory in use returns to where it was, to the byte, and reserved memory does not grow after the first forward:
 * over 100,000 forwards, over 10,000 blocks made and disposed of, and over tensors that were never disposed of.
 */
import { ACBlock, Conv2d, createRuntime, type Runtime, type StateDict, Tensor, warmUp } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { randomNd, relativeError, seededRandom, supportedBuilds, toTensor, withRuntime } from './support.js';

const FORWARDS = 100_000;
const TRAINING_FORWARDS = 20_000;
const BLOCKS = 10_000;
const OPTIONS = { inChannels: 3, outChannels: 5, kernelSize: 3, padding: 1 };

// Orders in which 128 pieces are disposed of: freed memory must join what is free before it, behind it, and both.
const ORDERS: readonly [string, (i: number) => number][] = [
  ['first to last', (i) => i],
  ['last to first', (i) => 127 - i],
  ['every other one first', (i) => ((i * 2) % 128) + (i < 64 ? 0 : 1)],
];

const random = seededRandom(7);
const INPUT = randomNd(random, [1, 3, 5, 6]);
const STATE = makeState();

function makeState(): StateDict {
  const state: StateDict = {};
  for (const [name, height, width] of [
    ['square', 3, 3],
    ['ver', 3, 1],
    ['hor', 1, 3],
  ] as const) {
    state[`${name}_conv.weight`] = toTensor(randomNd(random, [5, 3, height, width]));
    for (const key of ['weight', 'bias', 'running_mean']) state[`${name}_bn.${key}`] = toTensor(randomNd(random, [5]));
    state[`${name}_bn.running_var`] = toTensor(randomNd(random, [5], 0.1, 2));
  }
  return state;
}

/** Runs `forward` once, then `times` times, and compares memory with what it was after the first. */
function runMany(runtime: Runtime, times: number, forward: () => void): void {
  forward();
  const { used, reserved } = runtime.memory;
  for (let i = 0; i < times; i++) forward();
  assert.is(runtime.memory.used, used, 'memory in use');
  assert.is(runtime.memory.reserved, reserved, 'memory reserved');
}

/** Lets finalizers run until memory in use is down to `bytes`, for a while at most. */
async function collectUntil(runtime: Runtime, bytes: number, gc: () => unknown): Promise<void> {
  for (let i = 0; i < 50 && runtime.memory.used > bytes; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

for (const simd of await supportedBuilds()) {
  for (const form of ['train', 'deploy'] as const) {
    test(`${simd}: ${FORWARDS} forwards in ${form} form`, () =>
      withRuntime(simd, (runtime) => {
        const block = new ACBlock(runtime, OPTIONS).loadStateDict(STATE).eval();
        if (form === 'deploy') block.switchToDeploy();
        const resident = toTensor(INPUT).to(runtime);
        runMany(runtime, FORWARDS, () => block.forward(resident).dispose());
        resident.dispose();
        block.dispose();
      }));
  }

  test(`${simd}: ${TRAINING_FORWARDS} forwards in training mode`, () =>
    withRuntime(simd, (runtime) => {
      const block = new ACBlock(runtime, OPTIONS).loadStateDict(STATE).train();
      const input = toTensor(INPUT);
      runMany(runtime, TRAINING_FORWARDS, () => block.forward(input).dispose());
      block.dispose();
    }));

  test(`${simd}: ${BLOCKS} blocks made, loaded, run in every form and disposed of`, () =>
    withRuntime(simd, (runtime) => {
      const input = toTensor(INPUT);
      runMany(runtime, BLOCKS, () => {
        const block = new ACBlock(runtime, OPTIONS).loadStateDict(STATE);
        block.train().forward(input).dispose();
        block.eval().forward(input).dispose();
        block.switchToDeploy().forward(input).dispose();
        block.dispose();
      });
    }));

  test(`${simd}: reading values, states and kernels out keeps nothing`, () =>
    withRuntime(simd, (runtime) => {
      const block = new ACBlock(runtime, OPTIONS).loadStateDict(STATE).eval();
      const resident = toTensor(INPUT).to(runtime);
      runMany(runtime, 1000, () => {
        resident.data.fill(0);
        for (const tensor of Object.values(block.stateDict())) tensor.dispose();
        const { weight, bias } = block.equivalentKernelBias();
        weight.dispose();
        bias.dispose();
      });
      assert.equal(resident.data, INPUT.data, 'data is a copy');
      resident.dispose();
      block.dispose();
    }));

  test(`${simd}: a smaller input after a larger one, and back`, () =>
    withRuntime(simd, (runtime) => {
      const block = new ACBlock(runtime, OPTIONS).loadStateDict(STATE).eval();
      const inputs = [5, 40, 3, 17].map((size) => toTensor(randomNd(random, [2, 3, size, size])));
      const round = () => {
        for (const input of inputs) block.forward(input).dispose();
      };
      // Only in a second round are the inputs copied in beside the plans of all four shapes.
      round();
      runMany(runtime, 200, round);
      block.dispose();
    }));

  for (const [order, pick] of ORDERS) {
    test(`${simd}: pieces disposed of ${order} make room for a large one`, () =>
      withRuntime(simd, (runtime) => {
        const piece = new Tensor('float32', new Float32Array(16384), [1, 4, 64, 64]);
        const pieces = Array.from({ length: 128 }, () => piece.to(runtime));
        // Moving in takes a copy for a moment: half of the room for that, half for the tensor.
        const large = new Tensor('float32', new Float32Array(16384 * 64), [64, 4, 64, 64]);
        const { reserved } = runtime.memory;
        for (const i of pieces.map((_, i) => pick(i))) pieces[i]!.dispose();
        large.to(runtime).dispose();
        assert.is(runtime.memory.reserved, reserved);
      }));
  }

  test(`${simd}: working memory of a convolution does not grow with the image`, () =>
    withRuntime(simd, (runtime) => {
      for (const kernelSize of [1, 3, 5]) {
        const conv = new Conv2d(runtime, { inChannels: 8, outChannels: 8, kernelSize, padding: kernelSize >> 1 });
        const input = new Tensor('float32', new Float32Array(8 * 700 * 900), [1, 8, 700, 900]).to(runtime);
        const { used } = runtime.memory;
        const output = conv.forward(input);
        const working = runtime.memory.used - used - output.size * 4;
        assert.ok(working < 100_000, `${kernelSize} x ${kernelSize}: ${working} bytes`);
        for (const thing of [conv, input, output]) thing.dispose();
      }
    }));

  test(`${simd}: a dispose() too many frees nothing of anybody else`, () =>
    withRuntime(simd, (runtime) => {
      const first = toTensor(INPUT).to(runtime);
      first.dispose();
      const second = toTensor(INPUT).to(runtime);
      const { used } = runtime.memory;
      first.dispose();
      assert.is(runtime.memory.used, used);
      const third = new Tensor('float32', new Float32Array(INPUT.data.length), INPUT.dims).to(runtime);
      assert.equal(second.data, INPUT.data);
      const block = new ACBlock(runtime, OPTIONS).loadStateDict(STATE);
      block.dispose();
      block.dispose();
      for (const tensor of [second, third]) tensor.dispose();
    }));

  const gc = globalThis.gc;
  if (gc) {
    test(`${simd}: tensors that nobody disposed of are reclaimed`, () =>
      withRuntime(simd, async (runtime) => {
        const block = new ACBlock(runtime, OPTIONS).loadStateDict(STATE).eval();
        block.forward(toTensor(INPUT)).dispose();
        const { used } = runtime.memory;
        dropTensors(runtime, block);
        assert.ok(runtime.memory.used > used, 'they are in use until they are collected');
        await collectUntil(runtime, used, gc);
        assert.is(runtime.memory.used, used);
        block.dispose();
      }));
  }
}

test('warmUp computes for as long as it is told to and keeps nothing', async () => {
  const runtime = await createRuntime();
  const { used } = runtime.memory;
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await warmUp(runtime, { milliseconds: 60 });
  clearInterval(timer);
  assert.ok(turns >= 3, `other tasks had ${turns} turns`);
  assert.is(runtime.memory.used, used);
  const pending = warmUp(runtime, { milliseconds: 10_000 });
  runtime.dispose();
  await pending;
});

test('transformed weights are accounted for, and memory: small does without them', async () => {
  const [fast, small] = [await createRuntime({ memory: 'fast' }), await createRuntime({ memory: 'small' })];
  const state = { weight: toTensor(randomNd(random, [64, 64, 3, 3])), bias: toTensor(randomNd(random, [64])) };
  const input = toTensor(randomNd(random, [1, 64, 32, 32]));
  const outputs = [fast, small].map((runtime) => {
    const conv = new Conv2d(runtime, { inChannels: 64, outChannels: 64, kernelSize: 3, padding: 1 });
    const { data } = conv.loadStateDict(state).forward(input);
    // F(4x4, 3x3) has 36 values where a kernel has 9.
    assert.is(runtime.memory.transforms, runtime === fast ? 64 * 64 * (36 - 9) * 4 : 0);
    conv.dispose();
    assert.is(runtime.memory.transforms, 0);
    return data;
  });
  assert.ok(relativeError(outputs[1]!, outputs[0]!) < 1e-5);
  const forced = new Conv2d(small, { inChannels: 4, outChannels: 4, kernelSize: 3, algorithm: 'winogradF2x2K3' });
  forced.forward(new Tensor('float32', new Float32Array(100), [1, 4, 5, 5])).dispose();
  assert.is(small.memory.transforms, 4 * 4 * (16 - 9) * 4, 'what is forced is done');
  for (const runtime of [fast, small]) runtime.dispose();
});

/** In a function of its own, so that nothing on the stack holds on to the last tensor. */
function dropTensors(runtime: Runtime, block: ACBlock): void {
  for (let i = 0; i < 100; i++) {
    block.forward(toTensor(INPUT).to(runtime));
    block.equivalentKernelBias();
  }
}

test.run();
