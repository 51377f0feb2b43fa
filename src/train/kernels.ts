/**
 * The kernels for training, a binary of their own over the memory of a runtime's kernels. It holds no data, so it needs no
 * place there. Both builds are base64 in this module: what trains is called at once, and may not wait for a chunk.
 */
import { instantiateSync } from '@assemblyscript/loader';
import baseline from '../../build/train.baseline.wasm';
import relaxed from '../../build/train.relaxed.wasm';
import { fromBase64 } from '../runtime/base64.js';
import { shareable } from '../runtime/instantiate.js';
import type { Kernels } from '../runtime/kernels.js';
import type { TrainKernels } from './abi.js';

/** What is asked of a runtime. */
interface Place {
  readonly simd: 'baseline' | 'relaxed';
  readonly kernels: Kernels;
  share(binary: Uint8Array<ArrayBuffer>): void;
}

const loaded = new WeakMap<Place, TrainKernels>();

/** The bytes of a build, for every thread to instantiate over a memory. */
export function trainBinary(simd: 'baseline' | 'relaxed', memory: WebAssembly.Memory): Uint8Array<ArrayBuffer> {
  const bytes = fromBase64(simd === 'relaxed' ? relaxed : baseline);
  return Object.prototype.toString.call(memory.buffer) === '[object ArrayBuffer]' ? bytes : shareable(bytes);
}

/**
 * The instance for the calling thread beside a runtime's kernels, made when it is first asked for; the other threads get
 * one then, too.
 */
export function trainKernels(runtime: Place): TrainKernels {
  const known = loaded.get(runtime);
  if (known !== undefined) return known;
  const { memory } = runtime.kernels as Kernels & { readonly memory: WebAssembly.Memory };
  const bytes = trainBinary(runtime.simd, memory);
  const kernels = instantiateSync<TrainKernels & Record<string, unknown>>(bytes, { env: { memory } }).exports;
  loaded.set(runtime, kernels);
  runtime.share(bytes);
  return kernels;
}
