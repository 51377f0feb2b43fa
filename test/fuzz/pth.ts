/**
 * What torch.save writes: state dicts as pickles in zip archives, or in sequence as before PyTorch 1.6, with hostile
 * sizes, strides, offsets and references; nonsensical programs of opcodes; archives whose directories lie; whole
 * checkpoints, modules and TorchScript archives that are changed.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { readCheckpoint } from 'acnet-wasm';
import { type Bytes, type Entry, entriesOf, op, zip } from '../pthWriter.js';
import { Broken, type Kind } from './kind.js';
import { joined, mutateBytes } from './mutate.js';
import type { Random } from './random.js';

const STORAGES: Record<string, number> = {
  FloatStorage: 4,
  DoubleStorage: 8,
  HalfStorage: 2,
  BFloat16Storage: 2,
  LongStorage: 8,
  IntStorage: 4,
  ShortStorage: 2,
  CharStorage: 1,
  ByteStorage: 1,
  BoolStorage: 1,
};
const TYPES = Object.keys(STORAGES);
/** Around the state, as people save checkpoints. */
const WRAPPERS = ['state_dict', 'model', 'net', 'model_state_dict', 'ema', 'weights'];
const KEYS = ['conv.weight', 'conv.bias', 'bn.running_mean', 'module.conv.weight', '__proto__', '', 'x'.repeat(500)];
const GLOBALS: [string, string][] = [
  ['collections', 'OrderedDict'],
  ['torch._utils', '_rebuild_tensor_v2'],
  ['torch._utils', '_rebuild_parameter'],
  ['torch', 'FloatStorage'],
  ['torch', 'Size'],
  ['os', 'system'],
  ['builtins', 'eval'],
  ['torch', 'x'.repeat(300)],
];
const FOLDER = 'test/fixtures/checkpoints';
const FIXTURE = 'test/fixtures/pth/lenet5bn-acb-fashion-mnist.pth.gz';
/** Bytes of a long file where text is likely: at its beginning and at its end. */
const TEXT_BYTES = 6000;
/** The magic number of files before PyTorch 1.6. */
const MAGIC = [0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const PLACES = 8;

let fixtures: Uint8Array[] | undefined;

export const pth: Kind = {
  extension: 'pth',
  onRuntime: false,

  make(random) {
    if (random.chance(0.15)) {
      fixtures ??= readFixtures();
      // The first is long.
      const fixture = random.chance(0.05) ? fixtures[0]! : random.pick(fixtures.slice(1));
      const end = fixture.length;
      return mutateBytes(fixture, random, () =>
        random.chance(0.5)
          ? random.whole(0, Math.min(TEXT_BYTES, end - 1))
          : random.whole(Math.max(0, end - TEXT_BYTES), end - 1),
      );
    }
    const hostility = random.pick([0, 0, 0.02, 0.1, 0.3]);
    const storages: Record<string, Bytes> = {};
    const pickle = random.chance(0.25) ? soup(random) : statePickle(random, hostility, storages);
    const file = random.chance(0.2)
      ? legacy(random, hostility, pickle, storages)
      : archive(random, hostility, pickle, storages);
    return random.chance(0.15) ? mutateBytes(file, random) : file;
  },

  run(bytes) {
    for (const [name, { dims, size, data }] of Object.entries(readCheckpoint(bytes))) {
      if (data.length !== size || size !== dims.reduce((a, b) => a * b, 1))
        throw new Broken(`${name} has a wrong size`);
    }
    return [];
  },
};

function readFixtures(): Uint8Array[] {
  const names = readdirSync(FOLDER).filter((name) => /\.ptc?h?$/.test(name));
  return [gunzipSync(readFileSync(FIXTURE)), ...names.map((name) => readFileSync(`${FOLDER}/${name}`))].map(
    (file) => new Uint8Array(file),
  );
}

/** A sequence of pickles, then the storages. */
function legacy(random: Random, hostility: number, pickle: Bytes, storages: Record<string, Bytes>): Uint8Array {
  const is = () => random.chance(hostility / 2);
  const keys = Object.keys(storages);
  if (is()) keys.push(random.pick(['0', '7', '']));
  if (is()) keys.reverse();
  const parts: Bytes[] = [
    op.pickle(MAGIC),
    op.pickle(wide(is() ? random.hostile() : 1001)),
    op.pickle(op.dict(['little_endian', op.bool(!is())])),
    pickle,
    op.pickle(op.list(...keys.map(op.text))),
  ];
  for (const key of keys) {
    const count = new Uint8Array(8);
    new DataView(count.buffer).setFloat64(0, is() ? random.hostile() : 1);
    parts.push(count, storages[key] ?? []);
  }
  if (is()) parts.splice(random.whole(0, parts.length - 1), 1);
  return joined(...parts.map((part) => Uint8Array.from(part)));
}

function statePickle(random: Random, hostility: number, storages: Record<string, Bytes>): Bytes {
  const is = () => random.chance(hostility);
  const number = (value: number): Bytes => {
    if (!is()) return op.int(value);
    return random.chance(0.8)
      ? wide(random.hostile())
      : random.pick([op.float(1.5), op.none, op.text('3'), op.bool(true)]);
  };
  const list = (values: readonly number[]): Bytes => {
    const items = values.map(number);
    if (is()) return random.pick([op.none, op.int(3), op.text('2'), [0x7d], op.list(...items)]);
    return random.chance(0.1) ? op.list(...items) : op.tuple(...items);
  };
  const tensor = (): Bytes => {
    const type = random.pick(TYPES);
    const dims = Array.from({ length: is() ? random.pick([31, 33, 500]) : random.whole(0, 4) }, () =>
      random.whole(is() ? 0 : 1, 4),
    );
    const strides: number[] = [];
    let size = 1;
    for (const dim of [...dims].reverse()) {
      strides.unshift(random.chance(0.1) ? 0 : size);
      size = Math.min(size * dim, 4096);
    }
    const offset = random.chance(0.1) ? random.whole(0, 5) : 0;
    const known = Object.keys(storages);
    const key = known.length > 0 && random.chance(0.2) ? random.pick(known) : `${known.length}`;
    storages[key] ??= random.bytes(Math.max(0, (size + offset) * STORAGES[type]! + (is() ? random.whole(-3, 3) : 0)));
    const label = is() ? random.pick(['1000', '../x', '']) : key;
    const name = is() ? 'QInt8Storage' : type;
    const id = [op.text('storage'), op.global('torch', name), op.text(label), op.text('cpu'), number(size + offset)];
    if (is()) id.splice(random.whole(0, id.length - 1), 1);
    const storage: Bytes = [...op.tuple(...id), 0x51];
    const place = random.whole(0, PLACES - 1);
    const sizes = [...list(dims), ...op.put(place)];
    const flat = [storage, number(offset), sizes, list(strides), op.bool(false), op.call('collections', 'OrderedDict')];
    if (is()) flat.splice(random.whole(0, flat.length - 1), 1);
    const made = op.call('torch._utils', '_rebuild_tensor_v2', ...flat);
    // A list that changes after it has been checked.
    if (!random.chance(0.05)) return made;
    return [...made, ...op.get(place), 0x28, ...wide(random.hostile()), 0x65, 0x30];
  };
  const items = Array.from({ length: random.whole(0, 4) }, (_, i): [string, Bytes] => {
    const key = random.chance(0.2) ? random.pick(KEYS) : `layer${i}.weight`;
    const value = is() ? random.pick([op.none, op.int(1), op.dict()]) : tensor();
    return [
      key,
      random.chance(0.05) ? op.call('torch._utils', '_rebuild_parameter', value, op.bool(true), op.none) : value,
    ];
  });
  let saved: Bytes = random.chance(0.8) ? op.orderedDict(...items) : op.dict(...items);
  for (let depth = random.chance(0.3) ? random.whole(1, is() ? 40 : 2) : 0; depth > 0; depth--) {
    saved = op.dict([random.pick(WRAPPERS), saved], ['epoch', number(3)]);
  }
  return op.pickle(saved);
}

/** An integer of any size; what does not fit eight bytes is longer. */
function wide(value: number): Bytes {
  if (value < 2 ** 63 && value >= -(2 ** 63)) return op.int(value);
  return [0x8a, 9, 0, 0, 0, 0, 0, 0, 0, 0x80, 0];
}

/** Opcodes in any order, most of them with operands that fit; now and then very many of one. */
function soup(random: Random): Bytes {
  const ops: (() => Bytes)[] = [
    () => [random.pick([0x28, 0x30, 0x4e, 0x88, 0x89, 0x29, 0x5d, 0x7d, 0x8f])],
    () => [random.pick([0x85, 0x86, 0x87, 0x74, 0x91, 0x61, 0x65, 0x90, 0x73, 0x75])],
    () => [random.pick([0x52, 0x62, 0x51, 0x93, 0x94, 0x2e])],
    () => wide(random.hostile()),
    () => op.text(random.pick([...KEYS, ...WRAPPERS, 'storage', 'cpu'])),
    () => op.global(...random.pick(GLOBALS)),
    () => op.put(random.chance(0.9) ? random.whole(0, PLACES) : 2 ** 32 - 1),
    () => op.get(random.whole(0, PLACES)),
    () => [0x71, random.whole(0, PLACES)],
    () => [0x68, random.whole(0, PLACES)],
    () => [
      random.pick([0x8d, 0x8e, 0x96]),
      ...random.pick([
        [255, 255, 255, 255, 255, 255, 255, 127],
        [3, 0, 0, 0, 0, 0, 0, 0],
      ]),
    ],
    () => op.float(random.hostile()),
    () => op.call('collections', 'OrderedDict'),
    () => [random.whole(0, 255)],
  ];
  const program: number[] = [0x80, random.pick([2, 2, 2, 3, 4, 5, 0, 255])];
  for (let count = random.whole(0, 60); count > 0; count--) {
    const one = random.pick(ops)();
    for (let times = random.chance(0.005) ? random.pick([100, 1000]) : 1; times > 0; times--) program.push(...one);
  }
  if (random.chance(0.8)) program.push(0x2e);
  return program;
}

function archive(random: Random, hostility: number, pickle: Bytes, storages: Record<string, Bytes>): Uint8Array {
  const is = () => random.chance(hostility / 3);
  const entries: Entry[] = entriesOf(pickle, storages).map((entry) => ({
    ...entry,
    ...(random.chance(0.3) && { zip64: true }),
    ...(is() && { crc: random.pick([0, 1, 2 ** 32 - 1]) }),
    ...(is() && { method: random.pick([8, 12, 65535]) }),
    ...(is() && { flags: random.whole(0, 65535) }),
    ...(is() && { bytes: clamped(random) }),
    ...(is() && { compressedBytes: clamped(random) }),
    ...(is() && { localHeader: clamped(random) }),
    ...(is() && { localName: random.pick(['', 'x', 'archive/data.pkl']) }),
    ...(is() && { name: random.pick(['', 'data.pkl', '../../x', 'archive/data.pkl', 'a'.repeat(2000)]) }),
  }));
  if (is()) entries.push({ name: 'archive/constants.pkl', data: [] });
  if (is()) entries.push(...Array.from({ length: 300 }, (_, i) => ({ name: `archive/${i}`, data: [] })));
  if (is()) entries.reverse();
  return zip(entries, {
    zip64: random.chance(0.7),
    ...(is() && { count: random.pick([0, 1, 65535, 2 ** 32, 100_001, 2 ** 53]) }),
    ...(is() && { bytes: clamped(random) }),
    ...(is() && { start: clamped(random) }),
    ...(is() && { comment: 'PK\u0005\u0006'.repeat(random.whole(1, 100)) }),
    ...(is() && { zip64Record: clamped(random) }),
  });
}

/** Not negative, as the writer writes unsigned numbers. */
function clamped(random: Random): number {
  return Math.max(0, random.hostile());
}
