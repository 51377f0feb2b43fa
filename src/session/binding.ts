/**
 * Turns a Model into what runs. If its parameters are inputs, the Graph is rebuilt whenever their values change.
 *
 * They are not ordinary inputs of each run, since they may decide what the Graph is (a shape, an axis, a bound, a scale
 * become dims and attributes), and since what passes make of a weight holds for its values only (branches merge if the
 * result is finite; a Graph with weights that may change keeps its branches). So the Graph follows from the values, and
 * while they stay the same, a run only compares them.
 */

import type { Graph } from '../graph/graph.js';
import { Executable } from '../plan/executable.js';
import { copyToHost } from '../residentTensor.js';
import type { Runtime } from '../runtime/runtime.js';
import type { Tensor } from '../tensor.js';

/** A graph that is ready to run. */
export interface Bound {
  readonly graph: Graph;
  readonly executable: Executable;
}

export class Binding {
  readonly #runtime: Runtime;
  readonly #parameters: readonly string[];
  readonly #build: (bound: ReadonlyMap<string, Tensor>) => Graph;
  #current: (Bound & { readonly values: ReadonlyMap<string, Tensor> }) | undefined;

  /** @param build makes the graph for values of the parameters */
  constructor(runtime: Runtime, parameters: readonly string[], build: (bound: ReadonlyMap<string, Tensor>) => Graph) {
    this.#runtime = runtime;
    this.#parameters = parameters;
    this.#build = build;
  }

  /**
   * What runs with these values of the parameters; the same as before while they stay the same.
   * @throws FormatError, UnsupportedError when the model makes no sense with them; the previous one stays
   */
  bind(feeds: Readonly<Record<string, Tensor>>): Bound {
    const current = this.#current;
    if (current !== undefined && [...current.values].every(([name, value]) => isSame(value, feeds[name]!))) {
      return current;
    }
    const values = new Map(this.#parameters.map((name) => [name, copyToHost(feeds[name]!)]));
    const graph = this.#build(values);
    const executable = new Executable(this.#runtime, graph);
    this.dispose();
    this.#current = { graph, executable, values };
    return this.#current;
  }

  dispose(): void {
    this.#current?.executable.dispose();
    this.#current = undefined;
  }
}

function isSame(a: Tensor, b: Tensor): boolean {
  if (a.dims.length !== b.dims.length || !a.dims.every((dim, axis) => dim === b.dims[axis])) return false;
  const [before, now] = [a.data, b.data];
  return before.every((value, i) => Object.is(value, now[i]));
}
