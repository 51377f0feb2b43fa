/**
 * Writes .pth files for tests: pickles, opcode by opcode, in zip archives whose every field can be made wrong. Shares
 * no code with the package.
 */
import { crc32 } from 'node:zlib';

export type Bytes = readonly number[] | Uint8Array;

export const ascii = (text: string): number[] => [...Buffer.from(text, 'utf8')];
const le = (value: number, bytes: number): number[] => {
  const list: number[] = [];
  for (let rest = value; list.length < bytes; rest = Math.floor(rest / 256)) list.push(rest % 256);
  return list;
};

const MARK = 0x28;
const REDUCE = 0x52;

/** Opcodes of pickles in protocol 2, as torch.save writes them, and some of later ones. */
export const op = {
  pickle: (...ops: Bytes[]) => [0x80, 2, ...ops.flatMap((bytes) => [...bytes]), 0x2e],
  none: [0x4e],
  bool: (value: boolean) => [value ? 0x88 : 0x89],
  int(value: number): number[] {
    if (value >= 0 && value < 256) return [0x4b, value];
    if (value >= -(2 ** 31) && value < 2 ** 31) return [0x4a, ...le(value >>> 0, 4)];
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(value));
    return [0x8a, 8, ...bytes];
  },
  float(value: number): number[] {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(value);
    return [0x47, ...bytes];
  },
  text: (value: string) => [0x58, ...le(ascii(value).length, 4), ...ascii(value)],
  shortText: (value: string) => [0x8c, ascii(value).length, ...ascii(value)],
  global: (module: string, name: string) => [0x63, ...ascii(`${module}\n${name}\n`)],
  stackGlobal: (module: string, name: string) => [...op.shortText(module), ...op.shortText(name), 0x93],
  tuple: (...items: Bytes[]) => [MARK, ...items.flatMap((item) => [...item]), 0x74],
  list: (...items: Bytes[]) => [0x5d, MARK, ...items.flatMap((item) => [...item]), 0x65],
  dict: (...items: (readonly [Bytes | string, Bytes])[]) => [0x7d, ...op.items(items)],
  orderedDict: (...items: (readonly [Bytes | string, Bytes])[]) => [
    ...op.call('collections', 'OrderedDict'),
    ...op.items(items),
  ],
  items: (items: readonly (readonly [Bytes | string, Bytes])[]) => [
    MARK,
    ...items.flatMap(([key, value]) => [...(typeof key === 'string' ? op.text(key) : key), ...value]),
    0x75,
  ],
  call: (module: string, name: string, ...args: Bytes[]) => [...op.global(module, name), ...op.tuple(...args), REDUCE],
  ints: (values: readonly number[]) => op.tuple(...values.map(op.int)),
  storage: (type: string, key: string, length: number) => [
    ...op.tuple(op.text('storage'), op.global('torch', type), op.text(key), op.text('cuda:0'), op.int(length)),
    0x51,
  ],
  tensor: (storage: Bytes, dims: readonly number[], strides = contiguous(dims), offset = 0) =>
    op.call(
      'torch._utils',
      '_rebuild_tensor_v2',
      storage,
      op.int(offset),
      op.ints(dims),
      op.ints(strides),
      op.bool(false),
      op.call('collections', 'OrderedDict'),
    ),
  put: (index: number) => [0x72, ...le(index, 4)],
  get: (index: number) => [0x6a, ...le(index, 4)],
};

export function contiguous(dims: readonly number[]): number[] {
  return dims.map((_, axis) => dims.slice(axis + 1).reduce((product, dim) => product * dim, 1));
}

export interface Entry {
  name: string;
  data: Bytes;
  /** What the headers say instead of the truth. */
  crc?: number;
  method?: number;
  flags?: number;
  bytes?: number;
  compressedBytes?: number;
  localHeader?: number;
  localName?: string;
  /** Sizes and place in a zip64 field. */
  zip64?: boolean;
}

