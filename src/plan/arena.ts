/**
 * Places values with lifetimes into one arena: largest first, each at the lowest place where nothing that lives at the
 * same time is in its way.
 */
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
  const placed: number[] = [];
  const largestFirst = values.map((_, i) => i).sort((a, b) => values[b]!.bytes - values[a]!.bytes || a - b);
  let total = 0;
  for (const i of largestFirst) {
    const value = values[i]!;
    const inTheWay = placed
      .filter((j) => values[j]!.first <= value.last && value.first <= values[j]!.last)
      .sort((a, b) => offsets[a]! - offsets[b]!);
    let offset = 0;
    for (const j of inTheWay) {
      if (offset + value.bytes <= offsets[j]!) break;
      offset = Math.max(offset, align(offsets[j]! + values[j]!.bytes));
    }
    offsets[i] = offset;
    placed.push(i);
    total = Math.max(total, offset + value.bytes);
  }
  return { offsets, bytes: total };
}

function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}
