/** Threads: the same bits with 1, 2 and 3 of them, a reason if there are none, errors instead of hangs. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import * as acnet from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Pool } from '../src/runtime/pool.js';
import { CONTROL_BYTES, Control, type Job, type Kernel } from '../src/runtime/protocol.js';
import { runCasualties } from './engines/casualties.js';
import { Faults } from './engines/faults.js';
import { randomNd, readFixture, sameBits, seededRandom, supportedBuilds, toTensor } from './support.js';

const { ACBlock, BatchNorm2d, Conv2d, createRuntime, InferenceSession, lenet5bn, Sequential, Tensor, ThreadError } =
  acnet;

const COUNTS = [1, 2, 3];
/** Longer than the runtime waits for a worker that hangs. */
const STALL_MILLISECONDS = 3_500;
/** Runs until a worker has got a chunk at last: with few cores the main thread may compute all of them. */
const MAX_RUNS = 500;
/** Sessions that are made and released; 5,000 take some minutes. */
const SESSIONS = Number(process.env.SESSIONS ?? 40);

function jobOf(units: number, call: Kernel = () => {}): Job {
  const cut = { units, unitStep: 1, channels: 8, channelStep: 8, chunkFlops: 0 };
  return { kernel: 'conv2d', args: [1, -2, 0.5, 2 ** 32 - 4], takesScratch: true, ...cut, call };
}

function seededTensor(dims: readonly number[], seed: number): acnet.Tensor {
  return toTensor(randomNd(seededRandom(seed), dims));
}

/** Handles and threads of this process, when those that are ending have ended. */
async function handlesAndThreads(atMost: number): Promise<number> {
  const count = (): number => {
    const threads = existsSync('/proc/self/task') ? readdirSync('/proc/self/task').length : 0;
    return process.getActiveResourcesInfo().length + threads;
  };
  for (let i = 0; i < 500 && count() > atMost; i++) await sleep(10);
  return count();
}

