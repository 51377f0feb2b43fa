/**
 * Reads and writes safetensors files (https://github.com/huggingface/safetensors#format).
 *
 *     0           8                                     8 + n                            end of file
 *     | n, uint64 | header: JSON, n bytes, may end in   | the elements of all tensors,   |
 *     |           | blanks: { name: { dtype, shape,     | row-major, without holes or    |
 *     |           | data_offsets: [begin, end] }, ... } | overlaps                       |
 *
 * Files are hostile: every size is checked against the file before anything is allocated for it.
 */

import { byteView } from '../bytes/byteView.js';
import { bytesPerElement, type ElementType, elementTypes, isElementType, toFloat32 } from '../bytes/elements.js';
import { FormatError } from '../errors.js';
import { show } from '../shown.js';
import { fitsMemory, MAX_VALUES, product } from '../sizes.js';
import { type StateDict, Tensor } from '../tensor.js';

interface Entry {
  name: string;
  /** Byte offset of the tensor's name in the file, for errors. */
  at: number;
  dtype: ElementType;
  dims: number[];
  /** Bytes from the beginning of the data. */
  begin: number;
  end: number;
}

/** The longest header that the reference implementation takes. */
const MAX_HEADER_BYTES = 100_000_000;
const MAX_RANK = 32;
/** Each tensor has four: its name and three in its entry. */
const MAX_KEYS = 2 ** 17;
/** The header, a tensor in it, and the tensor's shape. */
const MAX_DEPTH = 3;

const METADATA = '__metadata__';

/**
 * Reads a safetensors file. Elements of type F32, F64, F16, BF16, I64, I32, I16, I8, U8 and BOOL all become float32,
 * rounded to the nearest where float32 cannot hold them. The tensors own their data and never alias `bytes`.
 *
 * @param bytes The whole file.
 * @returns The tensors in the order of the header, and the header's `__metadata__` ({} where there is none).
 * @throws {FormatError} if the file is truncated, contradicts itself or holds other element types
 * @example
 * const { tensors, metadata } = readSafetensors(await readFile('model.safetensors'));
 */
export function readSafetensors(bytes: Uint8Array | ArrayBuffer): {
  tensors: StateDict;
  metadata: Record<string, string>;
} {
  const file = byteView(bytes, 'readSafetensors');
  if (file.length < 8) throw broken(file.length, `the file must have at least 8 bytes, got ${file.length}`);
  const view = new DataView(file.buffer, file.byteOffset, 8);
  const headerBytes = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  const limit = Math.min(MAX_HEADER_BYTES, file.length - 8);
  if (headerBytes > limit) {
    throw broken(0, `the header must have at most ${limit} bytes in a file of ${file.length}, got ${headerBytes}`);
  }
  const dataStart = 8 + headerBytes;
  const dataBytes = file.length - dataStart;

  const { header, offsets } = readHeader(file, dataStart);
  const entries: Entry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, at] of offsets) {
    if (name === METADATA) metadata = checkMetadata(header[name], at);
    else entries.push(checkEntry(header[name], name, at, dataBytes));
  }
  checkCoverage(entries, dataStart, dataBytes);

  const tensors = entries.map(({ name, dtype, dims, begin, end }): [string, Tensor] => {
    // Not subarray: the copy makes the tensor own its data, and aligns it.
    const data = toFloat32(dtype, file.slice(dataStart + begin, dataStart + end).buffer);
    return [name, new Tensor('float32', data, dims)];
  });
  // fromEntries defines properties, so that a tensor named __proto__ is one like any other.
  return { tensors: Object.fromEntries(tensors), metadata };
}

/**
 * Writes tensors as F32, in the order of their keys. The same arguments give the same bytes.
 *
 * @param metadata Strings to store beside them.
 * @throws {TypeError} if a value is not a Tensor, or one of the metadata not a string
 * @throws {RangeError} if a tensor is named `__metadata__`, or the header would be longer than 100 MB
 * @example
 * await writeFile('model.safetensors', writeSafetensors(block.stateDict(), { format: 'pt' }));
 */
export function writeSafetensors(tensors: StateDict, metadata: Record<string, string> = {}): Uint8Array<ArrayBuffer> {
  const header: [string, unknown][] = [];
  const strings = entriesOf('metadata', metadata, (value) => typeof value === 'string', 'a string');
  if (strings.length > 0) header.push([METADATA, Object.fromEntries(strings)]);
  const sources = entriesOf('tensors', tensors, (value) => value instanceof Tensor, 'a Tensor');
  let dataBytes = 0;
  for (const [name, { dims, size }] of sources) {
    if (name === METADATA) throw new RangeError(`writeSafetensors: tensors has the key ${METADATA}, which is reserved`);
    const begin = dataBytes;
    dataBytes += size * 4;
    header.push([name, { dtype: 'F32', shape: dims, data_offsets: [begin, dataBytes] }]);
  }

  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  // The data begins at a multiple of 8, for readers that map the file.
  const headerBytes = Math.ceil(text.length / 8) * 8;
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new RangeError(
      `writeSafetensors: the header must have at most ${MAX_HEADER_BYTES} bytes, got ${headerBytes}`,
    );
  }
  const file = new Uint8Array(8 + headerBytes + dataBytes);
  new DataView(file.buffer).setUint32(0, headerBytes, true);
  file.set(text, 8);
  file.fill(0x20, 8 + text.length, 8 + headerBytes);
  let offset = 8 + headerBytes;
  for (const [, { data }] of sources) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
  }
  return file;
}

