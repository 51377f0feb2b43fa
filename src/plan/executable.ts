/**
 * The one executor. Takes a Graph, fuses it, packs its parameters once, and keeps a Plan for each of the input shapes
 * it met last.
 */
import type { Conv2dNode, Graph, LinearNode } from '../graph/graph.js';
import { fuse } from '../passes/fuse.js';
import type { Runtime } from '../runtime/runtime.js';
import type { Tensor } from '../tensor.js';
import type { Algorithm } from './algorithm.js';
import { Plan } from './plan.js';
import { type PackedWeights, packFilters } from './weights.js';

/** Plans kept; the one not used for longest goes first. */
const MOST_PLANS = 8;

export class Executable {
  readonly #runtime: Runtime;
  readonly #graph: Graph;
  /** The one used last first. */
  #plans: Plan[] = [];
  readonly #packed = new Map<Conv2dNode | LinearNode, Map<Algorithm, PackedWeights>>();

  constructor(runtime: Runtime, graph: Graph) {
    this.#runtime = runtime;
    this.#graph = fuse(graph);
  }

  get inputCount(): number {
    return this.#graph.inputs.length;
  }

  /**
   * @param inputs of this runtime or in JavaScript's memory
   * @returns new resident tensors
   * @throws RangeError when shapes do not fit, OutOfMemoryError; nothing has changed then
   */
  run(inputs: readonly Tensor[]): Tensor[] {
    const { heap } = this.#runtime;
    try {
      return heap.undoOnError(() => {
        const plan = this.#plans.find((known) => known.fits(inputs)) ?? this.#makePlan(inputs.map(({ dims }) => dims));
        const resident = inputs.map((tensor) => tensor.to(this.#runtime));
        const outputs = plan.run(resident);
        resident.forEach((tensor, i) => {
          if (tensor !== inputs[i]) tensor.dispose();
        });
        this.#keep(plan);
        return outputs;
      });
    } catch (error) {
      this.#forgetFreed();
      throw error;
    }
  }

  dispose(): void {
    for (const plan of this.#plans) plan.dispose();
    for (const ofNode of this.#packed.values()) {
      for (const { allocation } of ofNode.values()) allocation.free();
    }
    this.#plans = [];
    this.#packed.clear();
  }

  #makePlan(inputDims: readonly (readonly number[])[]): Plan {
    return new Plan(this.#runtime, this.#graph, inputDims, (node, algorithm) => this.#pack(node, algorithm));
  }

  /** Puts the plan where what was used last is, and lets go of the oldest. */
  #keep(plan: Plan): void {
    if (this.#plans[0] === plan) return;
    this.#plans = [plan, ...this.#plans.filter((other) => other !== plan)];
    if (this.#plans.length > MOST_PLANS) this.#plans.pop()!.dispose();
  }

  #forgetFreed(): void {
    for (const plan of this.#plans) plan.forgetFreed();
    for (const ofNode of this.#packed.values()) {
      for (const [algorithm, { allocation }] of ofNode) if (allocation.isFree) ofNode.delete(algorithm);
    }
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
