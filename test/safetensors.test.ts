/**
 * readSafetensors and writeSafetensors: round trips, element types, and hostile files. A file is either read or refused
 * with a FormatError; nothing else may come of it, and it takes no more memory than its own size.
 */
import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import { FormatError, readSafetensors, type StateDict, Tensor, writeSafetensors } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { seededRandom } from './support.js';

const FIXTURE = 'acblock/20-c1o1k3s1p1d1g1-zeros-1x3x3.safetensors';
const MUTATIONS = 10_000;

/** A file of this header, which may be any text, and that many bytes of data or these. */
function fileOf(header: unknown, data: number | Uint8Array = 0, headerBytes?: number | bigint): Uint8Array {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(headerBytes ?? text.length));
  return new Uint8Array(Buffer.concat([length, text, typeof data === 'number' ? Buffer.alloc(data) : data]));
}

function headerOf(file: Uint8Array): { text: string; dataStart: number } {
  const buffer = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const dataStart = 8 + Number(buffer.readBigUInt64LE(0));
  return { text: buffer.toString('utf8', 8, dataStart), dataStart };
}

function single(dtype: string, dims: number[], data: Uint8Array): Tensor {
  return readSafetensors(fileOf({ x: { dtype, shape: dims, data_offsets: [0, data.length] } }, data)).tensors.x!;
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** The bits of the values, in which NaNs differ and zeros have signs. */
function bitsOf(tensor: Tensor): number[] {
  const { buffer, byteOffset, length } = tensor.data;
  return [...new Uint32Array(buffer, byteOffset, length)];
}

/** What was read, or the FormatError, which is checked itself; any other error goes through. */
function attempt(file: Uint8Array): ReturnType<typeof readSafetensors> | FormatError {
  try {
    return readSafetensors(file);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const { offset, message } = error;
    assert.ok(Number.isInteger(offset) && offset >= 0 && offset <= file.length, `offset ${offset} of ${file.length}`);
    assert.ok(message.endsWith(`(at byte ${offset})`), message);
    assert.ok(message.length < 400, `a message of ${message.length} characters`);
    return error;
  }
}

function refuses(what: string, file: Uint8Array, expected: RegExp, offset?: number): void {
  const result = attempt(file);
  if (!(result instanceof FormatError)) throw new Error(`${what}: was read`);
  assert.match(result.message, expected, what);
  if (offset !== undefined) assert.is(result.offset, offset, `${what}: ${result.message}`);
}

/** One tensor of every element type, of empty and scalar shapes, and metadata. */
function validFile(): Uint8Array {
  const random = seededRandom(1);
  const header: Record<string, unknown> = { __metadata__: { format: 'pt', config: '{"eps": 1e-05}' } };
  let end = 0;
  const add = (name: string, dtype: string, shape: number[], bytes: number) => {
    header[name] = { dtype, shape, data_offsets: [end, end + bytes] };
    end += bytes;
  };
  add('conv.weight', 'F32', [2, 3, 1, 2], 48);
  add('bn.num_batches_tracked', 'I64', [], 8);
  add('empty', 'F32', [0, 3], 0);
  add('f64', 'F64', [3], 24);
  add('i32', 'I32', [2], 8);
  add('f16', 'F16', [3, 1], 6);
  add('bf16', 'BF16', [2], 4);
  add('i16', 'I16', [1], 2);
  add('i8', 'I8', [2], 2);
  add('u8', 'U8', [1], 1);
  add('bool', 'BOOL', [1], 1);
  return fileOf(
    header,
    Uint8Array.from({ length: end }, () => random() * 256),
  );
}

test('a file read and written again has the same header and data', () => {
  const file = new Uint8Array(readFileSync(`test/fixtures/${FIXTURE}`));
  const { tensors, metadata } = readSafetensors(file);
  assert.equal(JSON.parse(metadata.config!).kernelSize, 3);
  assert.equal([...tensors['state.ver_conv.weight']!.dims], [1, 1, 3, 1]);
  const written = writeSafetensors(tensors, metadata);
  const before = headerOf(file);
  const after = headerOf(written);
  assert.equal(JSON.parse(after.text), JSON.parse(before.text));
  assert.ok(Buffer.from(written.subarray(after.dataStart)).equals(file.subarray(before.dataStart)));
});

test('values, dims, names and metadata survive a round trip', () => {
  const bits = new Uint32Array([0, 0x80000000, 1, 0x7f800000, 0xff800000, 0x7fc01234, 0x3f800001, 0x7f7fffff]);
  const special = new Tensor('float32', new Float32Array(bits.buffer), [2, 2, 2]);
  const names = ['', 'a.b', 'constructor', 'toJSON', '__proto__', '7', 'ключ', '\ud800', '"\\\n', 'n'.repeat(5000)];
  const entries = names.map((name, i): [string, Tensor] => [name, new Tensor('float32', [i], [])]);
  entries.push(['special', special]);
  entries.push(['empty', new Tensor('float32', [], [2, 0, 3])]);
  entries.push(['deep', new Tensor('float32', [1], Array(32).fill(1))]);
  const state: StateDict = Object.fromEntries(entries);
  const strings: Record<string, string> = Object.fromEntries([
    ['__proto__', 'x'],
    ['', ''],
    ['a', '"\u0000é'],
  ]);

  const { tensors, metadata } = readSafetensors(writeSafetensors(state, strings));
  assert.equal(Object.keys(tensors), Object.keys(state));
  for (const [name, tensor] of Object.entries(state)) {
    const read = Object.getOwnPropertyDescriptor(tensors, name)!.value as Tensor;
    assert.equal([...read.dims], [...tensor.dims], name);
    assert.equal(bitsOf(read), bitsOf(tensor), name);
  }
  assert.equal(Object.entries(metadata), Object.entries(strings));
  assert.is(Object.getPrototypeOf(tensors), Object.prototype);
  assert.is(Object.getPrototypeOf(metadata), Object.prototype);
});

test('what is written is deterministic, aligned, and padded with blanks', () => {
  for (let length = 1; length <= 9; length++) {
    const state = { ['k'.repeat(length)]: new Tensor('float32', [1, 2], [2]) };
    const file = writeSafetensors(state, { note: 'x' });
    const { text, dataStart } = headerOf(file);
    assert.is(dataStart % 8, 0);
    assert.is(file.length, dataStart + 8);
    assert.match(text, /^\{.*\} {0,7}$/);
    assert.ok(Buffer.from(writeSafetensors(state, { note: 'x' })).equals(file));
  }
});

test('no tensors and no metadata make the smallest file', () => {
  const file = writeSafetensors({});
  assert.is(headerOf(file).text, '{}      ');
  assert.equal(readSafetensors(file), { tensors: {}, metadata: {} });
});

test('a tensor that is a view into a larger buffer is written alone', () => {
  const data = new Float32Array([9, 1, 2, 9]).subarray(1, 3);
  const { tensors } = readSafetensors(writeSafetensors({ x: new Tensor('float32', data, [2]) }));
  assert.equal([...tensors.x!.data], [1, 2]);
});

test('F16: every one of the 65536 values', () => {
  const halves = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const { data } = single('F16', [65536], bytesOf(halves));
  for (const half of halves) {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 31;
    const fraction = (half & 1023) / 1024;
    const special = fraction === 0 ? Number.POSITIVE_INFINITY : Number.NaN;
    const magnitude = exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15);
    const expected = sign * (exponent === 31 ? special : magnitude);
    assert.ok(Object.is(data[half], expected), `0x${half.toString(16)}: ${data[half]}, expected ${expected}`);
  }
});

