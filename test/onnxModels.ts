/** ONNX models in a few words, for tests: nodes as { op, inputs, outputs, attributes }, tensors as dims and values. */
import {
  type AttributeProto,
  AttributeType,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
  writeModel,
} from '../src/formats/onnx/file/proto.js';
import { DataType } from '../src/formats/onnx/file/tensors.js';

/** A whole number is an INT, an array an INTS; { f } is a FLOAT. */
type AttributeValue =
  | number
  | readonly number[]
  | string
  | TensorProto
  | { readonly f: number }
  | { readonly floats: readonly number[] };

export interface NodeSpec {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  readonly name?: string;
  readonly domain?: string;
}

export interface ModelSpec {
  readonly nodes: readonly NodeSpec[];
  readonly opset?: number;
  /** Dims, with names for axes of any size; undefined: nothing is known. */
  readonly inputs?: Readonly<Record<string, readonly (number | string)[] | undefined>>;
  /** Element types of inputs that are not float. */
  readonly inputTypes?: Readonly<Record<string, number>>;
  readonly outputs?: readonly string[];
  readonly initializers?: readonly TensorProto[];
}

function emptyTensor(name: string, dims: readonly number[]): TensorProto {
  const none = { floatData: [], int32Data: [], int64Data: [], doubleData: [], uint64Data: [], externalData: [] };
  return { at: 0, name, dims, ...none };
}

/** Values in the typed field. */
export function floats(name: string, dims: readonly number[], values: readonly number[]): TensorProto {
  return { ...emptyTensor(name, dims), dataType: DataType.FLOAT, floatData: values };
}

/** A vector of int64. */
export function integers(
  name: string,
  values: readonly number[],
  dims: readonly number[] = [values.length],
): TensorProto {
  return { ...emptyTensor(name, dims), dataType: DataType.INT64, int64Data: values };
}

/** Values as the bytes they are. */
export function raw(name: string, dims: readonly number[], dataType: number, values: ArrayBufferView): TensorProto {
  const rawData = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { ...emptyTensor(name, dims), dataType, rawData };
}

function attribute(name: string, value: AttributeValue): AttributeProto {
  const base = { at: 0, name, floats: [], ints: [], strings: [] };
  if (typeof value === 'number') return { ...base, type: AttributeType.INT, i: value };
  if (typeof value === 'string') return { ...base, type: AttributeType.STRING, s: new TextEncoder().encode(value) };
  if (Array.isArray(value)) return { ...base, type: AttributeType.INTS, ints: value };
  if ('floats' in value) return { ...base, type: AttributeType.FLOATS, floats: value.floats };
  if ('f' in value) return { ...base, type: AttributeType.FLOAT, f: value.f };
  return { ...base, type: AttributeType.TENSOR, t: value as TensorProto };
}

function node({ op, inputs, outputs, attributes = {}, name = '', domain = '' }: NodeSpec): NodeProto {
  const list = Object.entries(attributes).map(([key, value]) => attribute(key, value));
  return { at: 0, input: inputs, output: outputs, name, opType: op, attribute: list, domain };
}

function valueInfo(name: string, dims: readonly (number | string)[] | undefined, elemType: number): ValueInfoProto {
  const dim = dims?.map((one) =>
    typeof one === 'number' ? { at: 0, dimValue: one, dimParam: '' } : { at: 0, dimParam: one },
  );
  return { at: 0, name, type: { at: 0, tensorType: { at: 0, elemType, ...(dim && { shape: { at: 0, dim } }) } } };
}

/** By default with one input x of dims [N, 3, 8, 8] and one output y. */
export function modelOf({
  nodes,
  opset = 13,
  inputs = { x: ['N', 3, 8, 8] },
  inputTypes = {},
  outputs = ['y'],
  initializers = [],
}: ModelSpec): ModelProto {
  return {
    at: 0,
    irVersion: 7,
    producerName: 'test',
    producerVersion: '',
    opsetImport: [{ at: 0, domain: '', version: opset }],
    metadataProps: [],
    graph: {
      at: 0,
      name: 'test',
      node: nodes.map(node),
      initializer: initializers,
      input: Object.entries(inputs).map(([name, dims]) => valueInfo(name, dims, inputTypes[name] ?? DataType.FLOAT)),
      output: outputs.map((name) => valueInfo(name, undefined, DataType.FLOAT)),
      sparseInitializer: [],
    },
  };
}

export function fileOf(spec: ModelSpec): Uint8Array<ArrayBuffer> {
  return writeModel(modelOf(spec));
}
