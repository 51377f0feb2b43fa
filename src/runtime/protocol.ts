/**
 * What the threads of a runtime say to each other, in a few words of their shared memory.
 *
 * A job is cut into chunks: `unitChunks` ranges of pixels or tiles by `channelChunks` ranges of output channels. The main
 * thread keeps the first one; every thread, the main one too, takes the next until none is left, by exchanging the
 * ticket word. The job is done when all chunks are; a thread that sleeps, or has died before it took one, keeps nobody
 * waiting.
 *
 * A worker reads the job after it took a chunk of it. Jobs change only when all chunks are done, so what it reads is the
 * job of its chunk, however long it stood still before.
 */
import type { Kernels } from './kernels.js';

export const CONTROL_BYTES = 128;

/** Words of the control block. */
const TICKET = 0;
const DONE = 1;
const FAILED = 2;
const STOPPED = 3;
const JOB = 4;

/** The ticket: chunks that are left below, above them a number that every job changes, for those who wait for a change. */
const LEFT_BITS = 24;
const LEFT_MASK = (1 << LEFT_BITS) - 1;
/** Chunks that a job may have. */
export const MAX_CHUNKS = LEFT_MASK;

/** Kernels that are cut into chunks, by their number in the control block. */
export const PARALLEL_KERNELS = ['conv2d', 'depthwiseConv2d', 'winogradConv2d'] as const;
export type ParallelKernel = (typeof PARALLEL_KERNELS)[number];

/** Runs of a kernel that differ in their addresses only, as all threads know them. */
export interface Task {
  readonly kernel: ParallelKernel;
  readonly descriptorPtr: number;
  inPtr: number;
  outPtr: number;
  residualPtr: number;
  readonly units: number;
  readonly unitStep: number;
  readonly channels: number;
  readonly channelStep: number;
  readonly blockTiles: number;
}

/** A task as the main thread knows it. */
export interface Job extends Task {
  /** Floating-point operations of a chunk, about. */
  readonly chunkFlops: number;
}

export function chunkCount(job: Task): number {
  return Math.ceil(job.units / job.unitStep) * Math.ceil(job.channels / job.channelStep);
}

/** Computes a whole job. */
export function runWhole(kernels: Kernels, job: Task, scratchPtr: number): void {
  runRange(kernels, job, scratchPtr, 0, job.units, 0, job.channels);
}

/** Computes one chunk of a job. */
export function runChunk(kernels: Kernels, job: Task, scratchPtr: number, chunk: number): void {
  const unitChunks = Math.ceil(job.units / job.unitStep);
  const firstUnit = (chunk % unitChunks) * job.unitStep;
  const lastUnit = Math.min(firstUnit + job.unitStep, job.units);
  const firstChannel = Math.floor(chunk / unitChunks) * job.channelStep;
  const lastChannel = Math.min(firstChannel + job.channelStep, job.channels);
  runRange(kernels, job, scratchPtr, firstUnit, lastUnit, firstChannel, lastChannel);
}

function runRange(
  kernels: Kernels,
  job: Task,
  scratchPtr: number,
  firstUnit: number,
  lastUnit: number,
  firstChannel: number,
  lastChannel: number,
): void {
  const { descriptorPtr, inPtr, outPtr, residualPtr, blockTiles } = job;
  kernels[job.kernel](
    descriptorPtr,
    inPtr,
    outPtr,
    residualPtr,
    scratchPtr,
    firstUnit,
    lastUnit,
    firstChannel,
    lastChannel,
    blockTiles,
  );
}

/** The control block as the main thread and the workers use it. */
export class Control {
  readonly #words: Int32Array;

  constructor(memory: WebAssembly.Memory, ptr: number) {
    this.#words = new Int32Array(memory.buffer, ptr, CONTROL_BYTES / 4);
  }

  /** As it is before the first job. Only while no worker uses it. */
  clear(): void {
    this.#words.fill(0);
  }

  /** Publishes a job but for its first chunk, which the caller keeps. Only when the last one is done. */
  post(job: Task, chunks: number): void {
    const words = this.#words;
    const { kernel, descriptorPtr, inPtr, outPtr, residualPtr, units, unitStep, channels, channelStep } = job;
    const number = PARALLEL_KERNELS.indexOf(kernel);
    const addresses = [number, descriptorPtr, inPtr, outPtr, residualPtr];
    words.set([...addresses, units, unitStep, channels, channelStep, job.blockTiles], JOB);
    Atomics.store(words, DONE, 0);
    Atomics.store(words, FAILED, 0);
    this.#issue(chunks - 1);
  }

  /** The job as published. Only for who has a chunk of it. */
  job(): Task {
    const word = (i: number): number => this.#words[JOB + i]! >>> 0;
    return {
      kernel: PARALLEL_KERNELS[word(0)]!,
      descriptorPtr: word(1),
      inPtr: word(2),
      outPtr: word(3),
      residualPtr: word(4),
      units: word(5),
      unitStep: word(6),
      channels: word(7),
      channelStep: word(8),
      blockTiles: word(9),
    };
  }

  /** Takes a chunk: the number of those that were left, so that 1 is the job's last one and 0 is none. */
  take(): number {
    for (;;) {
      const ticket = Atomics.load(this.#words, TICKET);
      const left = ticket & LEFT_MASK;
      if (left === 0 || Atomics.compareExchange(this.#words, TICKET, ticket, ticket - 1) === ticket) return left;
    }
  }

  hasChunks(): boolean {
    return (Atomics.load(this.#words, TICKET) & LEFT_MASK) !== 0;
  }

  /** Tells the workers to leave: Deno cannot end a thread that sleeps. */
  stop(): void {
    Atomics.store(this.#words, STOPPED, 1);
    this.#issue(0);
  }

  stopped(): boolean {
    return Atomics.load(this.#words, STOPPED) !== 0;
  }

  /** Waits until there are chunks or the workers are told to leave; may come back earlier. */
  sleep(): void {
    const ticket = Atomics.load(this.#words, TICKET);
    if ((ticket & LEFT_MASK) === 0 && !this.stopped()) Atomics.wait(this.#words, TICKET, ticket);
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

  /** Waits for more chunks to be done than `count`. Where the thread may not sleep, comes back at once. */
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
