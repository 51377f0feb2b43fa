/**
 * The one executor. Takes a Graph, puts means first (poolFirst), fuses it, packs its parameters and places its constants
 * once, and keeps a Plan for each of the input shapes it met last.
 */
import { ThreadError } from '../errors.js';
import type { Conv2dNode, Graph, LinearNode, Node } from '../graph/graph.js';
import { inferShapes } from '../graph/shapes.js';
import { fuse } from '../passes/fuse.js';
import { poolFirst } from '../passes/poolFirst.js';
import type { Allocation } from '../runtime/heap.js';
import type { Runtime } from '../runtime/runtime.js';
import { bytesOf, sameDims } from '../sizes.js';
import { convert, type Layout, type Tensor } from '../tensor.js';
import type { Algorithm } from './algorithm.js';
import { Plan } from './plan.js';
import type { OnStep } from './stepInfo.js';
import { type PackedWeights, packFilters, withStaging } from './weights.js';

/** Plans kept; the one not used for longest goes first. */
const MOST_PLANS = 8;

export class Executable {
  readonly #runtime: Runtime;
  /** As given, for errors. */
  readonly #given: Graph;
  readonly #graph: Graph;
  /** By which of the additions have inputs of the same dims; there is hardly ever more than one. */
  readonly #fused = new Map<string, Graph>();
  /** The one used last first. */
  #plans: Plan[] = [];
  readonly #packed = new Map<Conv2dNode | LinearNode, Map<Algorithm, PackedWeights>>();
  /** By layout and name. */
  readonly #constants = new Map<string, Allocation>();

  constructor(runtime: Runtime, graph: Graph) {
    this.#runtime = runtime;
    this.#given = graph;
    this.#graph = poolFirst(graph);
  }

  get inputCount(): number {
    return this.#graph.inputs.length;
  }

  /**
   * @param inputs of this runtime or in JavaScript's memory
   * @param onStep told of every step and its time
   * @returns new resident tensors
   * @throws RangeError when shapes do not fit, OutOfMemoryError, ThreadError; nothing has changed then
   */
  run(inputs: readonly Tensor[], onStep?: OnStep): Tensor[] {
    return this.#undoOnError(() => {
      const plan = this.#plans.find((known) => known.fits(inputs)) ?? this.#makePlan(inputs.map(({ dims }) => dims));
      try {
        const outputs = plan.run(inputs, onStep);
        this.#keep(plan);
        return outputs;
      } catch (error) {
        if (error instanceof ThreadError) this.#abandon(plan, error);
        throw error;
      }
    });
  }

  /**
   * Packs weights and makes the plan for inputs of these dims, so that the first run need not.
   * @throws RangeError when shapes do not fit, OutOfMemoryError; nothing has changed then
   */
  prepare(inputDims: readonly (readonly number[])[]): void {
    this.#undoOnError(() => this.#keep(this.#makePlan(inputDims)));
  }

  dispose(): void {
    for (const plan of this.#plans) plan.dispose();
    for (const ofNode of this.#packed.values()) {
      for (const { allocation } of ofNode.values()) allocation.free();
    }
    for (const allocation of this.#constants.values()) allocation.free();
    this.#plans = [];
    this.#packed.clear();
    this.#constants.clear();
  }

  #undoOnError<T>(work: () => T): T {
    try {
      return this.#runtime.heap.undoOnError(work);
    } catch (error) {
      this.#forgetFreed();
      throw error;
    }
  }

  #makePlan(inputDims: readonly (readonly number[])[]): Plan {
    if (this.#given !== this.#graph) inferShapes(this.#given, inputDims);
    const shapes = inferShapes(this.#graph, inputDims);
    return new Plan(this.#runtime, this.#fuse(shapes), shapes, {
      packed: (node, algorithm) => this.#pack(node, algorithm),
      constant: (name, layout) => this.#placeConstant(name, layout),
    });
  }

  #fuse(shapes: ReadonlyMap<string, readonly number[]>): Graph {
    const addsSameDims = ({ inputs: [a, b] }: Node): boolean => sameDims(shapes.get(a!)!, shapes.get(b!)!);
    const additions = this.#graph.nodes.filter(({ op }) => op === 'add');
    const key = additions.map((node) => (addsSameDims(node) ? '=' : '~')).join('');
    const fused = this.#fused.get(key) ?? fuse(this.#graph, addsSameDims);
    this.#fused.set(key, fused);
    return fused;
  }

  /** Puts the plan where what was used last is, and lets go of the oldest. */
  #keep(plan: Plan): void {
    if (this.#plans[0] === plan) return;
    this.#plans = [plan, ...this.#plans.filter((other) => other !== plan)];
    if (this.#plans.length > MOST_PLANS) this.#plans.pop()!.dispose();
  }

  /** What a worker may still be writing, and the tables that it goes by, stay as they are until it is gone. */
  #abandon(plan: Plan, { workersGone }: ThreadError): void {
    plan.disposeAfter(workersGone);
    this.#plans = this.#plans.filter((other) => other !== plan);
  }

  #forgetFreed(): void {
    for (const plan of this.#plans) plan.forgetFreed();
    for (const ofNode of this.#packed.values()) {
      for (const [algorithm, { allocation }] of ofNode) if (allocation.isFree) ofNode.delete(algorithm);
    }
    for (const [key, allocation] of this.#constants) if (allocation.isFree) this.#constants.delete(key);
  }

  /** Address of a constant in that layout. */
  #placeConstant(name: string, layout: Layout): number {
    const key = `${layout} ${name}`;
    let allocation = this.#constants.get(key);
    if (allocation === undefined) {
      const tensor = this.#graph.constants!.get(name)!;
      allocation = placeTensor(this.#runtime, tensor, layout);
      this.#constants.set(key, allocation);
    }
    return allocation.ptr;
  }

  #pack(node: Conv2dNode | LinearNode, algorithm: Algorithm): PackedWeights {
    const ofNode = this.#packed.get(node) ?? new Map<Algorithm, PackedWeights>();
    this.#packed.set(node, ofNode);
    let packed = ofNode.get(algorithm);
    if (packed === undefined) {
      packed = packFilters(this.#runtime, node, algorithm);
      ofNode.set(algorithm, packed);
    }
    return packed;
  }
}

/** A copy of a tensor's values, whoever owns the tensor. @throws OutOfMemoryError */
function placeTensor(runtime: Runtime, tensor: Tensor, layout: Layout): Allocation {
  const { heap } = runtime;
  const { data, dims } = tensor;
  const allocation = heap.allocate(bytesOf(dims, layout));
  if (layout === 'planar') {
    heap.floats(allocation.ptr, data.length).set(data);
    return allocation;
  }
  withStaging(runtime, (stage) => convert(runtime, stage.floats(data), allocation.ptr, dims, layout));
  return allocation;
}
