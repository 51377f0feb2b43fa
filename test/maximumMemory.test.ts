/**
 * Too little memory, from none to enough in small steps: OutOfMemoryError each time, everything as before, to the byte,
 * and the right result once there is enough.
 */
import {
  ACBlock,
  BatchNorm2d,
  Conv2d,
  createRuntime,
  type Graph,
  InferenceSession,
  OutOfMemoryError,
  ReLU,
  type Runtime,
  Sequential,
  Tensor,
  toGraph,
} from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Allocation, Heap } from '../src/runtime/heap.js';
import { randomNd, sameBits, seededRandom, supportedBuilds, take, toTensor } from './support.js';

const PAGE = 65536;
/** The smallest allocation of the heap. */
const STEP = 64;
/** Steps of a sweep, about; none is smaller than STEP. */
const STEPS = 150;
const DIMS = [2, 5, 9, 11];

const random = seededRandom(31);
const VALUES = randomNd(random, DIMS);

/**
 * A network with everything that allocates: weights in several forms, BatchNorms of both kinds, an arena, several
 * kernels.
 */
function network(runtime: Runtime): Sequential {
  const seeded = seededRandom(5);
  const net = new Sequential(runtime, [
    new ACBlock(runtime, { inChannels: 5, outChannels: 8, kernelSize: 3, padding: 1 }),
    new ReLU(runtime),
    new Conv2d(runtime, { inChannels: 8, outChannels: 12, kernelSize: 3, padding: 1, algorithm: 'winogradF4x4K3' }),
    new BatchNorm2d(runtime, { numFeatures: 12 }),
    new ACBlock(runtime, { inChannels: 12, outChannels: 4, kernelSize: 5, padding: 2, groups: 4 }),
  ]);
  const state = net.stateDict();
  for (const [name, tensor] of Object.entries(state)) {
    const isVariance = name.endsWith('running_var');
    state[name] = toTensor(randomNd(seeded, tensor.dims, isVariance ? 0.5 : -0.5, isVariance ? 1.5 : 0.5));
    tensor.dispose();
  }
  return net.loadStateDict(state);
}

/** What is swept over, on a runtime: `attempt` may fail, `result` are the numbers that it gave or that must not change. */
interface Work {
  attempt(): unknown;
  result(): Float32Array;
  dispose?(): void;
}

/** Takes all memory except this many bytes. */
function leave(runtime: Runtime, bytes: number): Allocation[] {
  const { heap } = runtime as Runtime & { heap: Heap };
  const taken: Allocation[] = [];
  const free = freeBytes(heap);
  if (free - bytes >= STEP) taken.push(heap.allocate(free - bytes));
  return taken;
}

function freeBytes(heap: Heap): number {
  try {
    heap.allocate(2 ** 40).free();
    throw new Error('there is no end');
  } catch (error) {
    if (error instanceof OutOfMemoryError) return Math.floor(error.bytesFree / STEP) * STEP;
    throw error;
  }
}

/** @returns how often there was too little memory; the runtime has not been used before */
async function sweep(runtime: Runtime, start: () => Work | Promise<Work>, expected: Float32Array): Promise<number> {
  const most = await needOf(runtime, start);
  const step = Math.max(STEP, Math.ceil(most / STEPS / STEP) * STEP);
  let failures = 0;
  for (let room = 0; ; room += step) {
    const bystander = new Tensor('float32', VALUES.data.slice() as Float32Array, DIMS).to(runtime);
    const work = await start();
    const before = runtime.memory.used;
    const taken = leave(runtime, room);
    const { used } = runtime.memory;
    const failed = await failsForLackOfMemory(() => work.attempt());
    if (failed) {
      failures++;
      assert.is(runtime.memory.used, used, `memory in use with ${room} bytes free`);
    }
    for (const allocation of taken) allocation.free();
    if (failed) {
      assert.is(runtime.memory.used, before);
      // With enough memory the same objects give what they should.
      await work.attempt();
    }
    assert.ok(sameBits(work.result(), expected), `results after ${room} bytes were free`);
    assert.ok(sameBits(bystander.data, VALUES.data), `another tensor with ${room} bytes free`);
    work.dispose?.();
    bystander.dispose();
    if (!failed) return failures;
  }
}

async function needOf(runtime: Runtime, start: () => Work | Promise<Work>): Promise<number> {
  const work = await start();
  const { used } = runtime.memory;
  await work.attempt();
  const need = runtime.memory.peak - used;
  work.dispose?.();
  return need;
}

