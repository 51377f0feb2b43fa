/** Loading of the kernels: the binary that is needed, embedded in a chunk of its own, over a memory made here. */
import { instantiate } from '@assemblyscript/loader';
import { UnsupportedError } from '../errors.js';
import type { Kernels } from './kernels.js';

/** Where the kernels come from when not from the embedded binaries. */
export type WasmSource =
  | WebAssembly.Module
  | ArrayBuffer
  | Uint8Array<ArrayBuffer>
  | Response
  | PromiseLike<WebAssembly.Module | ArrayBuffer | Uint8Array<ArrayBuffer> | Response>;

/** @throws UnsupportedError where a page's policy forbids WebAssembly */
export async function instantiateKernels(
  simd: 'baseline' | 'relaxed',
  memory: WebAssembly.Memory,
  source: WasmSource | undefined,
): Promise<Kernels> {
  try {
    const imports = { env: { memory } };
    const { exports } = await instantiate<Kernels & Record<string, unknown>>(source ?? (await embedded(simd)), imports);
    return exports;
  } catch (error) {
    if (source === undefined && error instanceof WebAssembly.CompileError) {
      throw new UnsupportedError(
        "createRuntime: this engine refuses to compile WebAssembly; in a page, its Content-Security-Policy must hold script-src 'wasm-unsafe-eval'",
        { cause: error },
      );
    }
    throw error;
  }
}

async function embedded(simd: 'baseline' | 'relaxed'): Promise<Uint8Array<ArrayBuffer>> {
  const { default: base64 } =
    simd === 'relaxed' ? await import('../../build/relaxed.wasm') : await import('../../build/baseline.wasm');
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
