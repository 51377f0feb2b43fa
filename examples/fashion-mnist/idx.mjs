/**
 * Reads the IDX files of MNIST and Fashion-MNIST, plain or gzip'd. All numbers are big-endian:
 *   images   magic 0x803, count, height, width (4 bytes each), then one byte a pixel, row by row
 *   labels   magic 0x801, count (4 bytes each), then one byte a label
 * Files are checked whole; every error names the file.
 */
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const IMAGES_MAGIC = 0x803;
const LABELS_MAGIC = 0x801;
/** The training set, the largest file of this kind, unpacks to 47 MB. A broken file must not fill the memory. */
const LARGEST_FILE = 64 * 2 ** 20;

/** @returns {{ count: number, height: number, width: number, pixels: Uint8Array }} pixels [count, height, width] */
export function readImages(file) {
  const bytes = unpack(file);
  const [count, height, width] = readHeader(file, bytes, IMAGES_MAGIC, 'an IDX file of images', 3);
  return { count, height, width, pixels: readBody(file, bytes, 16, [count, height, width]) };
}

/** @returns {Uint8Array} one label per image */
export function readLabels(file) {
  const bytes = unpack(file);
  const [count] = readHeader(file, bytes, LABELS_MAGIC, 'an IDX file of labels', 1);
  return readBody(file, bytes, 8, [count]);
}

/** `file`, or the same without .gz where only that is there. */
export function findFile(file) {
  const plain = file.replace(/\.gz$/, '');
  const found = [file, plain].find((candidate) => existsSync(candidate));
  if (found === undefined) throw new Error(`${file}: there is no such file, nor one without .gz`);
  return found;
}

function unpack(file) {
  try {
    const bytes = readFileSync(file);
    const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
    return isGzip ? gunzipSync(bytes, { maxOutputLength: LARGEST_FILE }) : bytes;
  } catch (error) {
    throw new Error(`${file}: cannot be read: ${error.message}`);
  }
}

function readHeader(file, bytes, magic, kind, dimCount) {
  const found = bytes.length < 4 ? magic : bytes.readUInt32BE(0);
  if (found !== magic) {
    throw new Error(`${file}: not ${kind}: it begins with 0x${found.toString(16)}, expected 0x${magic.toString(16)}`);
  }
  const headerBytes = 4 + 4 * dimCount;
  if (bytes.length < headerBytes) {
    throw new Error(`${file}: truncated: ${kind} begins with ${headerBytes} bytes, this one has ${bytes.length}`);
  }
  return Array.from({ length: dimCount }, (_, i) => bytes.readUInt32BE(4 + 4 * i));
}

function readBody(file, bytes, headerBytes, dims) {
  const expected = headerBytes + dims.reduce((product, dim) => product * dim, 1);
  if (bytes.length !== expected) {
    const trouble = bytes.length < expected ? 'truncated' : 'too long';
    const shape = dims.join(' x ');
    throw new Error(`${file}: ${trouble}: ${shape} values make ${expected} bytes, it has ${bytes.length}`);
  }
  return bytes.subarray(headerBytes);
}
