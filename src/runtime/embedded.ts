/** The kernels that come with the package: each build as base64 in a chunk of its own, of which one is loaded. */

/** @throws Error where the place loads no chunks (a service worker, a file that was bundled without them) */
export async function embeddedKernels(simd: 'baseline' | 'relaxed'): Promise<Uint8Array<ArrayBuffer>> {
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
