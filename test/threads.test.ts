/** Threads: the same bits with 1, 2 and 3 of them, a reason where there are none, errors instead of hangs. */
import { spawnSync } from 'node:child_process';
import { ACBlock, Conv2d, createRuntime, lenet5bn, type Runtime, Tensor } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Heap } from '../src/runtime/heap.js';
import type { Kernels } from '../src/runtime/kernels.js';
import { Pool } from '../src/runtime/pool.js';
import { CONTROL_BYTES, Control, type Job } from '../src/runtime/protocol.js';
import { readFixture, sameBits, seededRandom, supportedBuilds } from './support.js';

const COUNTS = [1, 2, 3];

async function runtimes(simd: 'baseline' | 'relaxed'): Promise<Runtime[]> {
  return Promise.all(COUNTS.map((threads) => createRuntime({ simd, threads })));
}

for (const build of await supportedBuilds()) {
  test(`${build}: convolutions have equal bits with 1, 2 and 3 threads`, async () => {
    const all = await runtimes(build);
    assert.equal(
      all.map(({ threads }) => threads),
      COUNTS,
    );
    const random = seededRandom(17);
    const cases = [
      { inChannels: 32, outChannels: 40, size: 40, kernelSize: 3, algorithm: 'gemm' },
      { inChannels: 7, outChannels: 33, size: 90, kernelSize: 3, algorithm: 'gemmDouble' },
      { inChannels: 64, outChannels: 64, size: 96, kernelSize: 3, groups: 64, algorithm: 'depthwise' },
      { inChannels: 32, outChannels: 44, size: 45, kernelSize: 3, algorithm: 'winograd4x3' },
      { inChannels: 256, outChannels: 255, size: 7, kernelSize: 3, algorithm: 'winograd4x3' },
      { inChannels: 64, outChannels: 64, size: 31, kernelSize: 3, algorithm: 'winograd2x3' },
      { inChannels: 32, outChannels: 72, size: 27, kernelSize: 5, algorithm: 'winograd4x5' },
      { inChannels: 34, outChannels: 72, size: 27, kernelSize: 5, algorithm: 'winograd2x3x5' },
      { inChannels: 48, outChannels: 56, size: 51, kernelSize: 3, stride: 2, algorithm: 'winograd4x3s2' },
      { inChannels: 512, outChannels: 203, size: 3, kernelSize: 3, algorithm: 'gemm' },
      { inChannels: 64, outChannels: 64, size: 40, kernelSize: 3, groups: 2, algorithm: 'gemm' },
    ] as const;
    for (const { size, ...options } of cases) {
      const layers = all.map((runtime) => new Conv2d(runtime, { ...options, padding: 1 }));
      const state = layers[0]!.stateDict();
      const data = Float32Array.from({ length: 2 * options.inChannels * size * size }, () => random() - 0.5);
      const input = new Tensor('float32', data, [2, options.inChannels, size, size]);
      const outputs = layers.map((layer) => layer.loadStateDict(state).forward(input).data);
      for (const output of outputs) assert.ok(sameBits(output, outputs[0]!), JSON.stringify(options));
      for (const layer of layers) layer.dispose();
    }
    for (const runtime of all) runtime.dispose();
  });
}

test('zeros have equal bits with 1, 2 and 3 threads', async () => {
  const all = await runtimes('baseline');
  // Every product of a tile is a negative zero, and so is the bias.
  for (const [algorithm, u] of [
    ['winograd2x3', [-1, 0, -1]],
    ['winograd4x3', [-1, 0, 1]],
  ] as const) {
    const kernel = u.flatMap((a) => u.map((b) => -a * b));
    const weight = Float32Array.from({ length: 64 * 64 * 9 }, (_, i) => kernel[i % 9]!);
    const state = {
      weight: new Tensor('float32', weight, [64, 64, 3, 3]),
      bias: new Tensor('float32', new Float32Array(64).fill(-0), [64]),
    };
    for (const size of [16, 20, 30]) {
      const input = new Tensor('float32', new Float32Array(64 * size * size), [1, 64, size, size]);
      const outputs = all.map((runtime) => {
        const options = { inChannels: 64, outChannels: 64, kernelSize: 3, padding: 1, algorithm };
        const layer = new Conv2d(runtime, options).loadStateDict(state);
        const { data } = layer.forward(input);
        layer.dispose();
        return data;
      });
      for (const output of outputs) assert.ok(sameBits(output, outputs[0]!), `${algorithm}, ${size}`);
    }
  }
  for (const runtime of all) runtime.dispose();
});

