/** The random numbers of input makers: the same for the same seed and place, everywhere. */
import { seededRandom } from '../support.js';

/** Where sizes stop fitting: 32 bits with and without a sign, also after a multiplication by 4; a double; 64 bits. */
const EDGES = [
  2 ** 16,
  2 ** 24,
  2 ** 28,
  2 ** 29,
  2 ** 30,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  2 ** 63,
  Math.round(2 ** 31 / 3),
  Math.ceil(Math.sqrt(2 ** 31)),
];

const HOSTILE = [
  0,
  1,
  -1,
  2,
  -2,
  127,
  255,
  1000,
  4097,
  ...EDGES.flatMap((edge) => [edge, edge - 1, edge + 1, edge - 3, -edge, 1 - edge]),
];

export class Random {
  readonly #next: () => number;

  constructor(seed: number, place: number) {
    // Far apart for neighbours: the generator's first numbers depend on all bits of its seed.
    this.#next = seededRandom(Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(place + 1, 0xc2b2ae35));
  }

  /** Uniform in [0, 1). */
  next(): number {
    return this.#next();
  }

  chance(probability: number): boolean {
    return this.#next() < probability;
  }

  /** A whole number from low to high, both possible. */
  whole(low: number, high: number): number {
    return low + Math.floor(this.#next() * (high - low + 1));
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#next() * from.length)]!;
  }

  /** A number that a size of a file should not be. */
  hostile(): number {
    return this.pick(HOSTILE);
  }

  /** So many of `from`, in a random order. */
  some<T>(from: readonly T[], count: number): T[] {
    const left = [...from];
    const taken: T[] = [];
    while (taken.length < count && left.length > 0) taken.push(...left.splice(this.whole(0, left.length - 1), 1));
    return taken;
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let i = 0; i < count; i++) bytes[i] = this.#next() * 256;
    return bytes;
  }
}
