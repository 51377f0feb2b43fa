/**
 * Reads PNG images (W3C: Portable Network Graphics, third edition): all colour types, depths and both interlace
 * methods.
 *
 *     | signature | IHDR | PLTE | IDAT ... | IEND |     each chunk: | length | type | data | CRC-32 |
 *
 * The IDAT chunks together are one zlib stream of rows, each behind a byte that names its filter. An interlaced image
 * has the rows of seven smaller ones. Transparency is left out, depths other than 8 become 8, as in Pillow's
 * `convert('RGB')`.
 *
 * Files are hostile: what a header claims is checked against the length of the file before anything is inflated, and
 * zlib stops where the rows must end.
 */
import { crc32 } from '../bytes/crc32.js';
import { FormatError, UnsupportedError } from '../index.js';
import { inflate } from './inflate.js';
import { checkPixels, type DecodedImage } from './pixels.js';

interface Header {
  readonly width: number;
  readonly height: number;
  /** Bits per sample. */
  readonly depth: number;
  readonly colourType: number;
  readonly interlaced: boolean;
}

/** The pixels of one pass: [x, y] of the first, and the steps to the next. */
type Pass = readonly [x: number, y: number, xStep: number, yStep: number];

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const PALETTE = 3;
/** Depths and samples per pixel of each colour type. */
const COLOUR_TYPES = new Map([
  [0, { depths: [1, 2, 4, 8, 16], samples: 1 }],
  [2, { depths: [8, 16], samples: 3 }],
  [PALETTE, { depths: [1, 2, 4, 8], samples: 1 }],
  [4, { depths: [8, 16], samples: 2 }],
  [6, { depths: [8, 16], samples: 4 }],
]);
const WHOLE: readonly Pass[] = [[0, 0, 1, 1]];
const ADAM7: readonly Pass[] = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];
/** Deflate expands a byte to no more. */
const MAX_DEFLATE_RATIO = 1032;
/** Bytes of all rows: enough for four samples of 8 bits in each pixel of the largest image, and for filters. */
const MAX_ROW_BYTES = 2 ** 26 + 2 ** 16;

export function isPng(file: Uint8Array): boolean {
  return SIGNATURE.every((byte, i) => file[i] === byte);
}

export function decodePng(file: Uint8Array): DecodedImage {
  const { header, palette, compressed } = readChunks(file);
  const passes = header.interlaced ? ADAM7 : WHOLE;
  const rows = readRows(file, header, passes, compressed);
  const channels = header.colourType === 0 || header.colourType === 4 ? 1 : 3;
  const image: DecodedImage = {
    width: header.width,
    height: header.height,
    channels,
    data: new Uint8Array(header.width * header.height * channels),
  };
  let at = 0;
  for (const pass of passes) at = readPass(rows, at, header, pass, palette, image);
  return image;
}

function readChunks(file: Uint8Array) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const compressed: Uint8Array[] = [];
  let header: Header | undefined;
  let palette = new Uint8Array();
  for (let at = SIGNATURE.length; at + 12 <= file.length; ) {
    const start = at + 8;
    const end = start + view.getUint32(at);
    if (end + 4 > file.length) break;
    const type = String.fromCharCode(...file.subarray(at + 4, start));
    if (crc32(file, at + 4, end) !== view.getUint32(end)) throw broken(at, `the chunk ${type} has a wrong CRC-32`);
    if (header === undefined) header = readHeader(view, type, start, end);
    else if (type === 'PLTE') palette = file.slice(start, end);
    else if (type === 'IDAT') compressed.push(file.subarray(start, end));
    else if (type === 'IEND') return { header, palette, compressed };
    at = end + 4;
  }
  throw broken(file.length, 'the file is truncated');
}

function readHeader(view: DataView, type: string, start: number, end: number): Header {
  if (type !== 'IHDR' || end - start !== 13) throw broken(start, 'the first chunk is not IHDR of 13 bytes');
  const width = view.getUint32(start);
  const height = view.getUint32(start + 4);
  const [depth, colourType, compression, filter, interlace] = [8, 9, 10, 11, 12].map((i) => view.getUint8(start + i));
  checkPixels(width, height, start);
  if (!COLOUR_TYPES.get(colourType!)?.depths.includes(depth!)) {
    throw broken(start + 8, `there is no colour type ${colourType} of ${depth} bits`);
  }
  if (compression !== 0 || filter !== 0 || interlace! > 1) {
    throw broken(
      start + 10,
      `there are no methods ${compression}, ${filter} and ${interlace}, expected 0, 0 and 0 or 1`,
    );
  }
  return { width, height, depth: depth!, colourType: colourType!, interlaced: interlace === 1 };
}

function readRows(file: Uint8Array, header: Header, passes: readonly Pass[], compressed: readonly Uint8Array[]) {
  const expected = passes.reduce((sum, pass) => {
    const { columns, rows } = sizeOfPass(header, pass);
    return sum + (columns === 0 ? 0 : rows * (1 + rowBytes(header, columns)));
  }, 0);
  if (expected > MAX_ROW_BYTES) {
    throw new UnsupportedError(
      `decodeImage: PNG: the pixels of ${header.width} x ${header.height} take ${expected} bytes, expected at most ` +
        `${MAX_ROW_BYTES}`,
    );
  }
  const available = compressed.reduce((sum, { length }) => sum + length, 0);
  if (expected > available * MAX_DEFLATE_RATIO) {
    throw broken(file.length, `${available} compressed bytes cannot hold ${header.width} x ${header.height} pixels`);
  }
  let rows: Uint8Array;
  try {
    rows = inflate(joined(compressed, available), expected);
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    if (error instanceof UnsupportedError) throw error;
    const isLong = code === 'ERR_BUFFER_TOO_LARGE';
    throw broken(file.length, `its pixels cannot be decompressed: ${isLong ? `more than ${expected} bytes` : message}`);
  }
  if (rows.length !== expected)
    throw broken(file.length, `it has ${rows.length} bytes of pixels, expected ${expected}`);
  return rows;
}

