/**
 * The one executor. Takes a Graph, puts means first (poolFirst), fuses it, prepares its stored values once, and keeps a
 * Plan for each of the latest input shapes. New values of the same graph are prepared again, where they are.
 */

import { ThreadError } from '../errors.js';
import type { Graph, GraphNode } from '../graph/graph.js';
import { inferShapes } from '../graph/shapes.js';
import { type FusedGraph, fuse } from '../passes/fuse.js';
import { poolFirst } from '../passes/poolFirst.js';
import { convert } from '../residence.js';
import { residentPtr, residentTensor } from '../residentTensor.js';
import type { Runtime } from '../runtime/runtime.js';
import { bytesOf, type Layout, sameDims } from '../sizes.js';
import type { Tensor } from '../tensor.js';
import { Plan } from './plan.js';
import type { OnStep } from './stepInfo.js';
import { type Prepared, PreparedValues } from './steps/prepared.js';
import { withStaging } from './steps/staging.js';

/** Plans kept; the one not used for longest goes first. */
const MAX_PLANS = 8;

export class Executable {
  readonly #runtime: Runtime;
  /** As given, for errors. */
  readonly #given: Graph;
  readonly #graph: Graph;
  /** By which of the additions have inputs of the same dims; there is hardly ever more than one. */
  readonly #fused = new Map<string, FusedGraph>();
  /** The one used last first. */
  #plans: Plan[] = [];
  readonly #prepared = new PreparedValues();

  constructor(runtime: Runtime, graph: Graph) {
    this.#runtime = runtime;
    this.#given = graph;
    this.#graph = poolFirst(graph);
  }

  /** The plan that was used last. */
  get plan(): Plan | undefined {
    return this.#plans[0];
  }

  /**
   * @param inputs of this runtime or in JavaScript's memory
   * @param onStep told of every step and its time
   * @returns new resident tensors
   * @throws RangeError when shapes do not fit, OutOfMemoryError, ThreadError; nothing has changed then
   */
  run(inputs: readonly Tensor[], onStep?: OnStep): Tensor[] {
    return this.#undoOnError(() => {
      this.#prepared.refresh();
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
    this.#prepared.dispose();
    this.#plans = [];
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
    const graph = this.#fuse(shapes);
    for (const [name, { from, norm }] of graph.folded) shapes.set(name, shapes.get(from ?? norm.mean)!);
    return new Plan(this.#runtime, graph, shapes, {
      prepared: this.#prepared,
      stored: (name) => this.#stored(name),
      place: (name, layout) => this.#placeStored(name, layout),
    });
  }

  #fuse(shapes: ReadonlyMap<string, readonly number[]>): FusedGraph {
    const addsSameDims = ({ inputs: [a, b] }: GraphNode): boolean => sameDims(shapes.get(a!)!, shapes.get(b!)!);
    const additions = this.#graph.nodes.filter(({ op }) => op === 'add');
    const key = additions.map((node) => (addsSameDims(node) ? '=' : '~')).join('');
    const fused = this.#fused.get(key) ?? fuse(this.#graph, addsSameDims);
    this.#fused.set(key, fused);
    return fused;
  }

  /** Moves the plan to the front, and drops the one that was used longest ago. */
  #keep(plan: Plan): void {
    if (this.#plans[0] === plan) return;
    this.#plans = [plan, ...this.#plans.filter((other) => other !== plan)];
    if (this.#plans.length > MAX_PLANS) this.#plans.pop()!.dispose();
  }

  /** What a worker may still be writing, and the tables that it goes by, stay as they are until it is gone. */
  #abandon(plan: Plan, { workersGone }: ThreadError): void {
    plan.disposeAfter(workersGone);
    this.#plans = this.#plans.filter((other) => other !== plan);
  }

  #forgetFreed(): void {
    for (const plan of this.#plans) plan.forgetFreed();
    this.#prepared.forgetFreed();
  }

  /**
   * A stored value: where it is, but for one that may change and is not in the runtime's memory, which is copied there.
   */
  #stored(name: string): Tensor {
    const { tensor, role } = this.#graph.values!.get(name)!;
    if (role === 'frozen' || residentPtr(tensor, this.#runtime, 'planar') !== undefined) return tensor;
    return this.#prepared.get(JSON.stringify(['own', name]), [], () => ownCopy(this.#runtime, tensor)).tensor;
  }

  /** Address of a stored value in that layout: where it is, if it may change there, else of a copy. */
  #placeStored(name: string, layout: Layout): number {
    const tensor = this.#stored(name);
    const isFrozen = this.#graph.values!.get(name)!.role === 'frozen';
    const inPlace = isFrozen ? undefined : residentPtr(tensor, this.#runtime, layout);
    const key = JSON.stringify([layout, name]);
    return inPlace ?? this.#prepared.get(key, [tensor], () => copyOf(this.#runtime, tensor, layout)).allocation.ptr;
  }
}

/** A copy of a tensor's values, whoever owns the tensor. @throws OutOfMemoryError */
function copyOf(runtime: Runtime, tensor: Tensor, layout: Layout): Prepared {
  const { heap } = runtime;
  const { dims } = tensor;
  const allocation = heap.allocate(bytesOf(dims, layout));
  const fill = (): void => {
    const { data } = tensor;
    if (layout === 'planar') heap.floats(allocation.ptr, data.length).set(data);
    else withStaging(runtime, (stage) => convert(runtime, stage.floats(data), allocation.ptr, dims, layout));
  };
  return { allocation, fill };
}

/** The same in row-major order, as a tensor of its own. */
function ownCopy(runtime: Runtime, tensor: Tensor): Prepared & { readonly tensor: Tensor } {
  const copy = copyOf(runtime, tensor, 'planar');
  return { ...copy, tensor: residentTensor(runtime, copy.allocation, tensor.dims, 'planar') };
}
