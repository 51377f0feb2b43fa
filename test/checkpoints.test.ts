/**
 * readCheckpoint on what people save: whole checkpoints in which it must find the weights, files of torch.save before
 * 1.6, TorchScript archives and whole modules, written by PyTorch (test/fixtures/checkpoints/make.py), and cases made
 * opcode by opcode. None of it is executed, and optimizers are never taken for weights.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import {
  type CheckpointOptions,
  type CheckpointSelection,
  FormatError,
  fuseStateDict,
  readCheckpoint,
  readOnnx,
  readSafetensors,
  type StateDict,
  Tensor,
  UnsupportedError,
  writeSafetensors,
} from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ascii, type Bytes, bytesOf, entriesOf, op, pth, zip } from './pthWriter.js';

const FOLDER = 'test/fixtures/checkpoints';
const fileOf = (name: string) => new Uint8Array(readFileSync(`${FOLDER}/${name}`));
const STATE = readSafetensors(fileOf('state.safetensors')).tensors;
const EMA = readSafetensors(fileOf('ema.safetensors')).tensors;

function same(actual: StateDict, expected: StateDict, what: string): void {
  assert.equal(Object.keys(actual).sort(), Object.keys(expected).sort(), what);
  for (const [key, { dims, data }] of Object.entries(expected)) {
    assert.equal([...actual[key]!.dims], [...dims], `${what}: ${key}`);
    assert.ok(Buffer.from(bytesOf(actual[key]!.data)).equals(bytesOf(data)), `${what}: ${key}`);
  }
}

function refuses(
  what: string,
  file: Uint8Array,
  expected: RegExp,
  options: CheckpointOptions = {},
  type: new (...args: never[]) => Error = FormatError,
): void {
  try {
    readCheckpoint(file, options);
  } catch (error) {
    assert.instance(error, type, `${what}: ${error}`);
    assert.match((error as Error).message, expected, what);
    assert.ok((error as Error).message.length < 1000, what);
    return;
  }
  throw new Error(`${what}: was read`);
}

/** What is read, and what is told of it. */
function read(file: Uint8Array, select?: string): { state: StateDict; selection: CheckpointSelection } {
  const told: CheckpointSelection[] = [];
  const state = readCheckpoint(file, { onSelect: (one) => told.push(one), ...(select !== undefined && { select }) });
  assert.is(told.length, 1);
  return { state, selection: told[0]! };
}

function floats(...values: number[]): Uint8Array {
  return bytesOf(Float32Array.from(values));
}

/** A vector of one float, with this value, in a storage of its own. */
function tensor(key: number, dims: readonly number[] = [1]): number[] {
  return op.tensor(op.storage('FloatStorage', String(key), 1), dims);
}
const storages = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [String(i), floats(i)]));
const bytes = op.tensor(op.storage('ByteStorage', 'b', 4), [4]);
const save = (saved: Bytes) => pth(op.pickle(saved), { ...storages, b: [1, 2, 3, 4] });
const stateOf = (key: number, name = 'w'): number[] => op.orderedDict([name, tensor(key)]);
const object = (module: string, name: string, attributes?: Bytes): number[] => [
  ...op.global(module, name),
  ...op.tuple(),
  0x81,
  ...(attributes === undefined ? [] : [...attributes, 0x62]),
];
const optimizer = op.dict(
  ['state', op.dict([op.int(0), op.dict(['momentum_buffer', tensor(7)])])],
  ['param_groups', op.list(op.dict(['lr', op.float(0.1)], ['params', op.list(op.int(0))]))],
);

// Files of PyTorch