interface End {
  count?: number;
  bytes?: number;
  start?: number;
  comment?: string;
  zip64?: boolean;
  zip64Record?: number;
}

export function zip(entries: readonly Entry[], end: End = {}): Uint8Array {
  const parts: Uint8Array[] = [];
  let length = 0;
  const write = (...bytes: readonly Bytes[]): void => {
    for (const part of bytes) {
      parts.push(part instanceof Uint8Array ? part : Uint8Array.from(part));
      length += part.length;
    }
  };
  const central: Bytes[] = [];
  for (const entry of entries) {
    const { flags = 0x808, method = 0 } = entry;
    const data = Uint8Array.from(entry.data);
    const name = Buffer.from(entry.name);
    const crc = entry.crc ?? crc32(data);
    const bytes = entry.bytes ?? data.length;
    const compressed = entry.compressedBytes ?? bytes;
    const place = entry.localHeader ?? length;
    const extra = entry.zip64
      ? [...le(1, 2), ...le(24, 2), ...le(bytes, 8), ...le(compressed, 8), ...le(place, 8)]
      : [];
    const in32 = (n: number) => le(entry.zip64 ? 2 ** 32 - 1 : n, 4);
    central.push(
      [0x50, 0x4b, 1, 2, 0, 0, 0, 0, ...le(flags, 2), ...le(method, 2), 0, 0, 0, 0, ...le(crc, 4)],
      [...in32(compressed), ...in32(bytes), ...le(name.length, 2), ...le(extra.length, 2), 0, 0],
      [0, 0, 0, 0, 0, 0, 0, 0, ...in32(place)],
      name,
      extra,
    );
    // As torch does: sizes left zero here, the data behind padding, and a data descriptor behind it.
    const localName = Buffer.from(entry.localName ?? entry.name);
    const padding = (64 - ((length + 34 + localName.length) % 64)) % 64;
    write([0x50, 0x4b, 3, 4, 0, 0, ...le(flags, 2), ...le(method, 2), ...le(0, 16)]);
    write(le(localName.length, 2), le(padding + 4, 2), localName);
    write(ascii('FB'), le(padding, 2), new Uint8Array(padding).fill(0x5a));
    write(data, [0x50, 0x4b, 7, 8], le(crc, 4), le(bytes, 4), le(bytes, 4));
  }
  const start = end.start ?? length;
  const count = end.count ?? entries.length;
  for (const part of central) write(part);
  const bytes = end.bytes ?? length - start;
  const record = end.zip64Record ?? length;
  if (end.zip64 ?? true) {
    const numbers = [count, count, bytes, start].flatMap((n) => le(n, 8));
    write(ascii('PK'), [6, 6], le(44, 8), le(0, 12), numbers, ascii('PK'), [6, 7], le(0, 4), le(record, 8), le(1, 4));
  }
  const comment = Buffer.from(end.comment ?? '');
  write(ascii('PK'), [5, 6], le(0, 4), le(count % 65536, 2), le(count % 65536, 2), le(bytes, 4), le(start, 4));
  write(le(comment.length, 2), comment);
  return new Uint8Array(Buffer.concat(parts));
}

/** An archive as torch.save writes it, of a pickle and of storages by their keys. */
export function pth(pickle: Bytes, storages: Record<string, Bytes> = {}, others: readonly Entry[] = []): Uint8Array {
  return zip(entriesOf(pickle, storages, others));
}

export function entriesOf(pickle: Bytes, storages: Record<string, Bytes> = {}, others: readonly Entry[] = []): Entry[] {
  return [
    { name: 'archive/data.pkl', data: pickle },
    { name: 'archive/byteorder', data: ascii('little') },
    ...Object.entries(storages).map(([key, data]) => ({ name: `archive/data/${key}`, data })),
    { name: 'archive/version', data: ascii('3\n') },
    ...others,
  ];
}

export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
