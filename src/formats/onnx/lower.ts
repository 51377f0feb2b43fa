/**
 * OnnxModel to Graph. Nodes are taken in the order of the file. Each value is by then one of three things:
 *
 *     Constant    known values: initializers, Constant nodes, and what is computed from these alone
 *     Integers    a small tensor of integers, each known or the size of an axis (shapeValues.ts)
 *     runtime a value of the Graph, with its dims as far as they are known
 *
 * A node on runtime values becomes a node of the Graph, or several, by its handler in operators/readers.ts. Unsupported
 * nodes are collected, so that one error names them all.
 */
import { FormatError, UnsupportedError } from '../../errors.js';
import type { DimOf, Graph, GraphNode, StoredValue } from '../../graph/graph.js';
import { Names } from '../../graph/names.js';
import { useAllOperations } from '../../graph/operations.js';
import { inferKnownDims } from '../../graph/shapes.js';
import type { NamedDims } from '../../nodes/dims.js';
import { show, showList } from '../../shown.js';
import type { Tensor } from '../../tensor.js';
import type { GraphProto, ModelProto, NodeProto, ValueInfoProto } from './file/proto.js';
import { Constant, DataType, isIntegerType, MAX_RANK, readTensor, typeName } from './file/tensors.js';
import {
  isOnnxDomain,
  labelOf,
  type ModelValues,
  NodeContext,
  Unsupported,
  type Value,
} from './operators/nodeContext.js';
import { type Operator, operatorOf } from './operators/readers.js';

/** Nodes of the file, and of the Graph. */
const MAX_NODES = 2 ** 15;
/** Inputs of one node, and of all nodes together; a DenseNet joins 64 at most. */
const MAX_NAMES = 2 ** 10;
const MAX_READS = 2 * MAX_NODES;
/** Inputs (except those with a value in the file), and outputs. */
const MAX_PORTS = 2 ** 10;
/** Below 9, only what old models and ONNX's own tests use; from 9 on, everything that operators/readers.ts names. */
const OLDEST_OPSET = 1;
const NEWEST_OPSET = 23;
/**
 * Bytes of values that may be computed from those in the file: enough to transform each of these a few times; more is
 * an attack or a mistake.
 */
const SPARE_BYTES = 16 * 2 ** 20;
const SPARE_BYTES_PER_ELEMENT = 16;
/** Characters that a message has for the names of unsupported nodes, and how many it names. */
const MAX_NAMED = 800;
const MAX_LISTED = 20;

/**
 * The graph inputs whose values have to be known before the Graph can be built: weights, shapes, bounds and the like,
 * and all integers.
 */
export function parameterInputs(model: ModelProto): string[] {
  const graph = graphOf(model);
  const known = new Set<string>();
  for (const node of [...graph.node].reverse()) {
    const operator = operatorOf(node.opType);
    if (operator?.foldable && node.output.some((name) => known.has(name))) {
      for (const name of operator.foldable === 'first' ? node.input.slice(0, 1) : node.input) known.add(name);
    }
    for (const index of operator?.parameters ?? []) known.add(node.input[index] ?? '');
  }
  return runtimeInputs(graph)
    .filter(({ name, type }) => known.has(name) || isIntegerType(type?.tensorType?.elemType))
    .map(({ name }) => name);
}

/** What a file declares of an input or output of the graph. */
export interface DeclaredValue {
  readonly name: string;
  /** Element type, by the names of onnxruntime-web's tensors. */
  readonly type: string;
  readonly dims: readonly (number | string)[] | undefined;
}

/** What the graph takes, in the order of the file. */
export function declaredInputs(model: ModelProto): DeclaredValue[] {
  return runtimeInputs(graphOf(model)).map(declaredValue);
}

/** What the graph gives, in the order of the file. */
export function declaredOutputs(model: ModelProto): DeclaredValue[] {
  return graphOf(model).output.map(declaredValue);
}

function declaredValue(value: ValueInfoProto): DeclaredValue {
  const type = typeName(value.type?.tensorType?.elemType).toLowerCase();
  const names: Record<string, string> = { float: 'float32', double: 'float64' };
  return { name: value.name, type: names[type] ?? type, dims: declaredDims(value) };
}

