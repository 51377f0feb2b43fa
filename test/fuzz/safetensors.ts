/** Safetensors files: headers of every element type, with shapes and offsets that are true, hostile or nonsensical. */
import { readFileSync } from 'node:fs';
import { readCheckpoint, readSafetensors, writeSafetensors } from 'acnet-wasm';
import { Broken, type Kind } from './kind.js';
import { joined, mutateBytes } from './mutate.js';
import type { Random } from './random.js';

const BYTES_OF = { F32: 4, F64: 8, F16: 2, BF16: 2, I64: 8, I32: 4, I16: 2, I8: 1, U8: 1, BOOL: 1 };
const TYPES = Object.keys(BYTES_OF) as (keyof typeof BYTES_OF)[];
const NAMES = [
  '',
  'a',
  'conv.weight',
  '__proto__',
  '__metadata__',
  'constructor',
  '\u{1f600}',
  'x'.repeat(300),
  '0',
  '"',
];
const FIXTURE = 'test/fixtures/acblock/20-c1o1k3s1p1d1g1-zeros-1x3x3.safetensors';

let fixture: Uint8Array | undefined;

export const safetensors: Kind = {
  extension: 'safetensors',
  onRuntime: false,

  make(random) {
    if (random.chance(0.2)) {
      fixture ??= new Uint8Array(readFileSync(FIXTURE));
      return mutateBytes(fixture, random, () => (random.chance(0.9) ? random.whole(0, 1200) : random.whole(0, 3000)));
    }
    const file = random.chance(0.05) ? nested(random) : wellFormed(random);
    return random.chance(0.15) ? mutateBytes(file, random) : file;
  },

  run(bytes) {
    const { tensors, metadata } = readSafetensors(bytes);
    for (const [name, { dims, size, data }] of Object.entries(tensors)) {
      if (data.length !== size || size !== dims.reduce((a, b) => a * b, 1))
        throw new Broken(`${name} has a wrong size`);
    }
    const again = readSafetensors(writeSafetensors(tensors, metadata));
    if (Object.keys(again.tensors).join() !== Object.keys(tensors).join()) throw new Broken('writing loses tensors');
    if (bytes[0]! % 4 === 0) readCheckpoint(bytes);
    return [];
  },
};

function wellFormed(random: Random): Uint8Array {
  // In some files no number is hostile, so that code behind the checks is reached too.
  const hostility = random.pick([0, 0, 0.02, 0.1, 0.5]);
  const number = (value: number): unknown => {
    if (!random.chance(hostility)) return value;
    return random.chance(0.7) ? random.hostile() : random.pick([null, '3', 1.5, [], {}, true, 1e308, -0]);
  };
  const entries: string[] = [];
  let offset = 0;
  for (let count = random.whole(0, 5); count > 0; count--) {
    const type = random.pick(TYPES);
    const rank = random.chance(hostility) ? random.pick([31, 32, 33, 1000]) : random.whole(0, 4);
    const dims = Array.from({ length: rank }, () => random.pick([0, 1, 1, 2, 3, 5]));
    const bytes =
      Math.min(
        dims.reduce((a, b) => a * b, 1),
        1e5,
      ) * BYTES_OF[type];
    const shape = random.chance(hostility / 4) ? number(0) : dims.map(number);
    const offsets = [number(offset), number(offset + bytes)];
    if (random.chance(hostility / 4)) offsets.push(number(1));
    offset += bytes;
    const name = random.chance(0.3) ? random.pick(NAMES) : `tensor${count}`;
    const dtype = random.chance(hostility / 2) ? random.pick(['F8_E4M3', 'C64', 'f32', '', 'toString', 7, null]) : type;
    const fields = [
      `"dtype":${JSON.stringify(dtype)}`,
      `"shape":${JSON.stringify(shape)}`,
      `"data_offsets":${JSON.stringify(offsets)}`,
    ];
    if (random.chance(hostility)) fields.splice(random.whole(0, 2), 1);
    if (random.chance(hostility)) fields.push(`"extra":${JSON.stringify(random.pick([1, 'x', [1], { a: [] }]))}`);
    entries.push(`${JSON.stringify(name)}:${random.chance(hostility / 4) ? number(1) : `{${fields}}`}`);
  }
  if (random.chance(0.3)) {
    const value = random.chance(hostility) ? number(1) : 'value';
    const metadata = `"__metadata__":${JSON.stringify(random.chance(hostility) ? value : { key: value, other: 'x' })}`;
    entries.splice(random.whole(0, entries.length), 0, metadata);
  }
  if (random.chance(hostility / 2)) entries.push(random.pick(entries) ?? '');
  if (random.chance(0.3)) entries.reverse();
  const text = new TextEncoder().encode(
    `{${entries.join(random.pick([',', ', ', ',\n']))}}${' '.repeat(random.whole(0, 9))}`,
  );
  const length = new DataView(new ArrayBuffer(8));
  const claimed = random.chance(hostility / 2) ? random.hostile() : text.length;
  length.setBigUint64(0, BigInt.asUintN(64, BigInt(claimed)), true);
  const missing = random.chance(hostility / 2) ? random.whole(-9, 9) : 0;
  return joined(new Uint8Array(length.buffer), text, random.bytes(Math.max(0, Math.min(offset, 1e6) + missing)));
}

/** Brackets and strings without end. */
function nested(random: Random): Uint8Array {
  const depth = random.pick([3, 4, 100, 5000]);
  const [open, close] = random.pick([
    ['{"a":', '}'],
    ['[', ']'],
    ['{"a":[', ']}'],
    ['"\\u0000', '"'],
  ] as const);
  const inner = random.chance(0.5) ? open.repeat(depth) + close.repeat(depth) : open.repeat(depth);
  const text = new TextEncoder().encode(`{"x":${inner}}`);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setUint32(0, text.length, true);
  return joined(length, text);
}