test('a whole network, both forms, has equal bits with 1, 2 and 3 threads', async () => {
  const all = await runtimes('baseline');
  const { tensors } = readFixture('../../models/lenet5bn-acb-fashion-mnist.safetensors');
  const { input } = readFixture('networks/lenet5bn-acb-fashion-mnist.io.safetensors').tensors as { input: Tensor };
  const many = new Tensor(
    'float32',
    Float32Array.from({ length: 64 * 784 }, (_, i) => input.data[i % input.size]!),
    [64, 1, 28, 28],
  );
  const nets = all.map((runtime) => lenet5bn(runtime).loadStateDict(tensors).eval());
  for (const merged of [false, true]) {
    const outputs = nets.map((net) => (merged ? net.switchToDeploy() : net).forward(many).data);
    for (const output of outputs) assert.ok(sameBits(output, outputs[0]!));
  }
  for (const runtime of all) runtime.dispose();
});

test('capabilities say why there is one thread', async () => {
  const alone = await createRuntime();
  assert.is(alone.threads, 1);
  assert.match(alone.capabilities.threads.reason!, 'one thread');
  alone.dispose();
  const shared = globalThis.SharedArrayBuffer;
  try {
    Object.assign(globalThis, { SharedArrayBuffer: undefined });
    const runtime = await createRuntime({ threads: 2 });
    assert.is(runtime.threads, 1);
    assert.is(runtime.capabilities.threads.available, false);
    assert.match(runtime.capabilities.threads.reason!, 'SharedArrayBuffer');
    const block = new ACBlock(runtime, { inChannels: 4, outChannels: 4, kernelSize: 3 }).eval();
    assert.equal(block.forward(new Tensor('float32', new Float32Array(100), [1, 4, 5, 5])).dims, [1, 4, 3, 3]);
    runtime.dispose();
  } finally {
    Object.assign(globalThis, { SharedArrayBuffer: shared });
  }
});

test('threads that cannot be are an error that names the argument', async () => {
  for (const threads of [0, -1, 1.5, Number.NaN, 65]) {
    try {
      await createRuntime({ threads });
      assert.unreachable(String(threads));
    } catch (error) {
      assert.instance(error, RangeError);
      assert.match((error as Error).message, `threads must be a whole number from 1 to 64, got ${threads}`);
    }
  }
});

test('a worker that died while computing is an error, not a hang', async () => {
  const runtime = (await createRuntime({ simd: 'baseline' })) as Runtime & { kernels: Kernels; heap: Heap };
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const control = new Control(memory, CONTROL_BYTES);
  let terminated = 0;
  const worker = { ready: Promise.resolve(), terminate: () => void terminated++ };
  const stolen = { ...runtime.kernels, conv2d: () => void control.take(control.current(), 3) };
  const pool = new Pool(stolen as Kernels, control, 0, [worker], 200);
  const addresses = { descriptorPtr: 0, inPtr: 0, outPtr: 0, residualPtr: 0 };
  const job: Job = {
    kernel: 'conv2d',
    ...addresses,
    units: 3,
    unitStep: 1,
    channels: 8,
    channelStep: 8,
    blockTiles: 0,
  };
  // While the main thread computes its first chunk, somebody takes the second and is never heard of again.
  assert.throws(() => pool.run(job), /worker thread died/);
  assert.ok(pool.isBroken);
  assert.is(terminated, 1);
  runtime.dispose();
});

test('a program ends though it does not dispose of its threads', () => {
  const program = `
    import { createRuntime } from 'acnet-wasm';
    const runtime = await createRuntime({ threads: 3 });
    console.log(runtime.threads);`;
  const { status, stdout, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    timeout: 60_000,
  });
  assert.is(signal, null);
  assert.is(status, 0);
  assert.is(String(stdout).trim(), '3');
});

test.run();