async function runtimes(simd: 'baseline' | 'relaxed'): Promise<acnet.Runtime[]> {
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
      { inChannels: 7, outChannels: 33, size: 90, kernelSize: 3, algorithm: 'gemm' },
      { inChannels: 64, outChannels: 64, size: 96, kernelSize: 3, groups: 64, algorithm: 'depthwise' },
      { inChannels: 32, outChannels: 44, size: 45, kernelSize: 3, algorithm: 'winogradF4x4K3' },
      { inChannels: 256, outChannels: 255, size: 7, kernelSize: 3, algorithm: 'winogradF4x4K3' },
      { inChannels: 64, outChannels: 64, size: 31, kernelSize: 3, algorithm: 'winogradF2x2K3' },
      { inChannels: 32, outChannels: 72, size: 27, kernelSize: 5, algorithm: 'winogradF1x4K5' },
      { inChannels: 34, outChannels: 72, size: 27, kernelSize: 5, algorithm: 'winogradF2x3K5' },
      { inChannels: 48, outChannels: 56, size: 51, kernelSize: 3, stride: 2, algorithm: 'winogradF4x4K3S2' },
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
    ['winogradF2x2K3', [-1, 0, -1]],
    ['winogradF4x4K3', [-1, 0, 1]],
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
  const { tensors } = readFixture('networks/lenet5bn-acb-fashion-mnist.safetensors');
  const { input } = readFixture('networks/lenet5bn-acb-fashion-mnist.io.safetensors').tensors as {
    input: acnet.Tensor;
  };
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

for (const threads of [2, 4]) {
  test(`${threads} threads: workers that die, fail and stand still cost no value, no session and no memory`, async () => {
    for (const { name, complaints } of await runCasualties(acnet, threads, STALL_MILLISECONDS)) {
      assert.equal(complaints, [], name);
    }
  });
}

test('forward throws when a worker dies, changes nothing, and can be called again', async () => {
  const faults = new Faults();
  const [alone, runtime] = [
    await createRuntime({ simd: 'baseline' }),
    await createRuntime({ simd: 'baseline', threads: 2 }),
  ];
  try {
    const [expected, net] = [alone, runtime].map((home) => {
      const options = { inChannels: 64, outChannels: 64, kernelSize: 3, padding: 1 } as const;
      // The first layer has finished, with statistics to update, when the second one meets the fault.
      return new Sequential(home, [new BatchNorm2d(home, { numFeatures: 64 }), new ACBlock(home, options)]);
    }) as [acnet.Sequential, acnet.Sequential];
    net.loadStateDict(expected.stateDict());
    const data = Float32Array.from({ length: 64 * 1600 }, (_, i) => Math.sin(i));
    const input = new Tensor('float32', data, [1, 64, 40, 40]);
    faults.arm('die');
    for (let i = 0; faults.met === 0 && i < MAX_RUNS; i++) {
      const before = net.stateDict();
      const used = runtime.memory.used;
      try {
        assert.ok(sameBits(net.forward(input).data, expected.forward(input).data));
      } catch (error) {
        assert.instance(error, ThreadError);
        assert.match((error as Error).message, /worker thread died.*can be made again/);
        for (const [key, { data }] of Object.entries(net.stateDict()))
          assert.ok(sameBits(data, before[key]!.data), key);
        assert.ok(runtime.memory.used > used, 'what the worker may still write to is in use');
      }
    }
    assert.is(faults.met, 1);
    assert.is(runtime.threads, 1);
    assert.match(runtime.capabilities.threads.reason!, /died.*new ones are starting/);
    // Nothing has told the runtime yet that the worker is gone.
    assert.ok(sameBits(net.forward(input).data, expected.forward(input).data));
  } finally {
    faults.restore();
    for (const home of [alone, runtime]) home.dispose();
  }
});

test('a run that lacks the memory which a worker may still be writing to waits for it', async () => {
  const faults = new Faults();
  const options = { inChannels: 64, outChannels: 64, kernelSize: 3, padding: 1 };
  const data = Float32Array.from({ length: 64 * 1600 }, (_, i) => Math.sin(i));
  const input = new Tensor('float32', data, [1, 64, 40, 40]);
  const make = async (maximumMemory: number): Promise<[acnet.Runtime, acnet.InferenceSession]> => {
    const runtime = await createRuntime({ simd: 'baseline', threads: 2, maximumMemory });
    const layer = new Conv2d(runtime, options);
    layer
      .loadStateDict({ weight: seededTensor(layer.stateDict().weight!.dims, 3), bias: seededTensor([64], 4) })
      .eval();
    const session = await InferenceSession.create(layer, { runtime });
    layer.dispose();
    return [runtime, session];
  };
  const feeds = (session: acnet.InferenceSession) => ({ [session.inputNames[0]!]: input });
  try {
    const [roomy, first] = await make(2 ** 28);
    const expected = Object.values(await first.run(feeds(first)))[0]!.data;
    const most = roomy.memory.reserved;
    await first.release();
    roomy.dispose();
    const [runtime, session] = await make(most);
    faults.holdsEnds = true;
    faults.arm('stall', STALL_MILLISECONDS);
    for (let i = 0; faults.met === 0 && i < MAX_RUNS; i++) {
      try {
        session.runSync(feeds(session));
      } catch (error) {
        assert.instance(error, ThreadError);
      }
    }
    assert.throws(() => session.runSync(feeds(session)), /out of memory.*bytes wait for the end of a worker thread/);
    const [output] = Object.values(await session.run(feeds(session)));
    assert.is(faults.resumed, 1);
    assert.ok(sameBits(output!.data, expected));
    assert.match(runtime.capabilities.threads.reason!, /cannot start|do not start/);
    runtime.dispose();
  } finally {
    faults.restore();
  }
});

test('workers that die again and again are not replaced for ever', async () => {
  const faults = new Faults();
  const runtime = await createRuntime({ simd: 'baseline', threads: 2 });
  try {
    for (let deaths = 1; !/no more are started/.test(runtime.capabilities.threads.reason ?? ''); deaths++) {
      assert.ok(deaths < 20);
      faults.workers.at(-1)!.terminate();
      const started = faults.workers.length;
      while (runtime.threads === 2) await sleep(5);
      while (runtime.threads === 1 && faults.workers.length === started && deaths < 9) await sleep(5);
      while (runtime.threads === 1 && deaths < 9) await sleep(5);
    }
    assert.is(runtime.threads, 1);
    const layer = new Conv2d(runtime, { inChannels: 64, outChannels: 64, kernelSize: 3 });
    assert.equal(
      layer.forward(new Tensor('float32', new Float32Array(64 * 900), [1, 64, 30, 30])).dims,
      [1, 64, 28, 28],
    );
  } finally {
    faults.restore();
    runtime.dispose();
  }
});

test('a kernel that fails on the calling thread waits for the workers first', async () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const control = new Control(memory, CONTROL_BYTES);
  const fail = (): void => {
    throw new Error('a kernel failed');
  };
  const pool = new Pool(control, 0, [], () => assert.unreachable());
  assert.throws(() => pool.run(jobOf(3, fail)), /a kernel failed/);
  assert.is(control.done(), 3);
  assert.not.ok(control.hasChunks());
});

