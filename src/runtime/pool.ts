/** The worker threads of a runtime, from the main thread's side. */
import { ThreadError } from '../errors.js';
import { type Control, chunkCount, type Job, runChunk } from './protocol.js';
import type { Thread } from './startThread.js';
import type { WorkerSetup } from './worker.js';

/**
 * Polls, about a millisecond, before a thread that has no chunk left goes to sleep until the others are done. One that
 * slept may be woken on the core of the thread that woke it, and systems take a tenth of a second to separate the two.
 */
const POLLS = 200_000;
/** Polls between two looks at the clock. */
const CLOCK_POLLS = 1024;
const SLEEP_MILLISECONDS = 100;
/** A longer pause between two looks counts as this much: this thread was suspended then too. */
const MAX_LOOK_MILLISECONDS = 2 * SLEEP_MILLISECONDS;
/**
 * How long without a finished chunk before a worker counts as dead: this, or a multiple of what a chunk should take.
 */
const MIN_PATIENCE_MILLISECONDS = 2_000;
const PATIENCE_CHUNKS = 20;
/** The speed of a slow phone. */
const MIN_FLOPS_PER_MILLISECOND = 4e6;
/** Workers leave by themselves when told to; those that have not by then are terminated. */
const LEAVE_MILLISECONDS = 100;

/** Lives and dies as one: when a worker is lost, the others leave too. */
export class Pool {
  /** Settles when no worker can write any more; engines do not report every death. */
  readonly gone: Promise<void>;
  readonly #control: Control;
  readonly #scratchPtr: number;
  readonly #threads: readonly Thread[];
  readonly #onLoss: (why: string) => void;
  #isRetired = false;

  /**
   * @param scratchPtr working memory of the main thread
   * @param onLoss called once, if the pool becomes unusable without having been retired
   */
  constructor(control: Control, scratchPtr: number, threads: readonly Thread[], onLoss: (why: string) => void) {
    this.#control = control;
    this.#scratchPtr = scratchPtr;
    this.#threads = threads;
    this.#onLoss = onLoss;
    this.gone = Promise.all(threads.map(({ gone }) => gone)).then(() => {});
    // No job is in flight then: this thread waits for those.
    for (const { gone } of threads) void gone.then(() => this.#lose('a worker thread died'));
  }

  /**
   * Computes a job with all threads, this one too.
   * @throws ThreadError when a worker has failed or died
   */
  run(job: Job): void {
    const control = this.#control;
    const chunks = chunkCount(job);
    const start = performance.now();
    let own = 0;
    control.post(job, chunks);
    try {
      for (let left = chunks; left > 0; left = control.take(), own++) {
        runChunk(job.call, job, this.#scratchPtr, chunks - left);
        control.finish(false);
      }
    } catch (error) {
      // No thread may still be computing when the caller reuses the memory.
      do control.finish(true);
      while (control.take() > 0);
      this.#awaitOthers(job, chunks, start, own);
      throw error;
    }
    this.#awaitOthers(job, chunks, start, own);
    if (control.failed()) this.#giveUp('a worker thread failed while computing');
  }

  /** Gives the workers more kernels, which begins another era. Not while a job runs. */
  add(binaries: WorkerSetup['binaries']): void {
    const era = this.#control.era + 1;
    for (const thread of this.#threads) thread.post({ binaries, era });
    this.#control.era = era;
  }

  /** Tells the workers to leave, and terminates those that do not. */
  retire(): void {
    this.#isRetired = true;
    this.#control.stop();
    const timer = setTimeout(() => this.#terminate(), LEAVE_MILLISECONDS);
    void this.gone.then(() => clearTimeout(timer));
  }

  /** Ends the pool for good. */
  dispose(): void {
    this.#isRetired = true;
    this.#control.stop();
    this.#terminate();
  }

  #terminate(): void {
    for (const thread of this.#threads) thread.terminate();
  }

  /** @param start when the job began. @param own chunks of it that this thread has computed */
  #awaitOthers(job: Job, chunks: number, start: number, own: number): void {
    const control = this.#control;
    let seen = control.done();
    let patience = 0;
    let waited = 0;
    let looked = 0;
    for (let polls = 1; seen < chunks; polls++) {
      if (polls > POLLS) control.awaitDone(seen, SLEEP_MILLISECONDS);
      const done = control.done();
      if (done !== seen) {
        seen = done;
        waited = 0;
      } else if (polls % CLOCK_POLLS === 0 || polls > POLLS) {
        const now = performance.now();
        if (looked === 0) {
          patience = patienceWith(job, (now - start) / Math.max(own, 1));
          looked = now;
        }
        waited += Math.min(now - looked, MAX_LOOK_MILLISECONDS);
        looked = now;
        if (waited > patience) this.#giveUp('a worker thread died, or stood still for too long, while computing');
      }
    }
  }

  #lose(why: string): void {
    if (this.#isRetired) return;
    this.retire();
    this.#onLoss(why);
  }

  #giveUp(why: string): never {
    this.#lose(why);
    throw new ThreadError(
      `Runtime: ${why}; nothing has changed, and the same call can be made again (InferenceSession.run does so by itself)`,
      this.gone,
    );
  }
}

/** @param measured milliseconds that a chunk took this thread; longer than it should be if the system is busy */
function patienceWith({ chunkFlops }: Job, measured: number): number {
  const expected = Math.min(measured, chunkFlops / MIN_FLOPS_PER_MILLISECOND);
  return Math.max(MIN_PATIENCE_MILLISECONDS, PATIENCE_CHUNKS * expected);
}
