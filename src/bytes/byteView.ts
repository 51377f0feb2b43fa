/** Bytes that public functions are given. */

/** A view of the bytes; not the object itself, as a Node Buffer's slice would alias. */
export function byteView(bytes: Uint8Array | ArrayBuffer, caller: string): Uint8Array {
  // By tag, not instanceof: test runners give modules a realm of their own.
  const tag = Object.prototype.toString.call(bytes).slice(8, -1);
  if (tag !== 'Uint8Array' && tag !== 'ArrayBuffer') {
    throw new TypeError(`${caller}: bytes must be a Uint8Array or an ArrayBuffer, got ${tag}`);
  }
  return ArrayBuffer.isView(bytes)
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes);
}
