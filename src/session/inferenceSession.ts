/** Runs a whole network under the names of its inputs and outputs, in onnxruntime-web's manner. */
import { OutOfMemoryError, ThreadError, UnsupportedError } from '../errors.js';
import type { Graph } from '../graph/graph.js';
import { Layer } from '../layers/layer.js';
import { checkNames } from '../options.js';
import { reparameterize as reparameterizeGraph } from '../passes/reparameterize.js';
import { createRuntime, type Runtime } from '../runtime/runtime.js';
import { settlesWithin } from '../runtime/settlesWithin.js';
import { END_MILLISECONDS } from '../runtime/threads.js';
import { show, showList } from '../shown.js';
import { Tensor } from '../tensor.js';
import { Binding, type Bound } from './binding.js';
import { checkFeeds, copyFeeds, declaredDims, explainDims, type Feeds, hasFixedDims, zeroFeeds } from './feeds.js';
import type { TensorMetadata } from './metadata.js';
import { checkOptions, type InferenceSessionOptions } from './options.js';
import { type StepTime, StepTimer } from './profile.js';
import { Progress } from './progress.js';
import { type Model, type ModelSource, readSource } from './source.js';

/** A ResNet of a thousand layers that are Asymmetric Convolution Blocks has 9,000 before they are merged. */
const MAX_NODES = 10_000;
/** Default number of runs of `profile`. */
const PROFILED_RUNS = 10;
/** How long a run waits for memory that a worker thread may still be writing to. */
const MAX_WAIT_MILLISECONDS = 30_000;

/**
 * A network made ready to run, on one runtime.
 *
 * Sessions are used as onnxruntime-web's are, and a script for its `wasm` backend runs with the import of this package
 * if it makes tensors as `new Tensor('float32', data, dims)`. There is no `env`: its settings belong to a runtime here.
 * @example
 * const session = await InferenceSession.create('model.onnx');
 * const { logits } = await session.run({ image: new Tensor('float32', pixels, [1, 3, 32, 32]) });
 * console.log(logits.data);
 * await session.release();
 */
