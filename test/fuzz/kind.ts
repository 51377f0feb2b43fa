/** What a kind of input is to the fuzzer: how inputs are made, what is done with them, and how they are made small. */
import type { Host } from './host.js';
import type { Random } from './random.js';

export interface Kind {
  /** Extension of the files that it keeps. */
  readonly extension: string;
  /** Whether it touches the runtime, whose bystanders are then looked at. */
  readonly onRuntime: boolean;
  make(random: Random): Uint8Array;
  /**
   * Uses an input as users of its reader would.
   * @returns what to count besides the outcome
   * @throws what the package throws; a Broken if a rule is broken that only the kind knows
   */
  run(bytes: Uint8Array, host: Host): Promise<readonly string[]> | readonly string[];
  /** Smaller inputs of the same sort, the boldest first. */
  shrink?(bytes: Uint8Array): Iterable<Uint8Array>;
}

/** A rule that is broken, other than by an error. */
export class Broken extends Error {
  override readonly name = 'Broken';
}
