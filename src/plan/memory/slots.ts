/** Slots: which buffers of a plan share memory, and where in its arena each of them is. */
import { type Lifetime, type Placement, placeInArena } from './arena.js';
import type { Lowered } from './lower.js';

export interface Placed {
  /** Of each buffer. */
  readonly slots: readonly number[];
  /** Of the slots that are neither inputs nor outputs nor stored, in the order of the arena's offsets. */
  readonly lifetimes: ReadonlyMap<number, Lifetime>;
  readonly arena: Placement;
}

export function place(lowered: Lowered): Placed {
  const slots = assignSlots(lowered);
  const lifetimes = lifetimesOf(lowered, slots);
  return { slots, lifetimes, arena: placeInArena([...lifetimes.values()]) };
}

export function lifetimesOf(
  { buffers, operations, outputs }: Lowered,
  slots: readonly number[],
): Map<number, Lifetime> {
  const external = new Set(outputs.map(({ buffer }) => slots[buffer]!));
  buffers.forEach(({ kind }, i) => {
    if (kind !== 'computed') external.add(slots[i]!);
  });
  const lifetimes = new Map<number, Lifetime>();
  operations.forEach(({ inputs, outputs }, step) => {
    for (const place of [...outputs, ...inputs]) {
      if (place === undefined) continue;
      const { buffer } = place;
      const slot = slots[buffer]!;
      if (external.has(slot)) continue;
      const life = lifetimes.get(slot) ?? { bytes: buffers[buffer]!.bytes, first: step, last: step };
      lifetimes.set(slot, { ...life, last: step });
    }
  });
  return lifetimes;
}

/** A slot for each buffer: its own number, or that of a buffer of the same size which its operation may overwrite. */
function assignSlots({ buffers, operations, outputs }: Lowered): number[] {
  const lastUse = new Array<number>(buffers.length).fill(-1);
  operations.forEach(({ inputs }, step) => {
    for (const place of inputs) if (place !== undefined) lastUse[place.buffer] = step;
  });
  const kept = new Set(outputs.map(({ buffer }) => buffer));
  const slots = buffers.map((_, i) => i);
  operations.forEach(({ overwritable, outputs }, step) => {
    outputs.forEach((output, i) => {
      const reused = overwritable[i]?.find(
        (buffer) =>
          buffers[buffer]!.kind === 'computed' &&
          !kept.has(buffer) &&
          lastUse[buffer] === step &&
          buffers[buffer]!.bytes === buffers[output.buffer]!.bytes,
      );
      if (reused !== undefined) slots[output.buffer] = slots[reused]!;
    });
  });
  return slots;
}