test('BF16: every one of the 65536 values', () => {
  const halves = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const tensor = single('BF16', [65536], bytesOf(halves));
  bitsOf(tensor).forEach((bits, i) => {
    assert.is(bits, i * 65536);
  });
});

test('F64 and integers are rounded to float32', () => {
  const cases: [string, ArrayBufferView, number[]][] = [
    ['F64', new Float64Array([0.1, -1e-46, 1e39, Number.NaN]), [Math.fround(0.1), -0, Number.POSITIVE_INFINITY, NaN]],
    ['I64', new BigInt64Array([-(2n ** 63n), 16777217n, 3n]), [-(2 ** 63), 16777216, 3]],
    ['I32', new Int32Array([-2147483648, 16777219]), [-2147483648, 16777220]],
    ['I16', new Int16Array([-32768, 32767]), [-32768, 32767]],
    ['I8', new Int8Array([-128, 127]), [-128, 127]],
    ['U8', new Uint8Array([0, 255]), [0, 255]],
    ['BOOL', new Uint8Array([0, 1]), [0, 1]],
    ['I64', new BigInt64Array(0), []],
  ];
  for (const [dtype, array, expected] of cases) {
    assert.equal([...single(dtype, [expected.length], bytesOf(array)).data], expected, dtype);
  }
});