/** @throws {FormatError} if a size is beyond 2^53 */
function declaredDims({ name, type, at }: ValueInfoProto): (number | string)[] | undefined {
  return type?.tensorType?.shape?.dim.map(({ dimValue, dimParam }, axis): number | string => {
    // Exporters write 0 and -1 for what may have any size.
    if (dimValue === undefined || dimValue <= 0) return dimParam || `${name}_dim${axis}`;
    if (Number.isSafeInteger(dimValue)) return dimValue;
    throw new FormatError(`readOnnx: dims of ${show(name)} must be below 2^53, got ${dimValue}`, at);
  });
}

/**
 * Finds what is unsupported by the names of operators alone, for a model whose graph is built later.
 * @throws {UnsupportedError} naming the nodes
 */
export function checkOperators(model: ModelProto): void {
  throwUnsupported(
    graphOf(model)
      .node.filter((node) => operatorOfNode(node) === undefined)
      .map(labelOf),
  );
}

function operatorOfNode({ domain, opType }: NodeProto) {
  return isOnnxDomain(domain) ? operatorOf(opType) : undefined;
}

function throwUnsupported(nodes: readonly string[], areOpen = false): void {
  const count = nodes.length;
  if (count === 0) return;
  const named = showList(nodes, MAX_NAMED, MAX_LISTED);
  const message = `readOnnx: ${count} unsupported node${count === 1 ? '' : 's'}: ${named}`;
  if (!areOpen) throw new UnsupportedError(message);
  throw new OpenSizesError(`${message}; an InferenceSession knows all sizes when it runs`);
}

/** Nothing but sizes that the file does not state is in the way. */
export class OpenSizesError extends UnsupportedError {}

/** Which node reads a graph input as what, for the message that such a file cannot be read alone. */
export function readerOf(model: ModelProto, input: string): string {
  const node = graphOf(model).node.find((one) => one.input.includes(input));
  return node === undefined ? 'nothing' : labelOf(node);
}

/**
 * @param bound Values for `parameterInputs(model)`; they are no longer inputs of the Graph. Integers come as whole
 *   float32 numbers.
 * @param dims Of other inputs, in the place of those that the file states.
 * @throws {OpenSizesError} where only sizes that nobody has stated are in the way
 * @throws {FormatError} if the model contradicts itself
 * @throws {UnsupportedError} naming every node that has no place in a Graph
 */
export function lowerOnnx(
  model: ModelProto,
  bound: ReadonlyMap<string, Tensor>,
  dims: ReadonlyMap<string, readonly number[]> = new Map(),
): Graph {
  useAllOperations();
  return new Lowering(model, bound, dims).run();
}

function graphOf({ graph }: ModelProto): GraphProto {
  if (graph === undefined) throw new FormatError('readOnnx: the file has no graph, so it is no ONNX model', 0);
  checkCount('nodes in the graph', graph.node, MAX_NODES);
  checkCount('outputs of the graph', graph.output, MAX_PORTS);
  let reads = 0;
  for (const node of graph.node) {
    if (node.input.length > MAX_NAMES) {
      throw new UnsupportedError(
        `readOnnx: node ${labelOf(node)} must have at most ${MAX_NAMES} inputs, got ${node.input.length}`,
      );
    }
    reads += node.input.length;
  }
  if (reads > MAX_READS) {
    throw new UnsupportedError(`readOnnx: the nodes of the graph must have at most ${MAX_READS} inputs, got ${reads}`);
  }
  return graph;
}

/** The inputs of the graph that have no value in the file: IR version 3 also lists those that do. */
function runtimeInputs(graph: GraphProto): ValueInfoProto[] {
  const initializers = new Set(graph.initializer.map(({ name }) => name));
  const inputs = graph.input.filter(({ name }) => !initializers.has(name));
  checkCount('inputs of the graph', inputs, MAX_PORTS);
  return inputs;
}

function checkCount(what: string, { length }: readonly unknown[], most: number): void {
  if (length > most) throw new UnsupportedError(`readOnnx: there must be at most ${most} ${what}, got ${length}`);
}

function opsetOf(model: ModelProto): number {
  const opset = model.opsetImport.find(({ domain }) => isOnnxDomain(domain));
  if (opset === undefined) throw new FormatError('readOnnx: the model names no opset of ai.onnx', model.at);
  const version = opset.version ?? 0;
  if (!(version >= OLDEST_OPSET && version <= NEWEST_OPSET)) {
    throw new UnsupportedError(
      `readOnnx: the model must use an opset from ${OLDEST_OPSET} to ${NEWEST_OPSET}, got ${version}`,
    );
  }
  return version;
}

