/**
 * One node of an ONNX file, as its handler in readers.ts sees it: inputs as far as they are known, attributes with
 * their defaults, and where the output goes.
 */
import { FormatError } from '../../../errors.js';
import type { GraphNode } from '../../../graph/graph.js';
import { inferKnownDims } from '../../../graph/shapes.js';
import type { NamedDims } from '../../../nodes/dims.js';
import { show, showList, showName } from '../../../shown.js';
import { Tensor } from '../../../tensor.js';
import type { AttributeProto, NodeProto } from '../file/proto.js';
import { Constant, DataType, MAX_RANK } from '../file/tensors.js';
import { type Integers, MAX_ELEMENTS } from './shapeValues.js';

const BYTES_PER_INTEGER = 16;
/** Up to here float32 has all whole numbers. */
const MAX_EXACT = 2 ** 24;

export type Value =
  | Constant
  | Integers
  | { readonly dims: NamedDims | undefined /** Of whole numbers or booleans. */; readonly integer?: boolean }
  /** Not there: a second output that nothing here computes, or the output of a node that is unsupported itself. */
  | { readonly missing: string };

type OmitOwn<T> = T extends GraphNode ? Omit<T, 'outputs' | 'path' | 'layer'> : never;
/** A node of the Graph before it has a name. */
export type Draft = OmitOwn<GraphNode>;

type WithoutInputs<T> = T extends Draft ? Omit<T, 'inputs'> : never;

/** The values of a model so far; lower.ts has them. */
export interface ModelValues {
  readonly opset: number;
  value(name: string): Value;
  set(name: string, value: Value): void;
  /** A name that no other value has. */
  derive(base: string): string;
  /** Makes known values readable by nodes of the Graph; returns the name to read them by. */
  addConstant(name: string, tensor: Tensor): string;
  /** Adds a node; returns what is known of its output's dims. */
  emit(node: GraphNode): NamedDims | undefined;
  /** Accounts for values that are computed from those of the file. */
  spend(bytes: number): void;
  /** Whether anything reads this output of a node. */
  isRead(name: string | undefined): boolean;
}

/** Thrown by handlers; lower.ts collects them. */
export class Unsupported extends Error {
  /** Whether it would not be, if the file stated all sizes. */
  readonly isOpen: boolean;

  constructor(reason: string, isOpen: boolean) {
    super(reason);
    this.isOpen = isOpen;
  }
}

export function isOnnxDomain(domain: string): boolean {
  return domain === '' || domain === 'ai.onnx';
}

export function labelOf({ opType, name, output, domain }: NodeProto): string {
  const type = isOnnxDomain(domain) ? opType : `${domain}.${opType}`;
  return `${showName(type)} ${show(name || (output[0] ?? ''))}`;
}

/** One node of the file, as its handler sees it. */
export class NodeContext {
  readonly opset: number;
  readonly opType: string;
  readonly #model: ModelValues;
  readonly #node: NodeProto;
  readonly #attributes = new Map<string, AttributeProto>();

  constructor(model: ModelValues, node: NodeProto) {
    this.#model = model;
    this.#node = node;
    this.opset = model.opset;
    this.opType = node.opType;
    for (const attribute of node.attribute) this.#attributes.set(attribute.name, attribute);
  }

  get inputCount(): number {
    return this.#node.input.length;
  }

  /** The name of the node's output. */
  get output(): string {
    const name = this.#node.output[0];
    return name === undefined || name === '' ? this.broken('it has no output') : name;
  }

  /** Names of the node's outputs; undefined for those that nothing reads. */
  get outputs(): readonly (string | undefined)[] {
    return this.#node.output.map((name) => (this.#model.isRead(name) ? name : undefined));
  }

  unsupported(reason: string): never {
    throw new Unsupported(reason, false);
  }

  /** What is unsupported as long as sizes are not known. */
  open(reason: string): never {
    throw new Unsupported(reason, true);
  }