test('data at any alignment, in any kind of view, is read the same', () => {
  const tail = new Uint8Array([7, ...bytesOf(new Float32Array([1.5, -2])), ...bytesOf(new BigInt64Array([5n]))]);
  const file = fileOf(
    {
      byte: { dtype: 'U8', shape: [1], data_offsets: [0, 1] },
      floats: { dtype: 'F32', shape: [2], data_offsets: [1, 9] },
      count: { dtype: 'I64', shape: [], data_offsets: [9, 17] },
    },
    tail,
  );
  const check = (bytes: Uint8Array | ArrayBuffer, what: string) => {
    const { tensors } = readSafetensors(bytes);
    assert.equal(
      [tensors.byte, tensors.floats, tensors.count].map((tensor) => [...tensor!.data]),
      [[7], [1.5, -2], [5]],
      what,
    );
  };
  for (let shift = 0; shift < 8; shift++) {
    const larger = new Uint8Array(file.length + 16).fill(0xff);
    larger.set(file, shift);
    check(larger.subarray(shift, shift + file.length), `at ${shift}`);
  }
  check(file.slice().buffer, 'ArrayBuffer');
  check(Buffer.from(file), 'Buffer');
  const shared = new Uint8Array(new SharedArrayBuffer(file.length));
  shared.set(file);
  check(shared, 'shared memory');
  check(runInNewContext('Uint8Array').from(file), 'another realm');
  check(runInNewContext('Uint8Array').from(file).buffer, "another realm's ArrayBuffer");
});

test('tensors own their data', () => {
  const file = writeSafetensors({ a: new Tensor('float32', [1, 2], [2]), b: new Tensor('float32', [3], [1]) });
  for (const bytes of [file, Buffer.from(file.buffer)]) {
    const { tensors } = readSafetensors(bytes);
    const copy = file.slice();
    file.fill(0xff);
    assert.equal([...tensors.a!.data, ...tensors.b!.data], [1, 2, 3]);
    tensors.a!.data.fill(7);
    assert.is(file[headerOf(copy).dataStart], 0xff);
    assert.equal([...tensors.b!.data], [3]);
    assert.is(tensors.b!.data.buffer.byteLength, 4);
    file.set(copy);
  }
});

test('every prefix of a valid file is refused', () => {
  for (const file of [validFile(), new Uint8Array(readFileSync(`test/fixtures/${FIXTURE}`))]) {
    assert.not.instance(attempt(file), FormatError);
    for (let length = 0; length < file.length; length++) {
      assert.instance(attempt(file.slice(0, length)), FormatError, `the first ${length} bytes of ${file.length}`);
      assert.instance(attempt(file.subarray(0, length)), FormatError, `${length} bytes of a longer buffer`);
    }
  }
});

test('a header length that lies is refused', () => {
  const entry = { x: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } };
  const { length } = JSON.stringify(entry);
  refuses('0', fileOf(entry, 4, 0), /not JSON/, 8);
  refuses('too short', fileOf(entry, 4, length - 1), /not JSON/, 8);
  refuses('too long', fileOf(entry, 4, length + 4), /not JSON/, 8);
  refuses('beyond the file', fileOf(entry, 4, length + 5), /must have at most \d+ bytes in a file of \d+, got \d+/, 0);
  for (const size of [2n ** 31n, 2n ** 32n, 2n ** 32n + BigInt(length), 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
    refuses(`${size}`, fileOf(entry, 4, size), /header must have at most \d+ bytes in a file of \d+, got \d+/, 0);
  }
  const long = new Uint8Array(100_000_009).fill(0x20);
  long.set(fileOf('{}', 0, 100_000_001));
  refuses('longer than the limit', long, /must have at most 100000000 bytes/, 0);
});

