/**
 * What all layers have in common. A layer describes itself to a Graph; `forward` runs that graph through the one
 * executor. State is loaded and read under PyTorch's names.
 */

import { GraphBuilder } from '../graph/graph.js';
import { Executable } from '../plan/executable.js';
import { runtimeOf } from '../residentTensor.js';
import { Runtime } from '../runtime/runtime.js';
import { show, showDims, showList, showName } from '../shown.js';
import { sameDims } from '../sizes.js';
import { type StateDict, Tensor } from '../tensor.js';
import { type ParameterSpec, Parameters, parameterView, writeParameter } from './parameters.js';

/** Graphs and the like that a layer keeps; the least recently used goes first. */
const MAX_KEPT = 4;

export abstract class Layer {
  readonly runtime: Runtime;
  /** What a copy is constructed with; arrays in it are copies, not the caller's. @internal */
  readonly options: object | undefined;
  /** Own parameters and statistics. @internal */
  parameters: Parameters;
  /**
   * Counts changes to the structure (mode, form) of any layer, so that a later change has a larger number. Changes of
   * values do not count.
   */
  static #changes = 0;
  #changedAt = 0;
  #training = true;
  #disposed = false;
  /** What `keep` keeps, most recently used last, and the change of structure that it was all made after. */
  readonly #kept = new Map<string, { dispose(): void }>();
  #keptSince = 0;
  /** The last change of any layer when this one last checked: visiting all inner ones took 5 % of a small network. */
  #checkedAt = 0;

  /** @param options those that the layer was given, if it takes any: a copy is constructed with them */
  constructor(runtime: Runtime, specs: readonly ParameterSpec[] = [], options?: object) {
    if (!(runtime instanceof Runtime)) {
      throw new TypeError(`${this.kind}: runtime must come from createRuntime, got ${show(runtime)}`);
    }
    this.runtime = runtime;
    this.options = structuredClone(options);
    this.parameters = new Parameters(runtime, specs);
  }

  /** Whether BatchNorms use batch statistics (and update the running ones) or running statistics. Initially true. */
  get training(): boolean {
    return this.#training;
  }

  /** Class name, for messages. Written out, since minifiers rename classes. @internal */
  get kind(): string {
    return 'Layer';
  }

  /** Fewest and most inputs that `forward` takes. @internal */
  get inputCounts(): readonly [number, number] {
    return [1, 1];
  }

  /** Adds this layer's nodes to a graph; returns the name of its output. @internal */
  abstract describe(graph: GraphBuilder, inputs: readonly string[], path: string): string;

  /** Stores a parameter in a graph; returns the name to read it by, its key in the state dict. @internal */
  protected store(graph: GraphBuilder, path: string, name: string): string {
    const { parameters } = this;
    return graph.store(path === '' ? name : `${path}.${name}`, parameters.get(name), parameters.role(name));
  }

  /** `store` for an optional parameter, undefined if there is none. @internal */
  protected storeOptional(graph: GraphBuilder, path: string, name: string): string | undefined {
    return this.parameters.find(name) && this.store(graph, path, name);
  }

  /** `describe`, checked. @internal */
  addTo(graph: GraphBuilder, inputs: readonly string[], path: string): string {
    this.assertUsable('forward');
    const [least, most] = this.inputCounts;
    if (inputs.length < least || inputs.length > most) {
      const expected = least === most ? `${least} input` : `at least ${least} inputs`;
      const where = path === '' ? '' : ` (${showName(path)})`;
      throw new TypeError(`${this.kind}.forward${where}: there must be ${expected}, got ${inputs.length}`);
    }
    return this.describe(graph, inputs, path);
  }

  /** Inner layers by name. @internal */
  children(): readonly (readonly [string, Layer])[] {
    return [];
  }

  /**
   * A layer like this one with memory of its own: the same options, parameters, statistics and mode.
   * @param children the inner layers of the copy, which owns them
   * @internal
   */
  copyWith(_children: readonly (readonly [string, Layer])[]): Layer {
    const Same = this.constructor as new (runtime: Runtime, options?: object) => Layer;
    return this.giveStateTo(new Same(this.runtime, this.options));
  }

