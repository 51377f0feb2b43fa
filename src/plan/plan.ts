/**
 * The Plan: a graph for one set of input shapes, with every address and table decided. Running it allocates nothing but
 * its outputs, and copies of inputs that are not in the form it needs.
 */

import { ruleOf } from '../ops/operation.js';
import type { FusedGraph } from '../passes/fuse.js';
import type { Spare } from '../residence.js';
import { allocateTensor, inLayout, residentPtr } from '../residentTensor.js';
import type { Allocation } from '../runtime/heap.js';
import { redZonesOf } from '../runtime/redZones.js';
import type { Runtime } from '../runtime/runtime.js';
import type { Layout } from '../sizes.js';
import { Tensor } from '../tensor.js';
import type { Lifetime } from './memory/arena.js';
import { isMove, lower, type Operation, type Place } from './memory/lower.js';
import { type Placed, place } from './memory/slots.js';
import { move } from './moves.js';
import { guardOf, guardSteps, StepGuard, withZones } from './stepGuard.js';
import { describeStep, type OnStep, type StepInfo } from './stepInfo.js';
import { computedParameter, type Parameter, storedParameter } from './steps/parameter.js';
import type { Prepared, PreparedValues } from './steps/prepared.js';
import type { InRun, Step, StepContext } from './steps/step.js';

type Dims = readonly number[];

/** What outlives a plan. */
export interface Resources {
  readonly prepared: PreparedValues;
  /** A stored value of the graph. */
  stored(name: string): Tensor;
  /** Address of a stored value in that layout. */
  place(name: string, layout: Layout): number;
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
  readonly #graph: FusedGraph;
  readonly #resources: Resources;
  /** What is done to stored values once all steps are through, so that a run which fails changes nothing. */
  readonly #afterwards: Step[] = [];
  /** The values that it is done to. */
  readonly #updated: readonly Tensor[];
  readonly #lazySteps: { step: Step | undefined }[] = [];
  readonly #steps: readonly Step[];
  readonly #infos: readonly StepInfo[];
  /** When what is in the arena is needed, in steps. */
  readonly lifetimes: readonly Lifetime[];
  readonly #inputs: readonly Port[];
  readonly #outputs: readonly Port[];
  /** Nothing is in it between runs. */
  #arena: Spare = { ptr: 0, bytes: 0 };
  /** What steps share for their own work. */
  readonly #workspace = { ptr: 0, bytes: 0 };
  /** Address of every slot; those of inputs and outputs are set by each run. */
  readonly #addresses: number[];

