/** The runtime: one instance of the kernels, its memory, and what this engine can do. */
import { OutOfMemoryError, UnsupportedError } from '../errors.js';
import { checkNames, finiteNumber, oneOf, wholeNumber } from '../options.js';
import { MAX_BYTES, roundUp } from '../sizes.js';
import { hasRelaxedSimd, hasSimd } from './features.js';
import { Heap } from './heap.js';
import { type Binary, buildOf, instantiateKernels, loadBinary, shareable, type WasmSource } from './instantiate.js';
import type { Kernels } from './kernels.js';
import { CONTROL_BYTES, type Job, runWhole } from './protocol.js';
import { RedZones, redZonesOf, ZONE_BYTES } from './redZones.js';
import { whyNoThreads } from './startThread.js';
import { type PoolMemory, Threads } from './threads.js';

const PAGE = 65536;
const MAX_THREADS = 64;
const OPTION_NAMES: readonly string[] = ['simd', 'threads', 'memory', 'maximumMemory', 'wasm'];

export interface RuntimeOptions {
  /**
   * `'relaxed'` uses fused multiply-add, `'baseline'` gives the same bits in every engine, `'auto'` (the default) takes
   * relaxed if the engine has it.
   */
  simd?: 'auto' | 'baseline' | 'relaxed';
  /**
   * Threads to compute with, default 1. If there can be only one, `capabilities.threads` says why; the runtime also
   * continues with one while dead workers are replaced. Results do not depend on it. Deno does not exit until such a
   * runtime is disposed of.
   */
  threads?: number;
  /**
   * `'fast'` (the default) lets convolutions transform their weights where that makes them faster: 4 times the bytes of
   * 3 x 3 kernels, at most (`memory.transforms` tells how many). `'small'` does without.
   */
  memory?: 'fast' | 'small';
  /** Bytes that the runtime's memory may grow to; by default all that 32 bits can address (4 GiB). */
  maximumMemory?: number;
  /**
   * The kernels, if not those in the package: see its `*.wasm` subpaths. The runtime's `simd` is then that of the given
   * build.
   */
  wasm?: WasmSource;
}

/** Whether a feature is in use, and if not, why. */
export interface Capability {
  readonly available: boolean;
  readonly reason?: string;
}

export interface Capabilities {
  readonly simd: Capability;
  readonly relaxedSimd: Capability;
  readonly threads: Capability;
}

/** Bytes of the runtime's memory. */
export interface MemoryUse {
  /** In use now. */
  readonly used: number;
  /** Most that was ever in use. */
  readonly peak: number;
  /** Taken from the system; it never shrinks. */
  readonly reserved: number;
  /** Part of `used`: what weights transformed for speed take beyond plain ones. */
  readonly transforms: number;
}

/** Made by {@link createRuntime}. */
export class Runtime {
  readonly simd: 'baseline' | 'relaxed';
  readonly #features: Features;
  #core: Core | undefined;

  /** @internal */
  constructor(simd: 'baseline' | 'relaxed', features: Features, core: Core) {
    this.simd = simd;
    this.#features = features;
    this.#core = core;
    this.scratchPtr = core.scratchPtr;
    this.scratchBytes = core.kernels.scratchBytes();
  }

  /** Threads that compute now: fewer than were asked for while dead workers are replaced. */
  get threads(): number {
    const threads = this.#core?.threads;
    return threads?.pool === undefined ? 1 : threads.most;
  }