test('a chunk is taken once, by whoever comes first, and never one of another job', () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const [main, worker] = [new Control(memory, CONTROL_BYTES), new Control(memory, CONTROL_BYTES)];
  assert.is(worker.take(), 0);
  // More jobs than the ticket has numbers.
  for (let job = 0; job < 600; job++) {
    main.post(jobOf(6000), 6000);
    assert.is(worker.take(), 5999);
    assert.is(main.take(), 5998);
    for (let left = 5997; left > 0; left--) assert.is((left % 2 === 0 ? main : worker).take(), left);
    assert.is(worker.take(), 0);
    assert.is(main.take(), 0);
    const { call, chunkFlops, ...task } = jobOf(6000);
    assert.equal(worker.job(), task);
  }
});

test('a chunk is not taken by a worker of another era, which may not have its kernel', () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const [main, worker] = [new Control(memory, CONTROL_BYTES), new Control(memory, CONTROL_BYTES)];
  main.post(jobOf(2), 2);
  main.era = 1;
  assert.is(worker.take(0), 0);
  assert.is(main.take(), 0, 'a new era begins between jobs');
  main.post(jobOf(3), 3);
  assert.is(worker.take(0), 0);
  assert.is(worker.take(1), 2);
  assert.is(main.take(), 1);
});

test(`${SESSIONS} sessions of two threads leave no thread and no handle`, async () => {
  const layers = Array.from({ length: 2 }, () => ({ inChannels: 16, outChannels: 16, kernelSize: 3, padding: 1 }));
  const input = new Tensor('float32', new Float32Array(16 * 1024), [1, 16, 32, 32]);
  const makeAndRelease = async (): Promise<void> => {
    const runtime = await createRuntime({ simd: 'baseline', threads: 2 });
    assert.is(runtime.threads, 2);
    const net = new Sequential(
      runtime,
      layers.map((options) => new Conv2d(runtime, options)),
    ).eval();
    const session = await InferenceSession.create(net, { runtime });
    await session.run({ [session.inputNames[0]!]: input });
    await session.release();
    runtime.dispose();
  };
  await makeAndRelease();
  await sleep(500);
  const before = await handlesAndThreads(0);
  for (let i = 0; i < SESSIONS; i++) await makeAndRelease();
  const after = await handlesAndThreads(before);
  assert.ok(after <= before, `${before} before, ${after} after`);
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

test('a program that is interrupted ends though its threads compute', async () => {
  const program = `
    import { createRuntime, Conv2d, InferenceSession, Tensor } from 'acnet-wasm';
    const runtime = await createRuntime({ threads: 3 });
    const session = await InferenceSession.create(
      new Conv2d(runtime, { inChannels: 64, outChannels: 64, kernelSize: 3 }).eval(), { runtime });
    const input = new Tensor('float32', new Float32Array(64 * 3600), [1, 64, 60, 60]);
    console.log('runs');
    for (;;) await session.run({ [session.inputNames[0]]: input });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGINT');
  assert.equal(await once(child, 'exit'), [null, 'SIGINT']);
});

test.run();
