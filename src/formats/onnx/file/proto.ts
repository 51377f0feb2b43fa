/**
 * The messages of ONNX (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto) as plain objects, and a table of their
 * fields by which files are read and written. Names are those of onnx.proto in camel case. Unused fields are left out,
 * among them subgraphs and sequence types, so no message contains one of its own kind and nesting is bounded.
 */
import { FormatError } from '../../../errors.js';
import { BYTES, FIXED32, FIXED64, VARINT, WireReader, WireWriter } from './wire.js';

interface Message {
  /** Byte offset of the message in the file, for errors; 0 in one that was never in a file. */
  readonly at: number;
}

export interface ModelProto extends Message {
  irVersion?: number;
  producerName: string;
  producerVersion: string;
  graph?: GraphProto;
  opsetImport: readonly OperatorSetIdProto[];
  metadataProps: readonly StringStringEntryProto[];
}

export interface OperatorSetIdProto extends Message {
  domain: string;
  version?: number;
}

export interface StringStringEntryProto extends Message {
  key: string;
  value: string;
}

export interface GraphProto extends Message {
  node: readonly NodeProto[];
  name: string;
  initializer: readonly TensorProto[];
  input: readonly ValueInfoProto[];
  output: readonly ValueInfoProto[];
  /** Not decoded: nothing here reads sparse tensors. */
  sparseInitializer: readonly Uint8Array[];
}

export interface NodeProto extends Message {
  input: readonly string[];
  output: readonly string[];
  name: string;
  opType: string;
  attribute: readonly AttributeProto[];
  domain: string;
}

export interface AttributeProto extends Message {
  name: string;
  f?: number;
  i?: number;
  s?: Uint8Array;
  t?: TensorProto;
  floats: readonly number[];
  ints: readonly number[];
  strings: readonly Uint8Array[];
  type?: number;
}

export interface TensorProto extends Message {
  dims: readonly number[];
  dataType?: number;
  floatData: readonly number[];
  int32Data: readonly number[];
  int64Data: readonly number[];
  name: string;
  rawData?: Uint8Array;
  doubleData: readonly number[];
  uint64Data: readonly number[];
  externalData: readonly StringStringEntryProto[];
  dataLocation?: number;
  /** Not a field of the file: `rawData` is a whole buffer of the tensor's own, as that of external data is. */
  ownsData?: boolean;
}

export interface ValueInfoProto extends Message {
  name: string;
  type?: TypeProto;
}

export interface TypeProto extends Message {
  tensorType?: TensorTypeProto;
}

export interface TensorTypeProto extends Message {
  elemType?: number;
  shape?: TensorShapeProto;
}

export interface TensorShapeProto extends Message {
  dim: readonly DimensionProto[];
}

export interface DimensionProto extends Message {
  dimValue?: number;
  dimParam: string;
}

/** TensorProto.DataLocation: the data lies in another file; `externalData` tells which, and where. */
export const EXTERNAL = 1;

/** AttributeProto.AttributeType */
export const AttributeType = { FLOAT: 1, INT: 2, STRING: 3, TENSOR: 4, FLOATS: 6, INTS: 7 } as const;

type Scalar = 'int32' | 'int64' | 'uint64' | 'float' | 'double' | 'string' | 'bytes';

interface Field {
  readonly key: string;
  readonly type: Scalar | Schema;
  readonly repeated: boolean;
}

type Schema = ReadonlyMap<number, Field>;

const WIRE_TYPES: Record<Scalar, number> = {
  int32: VARINT,
  int64: VARINT,
  uint64: VARINT,
  float: FIXED32,
  double: FIXED64,
  string: BYTES,
  bytes: BYTES,
};

/** Enough for tens of thousands of nodes; an empty message takes 2 bytes in a file, but a hundred in memory. */
const MAX_MESSAGES = 500_000;
/** The limit of protocol buffers. */
const MAX_FILE_BYTES = 2 ** 31 - 1;
const NONE: readonly never[] = [];

