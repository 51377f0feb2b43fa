/**
 * readCheckpoint: what torch.save writes, and what attackers write. A file is either read or refused with a FormatError
 * or an UnsupportedError; nothing in it is run, and it takes no more memory than its size allows.
 */
import { readFileSync } from 'node:fs';
import {
  createRuntime,
  FormatError,
  fuseStateDict,
  lenet5bn,
  readCheckpoint,
  readSafetensors,
  type StateDict,
  Tensor,
  UnsupportedError,
  writeSafetensors,
} from 'acnet-wasm';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { pthFile } from './networkFixtures.js';
import { ascii, type Bytes, bytesOf, contiguous, type Entry, entriesOf, op, pth, zip } from './pthWriter.js';
import { readFixture, relativeError, seededRandom } from './support.js';

const FIXTURE = 'lenet5bn-acb-fashion-mnist';
const MUTATIONS = 20_000;
/** For files of a few kilobytes, on a machine that does other work too. */
const TIME_LIMIT = 1000;

function trainedState(): StateDict {
  return readSafetensors(new Uint8Array(readFileSync(`test/fixtures/networks/${FIXTURE}.safetensors`))).tensors;
}

/** What was read, or the error, which is checked itself; an error of another class goes through. */
function attempt(file: Uint8Array): StateDict | FormatError | UnsupportedError {
  const start = performance.now();
  try {
    return readCheckpoint(file);
  } catch (error) {
    if (error instanceof UnsupportedError) return error;
    if (!(error instanceof FormatError)) throw error;
    const { offset, message } = error;
    assert.ok(Number.isInteger(offset) && offset >= 0 && offset <= file.length, `${message} of ${file.length}`);
    assert.match(message, /^read(Checkpoint|Safetensors): /);
    assert.ok(message.length < 600, `a message of ${message.length} characters`);
    return error;
  } finally {
    const time = performance.now() - start;
    assert.ok(time < TIME_LIMIT, `${time} ms`);
  }
}

function refuses(
  what: string,
  file: Uint8Array,
  expected: RegExp,
  type: typeof FormatError | typeof UnsupportedError = FormatError,
) {
  const result = attempt(file);
  if (!(result instanceof type)) throw new Error(`${what}: ${result instanceof Error ? result : 'was read'}`);
  assert.match(result.message, expected, `${what}: ${result.message}`);
}

function floats(...values: number[]): Uint8Array {
  return bytesOf(Float32Array.from(values));
}

/** A checkpoint of one tensor `x` in the storage '0'. */
function single(
  type: string,
  data: ArrayBufferView,
  dims: number[],
  strides = contiguous(dims),
  offset = 0,
): Uint8Array {
  const { length } = data as Uint8Array;
  const tensor = op.tensor(op.storage(type, '0', length), dims, strides, offset);
  return pth(op.pickle(op.orderedDict(['x', tensor])), { 0: bytesOf(data) });
}

function readSingle(...args: Parameters<typeof single>): Tensor {
  return readCheckpoint(single(...args)).x!;
}

const twoStorages = { 0: floats(1, 2, 3, 4, 5, 6), 1: floats(7) };
const w = op.tensor(op.storage('FloatStorage', '0', 6), [2, 3]);
const b = op.tensor(op.storage('FloatStorage', '1', 1), [1]);
const twoTensors = op.orderedDict(['w', w], ['b', b]);

function valuesOf(state: StateDict): Record<string, number[][]> {
  return Object.fromEntries(Object.entries(state).map(([key, { dims, data }]) => [key, [[...dims], [...data]]]));
}

const twoValues = {
  w: [
    [2, 3],
    [1, 2, 3, 4, 5, 6],
  ],
  b: [[1], [7]],
};

test('a file of PyTorch equals its safetensors sibling, value by value', () => {
  const state = readCheckpoint(pthFile());
  const counters = Object.keys(state).filter((key) => key.endsWith('.num_batches_tracked'));
  assert.is(counters.length, 6);
  for (const key of counters) {
    assert.equal([...state[key]!.dims], []);
    assert.ok(state[key]!.data[0]! > 0);
    delete state[key];
  }
  const expected = trainedState();
  assert.equal(Object.keys(state).sort(), Object.keys(expected).sort());
  for (const [key, { dims, data }] of Object.entries(expected)) {
    assert.equal([...state[key]!.dims], [...dims], key);
    assert.ok(Buffer.from(bytesOf(state[key]!.data)).equals(bytesOf(data)), key);
  }
});

