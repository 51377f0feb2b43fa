/**
 * Reads JPEG images (ITU-T T.81), baseline and progressive, through the decoder of jpeg-js, which is bundled.
 *
 *     | SOI | segments: | FF, marker | length | data | ... | SOF: size | ... | SOS, entropy-coded data | ... | EOI |
 *
 * Files are hostile, and jpeg-js allocates what a frame claims: the frame is first checked against the length of the
 * file, and the decoder may take no more than this frame needs. The number of scans is bounded, as each of them visits
 * all blocks of the image.
 */
import decode from 'jpeg-js/lib/decoder.js';
import { FormatError, UnsupportedError } from '../index.js';
import { showName } from '../shown.js';
import { checkPixels, type DecodedImage } from './pixels.js';

interface Frame {
  readonly width: number;
  readonly height: number;
  readonly components: number;
  /** Number of blocks of 8 x 8 samples. */
  readonly blocks: number;
  /** The fewest bits that they can take. */
  readonly leastBits: number;
  /** Where the frame is in the file, for errors. */
  readonly at: number;
}

const START_OF_IMAGE = 0xd8;
const START_OF_SCAN = 0xda;
const MAX_SCANS = 100;
/**
 * Samples that the decoder may be given, for each of which it takes some 15 bytes and 50 ns: a fixed number, or more if
 * the file is long. Photos have 2 to 12 per byte.
 */
const MAX_SAMPLES = 2 ** 23;
const MAX_SAMPLES_PER_BYTE = 16;
const PROGRESSIVE = 0xc2;
/** What the decoder allocates per sample: a coefficient of 4 bytes, and its value twice. */
const BYTES_PER_SAMPLE = 6;

export function isJpeg(file: Uint8Array): boolean {
  return file[0] === 0xff && file[1] === START_OF_IMAGE && file[2] === 0xff;
}

export function decodeJpeg(file: Uint8Array): DecodedImage {
  const { width, height, components, blocks, leastBits, at } = findFrame(file);
  checkPixels(width, height, at);
  if (leastBits > 8 * file.length) {
    throw broken(at, `${file.length} bytes cannot hold ${width} x ${height} pixels`);
  }
  const mostSamples = MAX_SAMPLES + MAX_SAMPLES_PER_BYTE * file.length;
  if (64 * blocks > mostSamples) {
    throw new UnsupportedError(
      `decodeImage: JPEG: ${width} x ${height} pixels are ${Math.ceil(64 * blocks)} samples, expected at most ` +
        `${mostSamples} of ${file.length} bytes`,
    );
  }
  checkScans(file);
  let data: Uint8Array;
  try {
    ({ data } = decode(file, {
      useTArray: true,
      formatAsRGBA: false,
      maxResolutionInMP: (width * height + 1) / 1e6,
      maxMemoryUsageInMB: memoryLimit(width, height, components) / 2 ** 20,
    }));
  } catch (error) {
    // The decoder's own errors say what is wrong with the image; those of the engine, what went wrong in the decoder.
    const isOwn = error instanceof Error && error.constructor === Error;
    throw broken(at, `the image cannot be decoded${isOwn ? `: ${showName(error.message)}` : ''}`);
  }
  if (data.length !== width * height * 3) throw broken(at, 'the image has another size than its frame');
  return { width, height, ...(components === 1 ? { channels: 1, data: oneOfThree(data) } : { channels: 3, data }) };
}

function findFrame(file: Uint8Array): Frame {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = 2; at + 4 <= file.length; ) {
    if (file[at] !== 0xff) throw broken(at, 'there is no marker here');
    const marker = file[at + 1]!;
    if (marker === 0xff) {
      at++; // fill byte
    } else if (marker === START_OF_SCAN) {
      throw broken(at, 'a scan begins before the frame');
    } else if (isStartOfFrame(marker)) {
      return readFrame(view, marker, at);
    } else {
      at += 2 + view.getUint16(at + 2);
    }
  }
  throw broken(file.length, 'the file is truncated');
}

/** SOF0 to SOF15; DHT, JPG and DAC lie between them, but are no frames. */
function isStartOfFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
}

function readFrame(view: DataView, marker: number, at: number): Frame {
  if (at + 10 > view.byteLength) throw broken(view.byteLength, 'the file is truncated');
  const precision = view.getUint8(at + 4);
  if (marker > PROGRESSIVE || precision !== 8) {
    throw new UnsupportedError(
      `decodeImage: JPEG: the image is of process SOF${marker - 0xc0} and ${precision} bits, expected ` +
        'a baseline or progressive one (SOF0 to SOF2) of 8 bits',
    );
  }
  const height = view.getUint16(at + 5);
  const width = view.getUint16(at + 7);
  const components = view.getUint8(at + 9);
  if (components !== 1 && components !== 3 && components !== 4) {
    throw broken(at, `the image has ${components} components, expected 1, 3 or 4`);
  }
  const blocks = countBlocks(view, at, width, height, components);
  // A code for the first coefficient and, unless the others come in scans of their own, one for those.
  return { width, height, components, blocks, leastBits: blocks * (marker === PROGRESSIVE ? 1 : 2), at };
}

/** A component's samples across and down, 1 to 4, are relative to the largest numbers of any component. */
function countBlocks(view: DataView, at: number, width: number, height: number, components: number): number {
  if (at + 10 + 3 * components > view.byteLength) throw broken(view.byteLength, 'the file is truncated');
  const factors: [across: number, down: number][] = [];
  for (let i = 0; i < components; i++) {
    const byte = view.getUint8(at + 11 + 3 * i);
    const factor: [number, number] = [byte >> 4, byte & 15];
    if (factor.some((samples) => samples < 1 || samples > 4)) {
      throw broken(at, `component ${i} is sampled ${factor.join(' x ')} times, expected 1 to 4`);
    }
    factors.push(factor);
  }
  const most = [0, 1].map((axis) => Math.max(...factors.map((factor) => factor[axis]!)));
  const pixels = width * height;
  return factors.reduce((sum, [across, down]) => sum + (pixels * across * down) / (64 * most[0]! * most[1]!), 0);
}

function checkScans(file: Uint8Array): void {
  let scans = 0;
  for (let at = file.indexOf(0xff); at >= 0; at = file.indexOf(0xff, at + 1)) {
    if (file[at + 1] === START_OF_SCAN && ++scans > MAX_SCANS) {
      throw broken(at, `the image has more than ${MAX_SCANS} scans`);
    }
  }
}

/** Sizes are rounded up to units of at most 32 x 32 pixels; a megabyte is enough for tables. */
function memoryLimit(width: number, height: number, components: number): number {
  return 2 ** 20 + (width + 31) * (height + 31) * (components * BYTES_PER_SAMPLE + 3);
}

function oneOfThree(data: Uint8Array): Uint8Array {
  const grey = new Uint8Array(data.length / 3);
  for (let i = 0; i < grey.length; i++) grey[i] = data[3 * i]!;
  return grey;
}

function broken(offset: number, message: string): FormatError {
  return new FormatError(`decodeImage: JPEG: ${message}`, offset);
}
