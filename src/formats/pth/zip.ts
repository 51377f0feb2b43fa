/**
 * The directory of a zip archive as torch.save writes it: all entries stored, none compressed.
 *
 *     | local header | name, padding | data | data descriptor |  for each entry
 *     | central header | name, extra field |                     for each entry
 *     | zip64 end record | zip64 locator | end record |          the first two only in zip64 archives
 *
 * Layouts: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.3. Sizes and checksums are those of the central directory, as
 * torch leaves them zero in local headers. Nothing is decompressed, so no entry can be longer than the file.
 */

import { crc32 } from '../../bytes/crc32.js';
import { FormatError, UnsupportedError } from '../../errors.js';
import { show } from '../../shown.js';

export interface ZipEntry {
  readonly name: string;
  /** Where the data is in the file. */
  readonly start: number;
  readonly end: number;
  readonly crc: number;
  /** Why its data cannot be read; TorchScript compresses its code. */
  readonly problem: string | undefined;
}

interface CentralHeader extends Omit<ZipEntry, 'start' | 'end'> {
  /** Where the central header is in the file, for errors. */
  readonly at: number;
  readonly nameBytes: Uint8Array;
  readonly localHeader: number;
  readonly bytes: number;
}

interface Directory {
  readonly start: number;
  readonly end: number;
  readonly count: number;
}

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_RECORD = 0x06054b50;
const ZIP64_LOCATOR = 0x07064b50;
const ZIP64_END_RECORD = 0x06064b50;

const LOCAL_HEADER_BYTES = 30;
const CENTRAL_HEADER_BYTES = 46;
const END_RECORD_BYTES = 22;
const ZIP64_LOCATOR_BYTES = 20;
const ZIP64_END_RECORD_BYTES = 56;

const MAX_COMMENT_BYTES = 0xffff;
const MAX_ENTRIES = 100_000;
const ENCRYPTED = 1;
const ZIP64_EXTRA_FIELD = 1;
/** Says that the value is in the zip64 record or field. */
const IN_ZIP64 = 0xffffffff;

/**
 * The entries by name, in the order of the central directory.
 *
 * @throws {FormatError} if the directory is damaged, or entries overlap, lie outside the file or have the same name
 */
export function readZipDirectory(file: Uint8Array): Map<string, ZipEntry> {
  const view = viewOf(file);
  const directory = findDirectory(file, view);
  const headers: CentralHeader[] = [];
  let at = directory.start;
  for (let i = 0; i < directory.count; i++) {
    const { header, next } = readCentralHeader(file, view, at, directory.end);
    headers.push(header);
    at = next;
  }
  if (at !== directory.end) throw broken(at, `the zip directory has bytes behind its ${directory.count} entries`);
  return locate(file, view, headers, directory.start);
}

/** @throws {UnsupportedError} if an entry is compressed or encrypted */
export function checkStored({ name, problem }: ZipEntry): void {
  if (problem === undefined) return;
  throw new UnsupportedError(
    `readCheckpoint: zip entry ${show(name)} must be stored as torch.save writes them, got one that is ${problem}: ` +
      'load the checkpoint in PyTorch and save it again',
  );
}

/**
 * Compares an entry's data with its checksum. Zero counts as none: torch.save leaves it zero when told not to compute
 * checksums.
 */
export function checkCrc(file: Uint8Array, { name, start, end, crc }: ZipEntry): void {
  if (crc === 0) return;
  const actual = crc32(file, start, end);
  if (actual !== crc) {
    throw broken(start, `zip entry ${show(name)} is damaged: its CRC-32 must be ${hex(crc)}, got ${hex(actual)}`);
  }
}

function findDirectory(file: Uint8Array, view: DataView): Directory {
  const at = findEndRecord(file, view);
  let count = view.getUint16(at + 10, true);
  let bytes = view.getUint32(at + 12, true);
  let start = view.getUint32(at + 16, true);
  let end = at;
  const locator = at - ZIP64_LOCATOR_BYTES;
  if (locator >= 0 && view.getUint32(locator, true) === ZIP64_LOCATOR) {
    const record = readUint64(view, locator + 8);
    if (record > locator - ZIP64_END_RECORD_BYTES || view.getUint32(record, true) !== ZIP64_END_RECORD) {
      throw broken(locator, `the zip64 end record is not at byte ${record}`);
    }
    count = readUint64(view, record + 32);
    bytes = readUint64(view, record + 40);
    start = readUint64(view, record + 48);
    end = record;
  }
  if (count > MAX_ENTRIES) throw broken(at, `the zip archive must have at most ${MAX_ENTRIES} entries, got ${count}`);
  if (start + bytes !== end) {
    throw broken(at, `the zip directory must end at byte ${end}, got bytes ${start} to ${start + bytes}`);
  }
  return { start, end, count };
}

/** The last record whose comment ends where the file does. */
function findEndRecord(file: Uint8Array, view: DataView): number {
  const last = file.length - END_RECORD_BYTES;
  const first = Math.max(0, last - MAX_COMMENT_BYTES);
  // By the first byte of its signature, as the native search is many times quicker than a loop over views.
  const window = file.subarray(first, Math.max(first, last + 1));
  for (let i = window.length; i > 0; ) {
    i = window.lastIndexOf(END_RECORD & 255, i - 1);
    const at = first + i;
    if (i >= 0 && view.getUint32(at, true) === END_RECORD && view.getUint16(at + 20, true) === last - at) return at;
  }
  throw broken(file.length, 'the zip archive has no end record: the file is truncated');
}