test('the weights of a whole checkpoint, beside an optimizer and the like', () => {
  for (const name of ['checkpoint.pth', 'checkpoint-legacy.pth']) {
    const { state, selection } = read(fileOf(name));
    same(state, STATE, name);
    assert.equal(selection, { selected: 'model', candidates: ['model', 'ema'] });
    const ema = read(fileOf(name), 'ema');
    same(ema.state, EMA, `${name}, ema`);
    assert.is(ema.selection.selected, 'ema');
    same(read(fileOf(name), 'model').state, STATE, name);
    for (const select of ['optimizer', 'rng', 'epoch', 'mod', 'ema.module', '']) {
      const expected = /select must be one of "model", "ema", got ".*"$/;
      refuses(select, fileOf(name), expected, { select }, RangeError);
    }
    assert.ok('block.fused_conv.weight' in fuseStateDict(state));
  }
});

test('files of torch.save before 1.6: views of shared storages, elements of every width', () => {
  const { state, selection } = read(fileOf('views-legacy.pth'));
  same(state, readSafetensors(fileOf('views.safetensors')).tensors, 'views');
  assert.equal(selection, { selected: '', candidates: [''] });
});

test('a module as a whole and TorchScript give what their state_dict() would', () => {
  same(read(fileOf('module.pth')).state, STATE, 'module');
  for (const name of ['scripted.pt', 'traced.pt']) {
    const { scratch, ...state } = read(fileOf(name)).state;
    same(state, STATE, name);
    // TorchScript does not mark non-persistent buffers.
    assert.equal([...scratch!.data], [0, 0]);
  }
});

test('files that end too early, at every length', () => {
  for (const name of ['views-legacy.pth', 'checkpoint-legacy.pth', 'traced.pt']) {
    const whole = fileOf(name);
    const step = Math.ceil(whole.length / 400);
    // Shorter files are not recognised as torch.save's at all.
    for (let length = 16; length < whole.length; length += step) {
      refuses(`${name}, ${length} bytes`, whole.slice(0, length), /^readCheckpoint: /);
    }
  }
});

test('files of before 1.6 that contradict themselves', () => {
  const magic = op.pickle([0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]);
  const long = (value: number): number[] => [value, 0, 0, 0, 0, 0, 0, 0];
  const parts = {
    version: op.int(1001),
    system: op.dict(['little_endian', op.bool(true)]),
    saved: op.dict(['w', tensor(1)], ['v', tensor(2)]) as Bytes,
    keys: op.list(op.text('1'), op.text('2')) as Bytes,
    data: [...long(1), ...floats(5), ...long(1), ...floats(6)] as Bytes,
  };
  const legacy = (changes: Partial<typeof parts> = {}) => {
    const { data, ...pickles } = { ...parts, ...changes };
    return Uint8Array.from([...magic, ...Object.values(pickles).flatMap((one) => op.pickle(one)), ...data]);
  };
  const { state } = read(legacy());
  assert.equal([...state.w!.data, ...state.v!.data], [5, 6]);
  const swapped = read(legacy({ keys: op.list(op.text('2'), op.text('1')) })).state;
  assert.equal([...swapped.w!.data, ...swapped.v!.data], [6, 5]);
  // As Python 2 wrote them.
  const pair = (key: string, value: Bytes) => op.list([0x55, key.length, ...ascii(key)], value);
  const old = op.call(
    'torch._utils',
    '_rebuild_tensor',
    op.storage('FloatStorage', '1', 1),
    op.int(0),
    op.ints([1]),
    op.ints([1]),
  );
  const python2 = op.call('collections', 'OrderedDict', op.list(pair('w', old), pair('v', tensor(2))));
  assert.equal([...read(legacy({ saved: python2 })).state.w!.data], [5]);

  refuses('version', legacy({ version: op.int(1002) }), /version must be 1001, got 1002/);
  const big = legacy({ system: op.dict(['little_endian', op.bool(false)]) });
  refuses('big-endian', big, /big-endian/, {}, UnsupportedError);
  refuses('no list', legacy({ keys: op.int(3) }), /no list of storages/);
  refuses('lost', legacy({ keys: op.list(op.text('1')) }), /no storage "2"/);
  refuses('twice', legacy({ keys: op.list(op.text('1'), op.text('1')) }), /"1" is listed twice/);
  refuses('of no tensor', legacy({ keys: op.list(op.text('1'), op.text('3')) }), /"3" is listed twice, or for no/);
  refuses('an object', legacy({ keys: op.list(op.dict()) }), /is listed twice, or for no/);
  refuses('short', legacy({ data: long(1) }), /"1" must lie within \d+ bytes, got \d+ to \d+/);
  const claims = op.tensor(op.storage('FloatStorage', '1', 2 ** 40), [2 ** 40]);
  refuses('terabytes', legacy({ saved: op.dict(['w', claims]), keys: op.list(op.text('1')) }), /must lie within/);
  const two = op.dict(['w', tensor(1)], ['v', op.tensor(op.storage('DoubleStorage', '1', 1), [1])]);
  refuses('two types', legacy({ saved: two, keys: op.list(op.text('1')) }), /storage "1" .* got 4/);
  const part = op.tuple(
    op.text('storage'),
    op.global('torch', 'FloatStorage'),
    op.text('1'),
    op.text('cpu'),
    op.int(1),
    op.tuple(op.text('0'), op.int(0), op.int(1)),
  );
  refuses('a part', legacy({ saved: op.dict(['w', op.tensor([...part, 0x51], [1])]) }), /persistent identifier/);
});

