/**
 * Reads what torch.save wrote before PyTorch 1.6, several pickles and then the storages:
 *
 *     | magic number | 1001 | { little_endian, ... } | the saved object | [key, ...] |     each a pickle
 *     | number of elements, int64 | elements |                                           for each key, in that order
 *
 * Where storages lie is known only after the pickles, so these refer to entries that are filled in at the end.
 */
import { FormatError } from '../../errors.js';
import { show } from '../../shown.js';
import { PickleDict, unpickle } from './pickle.js';
import { bigEndian } from './readPth.js';
import { pickleHost, type Saved } from './tensors.js';
import type { ZipEntry } from './zip.js';

/** PROTO 2, LONG1 of 10 bytes, STOP: the magic number in a pickle. */
const MAGIC = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];
const VERSION = 1001;
/** The number of elements, before the elements. */
const COUNT_BYTES = 8;

type Entry = { -readonly [K in keyof ZipEntry]: ZipEntry[K] };

export function isLegacy(file: Uint8Array): boolean {
  return MAGIC.every((byte, i) => byte === file[i]);
}

export function readLegacy(file: Uint8Array): Saved {
  const entries = new Map<string, Entry>();
  const host = pickleHost((key, bytes) => {
    const entry = entries.get(key) ?? { name: key, start: 0, end: bytes, crc: 0, problem: undefined };
    entries.set(key, entry);
    return entry;
  });
  let position = MAGIC.length;
  const next = (): unknown => {
    const { value, length } = unpickle(file.subarray(position), position, host);
    position += length;
    return value;
  };
  const version = next();
  if (version !== VERSION) throw broken(MAGIC.length, `the version must be ${VERSION}, got ${show(version)}`);
  const system = next();
  if (system instanceof PickleDict && system.get('little_endian') === false) throw bigEndian();
  const at = position;
  const value = next();
  const keys = next();
  if (!Array.isArray(keys)) throw broken(position, 'the file has no list of storages');
  for (const key of keys) position = locate(file, entries, key, position);
  const lost = [...entries.values()].find(({ start }) => start === 0);
  if (lost !== undefined) throw broken(position, `the file has no storage ${show(lost.name)}`);
  return { value, at };
}

/** Returns where the storage ends. */
function locate(file: Uint8Array, entries: ReadonlyMap<string, Entry>, key: unknown, at: number): number {
  const entry = entries.get(key as string);
  if (entry === undefined || entry.start !== 0) {
    throw broken(at, `storage ${show(key)} is listed twice, or for no tensor`);
  }
  const start = at + COUNT_BYTES;
  const end = start + entry.end;
  if (end > file.length) {
    throw broken(at, `storage ${show(key)} must lie within ${file.length} bytes, got ${start} to ${end}`);
  }
  entry.start = start;
  entry.end = end;
  return end;
}

function broken(offset: number, message: string): FormatError {
  return new FormatError(`readCheckpoint: ${message}`, offset);
}
