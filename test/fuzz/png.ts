/** PNG images: sound chunks and rows of all colour types, with headers, chunks and streams that lie. */
import { readdirSync, readFileSync } from 'node:fs';
import { crc32, deflateSync } from 'node:zlib';
import { decodeImage } from '../../src/images/image.js';
import { Broken, type Kind } from './kind.js';
import { joined, mutateBytes } from './mutate.js';
import type { Random } from './random.js';

const FOLDER = 'test/fixtures/images';
const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const DEPTHS: Record<number, readonly number[]> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};
const SAMPLES: Record<number, number> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const SIZES = [0, 1, 2 ** 12, 2 ** 12 + 1, 2 ** 16, 2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

export const png: Kind = {
  extension: 'png',
  onRuntime: false,
  make(random) {
    if (random.chance(0.2)) return withSums(mutateBytes(random.pick(imagesOf('.png')), random), random);
    const file = wellFormed(random);
    return random.chance(0.2) ? withSums(mutateBytes(file, random), random) : file;
  },
  run: decode,
};

/** Decodes an image; its pixels must be as many as it says. */
export function decode(bytes: Uint8Array): readonly string[] {
  const { width, height, channels, data } = decodeImage(bytes);
  if (data.length !== width * height * channels)
    throw new Broken(`${width} x ${height} pixels in ${data.length} bytes`);
  return [];
}

const images = new Map<string, Uint8Array[]>();

/** The fixtures of an extension. */
export function imagesOf(extension: string): readonly Uint8Array[] {
  const known = images.get(extension);
  if (known !== undefined) return known;
  const names = readdirSync(FOLDER).filter((name) => name.endsWith(extension));
  const read = names.map((name) => new Uint8Array(readFileSync(`${FOLDER}/${name}`)));
  images.set(extension, read);
  return read;
}

function wellFormed(random: Random): Uint8Array {
  const hostility = random.pick([0, 0, 0.05, 0.2]);
  const is = () => random.chance(hostility);
  const colour = random.pick([0, 2, 3, 4, 6]);
  const depth = random.pick(DEPTHS[colour]!);
  const [width, height] = [random.whole(1, 20), random.whole(1, 20)];
  const interlaced = random.chance(0.3);
  const rows = random.chance(0.01)
    ? new Uint8Array(random.pick([1e5, 4e6]))
    : rowsOf(random, width, height, depth * SAMPLES[colour]!, interlaced);
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, is() ? random.pick(SIZES) : width);
  view.setUint32(4, is() ? random.pick(SIZES) : height);
  header.set([is() ? random.whole(0, 17) : depth, is() ? random.whole(0, 8) : colour], 8);
  header.set([is() ? 1 : 0, is() ? 1 : 0, is() ? 2 : Number(interlaced)], 10);
  let data: Uint8Array = new Uint8Array(deflateSync(rows, { level: random.pick([0, 1, 9]) }));
  if (is()) data = data.subarray(0, random.whole(0, data.length));
  const cut = random.whole(0, data.length);
  const chunks = [chunk('IHDR', header)];
  if (colour === 3 ? !is() : is())
    chunks.push(chunk('PLTE', random.bytes(3 * random.whole(is() ? 0 : 1 << depth, 1 << depth))));
  if (random.chance(0.2)) chunks.push(chunk('tEXt', random.bytes(random.whole(0, 30))));
  chunks.push(
    ...(random.chance(0.5)
      ? [chunk('IDAT', data)]
      : [chunk('IDAT', data.subarray(0, cut)), chunk('IDAT', data.subarray(cut))]),
  );
  if (is()) chunks.push(...Array.from({ length: random.pick([1, 2000]) }, () => chunk('IDAT', new Uint8Array())));
  if (is()) chunks.splice(random.whole(0, chunks.length - 1), 1);
  if (is()) chunks.push(random.pick(chunks) ?? new Uint8Array());
  if (!is()) chunks.push(chunk('IEND', new Uint8Array()));
  return joined(SIGNATURE, ...chunks);
}

/** An image of one IDAT chunk. */
export function pngOf(
  width: number,
  height: number,
  depth: number,
  colour: number,
  interlaced: boolean,
  data: Uint8Array,
): Uint8Array {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([depth, colour, 0, 0, Number(interlaced)], 8);
  return joined(SIGNATURE, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', new Uint8Array()));
}

/** Rows of about the right length, each behind a filter. */
function rowsOf(random: Random, width: number, height: number, bits: number, interlaced: boolean): Uint8Array {
  const passes = interlaced
    ? [
        [0, 0, 8, 8],
        [4, 0, 8, 8],
        [0, 4, 4, 8],
        [2, 0, 4, 4],
        [0, 2, 2, 4],
        [1, 0, 2, 2],
        [0, 1, 1, 2],
      ]
    : [[0, 0, 1, 1]];
  const parts: Uint8Array[] = [];
  for (const [x, y, xStep, yStep] of passes as [number, number, number, number][]) {
    const columns = Math.ceil((width - x) / xStep);
    if (columns <= 0) continue;
    for (let row = y; row < height; row += yStep) {
      const bytes = random.bytes(1 + Math.ceil((columns * bits) / 8));
      bytes[0] = random.chance(0.98) ? random.whole(0, 4) : random.whole(0, 255);
      parts.push(bytes);
    }
  }
  return joined(...parts, new Uint8Array(random.chance(0.05) ? random.whole(0, 9) : 0));
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = type.charCodeAt(i);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

/** Repairs the checksums, so that the changes are read. */
function withSums(file: Uint8Array, random: Random): Uint8Array {
  if (random.chance(0.2)) return file;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = SIGNATURE.length; at + 12 <= file.length; ) {
    const end = at + 8 + view.getUint32(at);
    if (end + 4 > file.length) break;
    view.setUint32(end, crc32(file.subarray(at + 4, end)));
    at = end + 4;
  }
  return file;
}
