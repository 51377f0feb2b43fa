/**
 * What passes share. A pass takes a Graph and returns another one of the same function, or the same object where it
 * finds nothing to do; it never changes the given one.
 */
import type { Graph, GraphNode, Pair, StoredValue, WeightedNode } from '../graph/graph.js';
import { Names } from '../graph/names.js';
import type { KnownShapes } from '../graph/shapes.js';
import type { Tensor } from '../tensor.js';
import type { ExactValues } from './exactValues.js';

export type Pass = (graph: Graph, context: PassContext) => Graph;

export interface PassContext {
  readonly values: ExactValues;
  readonly merges: MergeLog;
  /** What is known of the shapes of a graph's values, inferred once while passes look at the same graph. */
  readonly shapesOf: (graph: Graph) => KnownShapes;
}

export interface Merge {
  /** Terms of the sum that became one convolution; the result of an earlier merge counts as all of its terms. */
  readonly branches: number;
  /** [height, width] */
  readonly kernel: Pair;
}

/** Records which values are convolutions that several branches were merged into. */
export class MergeLog {
  readonly #merges = new Map<string, Merge>();

  get(output: string): Merge | undefined {
    return this.#merges.get(output);
  }

  set(output: string, merge: Merge): void {
    this.#merges.set(output, merge);
  }

  delete(output: string): void {
    this.#merges.delete(output);
  }

  /** The convolution has absorbed what followed it, and now produces another value. */
  move(from: string, to: string): void {
    const merge = this.#merges.get(from);
    if (merge === undefined || from === to) return;
    this.#merges.delete(from);
    this.#merges.set(to, merge);
  }
}

/** The stored values of a graph, and those that a pass adds to them. */
export class PassValues {
  readonly #graph: Graph;
  readonly #values: Map<string, StoredValue>;
  #names: Names | undefined;

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#values = new Map(graph.values);
  }

  /** undefined if there is none, or if it may change and so must not become part of another value. */
  frozen(name: string | undefined): Tensor | undefined {
    const value = this.#values.get(name!);
    return value?.role === 'frozen' ? value.tensor : undefined;
  }

  /** Weight and bias of a node; undefined if they may change. */
  parameters({ inputs }: WeightedNode): { weight: Tensor; bias: Tensor | undefined } | undefined {
    const [weight, bias] = [this.frozen(inputs[1]), this.frozen(inputs[2])];
    return weight === undefined || (bias === undefined) !== (inputs[2] === undefined) ? undefined : { weight, bias };
  }

  /** @returns the name to read it by: `base`, or a variant of it */
  add(base: string, tensor: Tensor): string {
    const name = this.newName(base);
    this.#values.set(name, { tensor, role: 'frozen' });
    return name;
  }

  /** @returns the names to read them by */
  addParameters(owner: string, weight: Tensor, bias: Tensor | undefined): [weight: string, bias: string | undefined] {
    return [this.add(`${owner}.weight`, weight), bias && this.add(`${owner}.bias`, bias)];
  }

  /** A name that no value of the graph has, nor any that the pass has made. */
  newName(base: string): string {
    this.#names ??= namesOf(this.#graph);
    return this.#names.derive(base);
  }

  /** The graph with other nodes, and with what was added. */
  graphOf(nodes: readonly GraphNode[]): Graph {
    return { ...this.#graph, nodes, values: this.#values };
  }
}

function namesOf({ inputs, values, nodes }: Graph): Names {
  const names = new Names();
  for (const name of [...inputs, ...(values?.keys() ?? []), ...nodes.flatMap(({ outputs }) => outputs)])
    names.add(name);
  return names;
}

/** Node by the name of each of its outputs. */
export function producers(nodes: readonly GraphNode[]): Map<string, GraphNode> {
  return new Map(nodes.flatMap((node) => node.outputs.map((output) => [output, node])));
}