  broken(reason: string): never {
    throw new FormatError(`readOnnx: node ${labelOf(this.#node)}: ${reason}`, this.#node.at);
  }

  spend(bytes: number): void {
    this.#model.spend(bytes);
  }

  has(index: number): boolean {
    return (this.#node.input[index] ?? '') !== '';
  }

  /** The name by which a node of the Graph reads an input of floats. */
  operand(index: number): string {
    if (this.isInteger(index)) this.unsupported(`its input ${show(this.#name(index))} holds integers`);
    return this.numericOperand(index);
  }

  /** The name by which a node of the Graph reads an input of any numbers; booleans are 0 and 1. */
  numericOperand(index: number): string {
    const name = this.#name(index);
    const constant = this.constant(index);
    if (constant === undefined) {
      if (this.integers(index) !== undefined) {
        this.open(`its input ${show(name)} is computed from sizes that the file does not state`);
      }
      return name;
    }
    if (constant.integer && Array.prototype.some.call(constant.values, (value) => Math.abs(value) > MAX_EXACT)) {
      this.unsupported(`its input ${show(name)} holds integers beyond 2^24`);
    }
    return this.#model.addConstant(name, constant.tensor);
  }

  /** Whether an input is computed from sizes that are not known. */
  isOpen(index: number): boolean {
    return this.has(index) && this.constant(index) === undefined && this.integers(index) !== undefined;
  }

  /** Whether an input is of whole numbers or booleans. */
  isInteger(index: number): boolean {
    const value = this.#model.value(this.#name(index));
    return 'elements' in value || ('integer' in value && value.integer === true);
  }

  /** Marks a value of the Graph as one of whole numbers; returns its name. */
  markInteger(name: string): string {
    const value = this.#model.value(name);
    if ('dims' in value && !(value instanceof Constant)) this.#model.set(name, { dims: value.dims, integer: true });
    return name;
  }

  /** All inputs, where all are known. */
  constants(): (Constant | undefined)[] | undefined {
    const all = this.#node.input.map((name, i) => (name === '' ? undefined : this.constant(i)));
    return all.every((one, i) => one !== undefined || !this.has(i)) ? all : undefined;
  }

  /** An input that is known. */
  constant(index: number): Constant | undefined {
    const value = this.#model.value(this.#name(index));
    if (value instanceof Constant) return value;
    if (!('elements' in value) || !value.elements.every((element) => typeof element === 'number')) return undefined;
    const elements = value.elements as readonly number[];
    return new Constant(value.scalar ? [] : [elements.length], true, () => elements);
  }

  /** The element type of an input. Integers of the file no longer have theirs; some are booleans. */
  typeLike(index: number): number {
    const value = this.#model.value(this.#name(index));
    if ('elements' in value) return DataType.INT64;
    if (value instanceof Constant && value.integer) this.unsupported('it takes the type of integers in the file');
    return 'integer' in value && value.integer ? DataType.INT64 : DataType.FLOAT;
  }

  /** An input that has to be known; `role` says what it is. */
  parameter(index: number, role: string): Constant {
    const reason = `its ${role} ${show(this.#name(index))} is not constant`;
    return this.constant(index) ?? (this.integers(index) ? this.open(reason) : this.unsupported(reason));
  }

  /** The name by which a node of the Graph reads a parameter. */
  parameterName(index: number, role: string): string {
    return this.#model.addConstant(this.#name(index), this.parameter(index, role).tensor);
  }

  /** An input that is a scalar or vector of integers. */
  integers(index: number): Integers | undefined {
    const value = this.#model.value(this.#name(index));
    if ('elements' in value) return value;
    if (!(value instanceof Constant) || !value.integer) return undefined;
    if (value.dims.length > 1 || value.size > MAX_ELEMENTS) return undefined;
    return { scalar: value.dims.length === 0, elements: Array.from(value.values) };
  }

  /**
   * An input that has to be a list of known integers; some may be beyond 2^53.
   * @param most of them: one for each axis, if nothing else is said
   */
  list(index: number, role: string, most = MAX_RANK): number[] {
    const { size, values } = this.parameter(index, role);
    this.#checkLength(role, size, most);
    const numbers = Array.from(values);
    if (!numbers.every(Number.isInteger)) this.broken(`its ${role} holds numbers that are not whole`);
    return numbers;
  }

  /** An input that has to be a list of known integers, all exact. */
  numbers(index: number, role: string, most = MAX_RANK): number[] {
    return this.list(index, role, most).map((value) => this.whole(value, role));
  }

  dims(index: number): NamedDims | undefined {
    const value = this.#model.value(this.#name(index));
    if ('elements' in value) return value.scalar ? [] : [value.elements.length];
    return 'dims' in value ? value.dims : undefined;
  }

  attribute(name: string): AttributeProto | undefined {
    return this.#attributes.get(name);
  }

  float(name: string, byDefault: number): number {
    const attribute = this.#attributes.get(name);
    return attribute === undefined ? byDefault : (attribute.f ?? 0);
  }

  int(name: string, byDefault: number): number {
    const attribute = this.#attributes.get(name);
    return attribute === undefined ? byDefault : this.whole(attribute.i ?? 0, name);
  }

  flag(name: string, byDefault: boolean): boolean {
    return this.int(name, byDefault ? 1 : 0) !== 0;
  }

  /** A list of integers, some of which may be beyond 2^53. */
  longs(name: string, most = MAX_RANK): readonly number[] | undefined {
    const list = this.#attributes.get(name)?.ints;
    if (list !== undefined) this.#checkLength(name, list.length, most);
    return list;
  }

  /** A list of integers, all exact. */
  ints(name: string, most = MAX_RANK): number[] | undefined {
    return this.longs(name, most)?.map((value) => this.whole(value, name));
  }

  string(name: string, byDefault: string): string {
    const bytes = this.#attributes.get(name)?.s;
    return bytes === undefined ? byDefault : String.fromCharCode(...bytes.subarray(0, 80));
  }

  /** An integer that is exact. */
  whole(value: number, what: string): number {
    return Number.isSafeInteger(value) ? value : this.broken(`its ${what} ${value} is beyond 2^53`);
  }

  /** Gives the node's output values that are known; returns its name. */
  define(value: Constant | Integers, output = this.output): string {
    if (value instanceof Constant) this.#checkRank(value.dims.length);
    else this.spend(BYTES_PER_INTEGER * value.elements.length);
    this.#model.set(output, value);
    return output;
  }

  /** Gives the node's output known values under the dims that a node of the Graph would give them; returns its name. */
  defineReshaped(constant: Constant, draft: WithoutInputs<Draft>): string {
    const node = this.#named({ ...draft, inputs: this.#node.input.slice(0, 1) } as Draft, this.output);
    const dims = inferKnownDims(node, () => constant.dims) as readonly number[] | undefined;
    if (dims === undefined) this.broken(`dims [${showList(constant.dims)}] do not fit`);
    return this.define(constant.reshaped(dims));
  }

  /** Adds a node of the Graph; returns the name of its output, by default that of this node. */
  emit(draft: Draft, output: string = this.output): string {
    const dims = this.#model.emit(this.#named(draft, output));
    this.#checkRank(dims?.length ?? 0);
    return output;
  }

  /** A new name for a value on the way to the output. */
  derive(suffix: string): string {
    return this.#model.derive(`${this.output}.${suffix}`);
  }

  /** Adds values that are not in the file. */
  newConstant(suffix: string, tensor: Tensor): string {
    return this.#model.addConstant(this.derive(suffix), tensor);
  }

  newScalar(suffix: string, value: number): string {
    return this.newConstant(suffix, new Tensor('float32', [value], []));
  }

  #named(draft: Draft, output: string): GraphNode {
    return { ...draft, path: this.#node.name || this.output, layer: this.opType, outputs: [output] } as GraphNode;
  }

  #checkLength(role: string, length: number, most: number): void {
    if (length > most) this.broken(`its ${role} must have at most ${most} elements, got ${length}`);
  }

  #checkRank(rank: number): void {
    if (rank > MAX_RANK) this.broken(`its output must have at most ${MAX_RANK} axes, got ${rank}`);
  }

  #name(index: number): string {
    const name = this.#node.input[index];
    return name === undefined || name === '' ? this.broken(`it has no input ${index}`) : name;
  }
}