// Which state is taken

test('the likelier name is taken, and which one is told', () => {
  const cases: [string, Bytes, string, string[]][] = [
    ['rng', op.dict(['epoch', op.int(3)], ['model', stateOf(1)], ['rng', bytes]), 'model', ['model']],
    ['float statistics', op.dict(['loss', tensor(0, [])], ['net', stateOf(1)]), 'net', ['net']],
    ['an optimizer', op.dict(['optimizer', optimizer], ['net', stateOf(1)]), 'net', ['net']],
    ['optimizers', op.dict(['optimizers', op.dict(['g', stateOf(0)])], ['net', stateOf(1)]), 'net', ['net']],
    ['by what it has', op.dict(['opt', optimizer], ['generator', stateOf(1)]), 'generator', ['generator']],
    ['ema alone', op.dict(['epoch', op.int(3)], ['ema', stateOf(1)]), 'ema', ['ema']],
    ['ema and model', op.dict(['ema', stateOf(0)], ['model', stateOf(1)]), 'model', ['ema', 'model']],
    ['params_ema', op.dict(['params_ema', stateOf(0)], ['params', stateOf(1)]), 'params', ['params_ema', 'params']],
    ['state_dict', op.dict(['model', stateOf(0)], ['state_dict', stateOf(1)]), 'state_dict', ['model', 'state_dict']],
    ['nested', op.dict(['model', op.dict(['state_dict', stateOf(1)])]), 'model.state_dict', ['model.state_dict']],
    [
      'shadow',
      op.dict(['ema', op.dict(['decay', op.float(0.9)], ['shadow', stateOf(1)])]),
      'ema.shadow',
      ['ema.shadow'],
    ],
    [
      'callbacks',
      op.dict(['callbacks', op.dict(['best', op.dict(['score', tensor(0)])])], ['state_dict', stateOf(1)]),
      'state_dict',
      ['state_dict', 'callbacks.best'],
    ],
    ['a state beside ema', op.dict(['a.w', tensor(1)], ['ema', stateOf(0)]), '', ['', 'ema']],
    ['extra state', op.dict(['a.w', tensor(1)], ['a._extra_state', stateOf(0)]), '', ['', 'a._extra_state']],
    ['of no type that weights have', op.dict(['w', bytes]), '', ['']],
    ['a number', op.dict(['w', tensor(1, [])]), '', ['']],
    [
      'at two places',
      op.dict(['a', op.dict(['b', [...stateOf(1), ...op.put(9)]])], ['net', op.get(9)]),
      'net',
      ['net'],
    ],
  ];
  for (const [what, saved, selected, candidates] of cases) {
    const { state, selection } = read(save(saved));
    assert.equal(selection, { selected, candidates }, what);
    const [key, value] = Object.entries(state)[0]!;
    assert.ok(['w', 'a.w'].includes(key) && value.data[0] === 1, `${what}: ${key} ${value.data[0]}`);
  }
});