function broken(offset: number, message: string): FormatError {
  return new FormatError(`readSafetensors: ${message}`, offset);
}

/** The header, and where each of its keys stands in the file. */
function readHeader(file: Uint8Array, end: number) {
  if (file[8] !== 0x7b) throw broken(8, 'the header does not begin with {');
  try {
    // A slice, as TextDecoder takes no shared memory in browsers.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(file.slice(8, end));
    const offsets = keyOffsets(file, end);
    return { header: JSON.parse(text) as Record<string, unknown>, offsets };
  } catch (error) {
    if (error instanceof FormatError) throw error;
    throw broken(8, 'the header is not JSON in UTF-8');
  }
}

/**
 * Scans the header before JSON.parse, which is slow on endless brackets and silently keeps the last of two equal keys.
 * What is not JSON may pass here.
 */
function keyOffsets(file: Uint8Array, end: number): Map<string, number> {
  const decoder = new TextDecoder();
  const scopes: Map<string, number>[] = []; // by depth; the header is at depth 1
  let depth = 0;
  let keys = 0;
  let quoted = false;
  let start = 8;
  for (let i = 8; i < end; i++) {
    const byte = file[i]!;
    if (byte === 0x22) {
      quoted = !quoted;
      if (quoted) start = i;
    } else if (quoted) {
      if (byte === 0x5c) i++; // a backslash: the byte after it ends no string
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > MAX_DEPTH) throw broken(i, `the header is nested deeper than ${MAX_DEPTH}`);
      if (byte === 0x7b) scopes[depth] = new Map();
    } else if (byte === 0x7d || byte === 0x5d) {
      depth--;
    } else if (byte === 0x3a) {
      if (++keys > MAX_KEYS) throw broken(i, `the header has more than ${MAX_KEYS} keys`);
      const key: string = JSON.parse(decoder.decode(file.slice(start, i)));
      if (scopes[depth]?.has(key)) throw broken(start, `the header has the key ${show(key)} twice`);
      scopes[depth]?.set(key, start);
    }
  }
  return scopes[1]!;
}

function checkMetadata(value: unknown, at: number): Record<string, string> {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject || !Object.values(value).every((text) => typeof text === 'string')) {
    throw broken(at, `${METADATA} must be an object of strings, got ${show(value)}`);
  }
  return value as Record<string, string>;
}

function checkEntry(value: unknown, name: string, at: number, dataBytes: number): Entry {
  const fail = (field: string, got: unknown, expected: string) =>
    broken(at, `${field} of tensor ${show(name)} must be ${expected}, got ${show(got)}`);
  const { dtype, shape, data_offsets: offsets } = Object(value) as Record<string, unknown>;
  if (!isElementType(dtype)) throw fail('dtype', dtype, `one of ${elementTypes()}`);
  if (!areSizes(shape) || shape.length > MAX_RANK) throw fail('shape', shape, `at most ${MAX_RANK} integers from 0`);
  if (!areSizes(offsets) || offsets.length !== 2) throw fail('data_offsets', offsets, '[begin, end]');
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataBytes) throw fail('data_offsets', offsets, `a range within ${dataBytes} bytes`);
  const bytes = product(...shape, bytesPerElement(dtype));
  if (end - begin !== bytes) throw fail('data_offsets', offsets, `${bytes} bytes for ${dtype} ${show(shape)}`);
  if (!fitsMemory(shape)) throw fail('shape', shape, `at most ${MAX_VALUES} values`);
  return { name, at, dtype, dims: shape, begin, end };
}

function areSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** Tensors that overlap or leave bytes out could smuggle something past other readers: the format forbids both. */
function checkCoverage(entries: readonly Entry[], dataStart: number, dataBytes: number): void {
  let covered = 0;
  for (const { name, at, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== covered) throw broken(at, `tensor ${show(name)} must begin at data byte ${covered}, got ${begin}`);
    covered = end;
  }
  if (covered < dataBytes) {
    throw broken(dataStart + covered, `the tensors must cover all ${dataBytes} bytes of data, got ${covered}`);
  }
}

function entriesOf<T>(
  argument: string,
  record: Record<string, T>,
  isExpected: (value: T) => boolean,
  expected: string,
): [string, T][] {
  if (record === null || typeof record !== 'object') {
    throw new TypeError(`writeSafetensors: ${argument} must be an object, got ${show(record)}`);
  }
  const entries = Object.entries(record);
  for (const [key, value] of entries) {
    if (!isExpected(value)) {
      throw new TypeError(`writeSafetensors: ${argument}[${show(key)}] must be ${expected}, got ${show(value)}`);
    }
  }
  return entries;
}
