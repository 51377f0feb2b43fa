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
  /** Values placed so far that live in a block of steps, by offset. */
  const placed = new Map<number, number[]>();
  const largestFirst = values.map((_, i) => i).sort((a, b) => values[b]!.bytes - values[a]!.bytes || a - b);
  let total = 0;
  for (const i of largestFirst) {
    const value = values[i]!;
    const blocks = blocksOf(value);
    let offset = 0;
    for (const j of byOffset(blocks, placed, offsets)) {
      const other = values[j]!;
      if (other.first > value.last || value.first > other.last) continue;
      if (offset + value.bytes <= offsets[j]!) break;
      offset = Math.max(offset, roundUp(offsets[j]! + other.bytes, ALIGNMENT));
    }
    offsets[i] = offset;
    for (const block of blocks) {
      const there = placed.get(block) ?? [];
      there.splice(firstBehind(there, offsets, offset), 0, i);
      placed.set(block, there);
    }
    total = Math.max(total, offset + value.bytes);
  }
  return { offsets, bytes: total };
}

function blocksOf({ first, last }: Lifetime): number[] {
  const [from, to] = [first, last].map((step) => Math.floor(step / STEPS_TOGETHER)) as [number, number];
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** Those that are in some of the blocks, each once. */
function byOffset(
  blocks: readonly number[],
  placed: ReadonlyMap<number, readonly number[]>,
  offsets: readonly number[],
): readonly number[] {
  const lists = blocks.map((block) => placed.get(block) ?? []);
  if (lists.length === 1) return lists[0]!;
  return [...new Set(lists.flat())].sort((a, b) => offsets[a]! - offsets[b]!);
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