/** @param length of all parts */
function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function sizeOfPass({ width, height }: Header, [x, y, xStep, yStep]: Pass) {
  return { columns: Math.ceil((width - x) / xStep), rows: Math.ceil((height - y) / yStep) };
}

function bitsPerPixel({ depth, colourType }: Header): number {
  return depth * COLOUR_TYPES.get(colourType)!.samples;
}

function rowBytes(header: Header, columns: number): number {
  return Math.ceil((columns * bitsPerPixel(header)) / 8);
}

/** Writes the pixels of a pass, whose rows begin at `at`, to their places; returns where the next pass begins. */
function readPass(
  bytes: Uint8Array,
  at: number,
  header: Header,
  pass: Pass,
  palette: Uint8Array,
  image: DecodedImage,
): number {
  const { columns, rows } = sizeOfPass(header, pass);
  if (columns <= 0) return at;
  const [x, y, xStep, yStep] = pass;
  const length = rowBytes(header, columns);
  const pixelBytes = Math.max(1, bitsPerPixel(header) / 8);
  const isCopy = xStep === 1 && bitsPerPixel(header) === 8 * image.channels && header.colourType !== PALETTE;
  let above: Uint8Array = new Uint8Array(length);
  let next = at;
  for (let row = 0; row < rows; row++) {
    const current = bytes.subarray(next + 1, next + 1 + length);
    unfilter(bytes[next]!, current, above, pixelBytes);
    const to = (y + row * yStep) * image.width + x;
    if (isCopy) image.data.set(current, to * image.channels);
    else if (header.colourType === PALETTE) writeColours(current, columns, header, palette, image.data, to, xStep);
    else writeSamples(current, columns, header, image, to, xStep);
    above = current;
    next += 1 + length;
  }
  return next;
}

/** Adds to each byte what the filter predicts from the one to the left, the one above and the one between them. */
function unfilter(filter: number, current: Uint8Array, above: Uint8Array, pixelBytes: number): void {
  const { length } = current;
  if (filter === 1) {
    for (let i = pixelBytes; i < length; i++) current[i]! += current[i - pixelBytes]!;
  } else if (filter === 2) {
    for (let i = 0; i < length; i++) current[i]! += above[i]!;
  } else if (filter === 3) {
    for (let i = 0; i < pixelBytes; i++) current[i]! += above[i]! >> 1;
    for (let i = pixelBytes; i < length; i++) current[i]! += (current[i - pixelBytes]! + above[i]!) >> 1;
  } else if (filter === 4) {
    for (let i = 0; i < pixelBytes; i++) current[i]! += above[i]!;
    for (let i = pixelBytes; i < length; i++) {
      current[i]! += paeth(current[i - pixelBytes]!, above[i]!, above[i - pixelBytes]!);
    }
  } else if (filter !== 0) {
    throw broken(0, `a row has the filter ${filter}, expected 0 to 4`);
  }
}

/** Of the three, the one nearest to left + up - corner; in a tie the first. */
function paeth(left: number, up: number, corner: number): number {
  const toLeft = Math.abs(up - corner);
  const toUp = Math.abs(left - corner);
  const toCorner = Math.abs(left + up - 2 * corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

/** `to` and `step` count pixels of the image. */
function writeColours(
  row: Uint8Array,
  columns: number,
  { depth }: Header,
  palette: Uint8Array,
  data: Uint8Array,
  to: number,
  step: number,
): void {
  for (let column = 0; column < columns; column++) {
    const colour = 3 * sample(row, column, depth);
    if (colour + 3 > palette.length) throw broken(0, `a pixel has the colour ${colour / 3} of ${palette.length / 3}`);
    const at = 3 * (to + column * step);
    for (let channel = 0; channel < 3; channel++) data[at + channel] = palette[colour + channel]!;
  }
}

/** Writes the samples of grey or of the colours, without the transparency behind them. */
function writeSamples(
  row: Uint8Array,
  columns: number,
  header: Header,
  image: DecodedImage,
  to: number,
  step: number,
): void {
  const { depth } = header;
  const { channels, data } = image;
  const samples = bitsPerPixel(header) / depth;
  const scale = depth < 8 ? 255 / (2 ** depth - 1) : 1;
  for (let column = 0; column < columns; column++) {
    const at = channels * (to + column * step);
    for (let channel = 0; channel < channels; channel++) {
      const value = sample(row, column * samples + channel, depth);
      data[at + channel] = depth === 16 ? value >> 8 : value * scale;
    }
  }
}

/** Samples of less than a byte begin at its upper end, those of two are big-endian. */
function sample(row: Uint8Array, index: number, depth: number): number {
  if (depth === 8) return row[index]!;
  if (depth === 16) return (row[2 * index]! << 8) | row[2 * index + 1]!;
  const bit = index * depth;
  return (row[bit >> 3]! >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
}

function broken(offset: number, message: string): FormatError {
  return new FormatError(`decodeImage: PNG: ${message}`, offset);
}
