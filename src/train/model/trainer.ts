/** `Trainer`: a model, the gradient of its loss, and SGD, as one graph that runs at every step. */

import type { Graph, GraphNode, StoredValue } from '../../graph/graph.js';
import { type Layer, reparameterize, type StateDict, Tensor } from '../../index.js';
import type { NodeBase } from '../../nodes/node.js';
import { type OperationRule, useOperation } from '../../ops/operation.js';
import { checkNames, finiteNumber, flag } from '../../options.js';
import { differentiate } from '../../passes/differentiate.js';
import { Executable } from '../../plan/executable.js';
import { residentTensor } from '../../residentTensor.js';
import type { Allocation } from '../../runtime/heap.js';
import { show, showDims, showList, showName } from '../../shown.js';
import { sameDims } from '../../sizes.js';
import { joinNorms } from '../gradients/joinNorms.js';
import { gradientRuleOf } from '../gradients/table.js';
import { crossEntropy } from '../ops/crossEntropy.js';
import { type SgdSettings, sgd } from '../ops/sgd.js';
import { foldNorms } from '../passes/foldNorms.js';
import type { Steps, TrainerOptions } from '../trainOptions.js';
import { checkLayer, checkTensor, describeLayer, LayerModes, parametersOf } from './layerGraph.js';
import { type StepMemory, stepMemory } from './stepMemory.js';
import { sumConvolutions } from './sumConvolutions.js';

const OWNER = 'Trainer';
const OPTIONS = ['lr', 'momentum', 'weightDecay', 'nesterov', 'dampening', 'clipNorm', 'labelSmoothing', 'freeze'];
/** Graphs that are kept, each for inputs of certain dims. The one not used for longest goes first. */
const MAX_GRAPHS = 4;
const SUFFIX = '.momentum_buffer';
/** Names of what is not the model's; its own begin otherwise. */
const [LABELS, SETTINGS, LOGITS_GRADIENT, SCORE, SCALE] = ['labels', 'settings', 'logits.gradient', 'score', 'scale'];

/** A parameter that is trained. */
interface Trained {
  readonly key: string;
  readonly values: Tensor;
  /** Without momentum there is none. */
  readonly velocity: Tensor | undefined;
}

interface Prepared {
  readonly key: string;
  readonly modes: LayerModes;
  readonly classes: number;
  readonly executable: Executable;
  /** Number of the last change of values that are in it for good; undefined where it takes them as they are. */
  readonly mergedAt?: number;
}

/**
 * Trains a model of one input and of logits [N, classes] by mean cross-entropy and SGD as in PyTorch: weight decay on every
 * parameter.
 * @example
 * const trainer = new Trainer(model, { lr: 0.1, momentum: 0.9, weightDecay: 1e-4 });
 * const loss = trainer.step(images, labels);
 */
export class Trainer implements Steps {
  readonly #model: Layer;
  readonly #settings: SgdSettings;
  readonly #smoothing: number;
  readonly #trained: readonly Trained[];
  readonly #allocation: Allocation | undefined;
  #lr: number;
  /** Whether there were no steps yet, so that there are no velocities. */
  #isFirst = true;
  /** The one used last first. */
  #graphs: Prepared[] = [];
  #isDisposed = false;

  /** @throws TypeError, RangeError naming the option */
  constructor(model: Layer, options: TrainerOptions) {
    checkLayer(OWNER, 'model', model);
    checkNames(OWNER, options, OPTIONS);
    this.#model = model;
    this.#lr = finiteNumber(OWNER, 'lr', options.lr, 0);
    this.#settings = checkSettings(options);
    this.#smoothing = finiteNumber(OWNER, 'labelSmoothing', options.labelSmoothing ?? 0, 0);
    if (this.#smoothing > 1) {
      throw new RangeError(`${OWNER}: labelSmoothing must be at most 1, got ${this.#smoothing}`);
    }
    const parameters = trainableOf(model, checkFreeze(options.freeze));
    const bytes = parameters.reduce((sum, [, { size }]) => sum + size * 4, 0);
    const { heap } = model.runtime;
    this.#allocation = this.#settings.momentum === 0 || bytes === 0 ? undefined : heap.allocate(bytes);
    let ptr = this.#allocation?.ptr ?? 0;
    this.#trained = parameters.map(([key, values]) => {
      if (this.#allocation === undefined) return { key, values, velocity: undefined };
      const velocity = residentTensor(model.runtime, this.#allocation, values.dims, 'planar', ptr);
      heap.floats(ptr, values.size).fill(0);
      ptr += values.size * 4;
      return { key, values, velocity };
    });
  }