function schema(fields: Record<number, [key: string, type: Scalar | Schema, repeated?: 'repeated']>): Schema {
  return new Map(
    Object.entries(fields).map(([number, [key, type, repeated]]) => [
      Number(number),
      { key, type, repeated: repeated !== undefined },
    ]),
  );
}

let schemas: ReturnType<typeof makeSchemas> | undefined;

/** Made on first use: bundlers keep what a module makes on loading in every page. */
function schemaOf(message: 'model' | 'tensor'): Schema {
  schemas ??= makeSchemas();
  return schemas[message];
}

function makeSchemas(): { readonly model: Schema; readonly tensor: Schema } {
  const stringStringEntry = schema({ 1: ['key', 'string'], 2: ['value', 'string'] });
  const tensor = schema({
    1: ['dims', 'int64', 'repeated'],
    2: ['dataType', 'int32'],
    4: ['floatData', 'float', 'repeated'],
    5: ['int32Data', 'int32', 'repeated'],
    7: ['int64Data', 'int64', 'repeated'],
    8: ['name', 'string'],
    9: ['rawData', 'bytes'],
    10: ['doubleData', 'double', 'repeated'],
    11: ['uint64Data', 'uint64', 'repeated'],
    13: ['externalData', stringStringEntry, 'repeated'],
    14: ['dataLocation', 'int32'],
  });
  const attribute = schema({
    1: ['name', 'string'],
    2: ['f', 'float'],
    3: ['i', 'int64'],
    4: ['s', 'bytes'],
    5: ['t', tensor],
    7: ['floats', 'float', 'repeated'],
    8: ['ints', 'int64', 'repeated'],
    9: ['strings', 'bytes', 'repeated'],
    20: ['type', 'int32'],
  });
  const node = schema({
    1: ['input', 'string', 'repeated'],
    2: ['output', 'string', 'repeated'],
    3: ['name', 'string'],
    4: ['opType', 'string'],
    5: ['attribute', attribute, 'repeated'],
    7: ['domain', 'string'],
  });
  const dimension = schema({ 1: ['dimValue', 'int64'], 2: ['dimParam', 'string'] });
  const tensorShape = schema({ 1: ['dim', dimension, 'repeated'] });
  const tensorType = schema({ 1: ['elemType', 'int32'], 2: ['shape', tensorShape] });
  const type = schema({ 1: ['tensorType', tensorType] });
  const valueInfo = schema({ 1: ['name', 'string'], 2: ['type', type] });
  const graph = schema({
    1: ['node', node, 'repeated'],
    2: ['name', 'string'],
    5: ['initializer', tensor, 'repeated'],
    11: ['input', valueInfo, 'repeated'],
    12: ['output', valueInfo, 'repeated'],
    15: ['sparseInitializer', 'bytes', 'repeated'],
  });
  const operatorSetId = schema({ 1: ['domain', 'string'], 2: ['version', 'int64'] });
  const model = schema({
    1: ['irVersion', 'int64'],
    2: ['producerName', 'string'],
    3: ['producerVersion', 'string'],
    7: ['graph', graph],
    8: ['opsetImport', operatorSetId, 'repeated'],
    14: ['metadataProps', stringStringEntry, 'repeated'],
  });
  return { model: model, tensor: tensor };
}

/**
 * Decodes a whole file. Byte strings in it are views of the file.
 * @throws {FormatError} if the file is truncated or no protocol buffer with these fields
 */
export function readModel(file: Uint8Array): ModelProto {
  return new Decoder().decode(schemaOf('model'), new WireReader(plain(file))) as unknown as ModelProto;
}

/** Decodes a tensor that is a file of its own, as ONNX's test data has them. */
export function readTensorProto(file: Uint8Array): TensorProto {
  return new Decoder().decode(schemaOf('tensor'), new WireReader(plain(file))) as unknown as TensorProto;
}

/** Not the object itself, as a Node Buffer's slice would alias. */
function plain(file: Uint8Array): Uint8Array {
  return new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
}

