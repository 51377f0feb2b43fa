/**
 * What the threads of a runtime say to each other, in a few words of their shared memory.
 *
 * A job is cut into chunks: `unitChunks` ranges of pixels or tiles by `channelChunks` ranges of output channels. Every
 * thread, the main one too, takes the next chunk until none is left, by exchanging the ticket word. The ticket also
 * holds the job's number, so that a thread that wakes late cannot take a chunk of a later job for one of its own. The
 * job is done when all chunks are; a thread that sleeps, or has died before it took one, keeps nobody waiting.
 */
import type { Kernels } from './kernels.js';

export const CONTROL_BYTES = 128;

/** Words of the control block. */
const TICKET = 0;
const DONE = 1;
const FAILED = 2;
const STOPPED = 3;
const JOB = 4;

/** The ticket: the job's number above, the next chunk below. */
const CHUNK_BITS = 12;
const CHUNK_MASK = (1 << CHUNK_BITS) - 1;
/** Chunks that a job may have: the ticket counts up to their number. */
export const MAX_CHUNKS = CHUNK_MASK;

/** Kernels that are cut into chunks, by their number in the control block. */
export const PARALLEL_KERNELS = ['conv2d', 'conv2dDouble', 'depthwiseConv2d', 'winogradConv2d'] as const;
export type ParallelKernel = (typeof PARALLEL_KERNELS)[number];

/** Runs of a kernel that differ in their addresses only. */
export interface Job {
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

export function chunkCount(job: Job): number {
  return Math.ceil(job.units / job.unitStep) * Math.ceil(job.channels / job.channelStep);
}

/** Computes a whole job. */
export function runWhole(kernels: Kernels, job: Job, scratchPtr: number): void {
  runRange(kernels, job, scratchPtr, 0, job.units, 0, job.channels);
}

/** Computes one chunk of a job. */
export function runChunk(kernels: Kernels, job: Job, scratchPtr: number, chunk: number): void {
  const unitChunks = Math.ceil(job.units / job.unitStep);
  const firstUnit = (chunk % unitChunks) * job.unitStep;
  const lastUnit = Math.min(firstUnit + job.unitStep, job.units);
  const firstChannel = Math.floor(chunk / unitChunks) * job.channelStep;
  const lastChannel = Math.min(firstChannel + job.channelStep, job.channels);
  runRange(kernels, job, scratchPtr, firstUnit, lastUnit, firstChannel, lastChannel);
}

function runRange(
  kernels: Kernels,
  job: Job,
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

  /** Publishes a job. Only when the last one is done. */
  post(job: Job): void {
    const words = this.#words;
    const { kernel, descriptorPtr, inPtr, outPtr, residualPtr, units, unitStep, channels, channelStep } = job;
    const number = PARALLEL_KERNELS.indexOf(kernel);
    const addresses = [number, descriptorPtr, inPtr, outPtr, residualPtr];
    words.set([...addresses, units, unitStep, channels, channelStep, job.blockTiles], JOB);
    Atomics.store(words, DONE, 0);
    Atomics.store(words, FAILED, 0);
    Atomics.store(words, TICKET, ((words[TICKET]! >>> CHUNK_BITS) + 1) << CHUNK_BITS);
    Atomics.notify(words, TICKET);
  }

  /** The job as published. */
  job(): Job {
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

  /** The next chunk of a job of that many, or -1. `number`: the job's, as `current` gave it. */
  take(number: number, chunks: number): number {
    for (;;) {
      const ticket = Atomics.load(this.#words, TICKET);
      const chunk = ticket & CHUNK_MASK;
      if (ticket >>> CHUNK_BITS !== number || chunk >= chunks) return -1;
      if (Atomics.compareExchange(this.#words, TICKET, ticket, ticket + 1) === ticket) return chunk;
    }
  }

  /** Tells the workers to leave: Deno cannot end a thread that sleeps. */
  stop(): void {
    Atomics.store(this.#words, STOPPED, 1);
    Atomics.add(this.#words, TICKET, 1 << CHUNK_BITS);
    Atomics.notify(this.#words, TICKET);
  }

  stopped(): boolean {
    return Atomics.load(this.#words, STOPPED) !== 0;
  }

  current(): number {
    return Atomics.load(this.#words, TICKET) >>> CHUNK_BITS;
  }

  /** Waits for another job than that number, at most so long. */
  sleep(number: number, milliseconds: number): void {
    const ticket = Atomics.load(this.#words, TICKET);
    if (ticket >>> CHUNK_BITS === number) Atomics.wait(this.#words, TICKET, ticket, milliseconds);
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
}
