/**
 * Reads JPEG images (ITU-T T.81), baseline and progressive, through jpeg-js, an optional dependency that is loaded when
 * the first JPEG is read.
 *
 *     | SOI | segments: | FF, marker | length | data | ... | SOF: size | ... | SOS, entropy-coded data | ... | EOI |
 *
 * Files are hostile, and jpeg-js allocates what a frame claims: the frame is therefore held against the length of the
 * file first, and the decoder may take no more than this frame needs. The number of scans is bounded, as each of them
 * visits all blocks of the image.
 */
import { FormatError, UnsupportedError } from '../errors.js';
import { checkPixels, type Image } from './pixels.js';

interface Frame {
  readonly width: number;
  readonly height: number;
  readonly components: number;
  /** Where the frame is in the file, for errors. */
  readonly at: number;
}

const START_OF_IMAGE = 0xd8;
const START_OF_SCAN = 0xda;
const MAX_SCANS = 100;
/** A block of 8 x 8 pixels takes one bit at least. */
const MAX_PIXELS_PER_BYTE = 8 * 64;
/** Of the decoder, for each sample: coefficients of 4 bytes, and values. */
const BYTES_PER_SAMPLE = 5;

export function isJpeg(file: Uint8Array): boolean {
  return file[0] === 0xff && file[1] === START_OF_IMAGE && file[2] === 0xff;
}

/** @throws {UnsupportedError} if jpeg-js is not installed */
export async function decodeJpeg(file: Uint8Array): Promise<Image> {
  const { width, height, components, at } = findFrame(file);
  checkPixels(width, height, at);
  if (components !== 1 && components !== 3 && components !== 4) {
    throw broken(at, `the image has ${components} components, expected 1, 3 or 4`);
  }
  if (width * height > file.length * MAX_PIXELS_PER_BYTE) {
    throw broken(at, `${file.length} bytes cannot hold ${width} x ${height} pixels`);
  }
  checkScans(file);
  const { decode } = await loadDecoder();
  let data: Uint8Array;
  try {
    ({ data } = decode(file, {
      useTArray: true,
      formatAsRGBA: false,
      maxResolutionInMP: (width * height + 1) / 1e6,
      maxMemoryUsageInMB: memoryLimit(width, height, components) / 2 ** 20,
    }));
  } catch (error) {
    throw broken(at, `the image cannot be decoded: ${(error as Error).message}`);
  }
  if (data.length !== width * height * 3) throw broken(at, 'the image has another size than its frame');
  return { width, height, ...(components === 1 ? { channels: 1, data: oneOfThree(data) } : { channels: 3, data }) };
}

async function loadDecoder() {
  try {
    // A CommonJS module, whose exports some loaders find only on the default one.
    const module = await import('jpeg-js');
    return module.default ?? module;
  } catch {
    throw new UnsupportedError('decodeImage: JPEG images need the package jpeg-js: npm install jpeg-js');
  }
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

/** SOF0 to SOF15; the numbers between them that are no frames are DHT, JPG and DAC. */
function isStartOfFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
}

function readFrame(view: DataView, marker: number, at: number): Frame {
  if (at + 10 > view.byteLength) throw broken(view.byteLength, 'the file is truncated');
  const precision = view.getUint8(at + 4);
  if (marker > 0xc2 || precision !== 8) {
    throw new UnsupportedError(
      `decodeImage: JPEG: the image is of process SOF${marker - 0xc0} and ${precision} bits, expected ` +
        'a baseline or progressive one (SOF0 to SOF2) of 8 bits',
    );
  }
  return { height: view.getUint16(at + 5), width: view.getUint16(at + 7), components: view.getUint8(at + 9), at };
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