async function failsForLackOfMemory(work: () => unknown): Promise<boolean> {
  try {
    await work();
    return false;
  } catch (error) {
    if (error instanceof OutOfMemoryError) return true;
    throw error;
  }
}

function forwardWork(runtime: Runtime, form: 'train' | 'eval'): Work {
  const net = network(runtime)[form]();
  const input = toTensor(VALUES);
  let output: Tensor | undefined;
  return {
    attempt: () => {
      output = net.forward(input);
    },
    result: () => output!.data,
    dispose: () => {
      output?.dispose();
      net.dispose();
    },
  };
}

function deployWork(runtime: Runtime): Work {
  const net = network(runtime).eval();
  return {
    attempt: () => net.switchToDeploy(),
    result: () => take(net.forward(toTensor(VALUES))),
    dispose: () => net.dispose(),
  };
}

function toWork(runtime: Runtime): Work {
  const tensor = toTensor(VALUES);
  let resident: Tensor | undefined;
  return {
    attempt: () => {
      resident = tensor.to(runtime);
    },
    result: () => resident!.data,
    dispose: () => resident?.dispose(),
  };
}

function createWork(runtime: Runtime, graph: Graph): Work {
  let session: InferenceSession | undefined;
  return {
    attempt: async () => {
      session = await InferenceSession.create(graph, { runtime });
    },
    result: () => session!.runSync({ input: toTensor(VALUES) }).output!.data as Float32Array,
    dispose: () => void session?.release(),
  };
}

async function runWork(runtime: Runtime, { inputDims: _, ...graph }: Graph): Promise<Work> {
  // Without dims that it declares, so that the first run makes the plan.
  const session = await InferenceSession.create(graph, { runtime });
  let output: Tensor | undefined;
  return {
    attempt: async () => {
      output = (await session.run({ input: toTensor(VALUES) })).output;
    },
    result: () => output!.data,
    dispose: () => void session.release(),
  };
}

for (const simd of await supportedBuilds()) {
  const open = (): Promise<Runtime> => createRuntime({ simd, maximumMemory: 64 * PAGE });

  for (const form of ['train', 'eval'] as const) {
    test(`${simd}: forward in ${form} mode`, async () => {
      const reference = await createRuntime({ simd });
      const work = forwardWork(reference, form);
      work.attempt();
      const expected = work.result();
      const runtime = await open();
      const failures = await sweep(runtime, () => forwardWork(runtime, form), expected);
      assert.ok(failures >= 50, `${failures} failures`);
      runtime.dispose();
    });
  }

  test(`${simd}: switchToDeploy`, async () => {
    const reference = await createRuntime({ simd });
    const work = deployWork(reference);
    work.attempt();
    const runtime = await open();
    const failures = await sweep(runtime, () => deployWork(runtime), work.result());
    assert.ok(failures >= 20, `${failures} failures`);
    runtime.dispose();
  });

  test(`${simd}: Tensor.to`, async () => {
    const runtime = await open();
    const failures = await sweep(runtime, () => toWork(runtime), Float32Array.from(VALUES.data));
    assert.ok(failures >= 20, `${failures} failures`);
    runtime.dispose();
  });

  for (const [name, start] of [
    ['create', createWork],
    ['run', runWork],
  ] as const) {
    test(`${simd}: ${name} of a session`, async () => {
      const reference = await createRuntime({ simd });
      const graph: Graph = { ...toGraph(network(reference).eval()), inputDims: new Map([['input', DIMS]]) };
      const work = createWork(reference, graph);
      await work.attempt();
      const expected = work.result();
      reference.dispose();
      const runtime = await open();
      const failures = await sweep(runtime, () => start(runtime, graph), expected);
      assert.ok(failures >= 50, `${failures} failures`);
      runtime.dispose();
    });
  }

  test(`${simd}: createRuntime, page by page, and what it makes then`, async () => {
    const image = toTensor(VALUES);
    const reference = await createRuntime({ simd });
    const expected = take(network(reference).eval().forward(image));
    reference.dispose();
    let failures = 0;
    for (let pages = 1; ; pages++) {
      let runtime: Runtime | undefined;
      const failed = await failsForLackOfMemory(async () => {
        runtime = await createRuntime({ simd, maximumMemory: pages * PAGE });
        assert.ok(sameBits(take(network(runtime).eval().forward(image)), expected), `${pages} pages`);
      });
      if (runtime !== undefined) assert.ok(runtime.memory.reserved <= pages * PAGE);
      runtime?.dispose();
      if (!failed) break;
      failures++;
    }
    assert.ok(failures >= 10, `${failures} failures`);
  });
}

test.run();
