// How fast the machine is at a moment: a loop of multiply-adds in registers, on as many threads as are to be measured.
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { openTestKernels } from '../testKernels.mjs';
import { clockFor } from './clock.mjs';

/** About 4 ms. */
const ITERATIONS = 2_000_000;

if (!isMainThread) {
  const measure = opened(() => performance.now());
  parentPort.on('message', () => parentPort.postMessage(measure()));
}

/** @returns `measure`, which gives the milliseconds of the slowest thread, and `close` */
export function openPeak(threads) {
  const measureOwn = opened(clockFor(threads));
  const workers = Array.from({ length: threads - 1 }, () => new Worker(new URL(import.meta.url)));
  const measure = async () => {
    const others = workers.map((worker) => new Promise((resolve) => worker.once('message', resolve)));
    for (const worker of workers) worker.postMessage('measure');
    const own = measureOwn();
    return Math.max(own, ...(await Promise.all(others)));
  };
  const close = () => Promise.all(workers.map((worker) => worker.terminate()));
  return { measure, close };
}

function opened(now) {
  const { kernels } = openTestKernels('baseline');
  kernels.multiplyAddPeak(ITERATIONS, 0.999, 0.001);
  return () => {
    const start = now();
    kernels.multiplyAddPeak(ITERATIONS, 0.999, 0.001);
    return now() - start;
  };
}
