/**
 * The threads of a runtime besides the calling one: a pool while its workers live, none after one of them has died, and
 * another pool once its workers have started.
 */
import type { Heap } from './heap.js';
import { Pool } from './pool.js';
import { CONTROL_BYTES, Control } from './protocol.js';
import { settlesWithin } from './settlesWithin.js';
import { startThread, type Thread } from './startThread.js';
import type { WorkerSetup } from './worker.js';

/** Pools that may follow the first one, so that workers that keep dying do not cost time forever. */
const MAX_SUCCESSORS = 8;
/**
 * How long a new pool, or a repeated call, waits for dead workers to end. Most engines report it at once; if a worker
 * hangs, or the engine never reports it, its memory stays withheld.
 */
export const END_MILLISECONDS = 250;

/** Memory of a pool: its control words and its workers' scratch. */
export interface PoolMemory {
  readonly controlPtr: number;
  /** One for each worker. */
  readonly scratchPtrs: readonly number[];
}

/** What all pools of a runtime have in common. */
export interface PoolSetup {
  readonly heap: Heap;
  readonly memory: WebAssembly.Memory;
  /** The kernels. */
  readonly binary: Uint8Array<ArrayBuffer>;
  /** Working memory of the main thread. */
  readonly scratchPtr: number;
  /** Bytes of one thread's working memory. */
  readonly scratchBytes: number;
}

export class Threads {
  readonly #setup: PoolSetup;
  /** All binaries whose kernels the workers have. */
  readonly #binaries: Uint8Array<ArrayBuffer>[];
  readonly #workers: number;
  /** Memory of pools whose workers are known to have ended, or that was never a pool's. */
  readonly #free: PoolMemory[];
  #pool: Pool | undefined;
  #reason: string | undefined;
  #successors = 0;
  #isDisposed = false;

  /** @param memory for the first pool, before the heap */
  constructor(setup: PoolSetup, memory: PoolMemory) {
    this.#setup = setup;
    this.#binaries = [setup.binary];
    this.#free = [memory];
    this.#workers = memory.scratchPtrs.length;
  }

  /** Undefined while the calling thread is alone. */
  get pool(): Pool | undefined {
    return this.#pool;
  }

  /** The number of threads when all are alive, including the calling one. */
  get most(): number {
    return this.#workers + 1;
  }

  /** Why the calling thread is alone; undefined if it is not. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** @throws Error that says why there can be no workers; none is left running then */
  async start(): Promise<void> {
    const { memory, scratchPtr } = this.#setup;
    const place = this.#free.pop() ?? this.#allocate();
    const { controlPtr, scratchPtrs } = place;
    const control = new Control(memory, controlPtr);
    control.clear();
    const binaries = [...this.#binaries];
    const setups = scratchPtrs.map((ptr) => ({ binaries, memory, controlPtr, scratchPtr: ptr, era: control.era }));
    const workers = await startWorkers(setups).catch((error: unknown) => {
      // For workers that start late.
      control.stop();
      throw error;
    });
    const pool = new Pool(control, scratchPtr, workers, (why) => this.#replace(pool, why));
    void pool.gone.then(() => this.#free.push(place));
    if (this.#isDisposed) {
      pool.dispose();
      return;
    }
    this.#pool = pool;
    this.#reason = undefined;
    for (const late of this.#binaries.slice(binaries.length)) pool.add([late]);
  }

  /** Gives the workers more kernels. Workers that do not have them yet take no part in jobs. */
  add(binary: Uint8Array<ArrayBuffer>): void {
    this.#binaries.push(binary);
    this.#pool?.add([binary]);
  }

  dispose(): void {
    this.#isDisposed = true;
    this.#pool?.dispose();
  }

  /** Drops the pool, and takes another one once that has started. */
  #replace({ gone }: Pool, why: string): void {
    this.#pool = undefined;
    if (this.#successors === MAX_SUCCESSORS) {
      this.#reason = `${why}, as those before it did: no more are started`;
      return;
    }
    this.#successors++;
    this.#reason = `${why}; new ones are starting`;
    this.#succeed(gone).catch((error: unknown) => {
      this.#reason = `${why}, and new ones do not start: ${error instanceof Error ? error.message : String(error)}`;
    });
  }

  async #succeed(gone: Promise<void>): Promise<void> {
    // Then their memory can be used again; otherwise it is left to them.
    await settlesWithin(gone, END_MILLISECONDS);
    if (!this.#isDisposed) await this.start();
  }

  #allocate(): PoolMemory {
    const { heap, scratchBytes } = this.#setup;
    const controlPtr = heap.reserve(CONTROL_BYTES + this.#workers * scratchBytes);
    const firstScratch = controlPtr + CONTROL_BYTES;
    const scratchPtrs = Array.from({ length: this.#workers }, (_, i) => firstScratch + i * scratchBytes);
    return { controlPtr, scratchPtrs };
  }
}

/** @throws Error if one of them does not start; none is left running then */
async function startWorkers(setups: readonly WorkerSetup[]): Promise<Thread[]> {
  const starting = setups.map(startThread);
  try {
    const threads = await Promise.all(starting);
    await Promise.all(threads.map(({ ready }) => ready));
    return threads;
  } catch (error) {
    for (const result of await Promise.allSettled(starting)) {
      if (result.status === 'fulfilled') result.value.terminate();
    }
    throw error;
  }
}