class Lowering implements ModelValues {
  readonly opset: number;
  readonly #graph: GraphProto;
  readonly #metadata: ReadonlyMap<string, string>;
  readonly #bound: ReadonlyMap<string, Tensor>;
  readonly #dims: ReadonlyMap<string, readonly number[]>;
  readonly #values = new Map<string, Value>();
  readonly #nodes: GraphNode[] = [];
  readonly #stored = new Map<string, StoredValue>();
  readonly #unsupported: string[] = [];
  #isOpen = true;
  /** Names that are taken, also by values still to come. */
  readonly #names = new Names();
  readonly #outputNames: ReadonlySet<string>;
  /** Names of known values that are outputs of the graph, as nodes read them. */
  readonly #constantNames = new Map<string, string>();
  /** Values that something reads. */
  readonly #read = new Set<string>();
  #spareBytes = SPARE_BYTES;

  constructor(model: ModelProto, bound: ReadonlyMap<string, Tensor>, dims: ReadonlyMap<string, readonly number[]>) {
    this.#graph = graphOf(model);
    this.#metadata = new Map(model.metadataProps.map(({ key, value }) => [key, value]));
    this.#bound = bound;
    this.#dims = dims;
    this.#outputNames = new Set(this.#graph.output.map(({ name }) => name));
    this.opset = opsetOf(model);
  }

