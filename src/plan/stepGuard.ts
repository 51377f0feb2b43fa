/**
 * Looks after every step of a plan in the build for tests: what a step wrote, and what it should not have. See
 * src/runtime/redZones.ts.
 */
import { type RedZones, redZonesOf, ZONE_BYTES } from '../runtime/redZones.js';
import type { Runtime } from '../runtime/runtime.js';
import { roundUp } from '../sizes.js';
import { type Lifetime, placeInArena } from './memory/arena.js';
import type { Lowered, Place } from './memory/lower.js';
import { lifetimesOf, type Placed } from './memory/slots.js';
import type { OnStep, StepInfo } from './stepInfo.js';
import type { Step } from './steps/step.js';

/** A value of the arena, and in which steps it lives. */
interface Slot extends Lifetime {
  readonly slot: number;
}

interface Output extends Place {
  readonly dims: readonly number[];
  readonly slot: number;
}

/** Allocations that are looked at after a single step. */
const MAX_ZONES = 256;

const ofPlan = new WeakMap<object, StepGuard>();

export function guardSteps(plan: object, guard: StepGuard): void {
  ofPlan.set(plan, guard);
}

export function guardOf(plan: object): StepGuard {
  return ofPlan.get(plan)!;
}

let plansMade = 0;

/**
 * The same with room for zones. Every other plan writes nothing over what it reads, since that would not show what a
 * step leaves unwritten.
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
  /** By the step in which they begin to live. */
  readonly #begin = new Map<number, Slot[]>();
  /** Those that live in the step at work. */
  #alive: Slot[] = [];
  readonly #outputs: readonly (readonly Output[])[];
  /** Of the outputs that are the first to be written into their slot: its bytes. */
  readonly #first: readonly (readonly (number | undefined)[])[];

  constructor(
    runtime: Runtime,
    { buffers, operations, inputs, stored }: Lowered,
    { slots, lifetimes }: Placed,
    shapes: ReadonlyMap<string, readonly number[]>,
  ) {
    this.#zones = redZonesOf(runtime.heap);
    for (const [slot, life] of lifetimes) {
      // What holds no values has no place either.
      if (life.bytes === 0) continue;
      const others = this.#begin.get(life.first) ?? [];
      this.#begin.set(life.first, [...others, { ...life, slot }]);
    }
    this.#outputs = operations.map(({ node, outputs }) =>
      outputs.map((output, i) => ({ ...output, slot: slots[output.buffer]!, dims: shapes.get(node.outputs[i]!)! })),
    );
    const written = new Set([...inputs, ...stored].map(({ buffer }) => slots[buffer]!));
    this.#first = operations.map(({ outputs }) =>
      outputs.map(({ buffer }) => {
        const slot = slots[buffer]!;
        if (written.has(slot)) return undefined;
        written.add(slot);
        return buffers[buffer]!.bytes;
      }),
    );
  }

  run(steps: readonly Step[], infos: readonly StepInfo[], at: readonly number[], onStep: OnStep | undefined): void {
    this.#alive = [];
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
    const begun = this.#begin.get(step) ?? [];
    this.#alive = [...this.#alive.filter(({ last }) => last >= step), ...begun];
    for (const { slot, bytes } of begun) this.#zones.paintZones(at[slot]!, bytes);
    this.#first[step]!.forEach((bytes, i) => {
      if (bytes !== undefined) this.#zones.fill(at[this.#outputs[step]![i]!.slot]!, bytes);
    });
    this.#zones.begin();
  }

  #after(step: number, at: readonly number[], who: string): void {
    // Of thousands of steps each has allocations of its own: checking all of them after each would take minutes.
    const every = Math.max(1, Math.ceil(this.#zones.count / MAX_ZONES));
    const isLast = step === this.#outputs.length - 1;
    if (isLast || step % every === 0) this.#zones.check(every === 1 ? who : `${who}, or one of ${every} steps before,`);
    for (const { slot, bytes } of this.#alive) this.#zones.expectZones(at[slot]!, bytes, who);
    for (const { slot, dims, layout, among } of this.#outputs[step]!) {
      this.#zones.expectValue(at[slot]! + (among?.offset ?? 0), dims, layout, who, among?.lanes);
    }
  }
}