test('where nothing says which, the candidates are named, and select takes one', () => {
  const both = op.dict(['generator', stateOf(1)], ['discriminator', stateOf(2)], ['epoch', op.int(1)]);
  refuses('two', save(both), /holds 2 states, "generator", "discriminator": name one by the option select/);
  assert.is(read(save(both), 'discriminator').state.w!.data[0], 2);
  refuses('usual', save(op.dict(['model', stateOf(1)], ['net', stateOf(2)])), /"model", "net"/);
  refuses('unlike', save(op.dict(['w', tensor(1)], ['other', stateOf(2)])), /holds 2 states, "", "other"/);
  assert.is(read(save(op.dict(['w', tensor(1)], ['other', stateOf(2)])), '').state.w!.data[0], 1);
  const nested = op.dict(
    ['model', op.dict(['a', stateOf(1)], ['b', stateOf(2)])],
    ['net', op.dict(['state_dict', stateOf(3)])],
  );
  refuses('within', save(nested), /"model\.a", "model\.b", "net\.state_dict"/);
  refuses('within one', save(nested), /holds 2 states, "model\.a", "model\.b"/, { select: 'model' });
  assert.is(read(save(nested), 'net').state.w!.data[0], 3);
  assert.is(read(save(nested), 'model.b').state.w!.data[0], 2);
  const many = op.dict(
    ...Array.from({ length: 40 }, (_, i): [string, Bytes] => [`${i}${'x'.repeat(200)}`, stateOf(1)]),
  );
  refuses('many', save(many), /holds 40 states, .*, \.\.\.: name one/);
});

test('module. and _orig_mod. before all keys are left out, and the counter of an average', () => {
  const cases: [Bytes, string][] = [
    [op.dict(['model', stateOf(1, 'module.w')]), 'w'],
    [op.dict(['ema', op.dict(['n_averaged', bytes], ['module.w', tensor(1)])]), 'w'],
    [op.dict(['ema', op.dict(['n_averaged', bytes], ['module.module.w', tensor(1)])]), 'module.w'],
    [op.dict(['n_averaged', bytes], ['modules.w', tensor(1)]), 'n_averaged,modules.w'],
  ];
  for (const [saved, expected] of cases) assert.is(Object.keys(read(save(saved)).state).join(), expected);
});

// What is not known

test('objects beside the weights are passed over, and nothing is run', () => {
  const others: [string, Bytes][] = [
    ['args', object('argparse', 'Namespace', op.dict(['lr', op.float(0.1)], ['w', tensor(0)]))],
    ['evil', op.call('os', 'system', op.text('echo'))],
    ['nested', op.call('builtins', 'eval', op.call('builtins', 'compile', op.text('x')))],
    ['function', op.global('torch.nn.functional', 'relu')],
    ['set', op.call('__builtin__', 'set', op.list(op.int(1)))],
    ['counter', [...op.call('collections', 'Counter'), ...op.items([['a', op.int(1)]])]],
    ['deque', [...op.call('collections', 'deque'), 0x28, ...op.int(1), 0x65]],
    ['slots', [...object('a', 'B'), ...op.tuple(op.none, op.dict(['x', op.int(1)])), 0x62]],
    ['with keywords', [...op.global('a', 'B'), ...op.tuple(), ...op.dict(), 0x92]],
    ['complex', op.tensor(op.storage('ComplexFloatStorage', 'c', 1), [1])],
    ['long', [0x8b, 3, 0, 0, 0, 1, 2, 3]],
    ['group', [0x28, ...op.int(1), 0x31, ...op.none]],
  ];
  for (const [what, value] of others) {
    const saved = op.dict([what, value], ['model', stateOf(1)]);
    assert.equal(read(save(saved)).selection, { selected: 'model', candidates: ['model'] }, what);
  }
  for (const [what, value] of others.filter(([what]) => !['set', 'long', 'group'].includes(what))) {
    const within = save(op.dict(['model', op.dict(['w', tensor(1)], ['x', value])]));
    refuses(what, within, /the Python global ".*", which a state dict does not need; it was not run/);
  }
});

