/**
 * How the threads of a runtime talk to each other, in a few words of their shared memory.
 *
 * A job is cut into chunks: ranges of units (pixels, tiles, sums, whatever its kernel takes a range of) by ranges of
 * output channels. The main thread keeps the first one; every thread, the main one too, takes the next until none is
 * left, by exchanging the ticket word. The job is done when all chunks are; a thread that sleeps, or died before it
 * took one, holds up no other.
 *
 * A worker reads the job after it took a chunk of it. Jobs change only when all chunks are done, so what it reads is
 * the job of its chunk, however long it was suspended before.
 */
export const CONTROL_BYTES = 512;

/** Words of the control block. */
const TICKET = 0;
const DONE = 1;
const FAILED = 2;
const ERA = 3;
/** The job, float64 from here on: how it is cut, the lengths of what follows, arguments, characters of the name. */
const JOB_BYTES = 16;
const HEADER_WORDS = 7;
type Header = [number, number, number, number, number, number, number];
/** The last era: workers leave. */
const END = -1;

/** The ticket: the low bits count the chunks left, the high bits change with every job, to wake threads that wait. */
const LEFT_BITS = 24;
const LEFT_MASK = (1 << LEFT_BITS) - 1;
/** Chunks that a job may have. */
export const MAX_CHUNKS = LEFT_MASK;

export type Kernel = (...args: number[]) => unknown;

/**
 * A run of a kernel, as all threads know it. The kernel takes its arguments, then working memory if it needs any, then the
 * first and last unit of a range, then, if it is cut by channels too, the first and last channel of one.
 */
export interface Task {
  /** The name of an export. */
  readonly kernel: string;
  args: readonly number[];
  readonly takesScratch: boolean;
  readonly units: number;
  readonly unitStep: number;
  readonly channels: number;
  readonly channelStep: number;
}

/** A task as the main thread knows it. */
export interface Job extends Task {
  /** The kernel for this thread. */
  readonly call: Kernel;
  /** Floating-point operations of a chunk, approximately. */
  readonly chunkFlops: number;
}

export function chunkCount(job: Task): number {
  return Math.ceil(job.units / job.unitStep) * Math.ceil(job.channels / job.channelStep);
}

/** Computes a whole job. */
export function runWhole(job: Job, scratchPtr: number): void {
  runRange(job.call, job, scratchPtr, 0, job.units, 0, job.channels);
}

/** Computes one chunk of a job. */
export function runChunk(call: Kernel, job: Task, scratchPtr: number, chunk: number): void {
  const unitChunks = Math.ceil(job.units / job.unitStep);
  const firstUnit = (chunk % unitChunks) * job.unitStep;
  const lastUnit = Math.min(firstUnit + job.unitStep, job.units);
  const firstChannel = Math.floor(chunk / unitChunks) * job.channelStep;
  const lastChannel = Math.min(firstChannel + job.channelStep, job.channels);
  runRange(call, job, scratchPtr, firstUnit, lastUnit, firstChannel, lastChannel);
}

/** @param range numbers at its end that a kernel does not take are ignored */
function runRange(call: Kernel, { args, takesScratch }: Task, scratchPtr: number, ...range: number[]): void {
  if (takesScratch) call(...args, scratchPtr, ...range);
  else call(...args, ...range);
}

/** The control block as the main thread and the workers use it. */
export class Control {
  readonly #words: Int32Array;
  readonly #job: Float64Array;

  constructor(memory: WebAssembly.Memory, ptr: number) {
    this.#words = new Int32Array(memory.buffer, ptr, CONTROL_BYTES / 4);
    this.#job = new Float64Array(memory.buffer, ptr + JOB_BYTES, (CONTROL_BYTES - JOB_BYTES) / 8);
  }

  /** Resets it for the first job. Only while no worker uses it. */
  clear(): void {
    this.#words.fill(0);
  }

  /** Publishes a job except its first chunk, which the caller keeps. Only when the previous one is done. */
  post(job: Task, chunks: number): void {
    const words = this.#words;
    const { kernel, args, units, unitStep, channels, channelStep, takesScratch } = job;
    const header: Header = [units, unitStep, channels, channelStep, +takesScratch, args.length, kernel.length];
    this.#job.set([...header, ...args, ...Array.from(kernel, (c) => c.charCodeAt(0))]);
    Atomics.store(words, DONE, 0);
    Atomics.store(words, FAILED, 0);
    this.#issue(chunks - 1);
  }

  /** The published job. Only for a thread that has a chunk of it. */
  job(): Task {
    const [units, unitStep, channels, channelStep, takesScratch, count, length] = this.#job as unknown as Header;
    const rest = [...this.#job.subarray(HEADER_WORDS)];
    return {
      args: rest.splice(0, count),
      kernel: String.fromCharCode(...rest.slice(0, length)),
      takesScratch: !!takesScratch,
      units,
      unitStep,
      channels,
      channelStep,
    };
  }

  /**
   * Takes a chunk; returns how many were left, so 1 is the job's last one and 0 is none. None of another era: its jobs
   * may run kernels that this thread does not have yet.
   */
  take(era = this.era): number {
    for (;;) {
      const ticket = Atomics.load(this.#words, TICKET);
      const left = ticket & LEFT_MASK;
      if (left === 0 || this.era !== era) return 0;
      if (Atomics.compareExchange(this.#words, TICKET, ticket, ticket - 1) === ticket) return left;
    }
  }

  hasChunks(): boolean {
    return (Atomics.load(this.#words, TICKET) & LEFT_MASK) !== 0;
  }

  /** Workers serve in an era; when it is over, they read the message that begins the next. */
  get era(): number {
    return Atomics.load(this.#words, ERA);
  }

  set era(era: number) {
    Atomics.store(this.#words, ERA, era);
    this.#issue(0);
  }

  /** Tells the workers to leave: Deno cannot end a thread that sleeps. */
  stop(): void {
    this.era = END;
  }

  stopped(): boolean {
    return this.era === END;
  }

  /** Waits until there are chunks or the era is over; may return earlier. */
  sleep(era: number): void {
    const ticket = Atomics.load(this.#words, TICKET);
    if ((ticket & LEFT_MASK) === 0 && this.era === era) Atomics.wait(this.#words, TICKET, ticket);
  }

  finish(failed: boolean): void {
    if (failed) Atomics.store(this.#words, FAILED, 1);
    Atomics.add(this.#words, DONE, 1);
    Atomics.notify(this.#words, DONE);
  }

  done(): number {
    return Atomics.load(this.#words, DONE);
  }

  failed(): boolean {
    return Atomics.load(this.#words, FAILED) !== 0;
  }

  /** Waits until more than `count` chunks are done. Returns at once if the thread may not sleep. */
  awaitDone(count: number, milliseconds: number): void {
    try {
      Atomics.wait(this.#words, DONE, count, milliseconds);
    } catch {
      // A browser's main thread may not sleep: its caller spins.
    }
  }

  #issue(left: number): void {
    const number = (this.#words[TICKET]! >>> LEFT_BITS) + 1;
    Atomics.store(this.#words, TICKET, (number << LEFT_BITS) | left);
    Atomics.notify(this.#words, TICKET);
  }
}
