/** Decompression of zlib streams, by Node, Deno or Bun. */
import { UnsupportedError } from '../index.js';

/** The part of node:zlib used here: compilers for web pages lack its types. */
interface Zlib {
  inflateSync(bytes: Uint8Array, options: { maxOutputLength: number; chunkSize: number }): Uint8Array;
}

/**
 * @param maxOutputLength in bytes; one more is an error of the code ERR_BUFFER_TOO_LARGE
 * @throws {UnsupportedError} where there is no zlib, as in web pages, which decode images themselves
 */
export function inflate(bytes: Uint8Array, maxOutputLength: number): Uint8Array {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => Zlib | undefined } };
  const zlib = process?.getBuiltinModule?.('node:zlib');
  if (zlib === undefined) throw new UnsupportedError('decodeImage: PNG: there is no node:zlib here to decompress it');
  // One chunk, as several would be copied together.
  return zlib.inflateSync(bytes, { maxOutputLength, chunkSize: Math.max(64, maxOutputLength + 1) });
}
