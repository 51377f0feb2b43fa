/**
 * The one executor. Takes a Graph, fuses it, packs its parameters once, and keeps a Plan for each of the input shapes
 * it met last.
 */
import type { Conv2dNode, Graph, LinearNode } from '../graph/graph.js';
import { fuse } from '../passes/fuse.js';
import type { Runtime } from '../runtime/runtime.js';
import { format, type Tensor } from '../tensor.js';
import { Plan } from './plan.js';
import { type PackedWeights, packFilters } from './weights.js';

/** Plans kept; the one not used for longest goes first. */
const MOST_PLANS = 8;

export class Executable {
  readonly #runtime: Runtime;
  readonly #graph: Graph;
  readonly #plans = new Map<string, Plan>();
  readonly #packed = new Map<Conv2dNode | LinearNode, PackedWeights>();

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
    const plan = this.#plan(inputs.map((tensor) => tensor.dims));
    const resident: Tensor[] = [];
    try {
      for (const tensor of inputs) resident.push(tensor.to(this.#runtime));
      return plan.run(resident);
    } finally {
      resident.forEach((tensor, i) => {
        if (tensor !== inputs[i]) tensor.dispose();
      });
    }
  }

  dispose(): void {
    for (const plan of this.#plans.values()) plan.dispose();
    for (const { allocation } of this.#packed.values()) allocation.free();
    this.#plans.clear();
    this.#packed.clear();
  }

  #plan(inputDims: readonly (readonly number[])[]): Plan {
    const key = inputDims.map(format).join();
    let plan = this.#plans.get(key);
    if (plan === undefined) {
      plan = new Plan(this.#runtime, this.#graph, inputDims, (node) => this.#pack(node));
      const [oldest] = this.#plans.keys();
      if (this.#plans.size >= MOST_PLANS) {
        this.#plans.get(oldest!)!.dispose();
        this.#plans.delete(oldest!);
      }
    } else {
      this.#plans.delete(key);
    }
    this.#plans.set(key, plan);
    return plan;
  }

  #pack(node: Conv2dNode | LinearNode): PackedWeights {
    let packed = this.#packed.get(node);
    if (packed === undefined) {
      const { norm, groups } = node.op === 'conv2d' ? node : { norm: undefined, groups: 1 };
      packed = packFilters(this.#runtime, { weight: node.weight, bias: node.bias, norm, groups });
      this.#packed.set(node, packed);
    }
    return packed;
  }
}
