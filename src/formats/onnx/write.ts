/**
 * Graphs to ONNX files. Each node becomes one operator or a few (operators/writers.ts). The opset is the lowest that
 * has them all, from 13 on.
 */
import type { Graph } from '../../graph/graph.js';
import { Names } from '../../graph/names.js';
import { checkNames } from '../../options.js';
import type { Tensor } from '../../tensor.js';
import { normalPath } from './externalData.js';
import {
  type DimensionProto,
  EXTERNAL,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
  writeModel,
} from './file/proto.js';
import { DataType } from './file/tensors.js';
import { type ModelParts, NodeWriter } from './operators/nodeWriter.js';
import { writerOf } from './operators/writers.js';

const OLDEST_OPSET = 13;

/** Tensors of fewer bytes stay in the model: a file of many small ones is slow to load. */
const MIN_EXTERNAL_BYTES = 1024;

/**
 * Writes a Graph as an ONNX file. Nodes have the names of their paths, values those of the Graph; dims of inputs are
 * written where they are known.
 *
 * @param options.externalData The name of a file for the weights beside the model, which many tools want from 2 GB on:
 *   then that file is returned too, in the form in which `readOnnx` and sessions take it.
 * @throws {UnsupportedError} if a BatchNorm uses batch statistics, which a file for inference cannot express
 * @throws {RangeError} if the file would be longer than 2 GB, or `externalData` is not the name of a file
 * @example
 * await writeFile('merged.onnx', writeOnnx(reparameterize(readOnnx(bytes)).graph));
 */
export function writeOnnx(graph: Graph): Uint8Array<ArrayBuffer>;
export function writeOnnx(
  graph: Graph,
  options: { readonly externalData: string },
): { model: Uint8Array<ArrayBuffer>; externalData: { path: string; data: Uint8Array<ArrayBuffer> }[] };
export function writeOnnx(graph: Graph, options: { readonly externalData?: string } = {}) {
  checkNames('writeOnnx', options, ['externalData']);
  const path = options.externalData;
  if (path !== undefined && (typeof path !== 'string' || normalPath(path) !== path)) {
    throw new RangeError(`writeOnnx: externalData must be the name of a file beside the model, got ${String(path)}`);
  }
  const writer = new ModelWriter(graph, path);
  const model = writeModel(writer.model());
  return path === undefined ? model : { model, externalData: [{ path, data: writer.externalData() }] };
}

class ModelWriter implements ModelParts {
  readonly opset: number;
  readonly #graph: Graph;
  readonly #nodes: NodeProto[] = [];
  readonly #initializers: TensorProto[] = [];
  readonly #valueNames = new Names();
  readonly #nodeNames = new Names();
  readonly #dataPath: string | undefined;
  /** The contents of the other file, one tensor after the other. */
  readonly #data: Uint8Array[] = [];
  #dataBytes = 0;

  /** @param dataPath a file for weights; undefined: they are in the model */
  constructor(graph: Graph, dataPath: string | undefined) {
    this.#graph = graph;
    this.#dataPath = dataPath;
    this.opset = graph.nodes.reduce((opset, node) => Math.max(opset, writerOf(node).opset?.(node) ?? 0), OLDEST_OPSET);
    const names = [...graph.inputs, ...graph.outputs, ...(graph.values?.keys() ?? [])];
    for (const name of [...names, ...graph.nodes.flatMap(({ outputs }) => outputs)]) this.#valueNames.add(name);
  }

  model(): ModelProto {
    const { inputs, outputs, nodes, values, inputDims, metadata } = this.#graph;
    for (const [name, { tensor }] of values ?? []) this.addFloats(name, tensor);
    for (const node of nodes) writerOf(node).write(node, new NodeWriter(this, node));
    return {
      at: 0,
      irVersion: irVersionOf(this.opset),
      producerName: 'acnet-wasm',
      producerVersion: '',
      opsetImport: [{ at: 0, domain: '', version: this.opset }],
      metadataProps: [...(metadata ?? [])].map(([key, value]) => ({ at: 0, key, value })),
      graph: {
        at: 0,
        name: 'graph',
        node: this.#nodes,
        initializer: this.#initializers,
        input: inputs.map((name) => valueInfo(name, inputDims?.get(name))),
        output: outputs.map((name) => valueInfo(name, undefined)),
        sparseInitializer: [],
      },
    };
  }

  externalData(): Uint8Array<ArrayBuffer> {
    const data = new Uint8Array(this.#dataBytes);
    let position = 0;
    for (const part of this.#data) {
      data.set(part, position);
      position += part.length;
    }
    return data;
  }

  deriveValue(base: string): string {
    return this.#valueNames.derive(base);
  }

  deriveNode(base: string): string {
    return this.#nodeNames.derive(base);
  }

  addNode(node: NodeProto): void {
    this.#nodes.push(node);
  }

  addFloats(name: string, tensor: Tensor): void {
    this.#initializers.push(this.#floatTensor(name, tensor));
  }

  addIntegers(name: string, values: readonly number[]): void {
    this.#initializers.push({ ...emptyTensor(name, [values.length]), dataType: DataType.INT64, int64Data: values });
  }

  storedSize(name: string): number | undefined {
    return this.#graph.values?.get(name)?.tensor.size;
  }

  #floatTensor(name: string, { data, dims }: Tensor): TensorProto {
    const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const tensor = { ...emptyTensor(name, dims), dataType: DataType.FLOAT };
    if (this.#dataPath === undefined || rawData.length < MIN_EXTERNAL_BYTES) return { ...tensor, rawData };
    const entries = { location: this.#dataPath, offset: this.#dataBytes, length: rawData.length };
    this.#data.push(rawData);
    this.#dataBytes += rawData.length;
    return {
      ...tensor,
      dataLocation: EXTERNAL,
      externalData: Object.entries(entries).map(([key, value]) => ({ at: 0, key, value: String(value) })),
    };
  }
}

/** The version of the IR that was released with the opset. */
function irVersionOf(opset: number): number {
  if (opset < 15) return 7;
  return opset < 19 ? 8 : 9;
}

function emptyTensor(name: string, dims: readonly number[]): TensorProto {
  return {
    at: 0,
    dims,
    name,
    floatData: [],
    int32Data: [],
    int64Data: [],
    doubleData: [],
    uint64Data: [],
    externalData: [],
  };
}

function valueInfo(name: string, dims: readonly (number | string)[] | undefined): ValueInfoProto {
  const dim = dims?.map(
    (one): DimensionProto =>
      typeof one === 'number' ? { at: 0, dimValue: one, dimParam: '' } : { at: 0, dimParam: one },
  );
  const tensorType = { at: 0, elemType: DataType.FLOAT, ...(dim && { shape: { at: 0, dim } }) };
  return { at: 0, name, type: { at: 0, tensorType } };
}