  /** Copies its own parameters, statistics and mode to a layer of the same kind; returns that one. @internal */
  protected giveStateTo<T extends Layer>(other: T): T {
    for (const name of this.parameters.names()) {
      writeParameter(other.parameters.get(name), parameterView(this.parameters.get(name)));
    }
    other.#training = this.#training;
    return other;
  }

  /**
   * Computes the layer.
   * @param inputs float32 [N, C, H, W] (or [N, features]), in JavaScript's memory or resident
   * @returns a new resident tensor, which the caller disposes of
   * @throws TypeError, RangeError when an input does not fit; OutOfMemoryError; ThreadError when a worker thread has
   * died. The layer is unchanged then.
   */
  forward(...inputs: Tensor[]): Tensor {
    this.assertUsable('forward');
    this.#checkInputs(inputs);
    return this.keep(`forward ${inputs.length}`, () => this.#executableOf(inputs.length)).run(inputs)[0]!;
  }

  /** Training mode, for this layer and those in it. */
  train(): this {
    return this.#setTraining(true, 'train');
  }

  /** Evaluation mode, for this layer and those in it. */
  eval(): this {
    return this.#setTraining(false, 'eval');
  }

  /** Parameters and statistics as new tensors, each name behind `prefix` (`'stem.conv1.'`, say). */
  stateDict(prefix = ''): StateDict {
    const state: StateDict = {};
    for (const [name, tensor] of this.#allParameters('stateDict')) {
      state[prefix + name] = new Tensor('float32', tensor.data, tensor.dims);
    }
    return state;
  }

  /**
   * Takes parameters and statistics from the entries whose names start with `prefix`. PyTorch's `num_batches_tracked`
   * is ignored.
   * @throws RangeError naming missing and surplus keys, or the key whose shape is wrong; nothing is loaded then
   */
  loadStateDict(state: StateDict, prefix = ''): this {
    if (typeof state !== 'object' || state === null) {
      throw new TypeError(`${this.kind}.loadStateDict: state must be an object of tensors, got ${show(state)}`);
    }
    const targets = new Map(this.#allParameters('loadStateDict').map(([name, tensor]) => [prefix + name, tensor]));
    this.#checkKeys(
      targets,
      Object.keys(state).filter((key) => key.startsWith(prefix)),
    );
    const values = [...targets].map(([key, target]) => [target, this.#checkEntry(key, state[key], target)] as const);
    for (const [target, data] of values) writeParameter(target, data);
    return this;
  }

  /**
   * Merges every Asymmetric Convolution Block in this layer into one convolution, exactly. A second call changes
   * nothing.
   * @throws OutOfMemoryError; no block is merged then
   */
  switchToDeploy(): this {
    this.assertUsable('switchToDeploy');
    const merges = this.runtime.heap.undoOnError(() => this.prepareDeploy());
    for (const merge of merges) merge();
    return this;
  }

  /** Does all of `switchToDeploy` that can fail; returns what is left to do. @internal */
  protected prepareDeploy(): (() => void)[] {
    return this.children().flatMap(([, child]) => child.prepareDeploy());
  }

  /** Frees the memory, including that of inner layers; the layer cannot be used afterwards. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#restructured();
    if (this.runtime.isDisposed) return;
    this.#dropKept();
    this.parameters.dispose();
    for (const [, child] of this.children()) child.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @throws TypeError when the layer or its runtime is disposed. @internal */
  assertUsable(method: string): void {
    if (this.#disposed) throw new TypeError(`${this.kind}.${method}: this layer is disposed`);
    if (this.runtime.isDisposed) throw new TypeError(`${this.kind}.${method}: the layer's runtime is disposed`);
  }

  /** To be called when the layer's description has changed. */
  #restructured(): void {
    this.#changedAt = ++Layer.#changes;
  }

  /** Replaces the parameters. @internal */
  protected replaceParameters(parameters: Parameters): void {
    this.parameters.dispose();
    this.parameters = parameters;
    this.#restructured();
  }

  #setTraining(training: boolean, method: string): this {
    this.assertUsable(method);
    if (this.#training !== training) this.#restructured();
    this.#training = training;
    for (const [, child] of this.children()) child.#setTraining(training, method);
    return this;
  }

  #checkInputs(inputs: readonly Tensor[]): void {
    for (const input of inputs) {
      if (!(input instanceof Tensor)) {
        throw new TypeError(`${this.kind}.forward: input must be a Tensor, got ${show(input)}`);
      }
      if (Tensor.isDisposed(input)) throw new TypeError(`${this.kind}.forward: input is a disposed tensor`);
      const home = runtimeOf(input);
      if (home !== undefined && home !== this.runtime) {
        throw new RangeError(`${this.kind}.forward: input is resident in another runtime than this layer's`);
      }
    }
  }

  /**
   * What was made under a key, kept until the structure changes or the layer is disposed of; only a few are kept.
   * @internal
   */
  keep<T extends { dispose(): void }>(key: string, make: () => T): T {
    if (this.#checkedAt !== Layer.#changes) this.#dropOutdated();
    const one = (this.#kept.get(key) as T | undefined) ?? make();
    this.#kept.delete(key);
    this.#kept.set(key, one);
    if (this.#kept.size > MAX_KEPT) {
      const [[oldest, unused]] = this.#kept as unknown as [[string, T]];
      unused.dispose();
      this.#kept.delete(oldest);
    }
    return one;
  }

  #executableOf(inputCount: number): Executable {
    const graph = new GraphBuilder();
    const inputs = Array.from({ length: inputCount }, (_, i) => `input${i}`);
    const output = this.addTo(graph, inputs, '');
    return new Executable(this.runtime, graph.finish(inputs, [output]));
  }

  /** The last change of structure of this layer or of one in it. */
  #lastChange(): number {
    return this.children().reduce((last, [, child]) => Math.max(last, child.#lastChange()), this.#changedAt);
  }

  #dropOutdated(): void {
    const lastChange = this.#lastChange();
    if (this.#keptSince !== lastChange) this.#dropKept();
    this.#keptSince = lastChange;
    this.#checkedAt = Layer.#changes;
  }

  #dropKept(): void {
    for (const one of this.#kept.values()) one.dispose();
    this.#kept.clear();
  }

  #allParameters(method: string): (readonly [string, Tensor])[] {
    this.assertUsable(method);
    const own = this.parameters.names().map((name) => [name, this.parameters.get(name)] as const);
    const inner = this.children().flatMap(([name, child]) =>
      child.#allParameters(method).map(([key, tensor]) => [`${name}.${key}`, tensor] as const),
    );
    return [...own, ...inner];
  }

  #checkKeys(targets: ReadonlyMap<string, Tensor>, keys: readonly string[]): void {
    const present = new Set(keys);
    const missing = [...targets.keys()].filter((key) => !present.has(key));
    const surplus = keys.filter((key) => !targets.has(key) && !key.endsWith('num_batches_tracked'));
    if (missing.length === 0 && surplus.length === 0) return;
    const hint = missing.some((key) => key.includes('fused_conv'))
      ? '; fuseStateDict turns a train-form state into this one'
      : '';
    throw new RangeError(
      `${this.kind}.loadStateDict: state must have the keys of this layer; missing: ${showList(missing) || 'none'}; surplus: ${showList(surplus) || 'none'}${hint}`,
    );
  }

  #checkEntry(key: string, value: Tensor | undefined, target: Tensor): Float32Array {
    if (!(value instanceof Tensor)) {
      throw new TypeError(`${this.kind}.loadStateDict: ${showName(key)} must be a Tensor, got ${show(value)}`);
    }
    if (!sameDims(value.dims, target.dims)) {
      throw new RangeError(
        `${this.kind}.loadStateDict: ${showName(key)} must have dims ${showDims(target.dims)}, got ${showDims(value.dims)}`,
      );
    }
    return value.data;
  }
}
