/**
 * The Plan: a graph for one set of input shapes, with every address and table decided. Running it allocates nothing but
 * its outputs.
 */
import type { Graph, Node } from '../graph/graph.js';
import { inferShapes } from '../graph/shapes.js';
import type { Allocation } from '../runtime/heap.js';
import type { Runtime } from '../runtime/runtime.js';
import { allocateTensor, extentOf, residentPtr, type Tensor } from '../tensor.js';
import { placeInArena } from './arena.js';
import type { Step, StepContext } from './step.js';
import { makeStep } from './steps.js';

type Dims = readonly number[];

export class Plan {
  readonly #runtime: Runtime;
  #allocations: Allocation[] = [];
  readonly #lazySteps: { step: Step | undefined }[] = [];
  readonly #steps: readonly Step[];
  readonly #inputDims: readonly Dims[];
  readonly #inputSlots: readonly number[];
  readonly #outputs: readonly { slot: number; dims: Dims; bytes: number }[];
  /** Address of every slot; those of inputs and outputs are set by each run. */
  readonly #addresses: number[];

  /**
   * @param packed where a node's packed weights are; they outlive the plan
   * @throws RangeError when the shapes do not fit, OutOfMemoryError; what is allocated then is the caller's to undo
   */
  constructor(runtime: Runtime, graph: Graph, inputDims: readonly Dims[], packed: StepContext['packed']) {
    this.#runtime = runtime;
    this.#inputDims = inputDims;
    const shapes = inferShapes(graph, inputDims);
    const slots = assignSlots(graph, shapes);
    const slot = (value: string): number => slots.get(value)!;
    this.#inputSlots = graph.inputs.map(slot);
    this.#outputs = graph.outputs.map((name) => {
      const dims = Object.freeze([...shapes.get(name)!]);
      return { slot: slot(name), dims, bytes: extentOf(dims).bytes };
    });
    this.#addresses = this.#placeSlots(graph, shapes, slots);
    const allocate = (bytes: number): number => this.#allocate(bytes);
    const lazily: StepContext['lazily'] = (make) => this.#lazily(make);
    const context: StepContext = { runtime, slot, dims: (value) => shapes.get(value)!, allocate, lazily, packed };
    this.#steps = graph.nodes.map((node) => makeStep(node, context));
  }

  /** Whether the plan is for inputs of these shapes. */
  fits(inputs: readonly Tensor[]): boolean {
    return this.#inputDims.every((dims, i) => {
      const given = inputs[i]!.dims;
      return dims === given || (dims.length === given.length && dims.every((dim, axis) => dim === given[axis]));
    });
  }

  /** @param inputs resident, of the plan's shapes. Returns new resident tensors. */
  run(inputs: readonly Tensor[]): Tensor[] {
    const outputs = this.#allocateOutputs();
    const at = this.#addresses;
    for (let i = 0; i < inputs.length; i++) {
      at[this.#inputSlots[i]!] = residentPtr(inputs[i]!, this.#runtime, 'channelsLast')!;
    }
    for (let i = 0; i < outputs.length; i++) {
      at[this.#outputs[i]!.slot] = residentPtr(outputs[i]!, this.#runtime, 'channelsLast')!;
    }
    for (const step of this.#steps) step(at);
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
    return heap.undoOnError(() => this.#outputs.map(({ dims, bytes }) => allocateTensor(this.#runtime, dims, bytes)));
  }

  /** Puts every slot that is neither input nor output into one arena. */
  #placeSlots(graph: Graph, shapes: ReadonlyMap<string, Dims>, slots: ReadonlyMap<string, number>): number[] {
    const external = new Set([...graph.inputs, ...graph.outputs].map((name) => slots.get(name)!));
    const lifetimes = new Map<number, { bytes: number; first: number; last: number }>();
    graph.nodes.forEach((node, step) => {
      for (const name of [node.output, ...node.inputs]) {
        const slot = slots.get(name)!;
        if (external.has(slot)) continue;
        const life = lifetimes.get(slot) ?? { bytes: extentOf(shapes.get(name)!).bytes, first: step, last: step };
        lifetimes.set(slot, { ...life, last: step });
      }
    });
    const { offsets, bytes } = placeInArena([...lifetimes.values()]);
    const addresses = new Array<number>(slots.size).fill(0);
    if (bytes > 0) {
      const arenaPtr = this.#allocate(bytes);
      [...lifetimes.keys()].forEach((slot, i) => {
        addresses[slot] = arenaPtr + offsets[i]!;
      });
    }
    return addresses;
  }
}

/** A slot per value, but one for both where a node may write over its input. */
function assignSlots(graph: Graph, shapes: ReadonlyMap<string, Dims>): Map<string, number> {
  const lastUse = new Map<string, number>();
  graph.nodes.forEach((node, step) => {
    for (const name of node.inputs) lastUse.set(name, step);
  });
  const kept = new Set([...graph.inputs, ...graph.outputs]);
  const slots = new Map<string, number>();
  let count = 0;
  for (const name of graph.inputs) slots.set(name, count++);
  graph.nodes.forEach((node, step) => {
    const reused = overwritable(node).find(
      (name) =>
        !kept.has(name) &&
        lastUse.get(name) === step &&
        extentOf(shapes.get(name)!).bytes === extentOf(shapes.get(node.output)!).bytes,
    );
    slots.set(node.output, reused === undefined ? count++ : slots.get(reused)!);
  });
  return slots;
}

/** The inputs that a node's kernel may overwrite with its output: it reads each value before it writes it. */
function overwritable(node: Node): readonly string[] {
  switch (node.op) {
    case 'conv2d':
    case 'linear':
      return node.inputs.slice(1).filter((name) => name !== node.inputs[0]);
    case 'add':
    case 'batchNorm':
    case 'relu':
    case 'softmax':
      return node.inputs;
    default:
      return [];
  }
}
