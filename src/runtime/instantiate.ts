/** Loading of the kernels: the binary that is needed, embedded in a chunk of its own, over a memory made here. */
import { instantiate } from '@assemblyscript/loader';
import type { Kernels } from './kernels.js';

/** Where the kernels come from when not from the embedded binaries. */
export type WasmSource =
  | WebAssembly.Module
  | ArrayBuffer
  | Uint8Array<ArrayBuffer>
  | Response
  | PromiseLike<WebAssembly.Module | ArrayBuffer | Uint8Array<ArrayBuffer> | Response>;

export async function instantiateKernels(
  simd: 'baseline' | 'relaxed',
  memory: WebAssembly.Memory,
  source: WasmSource | undefined,
): Promise<Kernels> {
  const imports = { env: { memory } };
  const { exports } = await instantiate<Kernels & Record<string, unknown>>(source ?? (await embedded(simd)), imports);
  return exports;
}

async function embedded(simd: 'baseline' | 'relaxed'): Promise<Uint8Array<ArrayBuffer>> {
  const module =
    simd === 'relaxed' ? await import('../../build/relaxed.wasm') : await import('../../build/baseline.wasm');
  return module.default;
}
