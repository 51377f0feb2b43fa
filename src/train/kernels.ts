/**
 * The kernels for training, a binary of their own over the memory of a runtime's kernels. It holds no data, so it needs no
 * place there. Each build is base64 in a chunk of its own, as those of the runtime are (runtime/embedded.ts).
 */
import { instantiateSync } from '@assemblyscript/loader';
import { UnsupportedError } from '../errors.js';
import { fromBase64 } from '../runtime/base64.js';
import { shareable } from '../runtime/instantiate.js';
import type { Kernels } from '../runtime/kernels.js';
import type { TrainKernels } from './abi.js';

/**
 * The bytes of a build, for every thread to instantiate over a memory.
 * @throws UnsupportedError where the place loads no chunks
 */
export async function trainBinary(
  simd: 'baseline' | 'relaxed',
  memory: WebAssembly.Memory,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = fromBase64(await embedded(simd));
  return Object.prototype.toString.call(memory.buffer) === '[object ArrayBuffer]' ? bytes : shareable(bytes);
}

async function embedded(simd: 'baseline' | 'relaxed'): Promise<string> {
  try {
    const { default: base64 } =
      simd === 'relaxed'
        ? await import('../../build/train.relaxed.wasm')
        : await import('../../build/train.baseline.wasm');
    return base64;
  } catch (cause) {
    throw new UnsupportedError(`train: kernels cannot be imported here (${cause})`, { cause });
  }
}

/** An instance for the calling thread, beside the kernels of a runtime. */
export async function loadTrainKernels(runtime: {
  readonly simd: 'baseline' | 'relaxed';
  readonly kernels: Kernels;
}): Promise<TrainKernels> {
  const { memory } = runtime.kernels as Kernels & { readonly memory: WebAssembly.Memory };
  const bytes = await trainBinary(runtime.simd, memory);
  return instantiateSync<TrainKernels & Record<string, unknown>>(bytes, { env: { memory } }).exports;
}
