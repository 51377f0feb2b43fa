/** The kernels that come with the package: each build as base64 in a chunk of its own, of which one is loaded. */
import { fromBase64 } from './base64.js';

/** @throws Error if the platform loads no chunks (a service worker, a file that was bundled without them) */
export async function embeddedKernels(simd: 'baseline' | 'relaxed'): Promise<Uint8Array<ArrayBuffer>> {
  const { default: base64 } =
    simd === 'relaxed' ? await import('../../build/relaxed.wasm') : await import('../../build/baseline.wasm');
  return fromBase64(base64);
}
