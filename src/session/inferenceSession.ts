/** Runs a whole graph under the names of its inputs and outputs, in onnxruntime-web's manner. */
import type { Graph } from '../graph/graph.js';
import { checkGraph } from '../graph/validate.js';
import { Executable } from '../plan/executable.js';
import { createRuntime, Runtime } from '../runtime/runtime.js';
import { runtimeOf, sizeOf, Tensor } from '../tensor.js';
import { type StepTime, StepTimer } from './profile.js';

export interface InferenceSessionOptions {
  /** Where to run; without one the session makes its own, which ends with it. */
  readonly runtime?: Runtime;
}

/** Runs of `profile` where none are asked for. */
const PROFILED_RUNS = 10;

/**
 * A graph made ready to run, on one runtime.
 * @example
 * const session = await InferenceSession.create(graph, { runtime });
 * const { logits } = session.runSync({ image });
 */
export class InferenceSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly #graph: Graph;
  readonly #runtime: Runtime;
  readonly #ownsRuntime: boolean;
  #executable: Executable | undefined;

  private constructor(graph: Graph, runtime: Runtime, ownsRuntime: boolean) {
    this.#graph = graph;
    this.#runtime = runtime;
    this.#ownsRuntime = ownsRuntime;
    this.inputNames = Object.freeze([...graph.inputs]);
    // By name there is one of each, however often the graph lists it.
    this.outputNames = Object.freeze([...new Set(graph.outputs)]);
    this.#executable = new Executable(runtime, { ...graph, outputs: this.outputNames });
  }

  /**
   * @throws TypeError when the runtime is none, RangeError when the graph reads what nothing makes
   */
  static async create(source: Graph, options: InferenceSessionOptions = {}): Promise<InferenceSession> {
    const { runtime } = options;
    if (runtime !== undefined && !(runtime instanceof Runtime)) {
      throw new TypeError(`InferenceSession.create: runtime must come from createRuntime, got ${String(runtime)}`);
    }
    if (runtime?.isDisposed) throw new TypeError('InferenceSession.create: the runtime is disposed');
    checkGraph(source);
    return new InferenceSession(source, runtime ?? (await createRuntime()), runtime === undefined);
  }

  /**
   * Computes all outputs.
   * @param feeds a tensor for each input name, in JavaScript's memory or resident
   * @returns new resident tensors by output name, which the caller disposes of
   * @throws TypeError, RangeError when the feeds are not what the graph takes; OutOfMemoryError
   */
  async run(feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    return this.runSync(feeds);
  }

  /** `run` without a promise. */
  runSync(feeds: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
    const executable = this.#usable();
    const outputs = executable.run(this.#inputsOf(feeds));
    return Object.fromEntries(this.outputNames.map((name, i) => [name, outputs[i]!]));
  }

  /**
   * Runs several times and tells what takes how long. The thread is kept meanwhile.
   * @param feeds as for `run`; without any, zeros of the input's declared dims, a batch of 1 where that may vary
   * @returns the steps in the order in which they run
   * @throws as `run`; RangeError where dims other than the batch are not declared, and so feeds are needed
   * @example
   * for (const { path, op, milliseconds } of session.profile({ image }, { runs: 20 })) console.log(path, op, milliseconds);
   */
  profile(feeds?: Readonly<Record<string, Tensor>>, options: { runs?: number } = {}): StepTime[] {
    const { runs = PROFILED_RUNS } = options;
    if (!Number.isSafeInteger(runs) || runs < 1) {
      throw new RangeError(`InferenceSession.profile: runs must be a whole number of at least 1, got ${String(runs)}`);
    }
    const executable = this.#usable();
    const inputs = this.#inputsOf(feeds ?? this.#zeroFeeds());
    const timer = new StepTimer();
    // The first run makes the plan.
    for (const tensor of executable.run(inputs)) tensor.dispose();
    for (let i = 0; i < runs; i++) {
      timer.startRun();
      for (const tensor of executable.run(inputs, (step, milliseconds) => timer.add(step, milliseconds)))
        tensor.dispose();
    }
    return timer.summary();
  }

  /** Gives the memory back; the session cannot be used any more. A second call does nothing. */
  async release(): Promise<void> {
    if (this.#executable === undefined) return;
    if (!this.#runtime.isDisposed) this.#executable.dispose();
    this.#executable = undefined;
    if (this.#ownsRuntime) this.#runtime.dispose();
  }

  #usable(): Executable {
    if (this.#executable === undefined) throw new TypeError('InferenceSession.run: this session is released');
    if (this.#runtime.isDisposed) throw new TypeError("InferenceSession.run: the session's runtime is disposed");
    return this.#executable;
  }

  #zeroFeeds(): Record<string, Tensor> {
    return Object.fromEntries(
      this.inputNames.map((name) => {
        const dims = declaredDims(this.#graph, name);
        if (dims === undefined) {
          throw new RangeError(`InferenceSession.profile: the dims of input ${name} are not declared, expected feeds`);
        }
        return [name, new Tensor('float32', new Float32Array(sizeOf(dims)), dims)];
      }),
    );
  }

  #inputsOf(feeds: Readonly<Record<string, Tensor>>): Tensor[] {
    if (typeof feeds !== 'object' || feeds === null) {
      throw new TypeError(`InferenceSession.run: feeds must be an object of tensors, got ${String(feeds)}`);
    }
    const expected = this.inputNames.join(', ') || 'none';
    const unknown = Object.keys(feeds).filter((name) => !this.inputNames.includes(name));
    if (unknown.length > 0) {
      throw new RangeError(`InferenceSession.run: there is no input ${unknown.join(', ')}; the inputs are ${expected}`);
    }
    const missing = this.inputNames.filter((name) => !Object.hasOwn(feeds, name));
    if (missing.length > 0) {
      throw new RangeError(`InferenceSession.run: feeds lack ${missing.join(', ')}; the inputs are ${expected}`);
    }
    return this.inputNames.map((name) => this.#checkFeed(name, feeds[name]));
  }

  #checkFeed(name: string, tensor: Tensor | undefined): Tensor {
    if (!(tensor instanceof Tensor)) {
      throw new TypeError(`InferenceSession.run: feed ${name} must be a Tensor, got ${String(tensor)}`);
    }
    if (Tensor.isDisposed(tensor)) throw new TypeError(`InferenceSession.run: feed ${name} is a disposed tensor`);
    const home = runtimeOf(tensor);
    if (home !== undefined && home !== this.#runtime) {
      throw new RangeError(`InferenceSession.run: feed ${name} is resident in another runtime than the session's`);
    }
    return tensor;
  }
}

/** What is declared of an input's dims, with 1 for a batch of any size; undefined where more may vary. */
function declaredDims(graph: Graph, name: string): number[] | undefined {
  const dims = graph.inputDims?.get(name)?.map((size, axis) => (axis === 0 && typeof size === 'string' ? 1 : size));
  return dims?.every((size) => typeof size === 'number') ? dims : undefined;
}
