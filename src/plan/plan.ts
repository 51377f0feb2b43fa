/**
 * The Plan: a graph for one set of input shapes, with every address and table decided. Running it allocates nothing but
 * its outputs, and copies of inputs that are not there as it needs them.
 */
import type { Graph } from '../graph/graph.js';
import type { Allocation } from '../runtime/heap.js';
import type { Runtime } from '../runtime/runtime.js';
import { bytesOf } from '../sizes.js';
import { allocateTensor, inLayout, type Layout, residentPtr, type Spare, type Tensor } from '../tensor.js';
import { type Lifetime, placeInArena } from './arena.js';
import { isMove, type Lowered, lower, type Operation, type Place } from './lower.js';
import { move } from './moves.js';
import type { Step, StepContext } from './step.js';
import { describeStep, type OnStep, type StepInfo } from './stepInfo.js';
import { makeStep } from './steps.js';

type Dims = readonly number[];

/** What outlives a plan. */
export interface Resources {
  readonly packed: StepContext['packed'];
  /** Address of a constant of the graph in that layout. */
  constant(name: string, layout: Layout): number;
}

interface Port {
  readonly slot: number;
  readonly layout: Layout;
  readonly dims: Dims;
  readonly bytes: number;
}

export class Plan {
  readonly #runtime: Runtime;
  #allocations: Allocation[] = [];
  readonly #lazySteps: { step: Step | undefined }[] = [];
  readonly #steps: readonly Step[];
  readonly #infos: readonly StepInfo[];
  readonly #inputs: readonly Port[];
  readonly #outputs: readonly Port[];
  /** Nothing is in it between runs. */
  #arena: Spare = { ptr: 0, bytes: 0 };
  /** Address of every slot; those of inputs and outputs are set by each run. */
  readonly #addresses: number[];