function readCentralHeader(file: Uint8Array, view: DataView, at: number, limit: number) {
  if (at + CENTRAL_HEADER_BYTES > limit || view.getUint32(at, true) !== CENTRAL_HEADER) {
    throw broken(at, 'the zip directory has no entry here');
  }
  const nameEnd = at + CENTRAL_HEADER_BYTES + view.getUint16(at + 28, true);
  const extraEnd = nameEnd + view.getUint16(at + 30, true);
  const next = extraEnd + view.getUint16(at + 32, true);
  if (next > limit) throw broken(at, 'a zip entry reaches behind the directory');
  const nameBytes = file.slice(at + CENTRAL_HEADER_BYTES, nameEnd);
  const name = new TextDecoder().decode(nameBytes);
  const sizes = readSizes(view, at, nameEnd, extraEnd);

  const method = view.getUint16(at + 10, true);
  const isEncrypted = (view.getUint16(at + 8, true) & ENCRYPTED) !== 0;
  const problem = method !== 0 ? `compressed (method ${method})` : isEncrypted ? 'encrypted' : undefined;
  if (problem === undefined && sizes.bytes !== sizes.compressedBytes) {
    throw broken(at, `zip entry ${show(name)} has ${sizes.bytes} bytes, stored as ${sizes.compressedBytes}`);
  }
  const header: CentralHeader = {
    name,
    at,
    nameBytes,
    crc: view.getUint32(at + 16, true),
    localHeader: sizes.localHeader,
    bytes: sizes.compressedBytes,
    problem,
  };
  return { header, next };
}

/** Sizes and place of an entry; those that do not fit 32 bits are in the zip64 extra field, in this order. */
function readSizes(view: DataView, at: number, extra: number, extraEnd: number) {
  let bytes = view.getUint32(at + 24, true);
  let compressedBytes = view.getUint32(at + 20, true);
  let localHeader = view.getUint32(at + 42, true);
  if (bytes !== IN_ZIP64 && compressedBytes !== IN_ZIP64 && localHeader !== IN_ZIP64) {
    return { bytes, compressedBytes, localHeader };
  }
  let [field, end] = findExtraField(view, extra, extraEnd);
  const next = () => {
    if (field + 8 > end) throw broken(at, 'a zip entry lacks sizes in its zip64 field');
    field += 8;
    return readUint64(view, field - 8);
  };
  if (bytes === IN_ZIP64) bytes = next();
  if (compressedBytes === IN_ZIP64) compressedBytes = next();
  if (localHeader === IN_ZIP64) localHeader = next();
  return { bytes, compressedBytes, localHeader };
}

/** Where the values of the zip64 field are; an empty range if there is none. */
function findExtraField(view: DataView, start: number, limit: number): [start: number, end: number] {
  for (let at = start; at + 4 <= limit; ) {
    const end = at + 4 + view.getUint16(at + 2, true);
    if (view.getUint16(at, true) === ZIP64_EXTRA_FIELD) return [at + 4, Math.min(end, limit)];
    at = end;
  }
  return [limit, limit];
}

/** Finds the data of each entry behind its local header. Entries that share bytes are refused, as are equal names. */
function locate(file: Uint8Array, view: DataView, headers: readonly CentralHeader[], limit: number) {
  const entries = new Map<string, ZipEntry>();
  for (const { name, at } of headers) {
    if (entries.has(name)) throw broken(at, `the zip archive has the entry ${show(name)} twice`);
    entries.set(name, { name, start: 0, end: 0, crc: 0, problem: undefined });
  }
  let free = 0;
  for (const header of [...headers].sort((a, b) => a.localHeader - b.localHeader)) {
    const { name, at, localHeader, bytes, crc, problem } = header;
    if (localHeader < free) throw broken(at, `zip entry ${show(name)} overlaps another one`);
    const start = dataStart(file, view, header, limit);
    const end = start + bytes;
    if (end > limit) {
      throw broken(at, `zip entry ${show(name)} must end before byte ${limit}, got bytes ${start} to ${end}`);
    }
    free = end;
    entries.set(name, { name, start, end, crc, problem });
  }
  return entries;
}

function dataStart(file: Uint8Array, view: DataView, header: CentralHeader, limit: number): number {
  const { name, at, nameBytes, localHeader } = header;
  if (localHeader + LOCAL_HEADER_BYTES > limit || view.getUint32(localHeader, true) !== LOCAL_HEADER) {
    throw broken(at, `zip entry ${show(name)} is not at byte ${localHeader}`);
  }
  const nameStart = localHeader + LOCAL_HEADER_BYTES;
  const nameLength = view.getUint16(localHeader + 26, true);
  const sameName = nameLength === nameBytes.length && nameBytes.every((byte, i) => byte === file[nameStart + i]);
  if (!sameName) throw broken(localHeader, `zip entry ${show(name)} has another name in its local header`);
  return nameStart + nameLength + view.getUint16(localHeader + 28, true);
}

function viewOf(file: Uint8Array): DataView {
  return new DataView(file.buffer, file.byteOffset, file.byteLength);
}

/** Not exact beyond 2^53, which is beyond any file. */
function readUint64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}

function broken(offset: number, message: string): FormatError {
  return new FormatError(`readCheckpoint: ${message}`, Math.min(offset, Number.MAX_SAFE_INTEGER));
}