test('a network of a .pth file gives the output that PyTorch computed, in both forms', async () => {
  const { tensors } = readFixture(`networks/${FIXTURE}.io.safetensors`);
  const runtime = await createRuntime();
  const state = readCheckpoint(pthFile());
  const train = lenet5bn(runtime).loadStateDict(state).eval();
  const deploy = lenet5bn(runtime, { form: 'deploy' }).loadStateDict(fuseStateDict(state)).eval();
  for (const net of [train, deploy]) {
    const error = relativeError(net.forward(tensors.input!).data, tensors.output!.data);
    assert.ok(error <= 1e-5, `relative error ${error}`);
  }
  runtime.dispose();
});

test('safetensors are read too, and a shared Buffer is not aliased', () => {
  const state = { b: new Tensor('float32', [1, 2], [2]), a: new Tensor('float32', [3], []) };
  assert.equal(valuesOf(readCheckpoint(writeSafetensors(state))), valuesOf(state));
  assert.equal(readCheckpoint(writeSafetensors({})), {});
  const wrapped = { 'module.b': state.b, 'module.a': state.a };
  assert.equal(Object.keys(readCheckpoint(writeSafetensors(wrapped).buffer)), ['b', 'a']);

  const file = Buffer.concat([Buffer.from([0]), pth(op.pickle(twoTensors), twoStorages)]).subarray(1);
  const read = readCheckpoint(file);
  file.fill(0xff);
  assert.equal(valuesOf(read), twoValues);
});

test('elements of every type become float32', () => {
  const halves = Uint16Array.of(0x3c00, 0xc000, 1, 0x03ff, 0x7bff, 0x7c00, 0x8000, 0x3555);
  const asHalf = [1, -2, 2 ** -24, 1023 * 2 ** -24, 65504, Infinity, -0, 0.333251953125];
  const cases: [string, ArrayBufferView, number[]][] = [
    ['FloatStorage', Float32Array.of(0.1, -0, NaN), [Math.fround(0.1), -0, NaN]],
    ['DoubleStorage', Float64Array.of(0.1, 1e300, -1e-300), [Math.fround(0.1), Infinity, -0]],
    ['HalfStorage', halves, asHalf],
    ['BFloat16Storage', Uint16Array.of(0x3f80, 0xc040, 0x7f80), [1, -3, Infinity]],
    ['LongStorage', BigInt64Array.of(-1n, 2n ** 53n, 16777217n), [-1, 2 ** 53, 16777216]],
    ['IntStorage', Int32Array.of(-(2 ** 31), 2 ** 31 - 1), [-(2 ** 31), 2 ** 31]],
    ['ShortStorage', Int16Array.of(-32768, 7), [-32768, 7]],
    ['CharStorage', Int8Array.of(-128, 127), [-128, 127]],
    ['ByteStorage', Uint8Array.of(0, 255), [0, 255]],
    ['BoolStorage', Uint8Array.of(0, 1), [0, 1]],
  ];
  for (const [type, data, expected] of cases) {
    const tensor = readSingle(type, data, [expected.length]);
    assert.is(tensor.data.length, expected.length, type);
    for (const [i, value] of expected.entries()) {
      assert.ok(Object.is(tensor.data[i], value), `${type}: ${tensor.data[i]}, ${value}`);
    }
  }
});

test('integers of 64 bits are rounded once', () => {
  // As a double this is 2^60 + 2^36, halfway between two float32.
  const above = 2n ** 60n + 2n ** 36n + 1n;
  const below = 2n ** 60n + 3n * 2n ** 36n - 1n;
  const step = 2 ** 37;
  const longs = BigInt64Array.of(above, below, -above, -below, -(2n ** 63n), 2n ** 63n - 1n);
  const expected = [2 ** 60 + step, 2 ** 60 + step, -(2 ** 60) - step, -(2 ** 60) - step, -(2 ** 63), 2 ** 63];
  assert.equal([...readSingle('LongStorage', longs, [6]).data], expected);
});

