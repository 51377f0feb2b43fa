/** The worker threads of a runtime, from the main thread's side. */
import type { Kernels } from './kernels.js';
import { CONTROL_BYTES, Control, chunkCount, type Job, runChunk } from './protocol.js';
import { startThread, type Thread } from './startThread.js';
import type { WorkerSetup } from './worker.js';

export { CONTROL_BYTES };

/**
 * Polls, about a millisecond, before a thread that has no chunk left goes to sleep until the others are done. One that
 * slept may be woken on the core of the thread that woke it, and systems take a tenth of a second to part the two.
 */
const POLLS = 200_000;
/** How long a chunk may take to be computed before its worker counts as dead. */
const CHUNK_MILLISECONDS = 30_000;

export class Pool {
  readonly #kernels: Kernels;
  readonly #control: Control;
  readonly #scratchPtr: number;
  readonly #threads: readonly Thread[];
  readonly #patience: number;
  #isBroken = false;

  /** @param patience milliseconds that a chunk may take before its worker counts as dead */
  constructor(
    kernels: Kernels,
    control: Control,
    scratchPtr: number,
    threads: readonly Thread[],
    patience = CHUNK_MILLISECONDS,
  ) {
    this.#patience = patience;
    this.#kernels = kernels;
    this.#control = control;
    this.#scratchPtr = scratchPtr;
    this.#threads = threads;
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Computes a job with all threads, this one too. @throws Error when a worker has failed or died */
  run(job: Job): void {
    const control = this.#control;
    const chunks = chunkCount(job);
    control.post(job);
    const number = control.current();
    for (let chunk = control.take(number, chunks); chunk >= 0; chunk = control.take(number, chunks)) {
      runChunk(this.#kernels, job, this.#scratchPtr, chunk);
      control.finish(false);
    }
    this.#awaitOthers(chunks);
    if (control.failed()) this.#giveUp('a worker thread failed while computing');
  }

  terminate(): void {
    this.#control.stop();
    for (const thread of this.#threads) thread.terminate();
  }

  #awaitOthers(chunks: number): void {
    const control = this.#control;
    let seen = control.done();
    let since = performance.now();
    for (let polls = 0; seen < chunks; polls++) {
      if (polls > POLLS) control.awaitDone(seen, 100);
      const done = control.done();
      if (done !== seen) {
        seen = done;
        since = performance.now();
      } else if ((polls & 1023) === 1023 || polls > POLLS) {
        if (performance.now() - since > this.#patience) this.#giveUp('a worker thread died while computing');
      }
    }
  }

  #giveUp(why: string): never {
    this.#isBroken = true;
    this.terminate();
    throw new Error(`Runtime: ${why}; this runtime goes on with one thread`);
  }
}

/** Starts workers. @throws Error that says why there can be none; none is left running then */
export async function startPool(
  count: number,
  kernels: Kernels,
  setup: Omit<WorkerSetup, 'scratchPtr'>,
  scratchPtrs: readonly number[],
): Promise<Pool> {
  const threads: Thread[] = [];
  try {
    for (let i = 1; i < count; i++) threads.push(await startThread({ ...setup, scratchPtr: scratchPtrs[i]! }));
    await Promise.all(threads.map(({ ready }) => ready));
    return new Pool(kernels, new Control(setup.memory, setup.controlPtr), scratchPtrs[0]!, threads);
  } catch (error) {
    for (const thread of threads) thread.terminate();
    throw error;
  }
}
