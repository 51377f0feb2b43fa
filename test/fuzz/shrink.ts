/** Makes an input that breaks a rule smaller while it breaks the same one. */

/** Without pieces of it, large ones first; then with zeros in their place. */
export function* shrinkBytes(bytes: Uint8Array): Generator<Uint8Array> {
  for (let size = bytes.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at < bytes.length; at += size) {
      const rest = new Uint8Array(bytes.length - Math.min(size, bytes.length - at));
      rest.set(bytes.subarray(0, at));
      rest.set(bytes.subarray(at + size), at);
      yield rest;
    }
  }
  for (let size = bytes.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at < bytes.length; at += size) {
      if (bytes.subarray(at, at + size).every((byte) => byte === 0)) continue;
      yield bytes.slice().fill(0, at, at + size);
    }
  }
}

export interface Effort {
  readonly tries: number;
  readonly milliseconds: number;
}

/**
 * @param smaller candidates for an input, the boldest first
 * @param isSame whether a candidate breaks the same rule
 */
export async function shrink(
  bytes: Uint8Array,
  smaller: (bytes: Uint8Array) => Iterable<Uint8Array>,
  isSame: (bytes: Uint8Array) => Promise<boolean>,
  { tries, milliseconds }: Effort,
): Promise<Uint8Array> {
  const until = performance.now() + milliseconds;
  let current = bytes;
  let left = tries;
  for (let found = true; found; ) {
    found = false;
    for (const candidate of smaller(current)) {
      if (left-- <= 0 || performance.now() > until) return current;
      if (!(await isSame(candidate))) continue;
      current = candidate;
      found = true;
      break;
    }
  }
  return current;
}