test('a header that is not a JSON object is refused', () => {
  const headers = [
    '',
    ' ',
    'null',
    '[]',
    '7',
    '"x"',
    ' {}',
    '\ufeff{}',
    '{',
    '{}}',
    '{"a":}',
    "{'a':1}",
    '{}\0',
    'NaN',
  ];
  for (const header of headers) refuses(header, fileOf(header), /header (does not begin|is not JSON)/, 8);
  const file = fileOf('{"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}');
  file[10] = 0xff;
  refuses('not UTF-8', file, /header is not JSON in UTF-8/, 8);
});

test('blanks after and inside the header are read', () => {
  const { tensors } = readSafetensors(
    fileOf('{ "x" : {"dtype" : "F32", "shape" : [ 1 ] , "data_offsets" : [0 , 4 ] } }   ', 4),
  );
  assert.equal([...tensors.x!.data], [0]);
});

test('an entry that lies is refused, by its name and place', () => {
  const good = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
  const shapes: unknown[] = [null, 2, '2', {}, [-1], [1.5], [null], ['2'], [true], [2 ** 53], [-2, -1], [1e308]];
  const cases: [unknown, RegExp][] = [
    [null, /dtype of tensor .* must be one of .*, got undefined/],
    [7, /dtype of tensor .* must be one of .*, got undefined/],
    ['F32', /dtype of tensor .* must be one of .*, got undefined/],
    [[], /dtype of tensor .* must be one of .*, got undefined/],
    [{}, /dtype of tensor .* must be one of .*, got undefined/],
    ...['f32', 'F8_E4M3', '', 'constructor', '__proto__', null, 4, ['F32'], {}].map((dtype): [unknown, RegExp] => [
      { ...good, dtype },
      /dtype .*must be one of F32,/,
    ]),
    ...shapes.map((shape): [unknown, RegExp] => [{ ...good, shape }, /shape .*must be at most 32 integers from 0/]),
    [{ ...good, shape: Array(33).fill(1) }, /shape .*must be at most 32/],
    [{ ...good, shape: undefined }, /shape of tensor .* must be .*, got undefined/],
    [{ ...good, shape: [[2]] }, /nested deeper/],
    ...[null, 8, '0,8', {}, [], [0], [0, 8, 8], ['0', '8'], [-8, 0], [0.5, 8.5], [0, null], [0, 1e300]].map(
      (offsets): [unknown, RegExp] => [{ ...good, data_offsets: offsets }, /data_offsets .*must be \[begin, end\]/],
    ),
    [{ ...good, data_offsets: [8, 0] }, /must be a range within 8 bytes/],
    [{ ...good, data_offsets: [0, 9] }, /must be a range within 8 bytes/],
    [{ ...good, data_offsets: [8, 16] }, /must be a range within 8 bytes/],
    [{ ...good, data_offsets: [2 ** 52, 2 ** 52 + 8] }, /must be a range within 8 bytes/],
    [{ ...good, data_offsets: [0, 7] }, /must be 8 bytes for F32 \[2\]/],
    [{ ...good, shape: [] }, /must be 4 bytes for F32 \[\]/],
    [{ ...good, shape: [3] }, /must be 12 bytes/],
    [{ ...good, dtype: 'F64' }, /must be 16 bytes for F64/],
    [{ ...good, shape: [0] }, /must be 0 bytes/],
    // Products that overflow to what the data has: modulo 2^32, modulo 2^64, to infinity, and infinity times zero.
    [{ ...good, shape: [2 ** 30 + 2] }, /must be 4294967304 bytes/],
    [{ ...good, shape: [2 ** 32, 2 ** 31, 2] }, /must be Infinity bytes/],
    [{ ...good, shape: Array(32).fill(2 ** 52) }, /must be Infinity bytes/],
    [
      { ...good, shape: [...Array(31).fill(2 ** 52), 0], data_offsets: [0, 0] },
      /shape .*must be at most 1073741824 values/,
    ],
  ];
  for (const [entry, expected] of cases) {
    const text = `{ "the\\"name":${JSON.stringify(entry)}}`;
    refuses(text, fileOf(text, 8), expected);
    if (expected.source === 'nested deeper') continue;
    refuses(text, fileOf(text, 8), /of tensor "the\\"name" must be /, 10);
  }
});

test('metadata must be an object of strings', () => {
  for (const metadata of [null, 1, 'x', [], ['x'], { a: 1 }, { a: null }, { a: { b: 'c' } }, { a: 'x', b: ['y'] }]) {
    refuses(
      JSON.stringify(metadata),
      fileOf({ __metadata__: metadata }),
      /__metadata__ must be an object of strings, got /,
      9,
    );
  }
});

test('tensors that overlap or leave holes are refused', () => {
  const make = (...ranges: [number, number][]) =>
    Object.fromEntries(
      ranges.map((range, i) => [`t${i}`, { dtype: 'U8', shape: [range[1] - range[0]], data_offsets: range }]),
    );
  assert.equal(Object.keys(readSafetensors(fileOf(make([2, 4], [0, 2], [4, 4], [0, 0]), 4)).tensors), [
    't0',
    't1',
    't2',
    't3',
  ]);
  refuses('one range twice', fileOf(make([0, 4], [0, 4]), 4), /tensor "t1" must begin at data byte 4, got 0/);
  refuses('overlap', fileOf(make([0, 3], [2, 4]), 4), /tensor "t1" must begin at data byte 3, got 2/);
  refuses('within', fileOf(make([0, 4], [1, 2]), 4), /tensor "t1" must begin at data byte 4, got 1/);
  refuses('empty, within', fileOf(make([0, 4], [1, 1]), 4), /tensor "t1" must begin at data byte 4, got 1/);
  refuses('hole', fileOf(make([0, 1], [2, 4]), 4), /tensor "t1" must begin at data byte 1, got 2/);
  refuses('hole before', fileOf(make([1, 4]), 4), /tensor "t0" must begin at data byte 0, got 1/, 9);
  const open = fileOf(make([0, 3]), 4);
  refuses('hole after', open, /must cover all 4 bytes of data, got 3/, open.length - 1);
  refuses('data without tensors', fileOf({}, 1), /must cover all 1 bytes of data, got 0/);
});

test('a key that stands twice is refused', () => {
  const entry = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}';
  const twice = /key "(a|dtype|__metadata__|__proto__)" twice/;
  refuses('tensor', fileOf(`{"a":${entry},"b":${entry},"a":${entry}}`), twice, 8 + 1 + 2 * (5 + entry.length));
  refuses('escaped', fileOf(`{"a":${entry},"\\u0061":${entry}}`), twice);
  refuses('__proto__', fileOf(`{"__proto__":${entry},"__proto__":${entry}}`), twice);
  refuses('__metadata__', fileOf('{"__metadata__":{},"__metadata__":{}}'), twice);
  refuses('in the metadata', fileOf('{"__metadata__":{"a":"1","a":"2"}}'), twice);
  refuses('in an entry', fileOf('{"x":{"dtype":"F32","shape":[0],"dtype":"F64","data_offsets":[0,0]}}'), twice);
  // Colons, quotes and brackets inside strings are no keys.
  const { tensors, metadata } = readSafetensors(
    fileOf(`{"__metadata__":{"a":"\\"a\\":{[","b":"\\\\","c":"}"},"a\\"a\\":":${entry},"a":${entry}}`),
  );
  assert.equal(Object.keys(tensors), ['a"a":', 'a']);
  assert.equal(metadata, { a: '"a":{[', b: '\\', c: '}' });
});

