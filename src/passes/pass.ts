/**
 * What passes share. A pass takes a Graph and returns another one of the same function, or the same object where it
 * finds nothing to do; it never changes the one that it is given.
 */
import type { Graph, Node, Pair } from '../graph/graph.js';
import type { ExactValues } from './exactValues.js';

export type Pass = (graph: Graph, context: PassContext) => Graph;

export interface PassContext {
  readonly values: ExactValues;
  readonly merges: MergeLog;
}

export interface Merge {
  /** Terms of the sum that became one convolution; what came of an earlier merge counts as often as it did there. */
  readonly branches: number;
  /** [height, width] */
  readonly kernel: Pair;
}

/** Which values are convolutions that several branches were merged into. */
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

  /** The convolution gives another value now, since what followed it is part of it. */
  move(from: string, to: string): void {
    const merge = this.#merges.get(from);
    if (merge === undefined || from === to) return;
    this.#merges.delete(from);
    this.#merges.set(to, merge);
  }
}

/** Node by the name of its output. */
export function producers(nodes: readonly Node[]): Map<string, Node> {
  return new Map(nodes.map((node) => [node.output, node]));
}
