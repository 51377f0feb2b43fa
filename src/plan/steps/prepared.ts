/**
 * What an executable makes of stored values before it runs: packed weights, coefficients, copies in another layout. All
 * of its plans share it. When a value has changed since, it is made again where it is, and nothing else is.
 */
import type { Allocation } from '../../runtime/heap.js';
import { Tensor } from '../../tensor.js';

export interface Prepared {
  readonly allocation: Allocation;
  /** Makes it of the values as they are now. */
  fill(): void;
}

interface Entry {
  readonly prepared: Prepared;
  readonly sources: readonly Tensor[];
  /** Number of the last change that it has seen. */
  filledAt: number;
}

export class PreparedValues {
  readonly #entries = new Map<string, Entry>();
  /** Number of the last change after which everything was up to date. */
  #checkedAt = 0;

  /**
   * @param key what it is, of which values
   * @param make allocates it; it is not filled yet
   */
  get<T extends Prepared>(key: string, sources: readonly Tensor[], make: () => T): T {
    const known = this.#entries.get(key);
    if (known !== undefined) return known.prepared as T;
    const prepared = make();
    prepared.fill();
    this.#entries.set(key, { prepared, sources, filledAt: Tensor.changes });
    return prepared;
  }

  /** Makes again what is out of date. @throws OutOfMemoryError; a later call tries again */
  refresh(): void {
    const now = Tensor.changes;
    if (this.#checkedAt === now) return;
    for (const entry of this.#entries.values()) {
      if (!entry.sources.some((tensor) => Tensor.changedAt(tensor) > entry.filledAt)) continue;
      entry.prepared.fill();
      entry.filledAt = now;
    }
    this.#checkedAt = now;
  }

  /** After an error, which may have freed some. */
  forgetFreed(): void {
    for (const [key, { prepared }] of this.#entries) if (prepared.allocation.isFree) this.#entries.delete(key);
  }

  dispose(): void {
    for (const { prepared } of this.#entries.values()) prepared.allocation.free();
    this.#entries.clear();
  }
}