test('modules: attributes are read, others of their class are not run', () => {
  const attributes = op.dict(
    ['training', op.bool(false)],
    ['_parameters', op.orderedDict(['weight', tensor(1)], ['bias', op.none])],
    ['_buffers', op.orderedDict(['mean', tensor(2)], ['scratch', tensor(3)])],
    ['_non_persistent_buffers_set', op.call('__builtin__', 'set', op.list(op.text('scratch')))],
    [
      '_modules',
      op.orderedDict([
        'inner',
        object(
          'torch.nn',
          'Conv2d',
          op.dict(['_parameters', op.dict(['weight', tensor(4)])], ['_buffers', op.dict()], ['_modules', op.dict()]),
        ),
      ]),
    ],
  );
  for (const [saved, selected] of [
    [object('__main__', 'Net', attributes), ''],
    [op.dict(['epoch', op.int(1)], ['model', object('__main__', 'Net', attributes)]), 'model'],
  ] as const) {
    const { state, selection } = read(save(saved));
    assert.is(selection.selected, selected);
    const values = Object.entries(state).map(([key, { data }]) => `${key} ${data[0]}`);
    assert.equal(values, ['weight 1', 'mean 2', 'inner.weight 4']);
  }
  const itself = [
    ...op.global('__torch__', 'Net'),
    ...op.tuple(),
    0x81,
    ...op.put(3),
    ...op.dict(['again', op.get(3)]),
    0x62,
  ];
  refuses('of itself', save(itself), /nested endlessly/);
  const wide = [
    ...op.global('__torch__', 'N'),
    ...op.tuple(),
    0x81,
    ...op.put(3),
    ...op.dict(...Array.from({ length: 8 }, (_, i): [string, Bytes] => [`${i}`, op.get(3)])),
    0x62,
  ];
  refuses('of itself, often', save(wide), /nested endlessly/);
});

test('what has no weights says what it has', () => {
  const cases: [Bytes, RegExp][] = [
    [object('models', 'Net'), /is of the Python class "models\.Net", of which nothing was run/],
    [
      op.dict(['epoch', op.int(3)], ['model', object('yolo', 'Net')], ['rng', bytes]),
      /without tensors .*"model" is of the Python class "yolo\.Net"/,
    ],
    [op.dict(['epoch', op.int(3)], ['rng', bytes]), /\(keys "epoch", "rng"\)/],
    [op.dict(['optimizer', optimizer]), /keys "optimizer"/],
    [optimizer, /keys "state", "param_groups"/],
  ];
  for (const [saved, expected] of cases) refuses(String(expected), save(saved), expected);
  const name = 'x'.repeat(200);
  refuses('long names', save([...op.shortText(name), ...op.shortText(name), 0x93]), /by more than 256 characters/);
});

test('entries that are compressed matter only where they are read', () => {
  const entries = entriesOf(op.pickle(stateOf(1)), { 1: floats(1) });
  const code = { name: 'archive/code/__torch__.py', data: [1, 2, 3], method: 8, bytes: 300, compressedBytes: 3 };
  assert.is(read(zip([...entries, code])).state.w!.data[0], 1);
  for (const i of [0, 2]) {
    const compressed = entries.map((entry, at) => (at === i ? { ...entry, method: 8 } : entry));
    refuses('compressed', zip(compressed), /is compressed \(method 8\)/, {}, UnsupportedError);
  }
});