  /**
   * @param shapes of all values of the graph
   * @throws RangeError when a forced algorithm does not fit, OutOfMemoryError; what is allocated then is the caller's to
   * undo
   */
  constructor(runtime: Runtime, graph: Graph, shapes: ReadonlyMap<string, Dims>, resources: Resources) {
    this.#runtime = runtime;
    const lowered = lower(graph, shapes);
    const slots = assignSlots(lowered);
    const port = ({ buffer, layout }: Place, dims: Dims): Port => {
      return { slot: slots[buffer]!, layout, dims, bytes: bytesOf(dims, layout) };
    };
    this.#inputs = lowered.inputs.map((place, i) => port(place, shapes.get(graph.inputs[i]!)!));
    this.#outputs = lowered.outputs.map((place) => port(place, Object.freeze([...place.dims])));
    const contexts = lowered.operations.map((operation) => this.#contextOf(operation, shapes, slots, resources.packed));
    this.#steps = lowered.operations.map(({ node }, i) => {
      return isMove(node) ? move(node, contexts[i]!) : makeStep(node, contexts[i]!);
    });
    this.#infos = lowered.operations.map(({ node }, i) => describeStep(node, contexts[i]!));
    // The arena comes last: while weights are packed, copies of them are about.
    this.#addresses = this.#placeSlots(lowered, slots);
    for (const { name, buffer, layout } of lowered.constants) {
      this.#addresses[slots[buffer]!] = resources.constant(name, layout);
    }
  }

  /** Whether the plan is for inputs of these shapes. */
  fits(inputs: readonly Tensor[]): boolean {
    return this.#inputs.every(({ dims }, i) => {
      const given = inputs[i]!.dims;
      return dims === given || (dims.length === given.length && dims.every((dim, axis) => dim === given[axis]));
    });
  }

  /** What the steps are, in order. */
  get steps(): readonly StepInfo[] {
    return this.#infos;
  }

  /**
   * @param inputs of the plan's shapes, in this runtime or in JavaScript's memory
   * @param onStep told of every step and its time
   * @returns new resident tensors
   */
  run(inputs: readonly Tensor[], onStep?: OnStep): Tensor[] {
    const [runtime, at] = [this.#runtime, this.#addresses];
    const outputs = this.#allocateOutputs();
    const resident: Tensor[] = [];
    for (let i = 0; i < inputs.length; i++) {
      const { slot, layout } = this.#inputs[i]!;
      resident.push(inLayout(inputs[i]!, runtime, layout, this.#arena));
      at[slot] = residentPtr(resident[i]!, runtime, layout)!;
    }
    for (let i = 0; i < outputs.length; i++) {
      const { slot, layout } = this.#outputs[i]!;
      at[slot] = residentPtr(outputs[i]!, runtime, layout)!;
    }
    if (onStep === undefined) for (const step of this.#steps) step(at);
    else this.#runTimed(onStep);
    for (let i = 0; i < inputs.length; i++) if (resident[i] !== inputs[i]) resident[i]!.dispose();
    return outputs;
  }

  /** After an error, which may have freed what lazy steps had allocated: they are to be made anew. */
  forgetFreed(): void {
    if (!this.#allocations.some(({ isFree }) => isFree)) return;
    this.#allocations = this.#allocations.filter(({ isFree }) => !isFree);
    for (const lazy of this.#lazySteps) lazy.step = undefined;
  }

  dispose(): void {
    for (const allocation of this.#allocations) allocation.free();
    this.#allocations = [];
  }

  #runTimed(onStep: OnStep): void {
    this.#steps.forEach((step, i) => {
      const start = performance.now();
      step(this.#addresses);
      onStep(this.#infos[i]!, performance.now() - start);
    });
  }

  #contextOf(
    { node, inputs, output }: Operation,
    shapes: ReadonlyMap<string, Dims>,
    slots: readonly number[],
    packed: StepContext['packed'],
  ): StepContext {
    // A move has the same name on both sides; its steps tell the sides apart themselves.
    const places = new Map<string, Place>(node.inputs.map((name, i) => [name, inputs[i]!]));
    if (!isMove(node)) places.set(node.output, output);
    return {
      runtime: this.#runtime,
      slot: (value) => slots[places.get(value)!.buffer]!,
      layout: (value) => places.get(value)!.layout,
      among: (value) => places.get(value)!.among,
      dims: (value) => shapes.get(value)!,
      output: { slot: slots[output.buffer]!, layout: output.layout },
      allocate: (bytes) => this.#allocate(bytes),
      lazily: (make) => this.#lazily(make),
      packed,
    };
  }

  #lazily(make: () => Step): () => Step {
    const lazy: { step: Step | undefined } = { step: undefined };
    this.#lazySteps.push(lazy);
    return () => {
      lazy.step ??= make();
      return lazy.step;
    };
  }

  #allocate(bytes: number): number {
    const allocation = this.#runtime.heap.allocate(bytes);
    this.#allocations.push(allocation);
    return allocation.ptr;
  }

  #allocateOutputs(): Tensor[] {
    const { heap } = this.#runtime;
    return heap.undoOnError(() =>
      this.#outputs.map(({ dims, layout, bytes }) => allocateTensor(this.#runtime, dims, layout, bytes)),
    );
  }

  /** Puts every slot that is neither input nor output nor constant into one arena. */
  #placeSlots({ buffers, operations, outputs }: Lowered, slots: readonly number[]): number[] {
    const external = new Set(outputs.map(({ buffer }) => slots[buffer]!));
    buffers.forEach(({ kind }, i) => {
      if (kind !== 'computed') external.add(slots[i]!);
    });
    const lifetimes = new Map<number, Lifetime>();
    operations.forEach(({ inputs, output }, step) => {
      for (const { buffer } of [output, ...inputs]) {
        const slot = slots[buffer]!;
        if (external.has(slot)) continue;
        const life = lifetimes.get(slot) ?? { bytes: buffers[buffer]!.bytes, first: step, last: step };
        lifetimes.set(slot, { ...life, last: step });
      }
    });
    const { offsets, bytes } = placeInArena([...lifetimes.values()]);
    const addresses = new Array<number>(buffers.length).fill(0);
    if (bytes > 0) {
      const arenaPtr = this.#allocate(bytes);
      this.#arena = { ptr: arenaPtr, bytes };
      [...lifetimes.keys()].forEach((slot, i) => {
        addresses[slot] = arenaPtr + offsets[i]!;
      });
    }
    return addresses;
  }
}

/** A slot for each buffer: its own number, or that of a buffer of the same size which its operation may overwrite. */
function assignSlots({ buffers, operations, outputs }: Lowered): number[] {
  const lastUse = new Array<number>(buffers.length).fill(-1);
  operations.forEach(({ inputs }, step) => {
    for (const { buffer } of inputs) lastUse[buffer] = step;
  });
  const kept = new Set(outputs.map(({ buffer }) => buffer));
  const slots = buffers.map((_, i) => i);
  operations.forEach(({ overwritable, output }, step) => {
    const reused = overwritable.find(
      (buffer) =>
        buffers[buffer]!.kind === 'computed' &&
        !kept.has(buffer) &&
        lastUse[buffer] === step &&
        buffers[buffer]!.bytes === buffers[output.buffer]!.bytes,
    );
    if (reused !== undefined) slots[output.buffer] = slots[reused]!;
  });
  return slots;
}
