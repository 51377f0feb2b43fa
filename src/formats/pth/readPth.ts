/**
 * Reads what PyTorch's torch.save writes, since version 1.6 a zip archive of stored entries:
 *
 *     NAME/data.pkl     a pickle of the saved object, in which tensors refer to storages by their keys
 *     NAME/byteorder    'little' or 'big'; older versions leave it out
 *     NAME/data/KEY     the elements of a storage
 *     NAME/version      and others that are of no use here
 *
 * The saved object is a state dict, or a dict that holds one beside an epoch, an optimizer and the like.
 */
import { FormatError, UnsupportedError } from '../../errors.js';
import type { Tensor } from '../../tensor.js';
import { show } from '../file.js';
import { PickleDict, unpickle } from './pickle.js';
import { loadTensors, pickleHost, StoredTensor } from './tensors.js';
import { checkCrc, readZipDirectory, type ZipEntry } from './zip.js';

/** Under what people save the state dict in a dict, the likeliest first. */
const STATE_DICT_KEYS = [
  'state_dict',
  'model_state_dict',
  'model_state',
  'model',
  'net',
  'network',
  'module',
  'params',
  'weights',
];
/** { model: { state_dict: ... } } has two. */
const MAX_NESTING = 4;
const MAX_PICKLE_BYTES = 2 ** 26;

/** @returns The tensors of the state dict by name, in its order. */
export function readPth(file: Uint8Array): Map<string, Tensor> {
  const entries = readZipDirectory(file);
  const pickle = findPickle(entries);
  const folder = pickle.name.slice(0, -'data.pkl'.length);
  checkByteOrder(file, entries.get(`${folder}byteorder`));
  if (pickle.end - pickle.start > MAX_PICKLE_BYTES) {
    throw broken(pickle.start, `${show(pickle.name)} has ${pickle.end - pickle.start} bytes, expected at most 64 MB`);
  }
  checkCrc(file, pickle);
  const host = pickleHost((key) => entries.get(`${folder}data/${key}`));
  // A slice, as TextDecoder takes no shared memory in browsers.
  const saved = unpickle(file.slice(pickle.start, pickle.end), pickle.start, host);
  return loadTensors(file, findStateDict(saved, pickle.start));
}

/** torch.save puts everything into one folder, which has the name of the file. */
function findPickle(entries: ReadonlyMap<string, ZipEntry>): ZipEntry {
  const [first = ''] = entries.keys();
  const folder = first.slice(0, first.indexOf('/') + 1);
  if (entries.has(`${folder}constants.pkl`)) {
    throw new UnsupportedError(
      'readCheckpoint: the file is a TorchScript archive, expected a state dict: ' +
        'torch.save(torch.jit.load(path).state_dict(), path)',
    );
  }
  const pickle = entries.get(`${folder}data.pkl`);
  if (pickle === undefined) {
    throw broken(0, `the file is a zip archive without ${show(`${folder}data.pkl`)}, so it is not of torch.save`);
  }
  return pickle;
}

function checkByteOrder(file: Uint8Array, entry: ZipEntry | undefined): void {
  if (entry === undefined) return;
  const order = String.fromCharCode(...file.subarray(entry.start, Math.min(entry.end, entry.start + 16)));
  if (order === 'big') {
    throw new UnsupportedError('readCheckpoint: the file is big-endian: save it again on a little-endian machine');
  }
  if (order !== 'little') throw broken(entry.start, `the byte order is ${show(order)}, expected "little"`);
}

function findStateDict(saved: unknown, at: number): Map<string, StoredTensor> {
  let value = saved;
  for (let nesting = 0; nesting < MAX_NESTING && value instanceof PickleDict; nesting++) {
    const dict: PickleDict = value;
    const tensors = tensorsOf(dict);
    if (tensors.size > 0 || dict.size === 0) return tensors;
    value = STATE_DICT_KEYS.map((key) => dict.get(key)).find((entry) => entry instanceof PickleDict);
  }
  throw broken(at, `the checkpoint ${describe(saved)}, expected tensors by name, or a dict of such in "state_dict"`);
}

function tensorsOf(dict: PickleDict): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const [key, value] of dict) {
    if (typeof key === 'string' && value instanceof StoredTensor) tensors.set(key, value);
  }
  return tensors;
}

function describe(saved: unknown): string {
  if (saved instanceof StoredTensor) return 'is a single tensor';
  if (!(saved instanceof PickleDict)) return 'is not a dict';
  const keys: string[] = [];
  for (const [key] of saved) {
    if (keys.length === 8) break;
    if (typeof key === 'string') keys.push(show(key).slice(0, 32));
  }
  return `is a dict without tensors (keys ${keys.join(', ')})`;
}

function broken(offset: number, message: string): FormatError {
  return new FormatError(`readCheckpoint: ${message}`, offset);
}