test('views of storages: any strides, offsets and sizes, against plain indexing', () => {
  const axis = fc.record({ dim: fc.integer({ min: 0, max: 4 }), stride: fc.integer({ min: 0, max: 7 }) });
  const views = fc.record({ axes: fc.array(axis, { maxLength: 5 }), offset: fc.nat(5), spare: fc.nat(3) });
  const types: [string, typeof Float32Array | typeof Float64Array | typeof Int8Array][] = [
    ['FloatStorage', Float32Array],
    ['DoubleStorage', Float64Array],
    ['CharStorage', Int8Array],
  ];
  fc.assert(
    fc.property(views, fc.constantFrom(...types), ({ axes, offset, spare }, [type, ArrayType]) => {
      const dims = axes.map(({ dim }) => dim);
      const strides = axes.map(({ stride }) => stride);
      const length = axes.reduce((sum, { dim, stride }) => sum + Math.max(dim - 1, 0) * stride, offset) + 1 + spare;
      const data = new ArrayType(Array.from({ length }, (_, i) => i % 100));
      const expected: number[] = [];
      const visit = (depth: number, at: number): void => {
        if (depth === dims.length) expected.push(data[at]!);
        else for (let i = 0; i < dims[depth]!; i++) visit(depth + 1, at + i * strides[depth]!);
      };
      visit(0, offset);
      const tensor = readSingle(type, data, dims, strides, offset);
      assert.equal([...tensor.dims], dims);
      assert.equal([...tensor.data], expected);
    }),
    { seed: 1, numRuns: 500 },
  );
});

test('tensors that share a storage are read each on its own', () => {
  const storage = op.storage('FloatStorage', '0', 6);
  const state = op.orderedDict(
    ['whole', [...storage, ...op.put(7), ...[0x30], ...op.tensor(op.get(7), [2, 3])]],
    ['transposed', op.tensor(op.get(7), [3, 2], [1, 3])],
    ['tail', op.tensor(op.get(7), [2], [1], 4)],
    ['expanded', op.tensor(op.get(7), [2, 2], [0, 1], 2)],
  );
  const read = readCheckpoint(pth(op.pickle(state), { 0: floats(1, 2, 3, 4, 5, 6) }));
  assert.equal(valuesOf(read), {
    whole: [
      [2, 3],
      [1, 2, 3, 4, 5, 6],
    ],
    transposed: [
      [3, 2],
      [1, 4, 2, 5, 3, 6],
    ],
    tail: [[2], [5, 6]],
    expanded: [
      [2, 2],
      [3, 4, 3, 4],
    ],
  });
  read.whole!.data.fill(0);
  assert.equal([...read.tail!.data], [5, 6]);
});

