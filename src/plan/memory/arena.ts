/**
 * Places values with lifetimes into one arena: largest first, each at the lowest place where nothing that lives at the
 * same time is in its way.
 */
import { roundUp } from '../../sizes.js';

export interface Lifetime {
  readonly bytes: number;
  /** First and last step in which the value is needed. */
  readonly first: number;
  readonly last: number;
}

export interface Placement {
  /** Byte offset of each value, in the order given. */
  readonly offsets: readonly number[];
  readonly bytes: number;
}

const ALIGNMENT = 64;

/** Steps that are looked up together: a value meets those of its blocks only, where most values live for a few steps. */
const STEPS_TOGETHER = 64;

export function placeInArena(values: readonly Lifetime[]): Placement {
  const offsets = new Array<number>(values.length).fill(0);
  /** Values placed so far that live in a block of steps. */
  const placed = new Map<number, number[]>();
  const largestFirst = values.map((_, i) => i).sort((a, b) => values[b]!.bytes - values[a]!.bytes || a - b);
  let total = 0;
  for (const i of largestFirst) {
    const { bytes, first, last } = values[i]!;
    const others = new Set<number>();
    const from = Math.floor(first / STEPS_TOGETHER);
    for (let block = from; block * STEPS_TOGETHER <= last; block++) {
      const there = placed.get(block) ?? [];
      for (const j of there) if (values[j]!.first <= last && values[j]!.last >= first) others.add(j);
      there.push(i);
      placed.set(block, there);
    }
    let offset = 0;
    for (const j of [...others].sort((a, b) => offsets[a]! - offsets[b]!)) {
      if (offset + bytes <= offsets[j]!) break;
      offset = Math.max(offset, roundUp(offsets[j]! + values[j]!.bytes, ALIGNMENT));
    }
    offsets[i] = offset;
    total = Math.max(total, offset + bytes);
  }
  return { offsets, bytes: total };
}
