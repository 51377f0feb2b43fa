/** JPEG images: frames, tables and scans of the right form with hostile numbers in them, and fixtures that are changed. */
import type { Kind } from './kind.js';
import { joined, mutateBytes } from './mutate.js';
import { decode, imagesOf } from './png.js';
import type { Random } from './random.js';

const SIZES = [0, 1, 7, 8, 9, 64, 256, 4096, 16384, 65535];

export const jpeg: Kind = {
  extension: 'jpg',
  onRuntime: false,
  make(random) {
    const kind = random.next();
    if (kind < 0.3) return mutateBytes(random.pick(imagesOf('.jpg')), random);
    if (kind < 0.5) return segmentsChanged(random.pick(imagesOf('.jpg')), random);
    const file = wellFormed(random);
    return random.chance(0.2) ? mutateBytes(file, random) : file;
  },
  run: decode,
};

function segment(marker: number, data: readonly number[] | Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + 4);
  bytes.set([0xff, marker, (data.length + 2) >> 8, (data.length + 2) & 255]);
  bytes.set(data, 4);
  return bytes;
}

/** Segments of a fixture left out, repeated or in another order, and numbers of its frame changed. */
function segmentsChanged(file: Uint8Array, random: Random): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 2;
  while (at + 4 <= file.length && file[at] === 0xff && file[at + 1] !== 0xda) {
    const next = at + 2 + file[at + 2]! * 256 + file[at + 3]!;
    parts.push(file.slice(at, next));
    at = next;
  }
  const scan = file.slice(at);
  const frame = parts.find((part) => part[1]! >= 0xc0 && part[1]! <= 0xc2);
  const change = random.whole(0, 4);
  if (change === 0) parts.splice(random.whole(0, parts.length - 1), 1);
  else if (change === 1) parts.push(random.pick(parts));
  else if (change === 2) parts.reverse();
  else if (change === 3 && frame !== undefined) {
    const place = random.pick([5, 7]);
    frame.set(bigEndian(random.pick(SIZES)), place);
  } else if (frame !== undefined)
    frame[random.whole(4, frame.length - 1)] = random.pick([0, 1, 2, 3, 4, 5, 0x11, 0x14, 0x41, 0x44, 255]);
  const scans = random.chance(0.02) ? random.pick([3, 99, 101]) : 1;
  return joined(Uint8Array.of(0xff, 0xd8), ...parts, ...Array.from({ length: scans }, () => scan));
}

function bigEndian(value: number): number[] {
  return [value >> 8, value & 255];
}

function wellFormed(random: Random): Uint8Array {
  const hostility = random.pick([0, 0.05, 0.2]);
  const is = () => random.chance(hostility);
  const progressive = random.chance(0.4);
  const components = is() ? random.pick([0, 2, 5, 255]) : random.pick([1, 3, 3, 4]);
  const size = () => (is() ? random.pick(SIZES) : random.whole(1, 40));
  const frame = [is() ? 12 : 8, ...bigEndian(size()), ...bigEndian(size()), components];
  for (let i = 0; i < Math.min(components, 5); i++) {
    const sampling = is() ? random.whole(0, 255) : random.pick([0x11, 0x11, 0x22, 0x21, 0x41]);
    frame.push(is() ? 9 : i + 1, sampling, is() ? random.whole(0, 5) : 0);
  }
  const parts = [Uint8Array.of(0xff, 0xd8), segment(0xdb, [0, ...random.bytes(is() ? random.whole(0, 64) : 64)])];
  parts.push(segment(is() ? random.whole(0xc0, 0xcf) : progressive ? 0xc2 : 0xc0, frame));
  for (const table of [0x00, 0x10]) if (!is()) parts.push(segment(0xc4, huffman(random, table, is())));
  if (is()) parts.push(segment(0xdd, bigEndian(random.pick([0, 1, 3, 65535]))));
  for (let scans = is() ? random.pick([0, 90, 200]) : random.whole(1, 3); scans > 0; scans--) {
    const count = Math.min(components, 4);
    const scan = [is() ? random.whole(0, 5) : count];
    for (let i = 0; i < count; i++) scan.push(is() ? 9 : i + 1, is() ? random.whole(0, 255) : 0);
    scan.push(
      progressive ? random.pick([0, 1, 63]) : 0,
      progressive ? random.pick([0, 63, 64]) : 63,
      is() ? random.whole(0, 255) : 0,
    );
    parts.push(segment(0xda, scan), entropy(random));
  }
  if (!is()) parts.push(Uint8Array.of(0xff, 0xd9));
  return joined(...parts);
}

/** Codes of up to 16 bits: how many of each length, then what they stand for. */
function huffman(random: Random, table: number, hostile: boolean): number[] {
  const counts = Array.from({ length: 16 }, (_, i) => (i < 2 ? random.whole(0, 1) : random.whole(0, 3)));
  if (hostile) counts[random.whole(0, 15)] = 255;
  const values = counts.reduce((sum, count) => sum + count, 0);
  return [table, ...counts, ...random.bytes(hostile ? random.whole(0, values) : values)];
}

function entropy(random: Random): Uint8Array {
  const bytes = random.bytes(random.whole(0, 400));
  for (let i = 0; i < bytes.length; i++) if (bytes[i] === 0xff && random.chance(0.95)) bytes[i] = 0xfe;
  return bytes;
}
