/** Loading of the kernels: the binary that is needed, embedded in a chunk of its own, over a memory made here. */
import { instantiateSync } from '@assemblyscript/loader';
import { UnsupportedError } from '../errors.js';
import { hasSimd } from './features.js';
import type { Kernels } from './kernels.js';

/** Where the kernels come from when not from the embedded binaries. */
export type WasmSource =
  | WebAssembly.Module
  | ArrayBuffer
  | Uint8Array<ArrayBuffer>
  | Response
  | PromiseLike<WebAssembly.Module | ArrayBuffer | Uint8Array<ArrayBuffer> | Response>;

/** The kernels of one build, to be instantiated by every thread. */
export type Binary = WebAssembly.Module | Uint8Array<ArrayBuffer> | Response;

/** The given source, or the embedded binary of the build. */
export async function loadBinary(simd: 'baseline' | 'relaxed', source: WasmSource | undefined): Promise<Binary> {
  if (source === undefined) return embedded(simd);
  const given = await source;
  return given instanceof ArrayBuffer ? new Uint8Array(given) : given;
}

/** @throws UnsupportedError where a page's policy forbids WebAssembly */
export async function instantiateKernels(binary: Binary, memory: WebAssembly.Memory): Promise<Kernels> {
  try {
    const { exports } = instantiateSync<Kernels & Record<string, unknown>>(await compile(binary), { env: { memory } });
    return exports;
  } catch (error) {
    if (error instanceof WebAssembly.CompileError && !hasSimd()) {
      throw new UnsupportedError('createRuntime: this engine cannot compile WebAssembly with SIMD', { cause: error });
    }
    if (binary instanceof Uint8Array && error instanceof WebAssembly.CompileError && WebAssembly.validate(binary)) {
      throw new UnsupportedError(
        "createRuntime: this engine refuses to compile WebAssembly; in a page, its Content-Security-Policy must hold script-src 'wasm-unsafe-eval'",
        { cause: error },
      );
    }
    throw error;
  }
}

/**
 * Not through the loader, whose asynchronous way touches `Response`, which costs Node 20 ms. So few bytes are compiled
 * at once faster than by another thread.
 */
function compile(binary: Binary): Promise<WebAssembly.Module> | WebAssembly.Module {
  if (binary instanceof WebAssembly.Module) return binary;
  return binary instanceof Uint8Array ? new WebAssembly.Module(binary) : WebAssembly.compileStreaming(binary);
}

/** env.memory, imported with flags 1: limits with a maximum. */
const MEMORY_IMPORT = [3, 101, 110, 118, 6, 109, 101, 109, 111, 114, 121, 2, 1];
const SHARED_WITH_MAXIMUM = 3;

/**
 * The same kernels for a shared memory. A module says in one byte whether the memory it imports is shared, and must say
 * it rightly; kernels use no atomics, so nothing else differs.
 * @throws Error where the binary is not at hand as bytes
 */
export async function shareable(binary: Binary): Promise<Uint8Array<ArrayBuffer>> {
  if (binary instanceof WebAssembly.Module) throw new Error('threads need the kernels as bytes, not as a module');
  const bytes = binary instanceof Uint8Array ? binary.slice() : new Uint8Array(await binary.clone().arrayBuffer());
  const at = bytes.findIndex((_, i) => MEMORY_IMPORT.every((byte, j) => bytes[i + j] === byte));
  if (at < 0) throw new Error('these kernels do not import their memory');
  bytes[at + MEMORY_IMPORT.length - 1] = SHARED_WITH_MAXIMUM;
  return bytes;
}

async function embedded(simd: 'baseline' | 'relaxed'): Promise<Uint8Array<ArrayBuffer>> {
  const { default: base64 } =
    simd === 'relaxed' ? await import('../../build/relaxed.wasm') : await import('../../build/baseline.wasm');
  return fromBase64(base64);
}

/** A loop over 44,000 characters costs a fresh process 1.8 ms, since it runs in V8's interpreter. */
function fromBase64(base64: string): Uint8Array<ArrayBuffer> {
  const { Buffer } = globalThis as { Buffer?: { from(text: string, encoding: 'base64'): Uint8Array } };
  if (Buffer !== undefined) return new Uint8Array(Buffer.from(base64, 'base64'));
  const characters = atob(base64);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}