  /** What this engine can do, and why it cannot do the rest; for threads, as things are now. */
  get capabilities(): Capabilities {
    const { threads, alone } = this.#core ?? { alone: 'this runtime is disposed' };
    const reason = threads === undefined ? alone : threads.reason;
    return { ...this.#features, threads: reason === undefined ? { available: true } : { available: false, reason } };
  }

  /** Bytes used now, at most, and taken from the system. All zero after `dispose`. */
  get memory(): MemoryUse {
    const { used = 0, peak = 0, reserved = 0, overhead = 0 } = this.#core?.heap ?? {};
    return { used, peak, reserved, transforms: overhead };
  }

  /** Whether weights may be transformed to a larger form. @internal */
  get transformsWeights(): boolean {
    return this.#alive().transformsWeights;
  }

  /** Releases the memory. Nothing that lives in it can be used afterwards. A second call does nothing. */
  dispose(): void {
    this.#core?.threads?.dispose();
    this.#core = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @internal */
  get isDisposed(): boolean {
    return this.#core === undefined;
  }

  /** @internal */
  get heap(): Heap {
    return this.#alive().heap;
  }

  /** @internal */
  get kernels(): Kernels {
    return this.#alive().kernels;
  }

  /**
   * Address of the working memory that every kernel may use while it runs, and only then. It lies before the heap.
   * @internal
   */
  readonly scratchPtr: number;
  /** @internal */
  readonly scratchBytes: number;

  /** The number of threads that jobs are cut for. @internal */
  get mostThreads(): number {
    return this.#alive().threads?.most ?? 1;
  }

  /**
   * Runs a job's kernel, on all threads if it was cut for them.
   * @throws ThreadError
   * @internal
   */
  run(job: Job): void {
    const { threads, heap } = this.#alive();
    if (CHECKED) redZonesOf(heap).note(job.kernel);
    const pool = threads?.pool;
    if (pool === undefined) runWhole(job, this.scratchPtr);
    else pool.run(job);
  }

  /**
   * Gives the other threads the kernels of another module over the same memory; they may receive them later. @internal
   */
  share(binary: Uint8Array<ArrayBuffer>): void {
    this.#alive().threads?.add(binary);
  }

  #alive(): Core {
    if (this.#core === undefined) throw new TypeError('Runtime: this runtime is disposed');
    return this.#core;
  }
}

interface Core {
  readonly heap: Heap;
  readonly kernels: Kernels;
  /** Working memory of the main thread. */
  readonly scratchPtr: number;
  /** The threads besides the main one; undefined if there never are any. */
  readonly threads: Threads | undefined;
  /** Why there never are any. */
  readonly alone: string | undefined;
  readonly transformsWeights: boolean;
}

/**
 * Loads the kernels and makes a runtime.
 *
 * @throws TypeError, RangeError naming the option
 * @throws UnsupportedError if the engine lacks what was asked for
 * @example
 * const runtime = await createRuntime();
 * console.log(runtime.simd, runtime.capabilities);
 * runtime.dispose();
 */
export async function createRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  checkNames('createRuntime', options, OPTION_NAMES);
  const { simd = 'auto', threads = 1, memory = 'fast', maximumMemory = MAX_BYTES, wasm } = options;
  checkOptions(simd, threads, memory, maximumMemory);
  const features = probe(simd);
  const maximum = Math.floor(maximumMemory / PAGE);
  const binary = await loadBinary(chooseBuild(simd, features), wasm);
  const core = await start(threads, binary, maximum);
  const build = buildOf(core.kernels);
  if (simd !== 'auto' && simd !== build) {
    core.threads?.dispose();
    throw new RangeError(`createRuntime: simd is '${simd}', but the kernels at hand are the ${build} build`);
  }
  return new Runtime(build, usedFeatures(features, build), { ...core, transformsWeights: memory === 'fast' });
}

type Started = Omit<Core, 'transformsWeights'>;

/** Starts with as many threads as were asked for, or with one and the reason why. */
async function start(threads: number, binary: Binary, maximum: number): Promise<Started> {
  let reason = 'one thread was asked for';
  if (threads > 1) {
    try {
      return await startThreads(threads, binary, maximum);
    } catch (error) {
      if (error instanceof OutOfMemoryError) throw error;
      reason = error instanceof Error ? error.message : String(error);
    }
  }
  return startAlone(binary, maximum, reason);
}

function startAlone(binary: Binary, maximum: number, reason: string): Started {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: CHECKED ? MAX_BYTES / PAGE : maximum });
  const kernels = instantiateKernels(binary, memory);
  const { heap, scratchPtr } = layOut(memory, kernels, maximum, 1);
  return { heap, kernels: watched(kernels, heap), scratchPtr, threads: undefined, alone: reason };
}

