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

export function placeInArena(values: readonly Lifetime[]): Placement {
  const offsets = new Array<number>(values.length).fill(0);
  /** Values placed so far, by offset. */
  const placed: number[] = [];
  const largestFirst = values.map((_, i) => i).sort((a, b) => values[b]!.bytes - values[a]!.bytes || a - b);
  let total = 0;
  for (const i of largestFirst) {
    const value = values[i]!;
    let offset = 0;
    for (const j of placed) {
      const other = values[j]!;
      if (other.first > value.last || value.first > other.last) continue;
      if (offset + value.bytes <= offsets[j]!) break;
      offset = Math.max(offset, roundUp(offsets[j]! + other.bytes, ALIGNMENT));
    }
    offsets[i] = offset;
    placed.splice(firstBehind(placed, offsets, offset), 0, i);
    total = Math.max(total, offset + value.bytes);
  }
  return { offsets, bytes: total };
}

/** Where in `placed` the first value with a larger offset stands. */
function firstBehind(placed: readonly number[], offsets: readonly number[], offset: number): number {
  let low = 0;
  let high = placed.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (offsets[placed[middle]!]! > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}
