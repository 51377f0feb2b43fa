/**
 * Reads what PyTorch's torch.save writes, since version 1.6 a zip archive of stored entries:
 *
 *     NAME/data.pkl     a pickle of the saved object, in which tensors refer to storages by their keys
 *     NAME/byteorder    'little' or 'big'; older versions leave it out
 *     NAME/data/KEY     the elements of a storage
 *     NAME/version      and others that are of no use here
 *
 * A TorchScript archive looks the same, and has the code of its modules in further entries, which are not read.
 */
import { FormatError, UnsupportedError } from '../../errors.js';
import { show } from '../../shown.js';
import { unpickle } from './pickle.js';
import { pickleHost, type Saved } from './tensors.js';
import { checkCrc, checkStored, readZipDirectory, type ZipEntry } from './zip.js';

const MAX_PICKLE_BYTES = 2 ** 26;

export function readPth(file: Uint8Array): Saved {
  const entries = readZipDirectory(file);
  const pickle = findPickle(entries);
  const folder = pickle.name.slice(0, -'data.pkl'.length);
  checkByteOrder(file, entries.get(`${folder}byteorder`));
  if (pickle.end - pickle.start > MAX_PICKLE_BYTES) {
    throw broken(pickle.start, `${show(pickle.name)} must have at most 64 MB, got ${pickle.end - pickle.start} bytes`);
  }
  checkStored(pickle);
  checkCrc(file, pickle);
  const host = pickleHost((key) => entries.get(`${folder}data/${key}`));
  const { value } = unpickle(file.subarray(pickle.start, pickle.end), pickle.start, host);
  return { value, at: pickle.start };
}

/** torch.save puts everything into one folder, which is named after the file. */
function findPickle(entries: ReadonlyMap<string, ZipEntry>): ZipEntry {
  const [first = ''] = entries.keys();
  const folder = first.slice(0, first.indexOf('/') + 1);
  const pickle = entries.get(`${folder}data.pkl`);
  if (pickle === undefined) {
    throw broken(0, `the file is a zip archive without ${show(`${folder}data.pkl`)}, so it is not of torch.save`);
  }
  return pickle;
}

function checkByteOrder(file: Uint8Array, entry: ZipEntry | undefined): void {
  if (entry === undefined) return;
  const order = String.fromCharCode(...file.subarray(entry.start, Math.min(entry.end, entry.start + 16)));
  if (order === 'big') throw bigEndian();
  if (order !== 'little') throw broken(entry.start, `the byte order must be "little", got ${show(order)}`);
}

export function bigEndian(): UnsupportedError {
  return new UnsupportedError('readCheckpoint: the file is big-endian: save it again on a little-endian machine');
}

function broken(offset: number, message: string): FormatError {
  return new FormatError(`readCheckpoint: ${message}`, offset);
}