test('wrong options, and safetensors, which hold one state', () => {
  const file = save(stateOf(1));
  for (const [options, expected] of [
    [{ select: 7 }, /select must be a string/],
    [{ onSelect: 'x' }, /onSelect must be a function/],
    [{ selekt: 'x' }, /unknown option selekt; there are select, onSelect/],
    [null, /options must be an object/],
  ] as const) {
    refuses(String(expected), file, expected, options as never, TypeError);
  }
  const safetensors = writeSafetensors({ w: new Tensor('float32', [1], [1]) });
  assert.equal(read(safetensors).selection, { selected: '', candidates: [''] });
  refuses('safetensors', safetensors, /safetensors hold one/, { select: 'ema' }, RangeError);
});

// Files of other kinds

test('files of other kinds are named, with what to do', () => {
  const text = (value: string) => Uint8Array.from(Buffer.from(value, 'latin1'));
  const onnx = new Uint8Array(readFileSync('test/fixtures/exporters/acnet-dynamic.onnx'));
  const kinds: [string, Uint8Array, RegExp][] = [
    ['empty', new Uint8Array(), /is empty/],
    ['html', text('\n<!DOCTYPE html>\n<html></html>'), /a web page \(HTML\).*check the address/],
    ['html in capitals', text('<HTML><body>Not found'), /a web page/],
    ['html behind a mark', text('\xef\xbb\xbf <html>'), /a web page/],
    [
      'lfs',
      text('version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n'),
      /Git LFS pointer.*git lfs pull/,
    ],
    ['json', text('{"error": "not found"}'), /JSON/],
    ['json list', text('  [1, 2]'), /JSON/],
    ['gzip', text('\x1f\x8b\x08\0\0\0\0\0'), /gzip'd: unpack it/],
    ['hdf5', text('\x89HDF\r\n\x1a\n'), /HDF5/],
  ];
  for (const [what, file, expected] of kinds) {
    refuses(what, file, expected);
    assert.throws(() => readOnnx(file), expected, what);
  }
  refuses('onnx', onnx, /an ONNX model.*readOnnx/);
  for (const [file, expected] of [
    [save(stateOf(1)), /a zip archive, as torch\.save/],
    [fileOf('views-legacy.pth'), /a pickle, as old versions/],
    [fileOf('state.safetensors'), /of safetensors/],
  ] as const) {
    assert.throws(
      () => readOnnx(file),
      (error: Error) =>
        error instanceof FormatError &&
        expected.test(error.message) &&
        /weights without a graph.*readCheckpoint/.test(error.message),
    );
  }
});

// The command line

test('the command line says which state it takes, and takes another', () => {
  const folder = mkdtempSync(`${tmpdir()}/checkpoints-`);
  const run = (...args: string[]) => {
    const { stdout, stderr, status } = spawnSync(process.execPath, ['dist/cli.js', ...args], { encoding: 'utf8' });
    return { text: stdout + stderr, status, json: () => JSON.parse(stdout) };
  };
  const file = `${FOLDER}/checkpoint.pth`;
  try {
    assert.match(run('inspect', file).text, /\nState: model; --select takes ema\n/);
    const inspected = run('inspect', file, '--select', 'ema', '--json').json();
    assert.equal([inspected.selected, inspected.candidates], ['ema', ['model', 'ema']]);
    const out = `${folder}/out.safetensors`;
    assert.match(run('fuse', file, '-o', out, '--select', 'ema').text, /\nState: ema; --select takes model\n/);
    same(readSafetensors(new Uint8Array(readFileSync(out))).tensors, fuseStateDict(EMA), 'fused');
    const wrong = run('inspect', file, '--select', 'rng');
    assert.is(wrong.status, 1);
    assert.match(wrong.text, /must be one of "model", "ema"/);
    assert.is(run('inspect', 'test/fixtures/exporters/acnet-default.onnx', '--select', 'x').status, 2);
    for (const name of ['checkpoint-legacy.pth', 'module.pth', 'scripted.pt', 'views-legacy.pth']) {
      assert.is(run('inspect', `${FOLDER}/${name}`).status, 0, name);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
