// npm run bench:threads: every convolution of the paper's networks with one thread and with more, in interleaved rounds.
//   npm run bench:threads -- [threads, default 2] [simd]
//
// Cores are not always what they seem: two of a virtual machine may be halves of the same one, and a neighbour may be
// using the other half. So a third figure is one thread while other threads of this process each compute the same
// convolution by themselves: `of what is there` is the share that the threads of one runtime get of the throughput of
// as many runtimes side by side.
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { createRuntime } from 'acnet-wasm';
import { disposeLayer, prepareLayer, repeat } from './layer.mjs';
import { geometricMean, median, spread } from './measure.mjs';
import { nameOf, shapes, workOf } from './shapes.mjs';

const ROUNDS = 15;
const MILLISECONDS = 15;
/** The aim is that convolutions of this many operations gain from a second thread. */
const LARGE = 50e6;

/** Shared with the companions: 1 while they are to compute. */
const BUSY = 0;

if (isMainThread) await main();
else await keepCompany(workerData);

async function main() {
  const threads = Number(process.argv[2] ?? 2);
  const simd = process.argv[3] ?? 'baseline';
  const runtimes = [await createRuntime({ simd }), await createRuntime({ simd, threads })];
  if (runtimes[1].threads !== threads) throw new Error(runtimes[1].capabilities.threads.reason ?? 'no threads');
  console.log(`node ${process.versions.node}, ${simd} build, 1 and ${threads} threads, medians of ${ROUNDS} rounds\n`);
  console.log(`${' '.repeat(36)}1 thread   ${threads} threads   ratio         of what is there`);
  const rows = [];
  for (const shape of new Set(Object.values(shapes).flat())) rows.push(await compare(shape, runtimes, simd, threads));
  for (const [size, list] of [
    [`of ${LARGE / 1e6} MFLOP and more`, rows.filter(({ flops }) => flops >= LARGE)],
    ['smaller', rows.filter(({ flops }) => flops < LARGE)],
  ]) {
    const ratios = list.map(({ ratio }) => ratio);
    const shares = list.map(({ share }) => share * threads);
    console.log(
      `${list.length} ${size}: geometric mean ${geometricMean(ratios).toFixed(2)}, lowest ${Math.min(...ratios).toFixed(2)}; ` +
        `times one thread of as many: ${geometricMean(shares).toFixed(2)}, lowest ${Math.min(...shares).toFixed(2)}`,
    );
  }
  for (const runtime of runtimes) runtime.dispose();
}

/** A thread that computes the same convolution by itself whenever it is told to. */
async function keepCompany({ shape, simd, words }) {
  const runtime = await createRuntime({ simd });
  const side = prepareLayer(runtime, shape);
  repeat(side, 100);
  for (;;) {
    Atomics.wait(words, BUSY, 0);
    repeat(side, 0);
  }
}

async function compare(shape, runtimes, simd, threads) {
  const words = new Int32Array(new SharedArrayBuffer(4));
  const companions = Array.from(
    { length: threads - 1 },
    () => new Worker(new URL(import.meta.url), { workerData: { shape, simd, words } }),
  );
  const [one, more] = runtimes.map((runtime) => prepareLayer(runtime, shape));
  const times = { one: [], more: [], crowded: [] };
  for (const side of [one, more]) repeat(side, 100);
  for (let round = 0; round < ROUNDS; round++) {
    // Workers of the other runtime are asleep by then.
    await sleep(2);
    times.one.push(repeat(one, MILLISECONDS));
    times.more.push(repeat(more, MILLISECONDS));
    await sleep(2);
    Atomics.store(words, BUSY, 1);
    Atomics.notify(words, BUSY);
    await sleep(1);
    times.crowded.push(repeat(one, MILLISECONDS));
    Atomics.store(words, BUSY, 0);
  }
  for (const companion of companions) await companion.terminate();
  for (const side of [one, more]) disposeLayer(side);
  const ratios = times.one.map((time, round) => time / times.more[round]);
  const shares = times.crowded.map((time, round) => time / times.more[round] / threads);
  const { flops } = workOf(shape);
  const row = { flops, ratio: median(ratios), share: median(shares) };
  console.log(
    `${nameOf(shape).padEnd(20)}${(flops / 1e6).toFixed(0).padStart(5)} MFLOP` +
      `${median(times.one).toFixed(3).padStart(10)} ms${median(times.more).toFixed(3).padStart(9)} ms` +
      `   ${row.ratio.toFixed(2)} ±${(spread(ratios) * 100).toFixed(0)} %${row.share.toFixed(2).padStart(12)} ±${(spread(shares) * 100).toFixed(0)} %`,
  );
  return row;
}
