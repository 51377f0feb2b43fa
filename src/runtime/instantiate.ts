/** Instantiation of the kernels: the binary that is needed, over a memory made elsewhere. */
import { instantiateSync } from '@assemblyscript/loader';
import { byteView } from '../bytes/byteView.js';
import { UnsupportedError } from '../errors.js';
import { embeddedKernels } from './embedded.js';
import { hasRelaxedSimd } from './features.js';
import type { Kernels } from './kernels.js';

/** Where the kernels come from when not from the embedded binaries. */
export type WasmSource =
  | WebAssembly.Module
  | ArrayBuffer
  | Uint8Array<ArrayBuffer>
  | Response
  | PromiseLike<WebAssembly.Module | ArrayBuffer | Uint8Array<ArrayBuffer> | Response>;

/** The kernels of one build, to be instantiated by every thread. */
export type Binary = WebAssembly.Module | Uint8Array<ArrayBuffer>;

/**
 * The given source, or the embedded binary of the build.
 * @throws TypeError for what can hold no kernels; Error for a response that holds none; UnsupportedError where the
 * embedded ones cannot be loaded
 */
export async function loadBinary(simd: 'baseline' | 'relaxed', source: WasmSource | undefined): Promise<Binary> {
  const given = await (source === undefined ? loadEmbedded(simd) : source);
  // By tag, not instanceof: test runners and edge platforms give modules a realm of their own.
  const tag = Object.prototype.toString.call(given);
  // The loader recognises a module by its prototype.
  if (tag === '[object WebAssembly.Module]') return Object.setPrototypeOf(given, WebAssembly.Module.prototype);
  const bytes = tag === '[object Response]' ? await bodyOf(given as Response) : (given as ArrayBuffer);
  return byteView(bytes, 'createRuntime: wasm') as Uint8Array<ArrayBuffer>;
}

async function loadEmbedded(simd: 'baseline' | 'relaxed'): Promise<Binary> {
  try {
    return await embeddedKernels(simd);
  } catch (cause) {
    throw new UnsupportedError(
      `createRuntime: kernels cannot be imported here (${cause}); give wasm, say a fetch of acnet-wasm/baseline.wasm`,
      { cause },
    );
  }
}

function bodyOf(response: Response): Promise<ArrayBuffer> {
  if (!response.ok) throw new Error(`createRuntime: wasm: HTTP status ${response.status}`);
  return response.arrayBuffer();
}

/** @throws UnsupportedError where the engine does not compile them; TypeError for a module without kernels */
export function instantiateKernels(binary: Binary, memory: WebAssembly.Memory): Kernels {
  const module = binary instanceof Uint8Array ? compile(binary) : binary;
  if (!WebAssembly.Module.exports(module).some(({ name }) => name === 'IS_RELAXED')) {
    throw new TypeError("createRuntime: wasm is not this version's kernels");
  }
  return instantiateSync<Kernels & Record<string, unknown>>(module, { env: { memory } }).exports;
}

/** So few bytes compile faster here and now than on another thread. */
function compile(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  try {
    return new WebAssembly.Module(bytes);
  } catch (cause) {
    throw new UnsupportedError(`createRuntime: ${whyNotCompiled(bytes)}`, { cause });
  }
}

function whyNotCompiled(bytes: Uint8Array<ArrayBuffer>): string {
  if (WebAssembly.validate(bytes)) {
    return "no WebAssembly is compiled here: the Content-Security-Policy must hold script-src 'wasm-unsafe-eval'; at the edge, import acnet-wasm/baseline.wasm for createRuntime({ wasm: module })";
  }
  return `wasm is no module that this engine knows${hasRelaxedSimd() ? '' : '; it has no relaxed SIMD'}`;
}

/** Which build the kernels are. */
export function buildOf(kernels: Kernels): 'baseline' | 'relaxed' {
  return kernels.IS_RELAXED.value === 1 ? 'relaxed' : 'baseline';
}

/** env.memory, imported with flags 1: limits with a maximum. */
const MEMORY_IMPORT = [3, 101, 110, 118, 6, 109, 101, 109, 111, 114, 121, 2, 1];
const SHARED_WITH_MAXIMUM = 3;

/**
 * The same kernels for a shared memory. A module says in one byte whether the memory it imports is shared, and this
 * must be true; kernels use no atomics, so nothing else differs.
 * @throws Error if the bytes of the binary are not at hand
 */
export function shareable(binary: Binary): Uint8Array<ArrayBuffer> {
  if (!(binary instanceof Uint8Array)) throw new Error('threads need the kernels as bytes, not as a module');
  const bytes = binary.slice();
  const at = bytes.findIndex((_, i) => MEMORY_IMPORT.every((byte, j) => bytes[i + j] === byte));
  // A module without this import is not this package's, and instantiation refuses it.
  bytes[at + MEMORY_IMPORT.length - 1] = SHARED_WITH_MAXIMUM;
  return bytes;
}