/** @throws Error that says why there can be no threads */
async function startThreads(count: number, binary: Binary, maximum: number): Promise<Started> {
  const reason = whyNoThreads();
  if (reason !== undefined) throw new Error(reason);
  const bytes = shareable(binary);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: CHECKED ? MAX_BYTES / PAGE : maximum, shared: true });
  const kernels = instantiateKernels(bytes, memory);
  const { heap, scratchPtr, scratchBytes, poolMemory } = layOut(memory, kernels, maximum, count);
  const threads = new Threads({ heap, memory, binary: bytes, scratchPtr, scratchBytes }, poolMemory);
  await threads.start();
  return { heap, kernels: watched(kernels, heap), scratchPtr, threads, alone: undefined };
}

/** In the test build, kernels that note when they are called. */
function watched(kernels: Kernels, heap: Heap): Kernels {
  return CHECKED ? redZonesOf(heap).watch(kernels) : kernels;
}

interface LaidOut {
  readonly heap: Heap;
  readonly scratchPtr: number;
  /** Size of one thread's working memory. */
  readonly scratchBytes: number;
  readonly poolMemory: PoolMemory;
}

/** | module data | control block | working memory of each thread ... | heap ... */
function layOut(memory: WebAssembly.Memory, kernels: Kernels, maximum: number, threads: number): LaidOut {
  const controlPtr = roundUp(kernels.heapBase(), CONTROL_BYTES);
  const scratchBytes = roundUp(kernels.scratchBytes(), CONTROL_BYTES);
  const firstScratch = controlPtr + CONTROL_BYTES;
  const threadPtrs = Array.from({ length: threads }, (_, i) => firstScratch + i * scratchBytes);
  if (CHECKED) {
    const step = roundUp(scratchBytes + 2 * ZONE_BYTES, CONTROL_BYTES);
    for (let i = 0; i < threads; i++) threadPtrs[i] = firstScratch + ZONE_BYTES + i * step;
    new RedZones(memory, threadPtrs, kernels.scratchBytes(), firstScratch + threads * step);
  }
  const [scratchPtr, ...scratchPtrs] = threadPtrs;
  const heap = new Heap(memory, firstScratch + threads * scratchBytes, maximum * PAGE);
  return { heap, scratchPtr: scratchPtr!, scratchBytes, poolMemory: { controlPtr, scratchPtrs } };
}

function checkOptions(simd: string, threads: number, memory: string, maximumMemory: number): void {
  oneOf('createRuntime', 'simd', simd, ['auto', 'baseline', 'relaxed']);
  wholeNumber('createRuntime', 'threads', threads, 1, MAX_THREADS);
  oneOf('createRuntime', 'memory', memory, ['fast', 'small']);
  finiteNumber('createRuntime', 'maximumMemory', maximumMemory, PAGE, MAX_BYTES);
}

type Features = Omit<Capabilities, 'threads'>;

function probe(simd: string): Features {
  return {
    simd: hasSimd() ? { available: true } : { available: false, reason: 'this engine has no WebAssembly SIMD' },
    relaxedSimd: probeRelaxed(simd),
  };
}

function probeRelaxed(simd: string): Capability {
  if (!hasRelaxedSimd()) return { available: false, reason: 'this engine has no relaxed WebAssembly SIMD' };
  return simd === 'baseline' ? { available: false, reason: "off, since simd is 'baseline'" } : { available: true };
}

function chooseBuild(simd: string, features: Features): 'baseline' | 'relaxed' {
  if (!features.simd.available) throw new UnsupportedError(`createRuntime: ${features.simd.reason}`);
  if (features.relaxedSimd.available) return 'relaxed';
  if (simd === 'relaxed') {
    throw new UnsupportedError(`createRuntime: simd is 'relaxed', but ${features.relaxedSimd.reason}`);
  }
  return 'baseline';
}

/** The features; those that the given kernels do not use count as off. */
function usedFeatures(features: Features, build: Runtime['simd']): Features {
  if (build === 'relaxed' || !features.relaxedSimd.available) return features;
  return { ...features, relaxedSimd: { available: false, reason: 'the kernels at hand are the baseline build' } };
}
