/**
 * The tensors of what torch.save writes: the globals and the persistent identifiers in its pickle, and the values in
 * its storages.
 *
 * A tensor is a view of a storage, which several may share. Element [i, j, ...] is number
 * offset + i * stride[0] + j * stride[1] + ... of the storage, and the storage is entry `data/KEY` of the archive.
 */

import { bytesPerElement, type ElementType, toFloat32 } from '../../bytes/elements.js';
import { FormatError } from '../../errors.js';
import { show, showList } from '../../shown.js';
import { fitsMemory, product, sizeOf } from '../../sizes.js';
import { Tensor } from '../../tensor.js';
import { PickleDict, PickleFunction, type PickleHost, PickleObject } from './pickle.js';
import { checkCrc, checkStored, type ZipEntry } from './zip.js';

/** A storage of the archive, seen as elements of one type. */
class TensorStorage {
  readonly type: ElementType;
  readonly entry: ZipEntry;
  readonly length: number;

  constructor(type: ElementType, entry: ZipEntry, length: number) {
    this.type = type;
    this.entry = entry;
    this.length = length;
  }
}

/** A tensor whose values are still in the file. */
export class StoredTensor {
  readonly storage: TensorStorage;
  readonly offset: number;
  readonly dims: readonly number[];
  readonly strides: readonly number[];
  readonly size: number;
  /** Where the pickle makes it, for errors. */
  readonly at: number;

  constructor(storage: TensorStorage, offset: number, dims: readonly number[], strides: readonly number[], at: number) {
    this.storage = storage;
    this.offset = offset;
    this.dims = dims;
    this.strides = strides;
    this.size = sizeOf(dims);
    this.at = at;
  }
}

/** What a file of torch.save holds: the saved object, and where its pickle is, for errors. */
export interface Saved {
  readonly value: unknown;
  readonly at: number;
}

class StorageType {
  readonly element: ElementType;

  constructor(element: ElementType) {
    this.element = element;
  }
}

const STORAGE_TYPES: Record<string, ElementType> = {
  FloatStorage: 'F32',
  DoubleStorage: 'F64',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
};

const DTYPES = [
  ...['float64', 'float32', 'float16', 'bfloat16', 'complex64', 'complex128'],
  ...['int64', 'int32', 'int16', 'int8', 'uint8', 'bool'],
];

const MAX_RANK = 32;

/** All that a pickle of state dicts may name. */
function makeGlobals(): ReadonlyMap<string, unknown> {
  return new Map<string, unknown>([
    ['collections.OrderedDict', new PickleFunction(makeOrderedDict)],
    ['torch._utils._rebuild_tensor', new PickleFunction(rebuildTensor)],
    ['torch._utils._rebuild_tensor_v2', new PickleFunction(rebuildTensor)],
    ['torch._utils._rebuild_parameter', new PickleFunction(rebuildParameter)],
    ['torch.Size', new PickleFunction(makeSize)],
    ['__builtin__.set', new PickleFunction(makeSet)],
    ...Object.entries(STORAGE_TYPES).map(([name, type]) => [`torch.${name}`, new StorageType(type)] as const),
    ...DTYPES.map((name) => [`torch.${name}`, name] as const),
  ]);
}

/** Finds a storage by its key; `bytes` is how many the pickle says it has. */
export type FindStorage = (key: string, bytes: number) => ZipEntry | undefined;

export function pickleHost(storageOf: FindStorage): PickleHost {
  return { globals: makeGlobals(), persistentLoad: (id, at) => loadStorage(storageOf, id, at) };
}

/** ('storage', type, key, device, number of elements, and before 1.6 of what it is a part) */
function loadStorage(storageOf: FindStorage, id: unknown, at: number): TensorStorage | PickleObject {
  const [kind, type, key, , length, whole] = Array.isArray(id) ? (id as unknown[]) : [];
  // A class with its source, or an unsupported element type: what is made of these is unsupported too.
  if ((kind === 'module' || kind === 'storage') && type instanceof PickleObject) return type;
  if (kind !== 'storage' || !(type instanceof StorageType) || typeof key !== 'string' || !isSize(length) || whole) {
    throw broken(at, 'the pickle has a persistent identifier that is not of a storage');
  }
  const { element } = type;
  const expected = product(length, bytesPerElement(element));
  const entry = storageOf(key, expected);
  if (entry === undefined) throw broken(at, `the archive has no storage ${show(key)}`);
  checkStored(entry);
  if (expected !== entry.end - entry.start) {
    const bytes = entry.end - entry.start;
    throw broken(
      at,
      `storage ${show(key)} of ${length} elements of type ${element} must have ${expected} bytes, got ${bytes}`,
    );
  }
  return new TensorStorage(element, entry, length);
}

