/** Values with lifetimes in one arena: compared with a plain rule that looks at every value placed before. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Lifetime, placeInArena } from '../src/plan/memory/arena.js';
import { seededRandom } from './support.js';

const ALIGNMENT = 64;

/** Each value at the lowest multiple of 64 that is free during its lifetime, largest values first. */
function placePlainly(values: readonly Lifetime[]): number[] {
  const offsets: number[] = [];
  const largestFirst = values.map((_, i) => i).sort((a, b) => values[b]!.bytes - values[a]!.bytes || a - b);
  const placed: number[] = [];
  for (const i of largestFirst) {
    const { bytes, first, last } = values[i]!;
    const inTheWay = placed.filter((j) => values[j]!.first <= last && values[j]!.last >= first);
    const meets = (offset: number): number | undefined =>
      inTheWay.find((j) => offsets[j]! < offset + bytes && offset < offsets[j]! + values[j]!.bytes);
    const ends = inTheWay.map((j) => Math.ceil((offsets[j]! + values[j]!.bytes) / ALIGNMENT) * ALIGNMENT);
    offsets[i] = [0, ...ends.sort((a, b) => a - b)].find((offset) => meets(offset) === undefined)!;
    placed.push(i);
  }
  return offsets;
}

for (const [name, longest, sizes] of [
  ['short lives', 6, 5000],
  ['lives of many blocks of steps', 500, 5000],
  ['few sizes', 40, 4],
] as const) {
  test(`values are placed as by the plain rule: ${name}`, () => {
    for (let seed = 1; seed <= 12; seed++) {
      const random = seededRandom(seed);
      const values = Array.from({ length: 150 }, () => {
        const first = Math.floor(random() * 600);
        const bytes = (1 + Math.floor(random() * sizes)) * 4;
        return { bytes, first, last: first + Math.floor(random() * longest) };
      });
      const { offsets, bytes } = placeInArena(values);
      assert.equal(offsets, placePlainly(values), `seed ${seed}`);
      assert.is(bytes, Math.max(...values.map((value, i) => value.bytes + offsets[i]!)));
    }
  });
}

test('no values take no bytes', () => {
  assert.equal(placeInArena([]), { offsets: [], bytes: 0 });
});

test.run();