test('a header of very many keys is refused', () => {
  const keys = Array.from({ length: 1_000_000 }, (_, i) => `"${i}":""`);
  refuses('metadata', fileOf(`{"__metadata__":{${keys.join(',')}}}`), /more than 131072 keys/);
  const tensors = keys
    .slice(0, 32_000)
    .map((_, i) => `"${i}":{"dtype":"U8","shape":[1],"data_offsets":[${i},${i + 1}]}`);
  assert.is(Object.keys(readSafetensors(fileOf(`{${tensors.join(',')}}`, 32_000)).tensors).length, 32_000);
});

test('integers of 64 bits are rounded once', () => {
  // As a double this is 2^60 + 2^36, halfway between two float32.
  const longs = BigInt64Array.of(2n ** 60n + 2n ** 36n + 1n, -(2n ** 60n) - 2n ** 36n - 1n);
  assert.equal([...single('I64', [2], bytesOf(longs)).data], [2 ** 60 + 2 ** 37, -(2 ** 60) - 2 ** 37]);
});

test('names of Object.prototype are names like any other', () => {
  const entry = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}';
  const { tensors } = readSafetensors(
    fileOf(`{"__proto__":${entry},"hasOwnProperty":${entry},"__metadata__":{"__proto__":"polluted"}}`),
  );
  assert.equal(Object.keys(tensors), ['__proto__', 'hasOwnProperty']);
  assert.is(Object.getPrototypeOf(tensors), Object.prototype);
  refuses(
    'fields from a prototype',
    fileOf('{"x":{"__proto__":{"dtype":"F32"}}}'),
    /dtype of tensor .* must be one of .*, got undefined/,
  );
});

