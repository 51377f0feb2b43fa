/**
 * Tensors whose data lies in other files (https://github.com/onnx/onnx/blob/main/docs/ExternalData.md), as PyTorch's
 * exporter has them since 2.9. Such a tensor names a file, relative to the model's folder, and a range of its bytes:
 *
 *     external_data { location: 'net.onnx.data', offset: '1728', length: '576' }
 *
 * A model is not trusted: what it names never lies outside of its folder, and ranges are as long as the tensors'
 * elements and checked against the file. The caller attaches the bytes, and the model is then read like one with its
 * data inside.
 */

import { byteView } from '../../bytes/byteView.js';
import { describeKind, fileKind } from '../../bytes/sniff.js';
import { FormatError, UnsupportedError } from '../../errors.js';
import { show } from '../../shown.js';
import { EXTERNAL, type ModelProto, type TensorProto } from './file/proto.js';
import { byteSizeOf } from './file/tensors.js';

/** The data of a tensor: bytes `begin` to `end` of a file. */
export interface ExternalTensor {
  readonly tensor: TensorProto;
  readonly begin: number;
  readonly end: number;
}

/** A file that tensors of a model refer to by its path, and its bytes. */
export interface ExternalFile {
  readonly path: string;
  readonly data: Uint8Array | ArrayBuffer;
}

/**
 * The option `externalData`: a list of files with the paths by which a model names them.
 * @throws {TypeError} if it is not one; readers check the data itself
 */
export function checkExternalData<T extends { readonly path: string }>(
  owner: string,
  files: readonly T[] | undefined,
): readonly T[] {
  if (files === undefined) return [];
  if (Array.isArray(files) && files.every((file) => typeof file?.path === 'string')) return files;
  throw new TypeError(`${owner}: externalData must be a list of { path, data }, got ${show(files)}`);
}

/** Overlapping ranges can inflate a small file: in all they may have 16 MB and 4 times the bytes that they cover. */
const SPARE_BYTES = 2 ** 24;
const MAX_TIMES = 4;

/**
 * The tensors of a model that lie in other files: by the file's path, in the order of their ranges.
 * @throws {FormatError} if a path leads out of the model's folder, or a range does not fit its tensor
 */
export function externalTensors(model: ModelProto): ReadonlyMap<string, readonly ExternalTensor[]> {
  const files = new Map<string, ExternalTensor[]>();
  for (const tensor of tensorsOf(model)) {
    if (tensor.dataLocation !== EXTERNAL) continue;
    const path = pathOf(tensor);
    const tensors = files.get(path);
    if (tensors === undefined) files.set(path, [rangeOf(tensor)]);
    else tensors.push(rangeOf(tensor));
  }
  for (const tensors of files.values()) {
    tensors.sort((a, b) => a.begin - b.begin);
    checkOverlaps(tensors);
  }
  return files;
}

function* tensorsOf({ graph }: ModelProto): Generator<TensorProto> {
  yield* graph?.initializer ?? [];
  for (const { attribute } of graph?.node ?? []) {
    for (const { t } of attribute) if (t !== undefined) yield t;
  }
}

/**
 * A path of a data file in one form; undefined if it does not lie in the model's folder, or could mean something other
 * than a path (an address, a drive, a path of Windows).
 */
export function normalPath(path: string): string | undefined {
  const parts = path.split('/').filter((part) => part !== '.');
  const isOutside = parts.length === 0 || parts.some((part) => part === '' || part === '..');
  return isOutside || ['\\', ':', '\0'].some((character) => path.includes(character)) ? undefined : parts.join('/');
}

function pathOf(tensor: TensorProto): string {
  const location = entryOf(tensor, 'location');
  const path = location === undefined ? undefined : normalPath(location);
  if (path !== undefined) return path;
  throw new FormatError(
    `readOnnx: the location of the data of tensor ${show(tensor.name)} must be a path inside of the model's folder, ` +
      `without \\, : and .., got ${show(location ?? '')}`,
    tensor.at,
  );
}