  /** The learning rate of the next step. */
  get lr(): number {
    return this.#lr;
  }

  set lr(value: number) {
    this.#lr = finiteNumber(OWNER, 'lr', value, 0);
  }

  /**
   * Forward in the model's mode, mean cross-entropy, backward, and an update of the parameters.
   * @param input [N, ...], as the model takes it
   * @param labels N classes, whole numbers from 0
   * @returns the loss before the update
   * @throws TypeError, RangeError naming the argument; OutOfMemoryError; ThreadError. Nothing has changed then.
   */
  step(input: Tensor, labels: ArrayLike<number>): number {
    const method = `${OWNER}.step`;
    this.#check(method, input);
    const modes = new LayerModes(this.#model);
    const prepared = this.#prepare(`step ${input.dims}`, modes, () => this.#trainingGraph(input.dims));
    const classes = labelsTensor(method, labels, input, prepared.classes);
    const settings = new Tensor('float32', [this.#lr, this.#isFirst ? 1 : 0], [2]);
    const [score, scale] = prepared.executable.run([input, classes, settings]) as [Tensor, Tensor];
    this.#isFirst = false;
    scale.dispose();
    return takeScore(score)[0];
  }

  /**
   * The mean loss in evaluation mode, whatever the model's mode is, and for how many rows the label's logit is the largest.
   * @throws as `step`
   */
  evaluate(input: Tensor, labels: ArrayLike<number>): { loss: number; correct: number } {
    const method = `${OWNER}.evaluate`;
    this.#check(method, input);
    const modes = new LayerModes(this.#model);
    const prepared = this.#prepare(`evaluate ${input.dims}`, modes.inEvaluation(), () => {
      this.#model.eval();
      try {
        return this.#evaluationGraph(input.dims);
      } finally {
        modes.restore();
      }
    });
    const classes = labelsTensor(method, labels, input, prepared.classes);
    const [score] = prepared.executable.run([input, classes]) as [Tensor];
    const [loss, correct] = takeScore(score);
    return { loss, correct };
  }

  /** Bytes that steps with inputs of these dims need at least; undefined before the first of them. @internal */
  memoryOf(inputDims: readonly number[]): StepMemory | undefined {
    const plan = this.#graphs.find(({ key }) => key === `step ${inputDims}`)?.executable.plan;
    const values = this.#trained.reduce((sum, { values: { size } }) => sum + size, 0);
    return plan && stepMemory(plan, inputDims, values, this.#settings.momentum > 0);
  }

  /** Velocities, under the parameters' keys with `.momentum_buffer` behind; empty before the first step. */
  stateDict(): StateDict {
    this.#assertUsable(`${OWNER}.stateDict`);
    const state: StateDict = {};
    if (this.#isFirst) return state;
    for (const { key, velocity } of this.#trained) {
      if (velocity !== undefined) state[key + SUFFIX] = new Tensor('float32', velocity.data, velocity.dims);
    }
    return state;
  }

  /** @throws TypeError, RangeError naming the keys; nothing is loaded then */
  loadStateDict(state: StateDict): this {
    const method = `${OWNER}.loadStateDict`;
    this.#assertUsable(method);
    if (typeof state !== 'object' || state === null) {
      throw new TypeError(`${method}: state must be an object of tensors, got ${show(state)}`);
    }
    const keys = Object.keys(state);
    const targets = this.#trained.flatMap(({ key, velocity }) => (velocity ? [[key + SUFFIX, velocity] as const] : []));
    const missing = targets.map(([key]) => key).filter((key) => !keys.includes(key));
    const surplus = keys.filter((key) => !targets.some(([known]) => known === key));
    if (keys.length > 0 && (missing.length > 0 || surplus.length > 0)) {
      const [lacks, more] = [showList(missing) || 'none', showList(surplus) || 'none'];
      throw new RangeError(`${method}: expected the keys of this optimizer; missing: ${lacks}; surplus: ${more}`);
    }
    const values = keys.length === 0 ? [] : targets.map(([key, target]) => checkEntry(method, key, state[key], target));
    const { heap } = this.#model.runtime;
    for (const [i, data] of values.entries()) {
      const [, velocity] = targets[i]!;
      const { ptr } = Tensor.residenceOf(velocity)!;
      heap.floats(ptr, velocity.size).set(data);
      Tensor.touch(velocity);
    }
    this.#isFirst = keys.length === 0;
    return this;
  }

  /** Gives the memory back; the model stays. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    if (this.#model.runtime.isDisposed) return;
    for (const { executable } of this.#graphs) executable.dispose();
    this.#graphs = [];
    this.#allocation?.free();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #assertUsable(method: string): void {
    if (this.#isDisposed) throw new TypeError(`${method}: this trainer is disposed`);
    this.#model.assertUsable(method);
  }

  #check(method: string, input: Tensor): void {
    this.#assertUsable(method);
    checkTensor(method, 'input', input, this.#model);
    const now = new Set(parametersOf(this.#model).map(({ tensor }) => tensor));
    const gone = this.#trained.find(({ values }) => !now.has(values));
    if (gone === undefined) return;
    throw new TypeError(`${method}: the model has lost ${showName(gone.key)} since this trainer was made`);
  }

  /** The graph under that key as the model is now, made anew where the model was another one. */
  #prepare(key: string, modes: LayerModes, make: () => Omit<Prepared, 'key' | 'modes'>): Prepared {
    const known = this.#graphs.find((one) => one.key === key && one.modes.areSame(modes) && !this.#isStale(one));
    const prepared = known ?? { key, modes, ...make() };
    if (this.#graphs[0] === prepared) return prepared;
    const others = this.#graphs.filter((one) => one !== prepared && one.key !== key);
    for (const old of this.#graphs) if (old !== prepared && old.key === key) old.executable.dispose();
    this.#graphs = [prepared, ...others];
    if (this.#graphs.length > MAX_GRAPHS) this.#graphs.pop()!.executable.dispose();
    return prepared;
  }

  /** Whether the model has changed since its branches were merged. */
  #isStale({ mergedAt = Number.POSITIVE_INFINITY }: Prepared): boolean {
    return parametersOf(this.#model).some(({ tensor }) => Tensor.changedAt(tensor) > mergedAt);
  }

  /** With a node for the loss behind the logits. */
  #lossGraph(inputDims: readonly number[]): { graph: Graph; shapes: Map<string, readonly number[]>; output: string } {
    const { graph, shapes, inputs, output } = describeLayer(this.#model, [inputDims]);
    const logits = shapes.get(output)!;
    if (logits.length !== 2 || logits[0] !== inputDims[0]) {
      throw new RangeError(
        `${OWNER}: the model must give logits [N, classes] for N images, got dims ${showDims(logits)}`,
      );
    }
    const node = addNode({ op: 'crossEntropy', inputs: [output, LABELS!], smoothing: this.#smoothing }, crossEntropy, [
      LOGITS_GRADIENT!,
      SCORE!,
    ]);
    return { graph: { ...graph, inputs: [...inputs, LABELS!], nodes: [...graph.nodes, node] }, shapes, output };
  }

  /** Branches are merged, as in deploy form: a validation has many batches for one state of the model. */
  #evaluationGraph(inputDims: readonly number[]): Omit<Prepared, 'key' | 'modes'> {
    const { graph, shapes, output } = this.#lossGraph(inputDims);
    const values = new Map<string, StoredValue>();
    graph.values?.forEach(({ tensor }, name) => {
      values.set(name, { tensor, role: 'frozen' });
    });
    const { graph: merged } = reparameterize({ ...graph, values, outputs: [SCORE!] });
    const executable = new Executable(this.#model.runtime, merged);
    return { executable, classes: shapes.get(output)![1]!, mergedAt: Tensor.changes };
  }

  #trainingGraph(inputDims: readonly number[]): Omit<Prepared, 'key' | 'modes'> {
    const { graph: plain, shapes, output } = this.#lossGraph(inputDims);
    const nameOf = new Map([...plain.values!].map(([name, { tensor }]) => [tensor, name]));
    const wanted = this.#trained.flatMap(({ values }) => nameOf.get(values) ?? []);
    const withLoss = foldNorms(joinNorms(plain, shapes), shapes, wanted);
    const seeds = new Map([[output, LOGITS_GRADIENT!]]);
    const { graph, gradients } = differentiate(withLoss, shapes, seeds, wanted, gradientRuleOf);
    const values = new Map<string, StoredValue>(graph.values);
    const updates: string[] = [];
    const inputs = this.#trained.flatMap(({ key, values: tensor, velocity }) => {
      const name = nameOf.get(tensor);
      const gradient = name && gradients.get(name);
      if (name === undefined || gradient === undefined) return [];
      updates.push(name);
      if (velocity === undefined) return [gradient, name, undefined];
      values.set(key + SUFFIX, { tensor: velocity, role: 'statistic' });
      updates.push(key + SUFFIX);
      return [gradient, name, key + SUFFIX];
    });
    const settings = this.#settings;
    const node = addNode({ op: 'sgd', inputs: [SETTINGS!, ...inputs], settings, updates }, sgd, [SCALE!]);
    const executable = new Executable(this.#model.runtime, {
      ...sumConvolutions({ ...graph, nodes: [...graph.nodes, node], outputs: [SCORE!, SCALE!] }, withLoss.nodes.length),
      values,
      inputs: [...graph.inputs, SETTINGS!],
    });
    return { executable, classes: shapes.get(output)![1]! };
  }
}

function addNode<N extends NodeBase>(
  node: Omit<N, 'outputs' | 'path' | 'layer'>,
  rule: OperationRule<N>,
  outputs: readonly string[],
): GraphNode {
  useOperation(node.op, rule as OperationRule);
  return { ...node, path: '', layer: OWNER, outputs } as unknown as GraphNode;
}

function checkSettings(options: TrainerOptions): SgdSettings {
  const number = (name: 'momentum' | 'weightDecay' | 'dampening'): number =>
    finiteNumber(OWNER, name, options[name] ?? 0, 0);
  const [momentum, weightDecay, dampening] = [number('momentum'), number('weightDecay'), number('dampening')];
  const nesterov = flag(OWNER, 'nesterov', options.nesterov ?? false);
  if (nesterov && (momentum === 0 || dampening !== 0)) {
    throw new RangeError(
      `${OWNER}: nesterov takes a momentum above 0 and no dampening, got momentum ${momentum} and dampening ${dampening}`,
    );
  }
  const clipNorm = options.clipNorm === undefined ? undefined : finiteNumber(OWNER, 'clipNorm', options.clipNorm, 0);
  if (clipNorm === 0) throw new RangeError(`${OWNER}: clipNorm must be above 0, got 0`);
  return { momentum, weightDecay, dampening, nesterov, clipNorm };
}

function checkFreeze(freeze: unknown): readonly string[] {
  if (freeze === undefined) return [];
  if (Array.isArray(freeze) && freeze.every((prefix) => typeof prefix === 'string')) return freeze;
  throw new TypeError(`${OWNER}: freeze must be an array of beginnings of names, got ${show(freeze)}`);
}

/** Parameters by key, those that are frozen left out. */
function trainableOf(model: Layer, freeze: readonly string[]): [string, Tensor][] {
  const parameters = parametersOf(model).filter(({ role }) => role === 'trainable');
  for (const prefix of freeze) {
    if (parameters.some(({ key }) => key.startsWith(prefix))) continue;
    throw new RangeError(`${OWNER}: freeze names ${showName(prefix)}, with which no parameter begins`);
  }
  const left = parameters.filter(({ key }) => !freeze.some((prefix) => key.startsWith(prefix)));
  return left.map(({ key, tensor }) => [key, tensor]);
}

/** @throws TypeError, RangeError naming the label */
function labelsTensor(method: string, labels: ArrayLike<number>, input: Tensor, classes: number): Tensor {
  if (typeof labels !== 'object' || labels === null || typeof labels.length !== 'number') {
    throw new TypeError(`${method}: labels must be an array of classes, got ${show(labels)}`);
  }
  const count = input.dims[0]!;
  if (labels.length !== count) {
    throw new RangeError(`${method}: labels must be ${count}, one for each image, got ${labels.length}`);
  }
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const label = labels[i]!;
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw new RangeError(
        `${method}: labels[${i}] must be a whole number from 0 to ${classes - 1}, got ${show(label)}`,
      );
    }
    values[i] = label;
  }
  return new Tensor('float32', values, [count]);
}

function takeScore(score: Tensor): [loss: number, correct: number] {
  const [loss, correct] = score.data as unknown as [number, number];
  score.dispose();
  return [loss, correct];
}

function checkEntry(method: string, key: string, value: unknown, target: Tensor): Float32Array {
  if (!(value instanceof Tensor))
    throw new TypeError(`${method}: ${showName(key)} must be a Tensor, got ${show(value)}`);
  if (!sameDims(value.dims, target.dims)) {
    const [expected, got] = [showDims(target.dims), showDims(value.dims)];
    throw new RangeError(`${method}: ${showName(key)} must have dims ${expected}, got ${got}`);
  }
  return value.data;
}
