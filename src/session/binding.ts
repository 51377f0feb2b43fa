/**
 * From a Model to what runs. A model whose parameters are inputs becomes a Graph anew whenever their values change, one
 * that computes with sizes which its file does not state whenever those of its inputs do.
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
import { sameDims } from '../sizes.js';
import type { Tensor } from '../tensor.js';
import type { Model } from './source.js';

/** A graph that is ready to run. */
export interface Bound {
  readonly graph: Graph;
  readonly executable: Executable;
}

type FeedDims = ReadonlyMap<string, readonly number[]>;

interface Current extends Bound {
  readonly values: ReadonlyMap<string, Tensor>;
  /** Of inputs, where they decide what the graph is. */
  readonly dims: FeedDims;
}

export class Binding {
  readonly #runtime: Runtime;
  readonly #model: Model;
  readonly #build: Model['build'];
  #current: Current | undefined;

  /** @param build makes the graph of the model for values of its parameters, and the dims of its inputs */
  constructor(runtime: Runtime, model: Model, build: Model['build']) {
    this.#runtime = runtime;
    this.#model = model;
    this.#build = build;
  }

  /**
   * What runs with these values of the parameters; the same as before while they stay the same.
   * @throws FormatError, UnsupportedError when the model makes no sense with them; the previous one stays
   */
  bind(feeds: Readonly<Record<string, Tensor>>): Bound {
    const current = this.#current;
    if (current !== undefined && isFor(current, feeds)) return current;
    const values = new Map(this.#model.parameters.map((name) => [name, copyToHost(feeds[name]!)]));
    const dims = new Map(
      Object.entries(this.#model.bindsDims ? feeds : {}).map(([name, tensor]) => [name, tensor.dims]),
    );
    const graph = this.#build(values, dims);
    const executable = new Executable(this.#runtime, graph);
    this.dispose();
    this.#current = { graph, executable, values, dims };
    return this.#current;
  }

  dispose(): void {
    this.#current?.executable.dispose();
    this.#current = undefined;
  }
}

function isFor({ values, dims }: Current, feeds: Readonly<Record<string, Tensor>>): boolean {
  return (
    [...values].every(([name, value]) => isSame(value, feeds[name]!)) &&
    [...dims].every(([name, of]) => sameDims(of, feeds[name]!.dims))
  );
}

function isSame(a: Tensor, b: Tensor): boolean {
  if (a.dims.length !== b.dims.length || !a.dims.every((dim, axis) => dim === b.dims[axis])) return false;
  const [before, now] = [a.data, b.data];
  return before.every((value, i) => Object.is(value, now[i]));
}