test('nesting without end and very long values are refused', () => {
  const depth = 200_000;
  refuses('objects', fileOf(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`), /nested deeper/, 8 + 15);
  refuses('arrays', fileOf(`{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`), /nested deeper/, 8 + 7);
  refuses('open arrays', fileOf(`{"a":${'['.repeat(depth)}`), /nested deeper/);
  refuses('a long dtype', fileOf({ x: { dtype: 'F'.repeat(depth) } }), /dtype/);
  refuses('a long name', fileOf({ ['x'.repeat(depth)]: 1 }), /dtype/);
  refuses('a long shape', fileOf({ x: { dtype: 'F32', shape: Array(depth).fill(1) } }), /shape/);
});

test(`${MUTATIONS} mutations of a valid file are read or refused, within the memory of their size`, () => {
  const random = seededRandom(2);
  const valid = validFile();
  const { text, dataStart } = headerOf(valid);
  const messages: string[] = [];
  let read = 0;
  for (let i = 0; i < MUTATIONS; i++) {
    const file =
      i % 2 === 0 ? mutateBytes(valid, dataStart, random) : mutateHeader(text, valid.subarray(dataStart), random);
    const before = process.memoryUsage().arrayBuffers;
    const result = attempt(file);
    const allocated = process.memoryUsage().arrayBuffers - before;
    // A copy of the header, one of the data, and the data as float32, which is four times as long as U8.
    assert.ok(allocated <= 6 * file.length, `mutation ${i}: ${allocated} bytes for a file of ${file.length}`);
    if (result instanceof FormatError) {
      messages.push(result.message);
      continue;
    }
    read++;
    for (const tensor of Object.values(result.tensors)) {
      const size = tensor.dims.reduce((product, dim) => product * dim, 1);
      assert.is(tensor.data.length, size, `mutation ${i}`);
    }
  }
  // Wilder mutations would leave no file intact and reach no check after the first.
  assert.ok(read > MUTATIONS / 50 && read < MUTATIONS / 2, `${read} of ${MUTATIONS} were read`);
  for (const reason of [
    /the header must have at most/,
    /does not begin with/,
    /not JSON/,
    /nested deeper/,
    / twice/,
    /__metadata__ must be/,
    /dtype of tensor /,
    /shape of tensor /,
    /must be \[begin, end\]/,
    /must be a range within/,
    /must be \d+ bytes for/,
    /must begin at data byte/,
    /the tensors must cover/,
  ]) {
    assert.ok(
      messages.some((message) => reason.test(message)),
      `no mutation was refused with ${reason}`,
    );
  }
  assert.is(Object.keys(Object.prototype).length, 0);
});

/** Up to three edits of bytes, most of them in the header. */
function mutateBytes(valid: Uint8Array, dataStart: number, random: () => number): Uint8Array {
  let bytes = [...valid];
  const below = (n: number) => Math.floor(random() * n);
  for (let edits = 1 + below(3); edits > 0; edits--) {
    const at = below(random() < 0.7 ? Math.min(dataStart, bytes.length) : bytes.length);
    const length = 1 + below(12);
    switch (below(7)) {
      case 0:
        bytes[at]! ^= 1 << below(8);
        break;
      case 1:
        bytes[at] = below(128);
        break;
      case 2:
        bytes[at] = '0123456789{}[]",:-.eE\\'.charCodeAt(below(22));
        break;
      case 3:
        bytes.splice(at, length);
        break;
      case 4:
        bytes.splice(at, 0, ...Array.from({ length }, () => below(128)));
        break;
      case 5:
        bytes.splice(at, length, ...bytes.slice(below(bytes.length)).slice(0, length));
        break;
      default:
        bytes[below(8)] = below(256);
    }
    if (bytes.length === 0) bytes = [0];
  }
  return Uint8Array.from(bytes, (byte) => byte & 255);
}

const HOSTILE = [
  -1,
  -0,
  0.5,
  1,
  3,
  4,
  8,
  48,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  1e308,
  null,
  true,
  '',
  'F16',
  'I8',
  [],
  {},
  [4],
  '__proto__',
];

/** The header as valid JSON of the right length, with up to two of its values, keys or entries exchanged. */
function mutateHeader(text: string, data: Uint8Array, random: () => number): Uint8Array {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  let header = JSON.parse(text) as Record<string, Record<string, unknown>>;
  for (let edits = random() < 0.7 ? 1 : 2; edits > 0; edits--) {
    const name = pick(Object.keys(header));
    const entry = header[name];
    const fields = Object.keys(Object(entry));
    const field = pick(fields);
    const value = Object(entry)[field] as unknown;
    const edit = random();
    if (edit < 0.1) delete header[name];
    else if (edit < 0.2) header[name] = pick(HOSTILE) as unknown as Record<string, unknown>;
    else if (edit < 0.3) header[name] = header[pick(Object.keys(header))]!;
    else if (edit < 0.4)
      header = Object.fromEntries([...Object.entries(header), [pick(['__proto__', 'x', '']), entry!]]);
    else if (field === undefined || typeof entry !== 'object') continue;
    else if (edit < 0.5) delete entry[field];
    else if (edit < 0.7 || !Array.isArray(value) || value.length === 0) entry[field] = pick(HOSTILE);
    else value[Math.floor(random() * value.length)] = pick([...HOSTILE, ...value]);
  }
  const cut = random() < 0.1 ? Math.floor(random() * data.length) : data.length;
  let edited = JSON.stringify(header);
  const names = Object.keys(header).map((name) => JSON.stringify(name));
  if (random() < 0.1) edited = edited.replace(`${pick(names)}:`, () => `${pick(names)}:`);
  return fileOf(edited, data.slice(0, cut));
}

test('wrong arguments are TypeError and RangeError', () => {
  const isTypeError = (pattern: RegExp) => (error: Error) => error instanceof TypeError && pattern.test(error.message);
  for (const bytes of [undefined, null, 'x', [1, 2], {}, 7, new Float32Array(8), new DataView(new ArrayBuffer(8))]) {
    assert.throws(
      () => readSafetensors(bytes as Uint8Array),
      isTypeError(/bytes must be a Uint8Array or an ArrayBuffer, got \w+/),
    );
  }
  const tensor = new Tensor('float32', [1], [1]);
  for (const tensors of [undefined, null, 7, 'x']) {
    assert.throws(
      () => writeSafetensors(tensors as unknown as StateDict),
      isTypeError(/tensors must be an object, got /),
    );
  }
  for (const value of [
    undefined,
    null,
    7,
    [1],
    new Float32Array(1),
    { type: 'float32', data: [1], dims: [1], size: 1 },
  ]) {
    assert.throws(
      () => writeSafetensors({ good: tensor, 'a.b': value as unknown as Tensor }),
      isTypeError(/tensors\["a.b"\] must be a Tensor, got /),
    );
  }
  for (const metadata of [null, 7, { k: 1 }, { k: null }, { k: undefined }, { k: {} }]) {
    assert.throws(
      () => writeSafetensors({ tensor }, metadata as unknown as Record<string, string>),
      isTypeError(/metadata(\["k"\] must be a string| must be an object), got /),
    );
  }
  assert.throws(
    () => writeSafetensors({ __metadata__: tensor }),
    (error: Error) => error instanceof RangeError && /key __metadata__/.test(error.message),
  );
  assert.throws(
    () => writeSafetensors({}, { long: 'x'.repeat(100_000_000) }),
    (error: Error) => error instanceof RangeError && /must have at most 100000000 bytes/.test(error.message),
  );
});

test.run();