  run(): Graph {
    const graph = this.#graph;
    this.#readInitializers();
    const inputDims = new Map<string, readonly (number | string)[]>();
    const inputs = runtimeInputs(graph).filter((input) => this.#readInput(input, inputDims));
    for (const { input, output } of graph.node) {
      for (const name of input) this.#read.add(name);
      for (const name of output) this.#names.add(name);
    }
    for (const name of this.#outputNames) this.#read.add(name);

    for (const node of graph.node) this.#lower(node);
    this.#checkUnsupported();
    const outputs = this.#outputs();
    this.#checkUnsupported();
    return {
      inputs: inputs.map(({ name }) => name),
      outputs,
      nodes: this.#nodes,
      values: this.#stored,
      inputDims,
      metadata: this.#metadata,
    };
  }

  value(name: string): Value {
    return this.#values.get(name)!;
  }

  /** Whether anything reads this output of a node. */
  isRead(name: string | undefined): boolean {
    return name !== undefined && name !== '' && this.#read.has(name);
  }

  /** A name that no other value has. */
  derive(base: string): string {
    return this.#names.derive(base);
  }

  set(name: string, value: Value): void {
    this.#values.set(name, value);
  }

  /** Makes known values readable by nodes of the Graph; returns the name to read them by. */
  addConstant(name: string, tensor: Tensor): string {
    let known = name;
    if (this.#outputNames.has(name)) {
      // This name is a graph output's: a node will copy the constant there.
      known = this.#constantNames.get(name) ?? this.derive(`${name}.constant`);
      this.#constantNames.set(name, known);
    }
    this.#stored.set(known, { tensor, role: 'frozen' });
    return known;
  }

  /** Adds a node; returns what is known of its output's dims. */
  emit(node: GraphNode): NamedDims | undefined {
    const dims = inferKnownDims(node, (name) => this.#dimsOf(name));
    if (this.#nodes.push(node) > MAX_NODES) {
      throw new UnsupportedError(`readOnnx: the file becomes a graph of more than ${MAX_NODES} nodes`);
    }
    this.#values.set(node.outputs[0], { dims });
    return dims;
  }

  /** Spends the budget for values that are computed from those of the file. */
  spend(bytes: number): void {
    this.#spareBytes -= bytes;
    if (this.#spareBytes < 0) {
      throw new UnsupportedError('readOnnx: the parameters to be computed take far more memory than those in the file');
    }
  }

  #dimsOf(name: string): NamedDims | undefined {
    const value = this.#values.get(name);
    if (value !== undefined && 'dims' in value) return value.dims;
    return this.#stored.get(name)?.tensor.dims;
  }

  #readInitializers(): void {
    if (this.#graph.sparseInitializer.length > 0) {
      throw new UnsupportedError('readOnnx: the model has sparse initializers; save it with dense ones');
    }
    for (const proto of this.#graph.initializer) {
      const constant = readTensor(proto);
      this.#define(proto.name, constant, proto.at);
      this.#spareBytes += SPARE_BYTES_PER_ELEMENT * constant.size;
    }
  }

  /** Whether it is an input of the Graph, and not bound. */
  #readInput(value: ValueInfoProto, inputDims: Map<string, readonly (number | string)[]>): boolean {
    const { name, type, at } = value;
    const { elemType, shape } = type?.tensorType ?? {};
    const tensor = this.#bound.get(name);
    if (tensor !== undefined) {
      this.#define(name, Constant.of(tensor, isIntegerType(elemType)), at);
      return false;
    }
    if (elemType !== DataType.FLOAT) {
      const found = type?.tensorType === undefined ? 'no tensor' : `one of type ${typeName(elemType)}`;
      throw new UnsupportedError(`readOnnx: input ${show(name)} must be a tensor of type FLOAT, got ${found}`);
    }
    const rank = shape?.dim.length ?? 0;
    if (rank > MAX_RANK) {
      throw new FormatError(`readOnnx: input ${show(name)} must have at most ${MAX_RANK} axes, got ${rank}`, at);
    }
    const dims = this.#dims.get(name) ?? declaredDims(value);
    if (dims !== undefined) inputDims.set(name, dims);
    this.#define(
      name,
      { dims: dims?.map((dim, axis): number | DimOf => (typeof dim === 'number' ? dim : { value: name, axis })) },
      at,
    );
    return true;
  }

  #define(name: string, value: Value, at: number): void {
    if (name === '') throw new FormatError('readOnnx: an input or initializer has no name', at);
    if (this.#values.has(name)) throw new FormatError(`readOnnx: value ${show(name)} is defined twice`, at);
    this.#values.set(name, value);
    this.#names.add(name);
  }

  #lower(node: NodeProto): void {
    let missing = false;
    for (const name of node.input) {
      const value = this.#values.get(name);
      if (name !== '' && value === undefined) {
        throw new FormatError(
          `readOnnx: node ${labelOf(node)} reads ${show(name)}, which no input, initializer or earlier node defines`,
          node.at,
        );
      }
      missing ||= value !== undefined && 'missing' in value;
    }
    for (const name of node.output) {
      if (name !== '' && this.#values.has(name)) {
        throw new FormatError(`readOnnx: value ${show(name)} is defined twice`, node.at);
      }
      // Until the handler says what it is; the name counts as taken.
      if (name !== '') this.#values.set(name, { missing: labelOf(node) });
    }
    const operator = operatorOfNode(node);
    if (operator === undefined) this.#refuse(labelOf(node), false);
    // Values that are missing are another node's fault, which is on the list already.
    else if (!missing) this.#handle(node, operator);
  }

  #handle(node: NodeProto, operator: Operator): void {
    try {
      const context = new NodeContext(this, node);
      if (!operator.hasOutputs && node.output.slice(1).some((name) => this.isRead(name))) {
        context.unsupported(`its output ${show(node.output.slice(1).find((name) => this.isRead(name))!)} is used`);
      }
      for (let i = 0; operator.fold && i < (operator.needs ?? 1); i++)
        if (!context.has(i)) context.broken(`it has no input ${i}`);
      const inputs = operator.fold && context.constants();
      const known = inputs && operator.fold!(context, inputs);
      if (known) context.define(known);
      else operator.lower(context);
    } catch (error) {
      if (!(error instanceof Unsupported)) throw error;
      this.#refuse(`${labelOf(node)} (${error.message})`, error.isOpen);
    }
  }

  #outputs(): string[] {
    const { output, at } = this.#graph;
    if (output.length === 0) throw new FormatError('readOnnx: the graph has no outputs', at);
    const seen = new Set<string>();
    return output.map(({ name, at }) => {
      const value = this.#values.get(name);
      if (value === undefined) throw new FormatError(`readOnnx: nothing defines the graph's output ${show(name)}`, at);
      if (seen.has(name)) throw new FormatError(`readOnnx: the graph's output ${show(name)} is listed twice`, at);
      seen.add(name);
      if (value instanceof Constant && !value.integer) {
        const source = this.addConstant(name, value.tensor);
        this.#nodes.push({ op: 'identity', path: name, layer: 'Constant', inputs: [source], outputs: [name] });
      } else if (!('dims' in value) || value instanceof Constant) {
        this.#refuse(`the graph's output ${show(name)} (its elements are integers)`, false);
      }
      return name;
    });
  }

  #refuse(what: string, isOpen: boolean): void {
    this.#unsupported.push(what);
    this.#isOpen &&= isOpen;
  }

  #checkUnsupported(): void {
    throwUnsupported(this.#unsupported, this.#isOpen);
  }
}