test('checkpoints as people save them', () => {
  const optimizer = op.dict(
    ['state', op.dict([op.int(0), op.dict(['momentum_buffer', w])])],
    [
      'param_groups',
      op.list(
        op.dict(['lr', op.float(0.1)], ['betas', op.tuple(op.float(0.9), op.int(1))], ['params', op.list(op.int(0))]),
      ),
    ],
  );
  const extras = [
    ['epoch', op.int(3)],
    ['best', op.float(91.5)],
    ['note', op.none],
    ['seed', [0x8a, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    ['size', op.call('torch', 'Size', op.ints([1, 2]))],
    ['dtype', op.global('torch', 'bfloat16')],
    ['optimizer', optimizer],
  ] as const;
  const parameters = op.orderedDict(
    ['w', op.call('torch._utils', '_rebuild_parameter', w, op.bool(true), op.call('collections', 'OrderedDict'))],
    ['b', b],
  );
  const withModule = op.orderedDict(['module.w', w], ['module.b', b]);
  const withBoth = op.dict(['_orig_mod.module.w', w], ['_orig_mod.module.b', b]);
  const withMetadata = [
    ...twoTensors,
    ...op.dict(['_metadata', op.orderedDict(['', op.dict(['version', op.int(1)])])]),
    0x62,
  ];
  const cases: [string, Bytes][] = [
    ['a state dict', twoTensors],
    ['with _metadata', withMetadata],
    ['a dict', op.dict(['w', w], ['b', b])],
    ['of parameters', parameters],
    ['with other entries', op.dict(['w', w], ['epoch', op.int(1)], ['b', b], [op.int(7), w], ['names', op.list(b)])],
    ['module.', withModule],
    ['_orig_mod.module.', withBoth],
    ['nested deeper', op.dict(['model', op.dict(['state_dict', withModule], ...extras)])],
    ['the likelier name', op.dict(['net', op.dict(['other', w])], ['state_dict', twoTensors])],
    ['a model that is no dict', op.dict(['model', op.text('vgg16')], ['state_dict', twoTensors])],
    ...['state_dict', 'model_state_dict', 'model', 'net', 'network', 'params', 'weights'].map(
      (key): [string, Bytes] => [key, op.dict(...extras, [key, twoTensors])],
    ),
  ];
  for (const [what, saved] of cases) {
    assert.equal(valuesOf(readCheckpoint(pth(op.pickle(saved), twoStorages))), twoValues, what);
  }
  const keys = (saved: Bytes) => Object.keys(readCheckpoint(pth(op.pickle(saved), twoStorages)));
  assert.equal(keys(op.dict(['module.w', w], ['modules', b])), ['module.w', 'modules']);
  assert.equal(keys(op.dict(['__proto__', w], ['b', b])), ['__proto__', 'b']);
  assert.equal(keys(op.orderedDict()), []);
});

test('later protocols and archives without optional parts are read', () => {
  const protocol4 = [
    ...[0x80, 4, 0x95, 0, 0, 0, 0, 0, 0, 0, 0],
    ...[...op.stackGlobal('collections', 'OrderedDict'), 0x94, 0x29, 0x52, 0x94],
    ...[0x28, ...op.shortText('w'), 0x94, ...op.stackGlobal('torch._utils', '_rebuild_tensor_v2'), 0x94],
    ...[
      ...op.tuple(
        op.storage('FloatStorage', '0', 6),
        op.int(0),
        op.ints([2, 3]),
        op.ints([3, 1]),
        op.bool(false),
        op.none,
      ),
      0x52,
    ],
    ...[...op.shortText('seen'), 0x68, 1, ...op.shortText('set'), 0x8f, 0x28, ...op.int(1), 0x90],
    ...[...op.shortText('bytes'), 0x43, 2, 1, 2, ...op.shortText('long text'), 0x8d, 1, 0, 0, 0, 0, 0, 0, 0, 0x41],
    ...[0x75, 0x2e],
  ];
  assert.equal(valuesOf(readCheckpoint(pth(protocol4, twoStorages))), { w: twoValues.w! });
  const entries = entriesOf(op.pickle(twoTensors), twoStorages).filter(({ name }) => !/version|byteorder/.test(name));
  const read = (files: Entry[], end = {}) => valuesOf(readCheckpoint(zip(files, end)));
  assert.equal(read(entries), twoValues);
  assert.equal(read(entries, { zip64: false }), twoValues);
  assert.equal(read(entries, { comment: 'PK\x05\x06 and more' }), twoValues);
  assert.equal(read([...entries].reverse().map((entry) => ({ ...entry, zip64: true }))), twoValues);
  // torch.save leaves checksums zero when it is told not to compute them.
  assert.equal(read(entries.map((entry) => ({ ...entry, crc: 0 }))), twoValues);
  assert.equal(read([...entries, { name: 'archive/.data/serialization_id', data: ascii('1234') }]), twoValues);
});

test('globals other than those of state dicts are named and not run', () => {
  const attacks: [string, string][] = [
    ['os', 'system'],
    ['posix', 'system'],
    ['builtins', 'eval'],
    ['builtins', 'getattr'],
    ['__main__', 'Net'],
    ['argparse', 'Namespace'],
    ['torch', 'load'],
    ['torch', 'ComplexFloatStorage'],
    ['torch._utils', '_rebuild_sparse_tensor'],
    ['torch._utils', 'constructor'],
    ['collections', '__proto__'],
    ['collections', 'OrderedDict.__init__'],
    ['collections.OrderedDict', ''],
    ['', 'collections.OrderedDict'],
    ['js', '"\\'],
  ];
  for (const [module, name] of attacks) {
    const path = JSON.stringify(`${module}.${name}`).replace(/[\\.]/g, '\\$&');
    for (const callee of [op.global(module, name), op.stackGlobal(module, name)]) {
      const file = pth(
        op.pickle(op.dict(['w', w], ['x', [...callee, ...op.tuple(op.text('echo')), 0x52]])),
        twoStorages,
      );
      refuses(path, file, new RegExp(`global ${path}, .*; it was not run`));
    }
  }
});

test('what is not a pickle of plain data is refused, at its byte', () => {
  const other = (bytes: Bytes) => pth(bytes, twoStorages);
  const cases: [string, Bytes, RegExp][] = [
    ['empty', [], /pickle ends/],
    ['no STOP', op.pickle(twoTensors).slice(0, -1), /pickle ends/],
    ['STOP on an empty stack', op.pickle(), /empty stack/],
    ['POP under a MARK', op.pickle(op.none, [0x28, 0x30]), /empty stack/],
    ['TUPLE without MARK', op.pickle([0x74]), /has not begun/],
    ['unknown opcode', op.pickle([0xff]), /opcode 0xff/],
    ['NEWOBJ', op.pickle(op.global('collections', 'OrderedDict'), op.tuple(), [0x81]), /opcode 0x81/],
    ['INST', op.pickle([0x28, 0x69], ascii('os\nsystem\n')), /opcode 0x69/],
    ['EXT1', op.pickle([0x82, 1]), /opcode 0x82/],
    ['memo', op.pickle(op.get(5)), /nothing at place 5/],
    ['a string without end', op.pickle([0x58, 255, 255, 255, 255]), /pickle ends within 4294967295 bytes/],
    ['a string of 2^63 bytes', op.pickle([0x8d, 0, 0, 0, 0, 0, 0, 0, 0x80]), /pickle ends within/],
    ['not UTF-8', op.pickle([0x58, 1, 0, 0, 0, 0xff]), /not UTF-8/],
    ['a name without end', op.pickle([0x63], ascii('x'.repeat(5000))), /no line of at most 256/],
    ['calls a dict', op.pickle(op.dict(), op.tuple(), [0x52]), /calls what is not a function/],
    ['calls a dtype', op.pickle(op.call('torch', 'float32')), /calls what is not a function/],
    ['calls a storage type', op.pickle(op.call('torch', 'FloatStorage', op.int(2 ** 31 - 1))), /not a function/],
    ['calls without a tuple', op.pickle(op.global('torch', 'Size'), op.int(1), [0x52]), /not a tuple/],
    ['appends to a dict', op.pickle(op.dict(), op.none, [0x61]), /not a list/],
    ['items of a list', op.pickle(op.list(), op.none, op.none, [0x73]), /not a dict/],
    ['an odd number of items', op.pickle([0x7d, 0x28], op.none, [0x75]), /key without a value/],
    ['BUILD on a tensor', op.pickle(w, op.dict(), [0x62]), /attributes/],
    ['BUILD on a list', op.pickle(op.list(), op.dict(), [0x62]), /attributes/],
    ['an OrderedDict of numbers', op.pickle(op.call('collections', 'OrderedDict', op.list(op.int(1)))), /OrderedDict/],
    ['a size of nothing', op.pickle(op.call('torch', 'Size')), /torch\.Size/],
    ['a parameter of nothing', op.pickle(op.call('torch._utils', '_rebuild_parameter')), /parameter/],
    ['a tensor of nothing', op.pickle(op.call('torch._utils', '_rebuild_tensor_v2')), /tensor of what is not/],
    ['a persistent number', op.pickle(op.int(7), [0x51]), /persistent identifier/],
    ['a persistent module', op.pickle(op.tuple(op.text('module')), [0x51]), /persistent identifier/],
    ['a list', op.pickle(op.list(w)), /is not a dict/],
    ['a tensor', op.pickle(w), /is a single tensor/],
    [
      'a dict without tensors',
      op.pickle(op.dict(['epoch', op.int(1)], ['b', op.none])),
      /without tensors \(keys "epoch", "b"\)/,
    ],
    ['a dict of itself', op.pickle(op.dict(), op.put(0), op.items([['model', op.get(0)]])), /without tensors/],
  ];
  for (const [what, pickle, expected] of cases) refuses(what, other(pickle), expected);
  const at = (pickle: Bytes) => attempt(other(pickle)) as FormatError;
  assert.is(at(op.pickle(op.none, [0xff])).offset, 64 + 3, 'the data of the first entry begins at byte 64');
  refuses('protocol 0', other([0x80, 0, ...op.none, 0x2e]), /must be of protocol 2 to 5, got 0/, UnsupportedError);
  refuses('protocol 6', other([0x80, 6, ...op.none, 0x2e]), /must be of protocol 2 to 5, got 6/, UnsupportedError);
});

test('tensors that reach beyond their storage, or are of absurd sizes, are refused', () => {
  const storage = op.storage('FloatStorage', '0', 6);
  const big = 2 ** 31;
  const cases: [string, Bytes, RegExp][] = [
    ['one too many', op.tensor(storage, [7]), /reaches beyond its storage of 6/],
    ['offset', op.tensor(storage, [6], [1], 1), /reaches beyond/],
    ['stride', op.tensor(storage, [2, 3], [4, 1]), /reaches beyond/],
    ['2^31', op.tensor(storage, [big]), /reaches beyond/],
    ['2^31 twice', op.tensor(storage, [big, big]), /reaches beyond/],
    ['2^31 many times', op.tensor(storage, Array(32).fill(big), Array(32).fill(0)), /reaches beyond/],
    ['2^31 and 0', op.tensor(storage, [...Array(31).fill(big), 0], Array(32).fill(0)), /reaches beyond/],
    ['2^53', op.tensor(storage, [2], [2 ** 53]), /offset, sizes and strides/],
    ['huge strides', op.tensor(storage, [2, 2], [2 ** 52, 2 ** 52]), /reaches beyond/],
    ['huge offset', op.tensor(storage, [1], [1], 2 ** 52), /reaches beyond/],
    ['negative offset', op.tensor(storage, [1], [1], -1), /offset, sizes and strides/],
    ['negative size', op.tensor(storage, [-1]), /offset, sizes and strides/],
    ['negative stride', op.tensor(storage, [2], [-1], 1), /offset, sizes and strides/],
    ['strides missing', op.tensor(storage, [2, 3], [1]), /offset, sizes and strides/],
    ['rank 33', op.tensor(storage, Array(33).fill(1)), /offset, sizes and strides/],
    ['expanded', op.tensor(storage, [2 ** 30], [0]), /must take at most \d+ bytes, got 4294967296/],
    ['expanded beyond 2^53 bytes', op.tensor(storage, [2 ** 52], [0]), /must take at most \d+ bytes, got \d+/],
    ['too short a storage', op.tensor(op.storage('FloatStorage', '0', 5), [5]), /storage "0" .* got 24/],
    ['too long a storage', op.tensor(op.storage('FloatStorage', '0', big), [5]), /storage "0" .* got 24/],
    ['another type', op.tensor(op.storage('DoubleStorage', '0', 6), [5]), /storage "0" .* got 24/],
    ['negative storage', op.tensor(op.storage('DoubleStorage', '0', -1), [0]), /persistent identifier/],
    ['a missing storage', op.tensor(op.storage('FloatStorage', '9', 6), [6]), /no storage "9"/],
    ['outside of data/', op.tensor(op.storage('ByteStorage', '../data.pkl', 6), [6]), /no storage/],
  ];
  for (const [what, tensor, expected] of cases) {
    refuses(what, pth(op.pickle(op.dict(['x', tensor])), twoStorages), expected);
  }
  // Empty tensors may have any strides.
  assert.equal([...readSingle('FloatStorage', new Float32Array(), [0, 3], [2 ** 40, 1]).dims], [0, 3]);
  // Many views of one storage: 3,000 times 64 kB.
  const views = Array.from({ length: 3000 }, (_, i) => [`x${i}`, op.tensor(op.get(1), [16384])] as const);
  const shared = op.dict(
    ['x', op.tensor([...op.storage('FloatStorage', '0', 16384), ...op.put(1)], [16384])],
    ...views,
  );
  refuses('views', pth(op.pickle(shared), { 0: new Uint8Array(65536) }), /the tensors up to "x\d+" must take at most/);
});

test('archives that lie are refused', () => {
  const entries = entriesOf(op.pickle(twoTensors), twoStorages);
  const change = (index: number, fields: Partial<Entry>) =>
    zip(entries.map((entry, i) => (i === index ? { ...entry, ...fields } : entry)));
  const cases: [string, Uint8Array, RegExp][] = [
    ['CRC of a storage', change(2, { crc: 1 }), /entry "archive\/data\/0" is damaged: its CRC-32/],
    ['CRC of the pickle', change(0, { crc: 1 }), /entry "archive\/data.pkl" is damaged/],
    ['two lengths', change(2, { compressedBytes: 4 }), /24 bytes, stored as 4/],
    ['too long', change(4, { bytes: 10_000 }), /must end before byte/],
    ['4 GB', change(2, { bytes: 2 ** 32 - 2 }), /must end before byte/],
    ['overlapping', change(2, { bytes: 200 }), /overlaps another/],
    ['2^60 bytes', change(2, { bytes: 2 ** 60, zip64: true }), /must end before byte/],
    ['equal names', zip([...entries, entries[2]!]), /entry "archive\/data\/0" twice/],
    ['one place for two', change(3, { localHeader: 0 }), /overlaps another|another name/],
    ['outside', change(3, { localHeader: 2 ** 31 }), /is not at byte 2147483648/],
    ['far outside', change(3, { localHeader: 2 ** 53, zip64: true }), /is not at byte/],
    ['between', change(3, { localHeader: 5 }), /overlaps another|is not at byte 5/],
    ['another local name', change(2, { localName: 'archive/data/1' }), /another name in its local header/],
    ['one entry more', zip(entries, { count: 6 }), /no entry here/],
    ['one entry less', zip(entries, { count: 4 }), /bytes behind its 4 entries/],
    ['2^40 entries', zip(entries, { count: 2 ** 40 }), /must have at most 100000 entries/],
    ['directory elsewhere', zip(entries, { start: 100 }), /no entry here/],
    ['directory too long', zip(entries, { bytes: 2 ** 40 }), /must end at byte/],
    ['zip64 record outside', zip(entries, { zip64Record: 2 ** 40 }), /zip64 end record is not at/],
    ['no pickle', zip(entries.slice(1)), /without "archive\/data.pkl"/],
    ['another zip', zip([{ name: 'a.txt', data: [1] }]), /without "data.pkl"/],
    ['byte order', change(1, { data: ascii('middle') }), /byte order must be "little", got "middle"/],
  ];
  for (const [what, file, expected] of cases) refuses(what, file, expected);
  const unsupported: [string, Uint8Array, RegExp][] = [
    [
      'compressed',
      change(2, { method: 8 }),
      /"archive\/data\/0" must be stored .*, got one that is compressed \(method 8\).*save it again/,
    ],
    ['a bomb', change(2, { method: 8, bytes: 2 ** 40, compressedBytes: 24, zip64: true }), /compressed/],
    ['encrypted', change(2, { flags: 1 }), /encrypted/],
    ['big-endian', change(1, { data: ascii('big') }), /big-endian/],
  ];
  for (const [what, file, expected] of unsupported) refuses(what, file, expected, UnsupportedError);
});

test('older files say how to save them again, and other files what they are not', () => {
  const magic = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];
  refuses('legacy', Uint8Array.of(...magic, 0x80, 2, 0x4d, 0xe9, 3, 0x2e), /pickle ends/);
  refuses('a pickle', Uint8Array.from(op.pickle(op.dict())), /a bare pickle/, UnsupportedError);
  for (const bytes of ['', 'P', 'PK', 'PK\x05\x06', 'GGUF', '\x89HDF\r\n\x1a\n____', '<!doctype html>', '\x08\x07']) {
    refuses(bytes, Uint8Array.from(Buffer.from(bytes, 'latin1')), /neither of torch\.save/);
  }
  for (const value of [undefined, null, 'x', [1], {}, new Float32Array(8)]) {
    assert.throws(
      () => readCheckpoint(value as Uint8Array),
      (error: Error) => error instanceof TypeError && /readCheckpoint: bytes must be .*, got \w+/.test(error.message),
    );
  }
});

test('pickles that only fill memory are stopped', () => {
  const prelude = [0x80, 2, ...op.global('collections', 'OrderedDict'), 0x71, 0];
  const before = process.memoryUsage().rss;
  const fillers = {
    dicts: [0x7d],
    lists: [0x5d],
    marks: [0x28],
    'dicts of one item': [0x7d, 0x4e, 0x4e, 0x73],
    'lists of one item': [0x5d, 0x4e, 0x61],
    'tuples of tuples': [0x85],
    memo: [0x94],
    strings: [0x8c, 2, 0x41, 0x42],
    OrderedDicts: [0x68, 0, 0x29, 0x52],
  };
  for (const [what, bytes] of Object.entries(fillers)) {
    const pickle = Buffer.concat([Buffer.from(prelude), Buffer.alloc(2_200_000, Buffer.from(bytes))]);
    const file = zip([{ name: 'archive/data.pkl', data: pickle, crc: 0 }]);
    refuses(what, file, /more than 524288 opcodes/);
  }
  const grown = process.memoryUsage().rss - before;
  assert.ok(grown < 256 * 2 ** 20, `${grown} bytes`);
});

/** A small file with everything that a reader deals with: nesting, views, types, zip64 entries, both end records. */
function smallFile(crc?: number): Uint8Array {
  const pickle = op.pickle(
    op.dict(
      ['epoch', op.int(3)],
      [
        'state_dict',
        op.orderedDict(
          [
            'module.w',
            [...op.storage('FloatStorage', '0', 6), ...op.put(300), 0x30, ...op.tensor(op.get(300), [3, 2], [1, 3])],
          ],
          ['module.n', op.tensor(op.storage('LongStorage', '1', 1), [])],
          [
            'module.h',
            op.call(
              'torch._utils',
              '_rebuild_parameter',
              op.tensor(op.storage('HalfStorage', '2', 4), [2, 2]),
              op.bool(true),
              op.none,
            ),
          ],
        ),
      ],
      ['opt', op.list(op.float(0.5), op.tuple(op.int(2 ** 40), op.none))],
    ),
  );
  const storages = {
    0: floats(1, 2, 3, 4, 5, 6),
    1: [9, 0, 0, 0, 0, 0, 0, 0],
    2: [0, 0x3c, 0, 0x40, 0, 0x44, 0, 0x48],
  };
  const entries = entriesOf(pickle, storages).map((entry, i) => ({ ...entry, zip64: i === 3 }));
  return zip(crc === undefined ? entries : entries.map((entry) => ({ ...entry, crc })));
}

test('every prefix of a file is refused', () => {
  const small = smallFile();
  assert.equal(Object.keys(readCheckpoint(small)), ['w', 'n', 'h']);
  for (let length = 0; length < small.length; length++) {
    const result = attempt(small.slice(0, length));
    assert.instance(result, FormatError, `${length} bytes`);
  }
  const file = pthFile();
  const random = seededRandom(3);
  const lengths = Array.from({ length: 500 }, () => Math.floor(random() * file.length));
  for (let i = 1; i < 5000; i++) lengths.push(i, file.length - i);
  for (const length of lengths) assert.instance(attempt(file.subarray(0, length)), FormatError, `${length} bytes`);
});

test(`${MUTATIONS} mutations of a file are read or refused, within the memory of their size`, () => {
  const random = seededRandom(4);
  const below = (n: number) => Math.floor(random() * n);
  const files = [smallFile(), smallFile(0), smallFile(0)];
  const messages: string[] = [];
  let read = 0;
  for (let i = 0; i < MUTATIONS; i++) {
    const valid = files[i % files.length]!;
    // All structure is in the pickle, at the beginning, and in the directory, at the end.
    let file = Uint8Array.from(valid);
    for (let edits = 1 + below(3); edits > 0; edits--) {
      const at = random() < 0.6 ? 64 + below(760) : file.length - 1 - below(700);
      const kind = below(5);
      if (kind === 0) file[at]! ^= 1 << below(8);
      else if (kind === 1) file[at] = [0, 1, 0x28, 0x52, 0x62, 0x7f, 0x80, 0xff][below(8)]!;
      else if (kind === 2) file[at] = below(256);
      else if (kind === 3) file.copyWithin(at, below(file.length), below(file.length));
      else file = file.slice(0, at + below(9));
      if (file.length < 900) file = Uint8Array.from(valid);
    }
    const before = process.memoryUsage().arrayBuffers;
    const result = attempt(file);
    const allocated = process.memoryUsage().arrayBuffers - before;
    assert.ok(allocated <= 2 ** 25, `mutation ${i}: ${allocated} bytes`);
    if (result instanceof Error) {
      messages.push(result.message);
      continue;
    }
    read++;
    for (const { dims, data } of Object.values(result)) {
      assert.is(
        data.length,
        dims.reduce((product, dim) => product * dim, 1),
        `mutation ${i}`,
      );
    }
  }
  assert.ok(read > MUTATIONS / 50 && read < (MUTATIONS * 2) / 3, `${read} of ${MUTATIONS} were read`);
  for (const reason of [
    /no end record/,
    /global .* not run/,
    /opcode 0x/,
    /is damaged/,
    /reaches beyond/,
    /persistent identifier/,
    /another name/,
    /has not begun|empty stack/,
    /no storage/,
    /without tensors/,
  ]) {
    assert.ok(
      messages.some((message) => reason.test(message)),
      `no mutation was refused with ${reason}`,
    );
  }
  assert.is(Object.keys(Object.prototype).length, 0);
});

test('mutations of the trained network are read or refused', () => {
  const valid = pthFile();
  const random = seededRandom(5);
  const below = (n: number) => Math.floor(random() * n);
  const directory = 1777874;
  for (let i = 0; i < 500; i++) {
    const file = valid.slice();
    for (let edits = 1 + below(3); edits > 0; edits--) {
      file[random() < 0.5 ? below(5200) : directory + below(file.length - directory)] = below(256);
    }
    const result = attempt(file);
    if (result instanceof Error) continue;
    assert.ok(Object.keys(result).length >= 39, `mutation ${i}`);
  }
});

test.run();