export class InferenceSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** Metadata of the inputs, in the order of `inputNames`. */
  readonly inputMetadata: readonly TensorMetadata[];
  readonly outputMetadata: readonly TensorMetadata[];
  /** Whether what runs is decided by what it is given. */
  readonly #dependsOnFeeds: boolean;
  readonly #runtime: Runtime;
  readonly #ownsRuntime: boolean;
  #binding: Binding | undefined;

  private constructor(model: Model, merges: boolean, runtime: Runtime, ownsRuntime: boolean) {
    this.#runtime = runtime;
    this.#ownsRuntime = ownsRuntime;
    const { inputs, outputs } = model.metadata;
    this.inputMetadata = Object.freeze([...inputs]);
    // By name there is one of each, however often the graph lists it.
    this.outputMetadata = Object.freeze([...new Map(outputs.map((output) => [output.name, output])).values()]);
    this.inputNames = Object.freeze(inputs.map(({ name }) => name));
    this.outputNames = Object.freeze(this.outputMetadata.map(({ name }) => name));
    this.#dependsOnFeeds = model.parameters.length > 0 || model.bindsDims;
    this.#binding = new Binding(runtime, model, (bound, dims) => {
      const graph: Graph = { ...model.build(bound, dims), outputs: this.outputNames };
      checkNodes(graph);
      return merges ? reparameterizeGraph(graph).graph : graph;
    });
  }

  /**
   * Reads a model, merges its branches, and packs its weights for the dims that it declares (a batch of 1 where that
   * may vary). Takes the options of onnxruntime-web's sessions too; those do nothing.
   * @param source an ONNX file's bytes, its URL or path, a Graph, or a layer in evaluation mode; the session does not
   * need the last two afterwards
   * @throws FormatError, UnsupportedError for files that cannot be read; TypeError, RangeError for wrong arguments;
   * OutOfMemoryError; Error naming a URL that cannot be loaded; the signal's reason. Nothing stays allocated then.
   * @example
   * const session = await InferenceSession.create(new URL('model.onnx', import.meta.url), {
   *   onProgress: ({ phase, loaded, total }) => console.log(phase, loaded, total),
   *   signal: AbortSignal.timeout(60_000),
   * });
   */
  static async create(source: ModelSource, options: InferenceSessionOptions = {}): Promise<InferenceSession> {
    const { runtime, reparameterize, externalData, onProgress, signal } = checkOptions(options);
    const progress = new Progress(onProgress, signal);
    progress.throwIfAborted();
    const model = await readSource(source, externalData, progress);
    const given = runtime ?? (source instanceof Layer ? source.runtime : undefined);
    const session = new InferenceSession(model, reparameterize, given ?? (await createRuntime()), given === undefined);
    try {
      progress.throwIfAborted();
      await session.#prepare(progress, reparameterize);
    } catch (error) {
      await session.release();
      throw error;
    }
    return session;
  }

  /**
   * Computes all outputs, or those that are named; starts again if a worker thread dies or stalls.
   * @param feeds a tensor for each input name, in JavaScript's memory or resident; whole numbers where a model wants
   * integers. If weights, shapes or axes are inputs, the session plans anew when their values change.
   * @returns tensors in JavaScript's memory by output name
   * @throws TypeError, RangeError when the feeds are not what the graph takes; OutOfMemoryError. The session is
   * unchanged then.
   */
  async run(feeds: Feeds, fetches?: readonly string[]): Promise<Record<string, Tensor>> {
    for (let again = feeds; ; ) {
      try {
        return this.runSync(again, fetches);
      } catch (error) {
        const end = this.#endOfWorkers(error);
        if (end === undefined) throw error;
        // The caller may change or dispose of its feeds while this waits.
        if (again === feeds) again = copyFeeds(feeds);
        await end;
      }
    }
  }

  /** `run` without a promise. @throws as `run`, and ThreadError */
  runSync(feeds: Feeds, fetches?: readonly string[]): Record<string, Tensor> {
    const names = this.#checkFetches(fetches);
    const outputs = this.runResident(feeds);
    try {
      const toHost = (tensor: Tensor): Tensor => new Tensor('float32', tensor.data, tensor.dims);
      return Object.fromEntries(names.map((name) => [name, toHost(outputs[name]!)]));
    } finally {
      for (const output of Object.values(outputs)) output.dispose();
    }
  }

  /** All outputs where the executor leaves them, in the runtime's memory. @internal */
  runResident(feeds: Feeds): Record<string, Tensor> {
    const bound = this.#bind(feeds);
    const outputs = this.#during(feeds, () => bound.executable.run(inputsOf(bound, feeds)));
    return Object.fromEntries(this.outputNames.map((name, i) => [name, outputs[i]!]));
  }

  /**
   * Runs several times and tells how long each step takes. Blocks the thread meanwhile.
   * @param feeds as for `run`; without any, zeros of the input's declared dims, a batch of 1 where that may vary
   * @returns the steps in the order in which they run
   * @throws as `runSync`; RangeError where dims other than the batch are not declared, and so feeds are needed
   * @example
   * for (const { path, op, milliseconds } of session.profile({ image }, { runs: 20 })) console.log(path, op, milliseconds);
   */
  profile(feeds?: Feeds, options: { runs?: number } = {}): StepTime[] {
    checkNames('InferenceSession.profile', options, ['runs']);
    const { runs = PROFILED_RUNS } = options;
    if (!Number.isSafeInteger(runs) || runs < 1) {
      throw new RangeError(`InferenceSession.profile: runs must be a whole number of at least 1, got ${show(runs)}`);
    }
    const given = feeds ?? this.#zeroFeeds();
    const bound = this.#bind(given);
    const inputs = inputsOf(bound, given);
    const timer = new StepTimer();
    const run = (onStep?: StepTimer['add']): void => {
      for (const tensor of bound.executable.run(inputs, onStep)) tensor.dispose();
    };
    // The first run makes the plan.
    this.#during(given, run);
    for (let i = 0; i < runs; i++) {
      timer.startRun();
      run((step, milliseconds) => timer.add(step, milliseconds));
    }
    return timer.summary();
  }

  /** Frees the memory; the session cannot be used afterwards. A second call does nothing. */
  async release(): Promise<void> {
    if (this.#binding === undefined) return;
    if (!this.#runtime.isDisposed) this.#binding.dispose();
    this.#binding = undefined;
    if (this.#ownsRuntime) this.#runtime.dispose();
  }

  /** Does the first run's preparations now, as far as the model determines them. */
  async #prepare(progress: Progress, merges: boolean): Promise<void> {
    if (this.#dependsOnFeeds) return;
    const bind = (): Bound => this.#usable().bind({});
    const { graph, executable } = merges ? await progress.during('merge', bind) : bind();
    const dims = declaredDims(graph);
    if (dims === undefined) return;
    await progress.during('plan', () => {
      try {
        executable.prepare(dims);
      } catch (error) {
        // A variable batch need not allow 1.
        if (!(error instanceof RangeError) || hasFixedDims(graph)) throw error;
      }
    });
    progress.throwIfAborted();
  }

  /** What to wait for before a failed call is repeated; undefined if repeating cannot help. */
  #endOfWorkers(error: unknown): Promise<void> | undefined {
    // A short wait: another run takes other memory, so the end of the workers only saves memory.
    if (error instanceof ThreadError) return settlesWithin(error.workersGone, END_MILLISECONDS).then(() => {});
    const until = error instanceof OutOfMemoryError ? this.#runtime.heap.withheldUntil : undefined;
    return (
      until &&
      settlesWithin(until, MAX_WAIT_MILLISECONDS).then((isFree) => {
        if (!isFree) throw error;
      })
    );
  }

  #usable(): Binding {
    if (this.#binding === undefined) throw new TypeError('InferenceSession.run: this session is released');
    if (this.#runtime.isDisposed) throw new TypeError("InferenceSession.run: the session's runtime is disposed");
    return this.#binding;
  }

  #bind(feeds: Feeds): Bound {
    const binding = this.#usable();
    checkFeeds(feeds, this.inputNames, this.#runtime);
    return this.#during(feeds, () => binding.bind(feeds));
  }

  /** If dims do not fit and an input has others than the model declares, the error names that input. */
  #during<T>(feeds: Feeds, work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw error instanceof RangeError ? explainDims(error, feeds, this.inputMetadata) : error;
    }
  }

  #zeroFeeds(): Feeds {
    const bound = this.#dependsOnFeeds ? undefined : this.#usable().bind({});
    const dims = bound && declaredDims(bound.graph);
    if (dims === undefined) {
      const names = showList(this.inputNames);
      throw new RangeError(
        `InferenceSession.profile: feeds must be given for ${names}, as the model does not declare the dims of all`,
      );
    }
    return zeroFeeds(bound!.graph, dims);
  }

  /** Anything but a list is taken for onnxruntime-web's run options. */
  #checkFetches(fetches: readonly string[] | undefined): readonly string[] {
    if (!Array.isArray(fetches)) return this.outputNames;
    const unknown = fetches.find((name) => !this.outputNames.includes(name));
    if (unknown === undefined) return fetches;
    throw new RangeError(
      `InferenceSession.run: there is no output ${showList([unknown])}; the outputs are ${showList(this.outputNames)}`,
    );
  }
}

/** Preparing a node takes some 50 microseconds and 5 kB. */
function checkNodes({ nodes }: Graph): void {
  if (nodes.length <= MAX_NODES) return;
  throw new UnsupportedError(
    `InferenceSession.create: the graph must have at most ${MAX_NODES} nodes, got ${nodes.length}`,
  );
}

function inputsOf({ graph }: Bound, feeds: Feeds): Tensor[] {
  return graph.inputs.map((name) => feeds[name]!);
}
