/** Training on several threads: the same bits with 1, 2 and 3 of them; workers that die during a step. */
import * as acnet from 'acnet-wasm';
import { Trainer } from 'acnet-wasm/train';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Faults } from './engines/faults.js';
import { NETWORKS, trainingHash } from './engines/trainingRuns.js';
import { randomNd, sameBits, seededRandom, supportedBuilds, toTensor } from './support.js';

const { cifarQuick, createRuntime, ThreadError } = acnet;
const pkg = { ...acnet, Trainer };
const STEPS = { baseline: 24, relaxed: 8 };
/** Steps until a worker has got a chunk at last: with few cores the main thread may compute all of them. */
const MAX_STEPS = 500;

for (const simd of await supportedBuilds()) {
  for (const network of Object.keys(NETWORKS)) {
    test(`${simd}: ${network}: equal bits with 1, 2 and 3 threads`, async () => {
      const hashes: string[] = [];
      for (const threads of [1, 2, 3])
        hashes.push(await trainingHash(pkg, network, { simd, threads, steps: STEPS[simd] }));
      assert.equal(hashes, Array(3).fill(hashes[0]));
    });
  }
}

for (const fault of ['die', 'fail'] as const) {
  test(`a worker that ${fault}s during a step is an error, after which all is as before`, async () => {
    const faults = new Faults(['conv2dWeightGrad', 'winogradWeightGrad']);
    const runtime = await createRuntime({ simd: 'baseline', threads: 2 });
    try {
      const input = toTensor(randomNd(seededRandom(3), [16, 3, 32, 32]));
      const labels = Array.from({ length: 16 }, (_, i) => i % 10);
      const options = { lr: 0.05, momentum: 0.9 };
      const model = cifarQuick(runtime).train();
      const trainer = new Trainer(model, options);
      const whole = cifarQuick(runtime).train().loadStateDict(model.stateDict());
      const other = new Trainer(whole, options);
      faults.arm(fault);
      let error: unknown;
      for (let i = 0; i < MAX_STEPS && error === undefined; i++) {
        try {
          trainer.step(input, labels);
        } catch (caught) {
          error = caught;
        }
        if (error === undefined) other.step(input, labels);
        await new Promise((resolve) => setTimeout(resolve));
      }
      assert.instance(error, ThreadError);
      assert.match(
        (error as Error).message,
        /worker thread .*nothing has changed, and the same call can be made again/,
      );
      assert.is(faults.met, 1);
      expectSameState(model, whole);
      assert.is(trainer.step(input, labels), other.step(input, labels));
      expectSameState(model, whole);
      // Another pool has the kernels for training, too.
      while (runtime.threads < 2) await new Promise((resolve) => setTimeout(resolve, 10));
      faults.arm(fault);
      assert.throws(() => {
        for (let i = 0; i < MAX_STEPS; i++) trainer.step(input, labels);
      }, /worker thread/);
    } finally {
      faults.restore();
      runtime.dispose();
    }
  });
}

function expectSameState(a: acnet.Layer, b: acnet.Layer): void {
  const [one, other] = [a.stateDict(), b.stateDict()];
  for (const [key, { data }] of Object.entries(one)) {
    assert.ok(sameBits(data as Float32Array, other[key]!.data as Float32Array), key);
  }
}

test.run();