function rangeOf(tensor: TensorProto): ExternalTensor {
  const begin = numberOf(tensor, 'offset') ?? 0;
  const bytes = byteSizeOf(tensor);
  const length = numberOf(tensor, 'length') ?? bytes;
  if (length !== bytes) {
    throw new FormatError(
      `readOnnx: the external data of tensor ${show(tensor.name)} must have ${bytes} bytes for its dims, got ${length}`,
      tensor.at,
    );
  }
  return { tensor, begin, end: begin + bytes };
}

function numberOf(tensor: TensorProto, key: string): number | undefined {
  const text = entryOf(tensor, key);
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  throw new FormatError(
    `readOnnx: the ${key} of the external data of tensor ${show(tensor.name)} must be a whole number, got ${show(text)}`,
    tensor.at,
  );
}

function entryOf({ externalData }: TensorProto, key: string): string | undefined {
  return externalData.find((entry) => entry.key === key)?.value;
}

function checkOverlaps(tensors: readonly ExternalTensor[]): void {
  let covered = 0;
  let reached = 0;
  let bytes = 0;
  for (const { tensor, begin, end } of tensors) {
    covered += Math.max(0, end - Math.max(begin, reached));
    reached = Math.max(reached, end);
    bytes += end - begin;
    const limit = SPARE_BYTES + MAX_TIMES * covered;
    if (bytes <= limit) continue;
    throw new FormatError(
      `readOnnx: the external data of tensors up to ${show(tensor.name)}, which overlaps, must take at most ${limit} bytes, ` +
        `got ${bytes}`,
      tensor.at,
    );
  }
}

/** @throws {FormatError} if the file ends before the tensor's data does */
export function checkLength({ tensor, begin, end }: ExternalTensor, path: string, fileBytes: number): void {
  if (end <= fileBytes) return;
  throw new FormatError(
    `readOnnx: ${show(path)} must hold the data of tensor ${show(tensor.name)} at bytes ${begin} to ${end}, ` +
      `got ${fileBytes} bytes`,
    tensor.at,
  );
}

/**
 * @param bytes the first of the file
 * @throws {FormatError} if they belong to something that servers or repositories send in its place
 */
export function checkKind(tensors: readonly ExternalTensor[], path: string, bytes: Uint8Array): void {
  const kind = fileKind(bytes);
  if (kind !== 'html' && kind !== 'lfs') return;
  throw new FormatError(
    `readOnnx: ${describeFile(tensors, path)}, which is ${describeKind(kind)}`,
    tensors[0]!.tensor.at,
  );
}

/** @param bytes a buffer of its own, which the tensor takes over */
export function attach({ tensor }: ExternalTensor, bytes: Uint8Array): void {
  tensor.rawData = bytes;
  tensor.ownsData = true;
}

export function attachBytes(tensors: readonly ExternalTensor[], path: string, file: Uint8Array): void {
  checkKind(tensors, path, file);
  for (const one of tensors) {
    checkLength(one, path, file.length);
    attach(one, file.slice(one.begin, one.end));
  }
}

/** A file and what it is needed for: its first tensor, and how many there are. */
export function describeFile(tensors: readonly ExternalTensor[], path: string): string {
  const [{ tensor, begin, end }] = tensors as [ExternalTensor];
  const others = tensors.length === 1 ? '' : `, and of ${tensors.length - 1} more`;
  return `the data of tensor ${show(tensor.name)} lies in another file, ${show(path)} (${end - begin} bytes${others})`;
}

export function notGiven(tensors: readonly ExternalTensor[], path: string, owner: string): UnsupportedError {
  return new UnsupportedError(
    `${owner}: ${describeFile(tensors, path)}, which was not given: pass externalData: [{ path, data }], or load the ` +
      'model from its path or address, where it is found beside it',
  );
}

/**
 * Attaches the data of all tensors that lie in other files.
 * @throws {FormatError} if a file is too short or a path leads out of the folder
 * @throws {UnsupportedError} if a file is missing
 */
export function attachFiles(model: ModelProto, given: readonly ExternalFile[]): void {
  for (const [path, tensors] of externalTensors(model)) {
    const file = given.find((one) => normalPath(one.path) === path);
    if (file === undefined) throw notGiven(tensors, path, 'readOnnx');
    attachBytes(tensors, path, byteView(file.data, `readOnnx: externalData ${path}`));
  }
}
