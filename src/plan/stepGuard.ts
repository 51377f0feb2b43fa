/**
 * Looks after every step of a plan in the build for tests: what a step wrote, and what it should not have. See
 * src/runtime/redZones.ts.
 */
import { type RedZones, redZonesOf, ZONE_BYTES } from '../runtime/redZones.js';
import type { Runtime } from '../runtime/runtime.js';
import { roundUp } from '../sizes.js';
import { type Lifetime, placeInArena } from './arena.js';
import type { Lowered, Place } from './lower.js';
import { lifetimesOf, type Placed } from './slots.js';
import type { Step } from './step.js';
import type { OnStep, StepInfo } from './stepInfo.js';

/** A value of the arena, and in which steps it lives. */
interface Slot extends Lifetime {
  readonly slot: number;
}

const ofPlan = new WeakMap<object, StepGuard>();

export function guardSteps(plan: object, guard: StepGuard): void {
  ofPlan.set(plan, guard);
}

export function guardOf(plan: object): StepGuard {
  return ofPlan.get(plan)!;
}

let plansMade = 0;

/**
 * The same with room for zones. Every other plan writes nothing over what it reads, since that would not show what a step
 * leaves unwritten.
 */
export function withZones(lowered: Lowered, placed: Placed): Placed {
  const sharesSlots = placed.arena.bytes === 0 || ++plansMade % 2 === 0;
  const slots = sharesSlots ? placed.slots : lowered.buffers.map((_, i) => i);
  const lifetimes = lifetimesOf(lowered, slots);
  const padded = [...lifetimes.values()].map((life) => ({ ...life, bytes: roundUp(life.bytes, 64) + 2 * ZONE_BYTES }));
  const { offsets, bytes } = placeInArena(padded);
  return { slots, lifetimes, arena: { offsets: offsets.map((offset) => offset + ZONE_BYTES), bytes } };
}

export class StepGuard {
  readonly #zones: RedZones;
  readonly #inArena: readonly Slot[];
  readonly #outputs: readonly (Place & { readonly dims: readonly number[]; readonly slot: number })[];
  /** Of the steps that are the first to write into their slot: its bytes. */
  readonly #first: readonly (number | undefined)[];

  constructor(
    runtime: Runtime,
    { buffers, operations, inputs, constants }: Lowered,
    { slots, lifetimes }: Placed,
    infos: readonly StepInfo[],
  ) {
    this.#zones = redZonesOf(runtime.heap);
    // What holds no values has no place either.
    this.#inArena = [...lifetimes].flatMap(([slot, life]) => (life.bytes > 0 ? [{ ...life, slot }] : []));
    this.#outputs = operations.map(({ output }, i) => ({
      ...output,
      slot: slots[output.buffer]!,
      dims: infos[i]!.dims,
    }));
    const written = new Set([...inputs, ...constants].map(({ buffer }) => slots[buffer]!));
    this.#first = operations.map(({ output }) => {
      const slot = slots[output.buffer]!;
      if (written.has(slot)) return undefined;
      written.add(slot);
      return buffers[output.buffer]!.bytes;
    });
  }

  run(steps: readonly Step[], infos: readonly StepInfo[], at: readonly number[], onStep: OnStep | undefined): void {
    steps.forEach((step, i) => {
      const info = infos[i]!;
      this.#before(i, at);
      const start = performance.now();
      step(at);
      onStep?.(info, performance.now() - start);
      this.#after(i, at, `${info.op} (${info.path === '' ? info.output : info.path})`);
    });
  }

  #before(step: number, at: readonly number[]): void {
    for (const { slot, first, bytes } of this.#inArena) {
      if (first === step) this.#zones.paintZones(at[slot]!, bytes);
    }
    const bytes = this.#first[step];
    if (bytes !== undefined) this.#zones.fill(at[this.#outputs[step]!.slot]!, bytes);
    this.#zones.begin();
  }

  #after(step: number, at: readonly number[], who: string): void {
    this.#zones.check(who);
    for (const { slot, first, last, bytes } of this.#inArena) {
      if (first <= step && step <= last) this.#zones.expectZones(at[slot]!, bytes, who);
    }
    const { slot, dims, layout, among } = this.#outputs[step]!;
    this.#zones.expectValue(at[slot]! + (among?.offset ?? 0), dims, layout, who, among?.lanes);
  }
}
