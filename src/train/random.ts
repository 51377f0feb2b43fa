/**
 * Seeded random numbers: xoshiro128** (Blackman and Vigna, 2018) on 32-bit integers alone, so that every engine draws the
 * same bits.
 *
 * There is no generator that a run goes on with. Whoever needs numbers makes one of its own from a key: the seed, what
 * they are for, and the epoch and image that they belong to. What a draw gives depends on its key and on nothing that was
 * drawn before, so a run can be taken up anywhere, and its seed is all of its random state.
 */

/** What numbers are for: the first number of a key, behind the seed. */
export const ORDER = 1;
export const AUGMENTATION = 2;
export const INITIALISATION = 3;
export const SPLIT = 4;

const GOLDEN = 0x9e3779b9;

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** @param key whole numbers from 0 below 2^53 */
  constructor(...key: readonly number[]) {
    let hash = 0;
    for (const word of key) hash = mix(mix(hash ^ (word >>> 0)) ^ Math.floor(word / 2 ** 32));
    // Mixing is one to one, and its arguments differ: at most one of the four words is zero.
    this.#a = mix(hash + GOLDEN);
    this.#b = mix(hash + 2 * GOLDEN);
    this.#c = mix(hash + 3 * GOLDEN);
    this.#d = mix(hash + 4 * GOLDEN);
  }

  /** A whole number from 0 to 2^32 - 1. */
  next(): number {
    const result = Math.imul(rotate(Math.imul(this.#b, 5), 7), 9);
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = rotate(this.#d, 11);
    return result >>> 0;
  }

  /** A whole number from 0 to `count` - 1, each as likely. */
  below(count: number): number {
    const limit = 2 ** 32 - (2 ** 32 % count);
    for (;;) {
      const value = this.next();
      if (value < limit) return value % count;
    }
  }

  /** One of the 2^24 float32 values k / 2^23 - 1, from -1 to below 1. */
  symmetric(): number {
    return (this.next() >>> 8) / 2 ** 23 - 1;
  }
}

/** The numbers from 0 to `count` - 1 in random order (Fisher and Yates). */
export function permutation(count: number, random: Random): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const other = random.below(i + 1);
    const value = order[i]!;
    order[i] = order[other]!;
    order[other] = value;
  }
  return order;
}

/** The finaliser of MurmurHash3 behind an odd step (Stafford's and Appleby's constants). */
function mix(value: number): number {
  let hash = (value + GOLDEN) | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