  /**
   * @param shapes of all values of the graph
   * @throws RangeError when a forced algorithm does not fit, OutOfMemoryError; what is allocated then is the caller's
   * to undo
   */
  constructor(runtime: Runtime, graph: FusedGraph, shapes: ReadonlyMap<string, Dims>, resources: Resources) {
    this.#runtime = runtime;
    this.#graph = graph;
    this.#resources = resources;
    const updates = new Set(graph.nodes.flatMap((node) => node.updates ?? []));
    this.#updated = [...updates].map((name) => resources.stored(name));
    const lowered = lower(graph, shapes);
    const asShipped = place(lowered);
    this.lifetimes = [...asShipped.lifetimes.values()];
    const placed = CHECKED ? withZones(lowered, asShipped) : asShipped;
    const { slots } = placed;
    const port = ({ buffer, layout }: Place, dims: Dims): Port => {
      // Of a single pixel that is read in row-major order, the zeros behind its channels are written too.
      return { slot: slots[buffer]!, layout, dims, bytes: lowered.buffers[buffer]!.bytes };
    };
    this.#inputs = lowered.inputs.map((place, i) => port(place, shapes.get(graph.inputs[i]!)!));
    this.#outputs = lowered.outputs.map((place) => port(place, Object.freeze([...place.dims])));
    this.#expectRoom(asShipped.arena.bytes);
    const contexts = lowered.operations.map((operation) => this.#contextOf(operation, shapes, slots));
    this.#steps = lowered.operations.map(({ node }, i) => {
      return isMove(node) ? move(node, contexts[i]!) : ruleOf(node).step!(node, contexts[i]!);
    });
    this.#infos = lowered.operations.map(({ node }, i) => describeStep(node, contexts[i]!));
    // Both come last, since packing weights takes memory for copies of them.
    if (this.#workspace.bytes > 0) this.#workspace.ptr = this.#allocate(this.#workspace.bytes);
    this.#addresses = this.#allocateArena(placed, asShipped.arena.bytes);
    for (const { name, buffer, layout } of lowered.stored) {
      this.#addresses[slots[buffer]!] = resources.place(name, layout);
    }
    if (CHECKED) guardSteps(this, new StepGuard(runtime, lowered, placed, shapes));
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
    if (CHECKED) guardOf(this).run(this.#steps, this.#infos, at, onStep);
    else if (onStep === undefined) for (const step of this.#steps) step(at);
    else this.#runTimed(onStep);
    for (const step of this.#afterwards) step(at);
    for (const tensor of this.#updated) Tensor.touch(tensor);
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

  /** As `dispose`, for a plan whose memory worker threads may still be using. */
  disposeAfter(gone: Promise<void>): void {
    for (const allocation of this.#allocations) allocation.freeAfter(gone);
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
    { node, inputs, outputs }: Operation,
    shapes: ReadonlyMap<string, Dims>,
    slots: readonly number[],
  ): StepContext {
    const places = new Map<string, Place>();
    node.inputs.forEach((name, i) => {
      const place = inputs[i];
      if (name !== undefined && place !== undefined) places.set(name, place);
    });
    // A move has the same name on both sides; its steps tell the sides apart themselves.
    if (!isMove(node)) for (const [i, name] of node.outputs.entries()) places.set(name, outputs[i]!);
    return {
      runtime: this.#runtime,
      slot: (value) => slots[places.get(value)!.buffer]!,
      layout: (value) => places.get(value)!.layout,
      among: (value) => places.get(value)!.among,
      dims: (value) => shapes.get(value)!,
      output: { slot: slots[outputs[0].buffer]!, layout: outputs[0].layout },
      allocate: (bytes) => this.#allocate(bytes),
      workspace: (bytes) => this.#shareWorkspace(bytes),
      lazily: (make) => this.#lazily(make),
      afterwards: (step) => this.#afterwards.push(step),
      parameter: (value) => this.#parameter(value, shapes.get(value)!, places.get(value)?.buffer, slots),
      folded: (value) => this.#graph.folded.get(value),
      prepare: (key, parameters, make) => this.#prepare(key, parameters, make),
    };
  }

  #parameter(value: string, dims: Dims, buffer: number | undefined, slots: readonly number[]): Parameter {
    if (this.#graph.values?.has(value)) return storedParameter(this.#runtime, this.#resources.stored(value));
    return computedParameter(this.#runtime, dims, () => this.#addresses[slots[buffer!]!]!);
  }

  /** Of what nodes give, the plan keeps what it is made into, and makes it in every run. */
  #prepare<T extends Prepared>(key: string, parameters: readonly Parameter[], make: () => T): InRun<T> {
    const sources = parameters.flatMap(({ tensor }) => tensor ?? []);
    if (sources.length === parameters.length) {
      return { prepared: this.#resources.prepared.get(key, sources, make), fill: undefined };
    }
    const prepared = make();
    this.#allocations.push(prepared.allocation);
    return { prepared, fill: () => prepared.fill() };
  }

  #lazily(make: () => Step): () => Step {
    const lazy: { step: Step | undefined } = { step: undefined };
    this.#lazySteps.push(lazy);
    return () => {
      lazy.step ??= make();
      return lazy.step;
    };
  }

  #shareWorkspace(bytes: number): () => number {
    this.#workspace.bytes = Math.max(this.#workspace.bytes, bytes);
    return () => this.#workspace.ptr;
  }

  #allocate(bytes: number): number {
    const allocation = this.#runtime.heap.allocate(bytes);
    this.#allocations.push(allocation);
    return allocation.ptr;
  }

  /** Before weights are packed and tables made. @throws OutOfMemoryError where a run would not fit into any memory */
  #expectRoom(arenaBytes: number): void {
    // Several inputs may be one tensor.
    const input = Math.max(0, ...this.#inputs.map(({ bytes }) => bytes));
    this.#runtime.heap.expectRoom(this.#outputs.reduce((sum, { bytes }) => sum + bytes, input + arenaBytes));
  }

  #allocateOutputs(): Tensor[] {
    const { heap } = this.#runtime;
    return heap.undoOnError(() =>
      this.#outputs.map(({ dims, layout, bytes }) => allocateTensor(this.#runtime, dims, layout, bytes)),
    );
  }

  /** Takes memory for the arena; the address of every slot that is in it. */
  #allocateArena({ slots, lifetimes, arena }: Placed, arenaBytes: number): number[] {
    const addresses = new Array<number>(slots.length).fill(0);
    if (arenaBytes === 0) return addresses;
    let arenaPtr = this.#allocate(arenaBytes);
    if (CHECKED) arenaPtr = redZonesOf(this.#runtime.heap).enlarge(arenaPtr, arena.bytes);
    this.#arena = { ptr: arenaPtr, bytes: arenaBytes };
    [...lifetimes.keys()].forEach((slot, i) => {
      addresses[slot] = arenaPtr + arena.offsets[i]!;
    });
    return addresses;
  }
}