/** State dicts are pickled empty, and their items set afterwards; Python 2 passes a list of items. */
function makeOrderedDict([items = []]: readonly unknown[], at: number): PickleDict {
  if (!Array.isArray(items) || !items.every((item) => Array.isArray(item) && item.length === 2)) {
    throw broken(at, 'the pickle makes an OrderedDict of what is no list of pairs');
  }
  const dict = new PickleDict();
  for (const [key, value] of items as [unknown, unknown][]) dict.set(key, value);
  return dict;
}

/** ([item, ...]) */
function makeSet([items = []]: readonly unknown[]): unknown {
  return items;
}

function makeSize(args: readonly unknown[], at: number): readonly unknown[] {
  const [sizes] = args;
  if (args.length !== 1 || !Array.isArray(sizes)) throw broken(at, 'the pickle makes a torch.Size of no tuple');
  return sizes;
}

/** (data, requires_grad, backward_hooks) */
function rebuildParameter([data]: readonly unknown[], at: number): StoredTensor | PickleObject {
  if (data instanceof PickleObject) return data;
  if (!(data instanceof StoredTensor)) throw broken(at, 'the pickle makes a parameter of what is not a tensor');
  return data;
}

/** (storage, storage_offset, size, stride), and since 0.4 (requires_grad, backward_hooks, metadata?) */
function rebuildTensor([storage, offset, dims, strides]: readonly unknown[], at: number): StoredTensor | PickleObject {
  if (storage instanceof PickleObject) return storage;
  if (!(storage instanceof TensorStorage)) throw broken(at, 'the pickle makes a tensor of what is not a storage');
  if (!isSize(offset) || !areSizes(dims) || !areSizes(strides) || dims.length !== strides.length) {
    throw broken(
      at,
      `a tensor has no offset, sizes and strides that are as many, at most ${MAX_RANK}, integers from 0`,
    );
  }
  // Copies: the pickle may change its lists later on.
  const tensor = new StoredTensor(storage, offset, [...dims], [...strides], at);
  const last = dims.reduce((sum, dim, axis) => sum + product(dim - 1, strides[axis]!), offset);
  if (tensor.size > Number.MAX_SAFE_INTEGER || (tensor.size > 0 ? last >= storage.length : !fitsMemory(dims))) {
    throw broken(
      at,
      `a tensor of sizes [${showList(dims)}], strides [${showList(strides)}] and offset ${offset} ` +
        `reaches beyond its storage of ${storage.length} elements`,
    );
  }
  return tensor;
}

/** Copies tensors out of the file, each of them separately even if they share a storage. */
export function loadTensors(file: Uint8Array, tensors: ReadonlyMap<string, StoredTensor>): Map<string, Tensor> {
  checkTotal(file, tensors);
  const checked = new Set<ZipEntry>();
  const loaded = new Map<string, Tensor>();
  for (const [name, tensor] of tensors) {
    const { entry } = tensor.storage;
    if (!checked.has(entry)) checkCrc(file, entry);
    checked.add(entry);
    loaded.set(name, new Tensor('float32', loadValues(file, tensor), tensor.dims));
  }
  return loaded;
}

/**
 * Strides of 0, and many tensors of one storage, can inflate a small file: to 16 MB and 4 times its size, as float32.
 */
function checkTotal(file: Uint8Array, tensors: ReadonlyMap<string, StoredTensor>): void {
  const limit = 2 ** 24 + 4 * file.length;
  let bytes = 0;
  for (const [name, { size, at }] of tensors) {
    bytes += 4 * size;
    if (bytes > limit) {
      throw broken(at, `the tensors up to ${show(name)} must take at most ${limit} bytes, got ${bytes}`);
    }
  }
}

function loadValues(file: Uint8Array, tensor: StoredTensor): Float32Array {
  const { type, entry } = tensor.storage;
  const bytes = bytesPerElement(type);
  const start = entry.start + tensor.offset * bytes;
  const elements = isContiguous(tensor)
    ? file.slice(start, start + tensor.size * bytes)
    : gather(file, start, tensor, bytes);
  return toFloat32(type, elements.buffer as ArrayBuffer);
}

function isContiguous({ dims, strides }: StoredTensor): boolean {
  let expected = 1;
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    if (dims[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= dims[axis]!;
  }
  return true;
}

/** The bytes of the elements in row-major order of the dims. */
function gather(file: Uint8Array, start: number, { dims, strides, size }: StoredTensor, bytes: number): Uint8Array {
  const gathered = new Uint8Array(size * bytes);
  const index = dims.map(() => 0);
  let from = start;
  for (let to = 0; to < gathered.length; to += bytes) {
    for (let i = 0; i < bytes; i++) gathered[to + i] = file[from + i]!;
    // Step to the next element: the last axis first, as an odometer does.
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      from += strides[axis]! * bytes;
      index[axis]!++;
      if (index[axis]! < dims[axis]!) break;
      from -= strides[axis]! * dims[axis]! * bytes;
      index[axis] = 0;
    }
  }
  return gathered;
}

function areSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= MAX_RANK && value.every(isSize);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function broken(offset: number, message: string): FormatError {
  return new FormatError(`readCheckpoint: ${message}`, offset);
}