/** @throws {RangeError} if the file would be longer than a protocol buffer can be */
export function writeModel(model: ModelProto): Uint8Array<ArrayBuffer> {
  const writer = encode(schemaOf('model'), model as unknown as Record<string, unknown>);
  if (writer.length > MAX_FILE_BYTES) {
    throw new RangeError(
      `writeOnnx: the file would have ${writer.length} bytes, a protocol buffer has at most ${MAX_FILE_BYTES}; ` +
        "write the weights into a file of their own: writeOnnx(graph, { externalData: 'NAME.onnx.data' })",
    );
  }
  return writer.finish();
}

class Decoder {
  #messages = 0;

  /** A field that occurs again replaces the earlier one, or extends it if it is a message or repeated. */
  decode(fields: Schema, reader: WireReader, message = this.#empty(fields, reader.position)): Record<string, unknown> {
    while (!reader.done) {
      const at = reader.position;
      const { field: number, type: wireType } = reader.tag();
      const field = fields.get(number);
      if (field === undefined) {
        reader.skip(wireType);
        continue;
      }
      const { key, type, repeated } = field;
      const expected = typeof type === 'string' ? WIRE_TYPES[type] : BYTES;
      const packed = repeated && wireType === BYTES && expected !== BYTES;
      if (wireType !== expected && !packed) {
        throw new FormatError(`readOnnx: ${key} must be of wire type ${expected}, got ${wireType}`, at);
      }
      if (!repeated) {
        message[key] =
          typeof type === 'string'
            ? reader[type]()
            : this.decode(type, reader.message(), message[key] as Record<string, unknown> | undefined);
        continue;
      }
      if (message[key] === NONE) message[key] = [];
      const values = message[key] as unknown[];
      const source = packed ? reader.message() : reader;
      do {
        if (packed && source.done) break;
        values.push(typeof type === 'string' ? source[type]() : this.decode(type, source.message()));
      } while (packed);
    }
    return message;
  }

  #empty(fields: Schema, at: number): Record<string, unknown> {
    if (++this.#messages > MAX_MESSAGES) {
      throw new FormatError(`readOnnx: the file has more than ${MAX_MESSAGES} messages`, at);
    }
    const message: Record<string, unknown> = { at };
    for (const { key, type, repeated } of fields.values()) {
      if (repeated) message[key] = NONE;
      else if (type === 'string') message[key] = '';
    }
    return message;
  }
}

function encode(fields: Schema, message: Record<string, unknown>): WireWriter {
  const writer = new WireWriter();
  for (const [number, { key, type, repeated }] of fields) {
    const value = message[key];
    if (repeated) encodeRepeated(writer, number, type, value as readonly unknown[]);
    else if (value !== undefined && value !== '') {
      writer.tag(number, typeof type === 'string' ? WIRE_TYPES[type] : BYTES);
      encodeValue(writer, type, value);
    }
  }
  return writer;
}

/** Numbers are packed, which every reader of protocol buffers takes. */
function encodeRepeated(writer: WireWriter, number: number, type: Scalar | Schema, values: readonly unknown[]): void {
  if (values.length === 0) return;
  if (typeof type === 'string' && WIRE_TYPES[type] !== BYTES) {
    const packed = new WireWriter();
    for (const value of values) encodeValue(packed, type, value);
    writer.tag(number, BYTES);
    writer.message(packed);
    return;
  }
  for (const value of values) {
    writer.tag(number, BYTES);
    encodeValue(writer, type, value);
  }
}

function encodeValue(writer: WireWriter, type: Scalar | Schema, value: unknown): void {
  if (typeof type !== 'string') writer.message(encode(type, value as Record<string, unknown>));
  else if (type === 'string') writer.string(value as string);
  else if (type === 'bytes') writer.bytes(value as Uint8Array);
  else if (type === 'float') writer.float(value as number);
  else if (type === 'double') writer.double(value as number);
  else writer.int64(value as number);
}
