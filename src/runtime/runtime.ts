/** The runtime: one instance of the kernels, its memory, and what this engine can do. */
import { UnsupportedError } from '../errors.js';
import { hasRelaxedSimd, hasSimd } from './features.js';
import { Heap } from './heap.js';
import { instantiateKernels, type WasmSource } from './instantiate.js';
import type { Kernels } from './kernels.js';

const PAGE = 65536;
/** A 32-bit memory has 65,536 pages. */
const LARGEST_MEMORY = 65536 * PAGE;

export interface RuntimeOptions {
  /**
   * `'relaxed'` uses fused multiply-add, `'baseline'` gives the same bits in every engine, `'auto'` (the default) takes
   * relaxed where the engine has it.
   */
  simd?: 'auto' | 'baseline' | 'relaxed';
  /** Threads to compute with. This version computes with one, see `capabilities.threads`. */
  threads?: number;
  /** Bytes that the runtime's memory may grow to; by default all that 32 bits can address (4 GiB). */
  maximumMemory?: number;
  /** The kernels of the chosen `simd`, when they are not to come from the package: see its `*.wasm` subpaths. */
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
}

/** Made by {@link createRuntime}. */
export class Runtime {
  readonly simd: 'baseline' | 'relaxed';
  readonly threads: number = 1;
  readonly capabilities: Capabilities;
  #core: { heap: Heap; kernels: Kernels } | undefined;

  /** @internal */
  constructor(
    simd: 'baseline' | 'relaxed',
    capabilities: Capabilities,
    heap: Heap,
    kernels: Kernels,
    scratchPtr: number,
  ) {
    this.scratchPtr = scratchPtr;
    this.simd = simd;
    this.capabilities = capabilities;
    this.#core = { heap, kernels };
  }

  /** Bytes used now, at most, and taken from the system. All zero after `dispose`. */
  get memory(): MemoryUse {
    const heap = this.#core?.heap;
    return { used: heap?.used ?? 0, peak: heap?.peak ?? 0, reserved: heap?.reserved ?? 0 };
  }

  /** Lets go of the memory. Whatever lives in it cannot be used any more. A second call does nothing. */
  dispose(): void {
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

  #alive(): { heap: Heap; kernels: Kernels } {
    if (this.#core === undefined) throw new TypeError('Runtime: this runtime is disposed');
    return this.#core;
  }
}

/**
 * Loads the kernels and makes a runtime.
 *
 * @throws UnsupportedError where the engine lacks what was asked for
 * @example
 * const runtime = await createRuntime();
 * console.log(runtime.simd, runtime.capabilities);
 * runtime.dispose();
 */
export async function createRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  const { simd = 'auto', threads = 1, maximumMemory = LARGEST_MEMORY, wasm } = options;
  checkOptions(simd, threads, maximumMemory);
  const capabilities = probe(simd, threads);
  const build = chooseBuild(simd, capabilities);
  const maximum = Math.floor(maximumMemory / PAGE);
  const memory = new WebAssembly.Memory({ initial: 1, maximum });
  const kernels = await instantiateKernels(build, memory, wasm);
  const scratchPtr = Math.ceil(kernels.heapBase() / 64) * 64;
  const heap = new Heap(memory, scratchPtr + kernels.scratchBytes(), maximum * PAGE);
  return new Runtime(build, capabilities, heap, kernels, scratchPtr);
}

function checkOptions(simd: string, threads: number, maximumMemory: number): void {
  if (simd !== 'auto' && simd !== 'baseline' && simd !== 'relaxed') {
    throw new RangeError(`createRuntime: simd must be 'auto', 'baseline' or 'relaxed', got ${JSON.stringify(simd)}`);
  }
  if (!Number.isInteger(threads) || threads < 1) {
    throw new RangeError(`createRuntime: threads must be a whole number of at least 1, got ${String(threads)}`);
  }
  if (!(maximumMemory >= PAGE && maximumMemory <= LARGEST_MEMORY)) {
    throw new RangeError(
      `createRuntime: maximumMemory must be ${PAGE} to ${LARGEST_MEMORY} bytes, got ${String(maximumMemory)}`,
    );
  }
}

function probe(simd: string, threads: number): Capabilities {
  return {
    simd: hasSimd() ? { available: true } : { available: false, reason: 'this engine has no WebAssembly SIMD' },
    relaxedSimd: probeRelaxed(simd),
    threads: {
      available: false,
      reason:
        threads > 1
          ? `${threads} threads were asked for, this version computes with one`
          : 'this version computes with one thread',
    },
  };
}

function probeRelaxed(simd: string): Capability {
  if (!hasRelaxedSimd()) return { available: false, reason: 'this engine has no relaxed WebAssembly SIMD' };
  return simd === 'baseline' ? { available: false, reason: "off, since simd is 'baseline'" } : { available: true };
}

function chooseBuild(simd: string, capabilities: Capabilities): 'baseline' | 'relaxed' {
  if (!capabilities.simd.available) throw new UnsupportedError(`createRuntime: ${capabilities.simd.reason}`);
  if (capabilities.relaxedSimd.available) return 'relaxed';
  if (simd === 'relaxed') {
    throw new UnsupportedError(`createRuntime: simd is 'relaxed', but ${capabilities.relaxedSimd.reason}`);
  }
  return 'baseline';
}
