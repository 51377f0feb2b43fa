/** fuseStateDict: which keys it merges, what it makes of them, and what it refuses. */
import { readdirSync } from 'node:fs';
import { fuseStateDict, readSafetensors, type StateDict, Tensor, writeSafetensors } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readFixture, relativeError, withoutPrefix } from './support.js';

const BRANCHES = ['square', 'ver', 'hor'] as const;

function tensor(dims: number[], valueAt: (i: number) => number): Tensor {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return new Tensor(
    'float32',
    Float32Array.from({ length: size }, (_, i) => valueAt(i)),
    dims,
  );
}

interface Shape {
  out?: number;
  inner?: number;
  kernel?: [number, number];
  branch?: [number, number];
}

/** A block whose BatchNorms change nothing when eps is 0, with weights 1, 2, 3, ... in each branch. */
function block(prefix = '', { out = 2, inner = 3, kernel = [3, 3], branch = kernel }: Shape = {}): StateDict {
  const sizes = { square: kernel, ver: [branch[0], 1], hor: [1, branch[1]] };
  const state: StateDict = {};
  for (const name of BRANCHES) {
    state[`${prefix}${name}_conv.weight`] = tensor([out, inner, ...sizes[name]], (i) => i + 1);
    state[`${prefix}${name}_bn.weight`] = tensor([out], () => 1);
    state[`${prefix}${name}_bn.bias`] = tensor([out], () => 0);
    state[`${prefix}${name}_bn.running_mean`] = tensor([out], () => 0);
    state[`${prefix}${name}_bn.running_var`] = tensor([out], () => 1);
    state[`${prefix}${name}_bn.num_batches_tracked`] = tensor([], () => 5);
  }
  return state;
}

/** A block with one channel and 1 x 1 kernels, which scalars describe. */
function scalarBlock(values: Record<string, number>): StateDict {
  const state = block('', { out: 1, inner: 1, kernel: [1, 1] });
  for (const [key, value] of Object.entries(values)) {
    assert.ok(key in state, key);
    state[key] = new Tensor('float32', [value], state[key]!.dims);
  }
  return state;
}

function valuesOf(state: StateDict): Record<string, number[]> {
  return Object.fromEntries(Object.entries(state).map(([key, { dims, data }]) => [key, [...dims, ...data]]));
}

function refuses(state: StateDict, pattern: RegExp, options?: { eps?: number }): void {
  const before = valuesOf(state);
  assert.throws(
    () => fuseStateDict(state, options),
    (error: Error) => {
      if (!(error instanceof RangeError)) throw error;
      assert.match(error.message, pattern);
      return true;
    },
    `${pattern}`,
  );
  assert.equal(valuesOf(state), before);
}

for (const file of readdirSync('test/fixtures/acblock').filter((name) => name.endsWith('.safetensors'))) {
  for (const prefix of ['', 'stage1.block.0.']) {
    test(`${file} with prefix "${prefix}"`, () => {
      const { tensors, metadata } = readFixture(`acblock/${file}`);
      const { eps } = JSON.parse(metadata.config!) as { eps: number };
      const state = Object.fromEntries(
        Object.entries(withoutPrefix(tensors, 'state.')).map(([key, value]) => [prefix + key, value]),
      );
      const fused = fuseStateDict(state, { eps });
      assert.equal(Object.keys(fused), [`${prefix}fused_conv.weight`, `${prefix}fused_conv.bias`]);
      for (const name of ['weight', 'bias']) {
        const actual = fused[`${prefix}fused_conv.${name}`]!;
        const expected = tensors[`fused.${name}`]!;
        assert.equal([...actual.dims], [...expected.dims], name);
        const error = relativeError(actual.data, expected.data);
        assert.ok(error <= 1e-6, `${name}: relative error ${error}`);
      }
    });
  }
}

test('branches stand at their rows and columns, whatever their length', () => {
  // Kernel and branch sizes, then the first row of the vertical and the first column of the horizontal branch.
  const cases: [[number, number], [number, number], number, number][] = [
    [[3, 3], [3, 3], 0, 0],
    [[5, 5], [3, 3], 1, 1],
    [[5, 5], [1, 1], 2, 2],
    [[5, 5], [4, 2], 0, 1],
    [[11, 11], [3, 3], 4, 4],
    [[4, 4], [4, 4], 0, 0],
    [[4, 4], [3, 3], 1, 1],
    [[4, 4], [2, 1], 1, 2],
    [[2, 2], [1, 1], 1, 1],
    [[1, 1], [1, 1], 0, 0],
    [[5, 3], [5, 3], 0, 0],
    [[1, 7], [1, 3], 0, 2],
    [[3, 4], [2, 1], 0, 2],
  ];
  for (const [kernel, branch, row, column] of cases) {
    const [height, width] = kernel;
    const state = block('', { out: 2, inner: 3, kernel, branch });
    const { data, dims } = fuseStateDict(state, { eps: 0 })['fused_conv.weight']!;
    assert.equal([...dims], [2, 3, ...kernel]);
    let n = 0;
    for (let plane = 0; plane < 6; plane++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++, n++) {
          let expected = n + 1;
          const inVer = x === Math.floor(width / 2) && y >= row && y < row + branch[0];
          const inHor = y === Math.floor(height / 2) && x >= column && x < column + branch[1];
          if (inVer) expected += plane * branch[0] + (y - row) + 1;
          if (inHor) expected += plane * branch[1] + (x - column) + 1;
          assert.is(data[n], expected, `kernel ${kernel}, branch ${branch}, plane ${plane}, row ${y}, column ${x}`);
        }
      }
    }
  }
});

test('each BatchNorm is folded into its own branch', () => {
  const state = scalarBlock({
    'square_conv.weight': 3,
    'square_bn.weight': 4,
    'square_bn.bias': 0.5,
    'square_bn.running_mean': 7,
    'square_bn.running_var': 3,
    'ver_conv.weight': -5,
    'ver_bn.weight': -6,
    'ver_bn.bias': 0.25,
    'ver_bn.running_mean': -2,
    'ver_bn.running_var': 8,
    'hor_conv.weight': 11,
    'hor_bn.weight': 8,
    'hor_bn.bias': 16,
    'hor_bn.running_mean': 1,
    'hor_bn.running_var': 15,
  });
  const fused = fuseStateDict(state, { eps: 1 });
  // t is 4 / sqrt(4) = 2, -6 / sqrt(9) = -2, 8 / sqrt(16) = 2.
  assert.equal(valuesOf(fused), {
    'fused_conv.weight': [1, 1, 1, 1, 3 * 2 - 5 * -2 + 11 * 2],
    'fused_conv.bias': [1, 0.5 - 7 * 2 + (0.25 + 2 * -2) + (16 - 1 * 2)],
  });
});

test('eps is 1e-5 unless it is given', () => {
  const state = scalarBlock({ 'square_conv.weight': 1, 'ver_conv.weight': 0, 'hor_conv.weight': 0 });
  state['square_bn.running_var'] = new Tensor('float32', [0], [1]);
  const weightOf = (options?: { eps?: number }) => fuseStateDict(state, options)['fused_conv.weight']!.data[0];
  assert.is(weightOf(), Math.fround(1 / Math.sqrt(1e-5)));
  assert.is(weightOf({}), Math.fround(1 / Math.sqrt(1e-5)));
  assert.is(weightOf({ eps: 1e-3 }), Math.fround(1 / Math.sqrt(1e-3)));
  assert.is(weightOf({ eps: 0 }), Number.POSITIVE_INFINITY);
});

test('a BatchNorm without affine terms has gamma 1 and beta 0', () => {
  const state = scalarBlock({ 'square_bn.running_mean': 3, 'square_bn.running_var': 4, 'hor_bn.bias': 7 });
  delete state['square_bn.weight'];
  delete state['square_bn.bias'];
  assert.equal(valuesOf(fuseStateDict(state, { eps: 0 })), {
    'fused_conv.weight': [1, 1, 1, 1, 0.5 + 1 + 1],
    'fused_conv.bias': [1, -1.5 + 7],
  });
});

test('sums are of float64, rounded once', () => {
  // In float32 either of the small terms is lost in 1.
  const tiny = 2 ** -24;
  const state = scalarBlock({
    'square_conv.weight': 1,
    'ver_conv.weight': tiny,
    'hor_conv.weight': tiny,
    'square_bn.bias': 1,
    'ver_bn.bias': tiny,
    'hor_bn.bias': tiny,
  });
  const fused = fuseStateDict(state, { eps: 0 });
  assert.is(fused['fused_conv.weight']!.data[0], 1 + 2 ** -23);
  assert.is(fused['fused_conv.bias']!.data[0], 1 + 2 ** -23);
});

test('shifts are of float64 too', () => {
  const tiny = 2 ** -24;
  const state = scalarBlock({ 'square_bn.bias': 1, 'square_bn.running_mean': -tiny, 'ver_bn.bias': tiny });
  assert.is(fuseStateDict(state, { eps: 0 })['fused_conv.bias']!.data[0], 1 + 2 ** -23);
});

test('NaN, infinity and negative variances go through', () => {
  const fused = fuseStateDict(
    scalarBlock({ 'square_bn.running_var': -1, 'ver_bn.bias': Number.POSITIVE_INFINITY, 'hor_bn.running_mean': 2 }),
  );
  assert.ok(Number.isNaN(fused['fused_conv.weight']!.data[0]));
  const infinite = fuseStateDict(scalarBlock({ 'ver_bn.bias': Number.POSITIVE_INFINITY }));
  assert.is(infinite['fused_conv.bias']!.data[0], Number.POSITIVE_INFINITY);
});

test('everything else is passed on, the same tensors in the same order', () => {
  const other = () => tensor([2], (i) => i);
  const before = {
    'conv.weight': other(),
    'ver_head.weight': other(),
    'my_square_conv.weight': other(),
    'lone.ver_conv.weight': other(),
    'lone.hor_bn.running_mean': other(),
    'lone.square_bn.num_batches_tracked': other(),
  };
  const inside = {
    'a.hor_bn.extra': other(),
    'a.square_conv.weight.more': other(),
    'a.ver_conv': other(),
    'a.bn.weight': other(),
    'aXver_conv.weight': other(),
    'a.b.ver_conv.weight': other(),
    square_conv: other(),
  };
  const after = { 'fc.bias': other(), 'fused_conv.weight': other(), 'bn.num_batches_tracked': other() };
  const [first, ...rest] = Object.entries(block('a.'));
  const state: StateDict = { ...before, [first![0]]: first![1], ...inside, ...Object.fromEntries(rest), ...after };
  Object.defineProperty(state, '__proto__', { value: other(), enumerable: true });
  const fused = fuseStateDict(Object.freeze(state));
  assert.equal(Object.keys(fused), [
    ...Object.keys(before),
    'a.fused_conv.weight',
    'a.fused_conv.bias',
    ...Object.keys(inside),
    ...Object.keys(after),
    '__proto__',
  ]);
  for (const [key, value] of Object.entries(fused)) {
    if (!key.startsWith('a.fused_conv.')) assert.is(value, Object.getOwnPropertyDescriptor(state, key)!.value, key);
  }
  assert.is(Object.getPrototypeOf(fused), Object.prototype);
});

test('blocks of one state dict do not mix, in whatever order their keys come', () => {
  const one = Object.entries(block('', { out: 1, inner: 2 }));
  const two = Object.entries(block('square_conv.', { out: 4, inner: 1, kernel: [5, 5], branch: [3, 3] }));
  const three = Object.entries(block('x.\n.', { out: 3, inner: 3, kernel: [1, 3] }));
  const mixed = one.flatMap((entry, i) => [two[i]!, entry, three.at(-1 - i)!]);
  const fused = fuseStateDict(Object.fromEntries(mixed));
  assert.equal(Object.keys(fused), [
    'square_conv.fused_conv.weight',
    'square_conv.fused_conv.bias',
    'fused_conv.weight',
    'fused_conv.bias',
    'x.\n.fused_conv.weight',
    'x.\n.fused_conv.bias',
  ]);
  for (const entries of [one, two, three]) {
    const alone = valuesOf(fuseStateDict(Object.fromEntries(entries)));
    for (const [key, values] of Object.entries(alone)) assert.equal(valuesOf(fused)[key], values, key);
  }
});

test('the input is not touched, and fusing twice changes nothing', () => {
  const state = block('a.');
  const before = valuesOf(state);
  const fused = fuseStateDict(state);
  assert.equal(valuesOf(state), before);
  const again = fuseStateDict(fused);
  assert.equal(Object.keys(again), Object.keys(fused));
  for (const key of Object.keys(fused)) assert.is(again[key], fused[key], key);
  assert.not.ok(again === fused);
  assert.equal(fuseStateDict({}), {});
});

test('a fused state dict goes through a file', () => {
  const fused = fuseStateDict(block('a.'));
  assert.equal(valuesOf(readSafetensors(writeSafetensors(fused)).tensors), valuesOf(fused));
});

test('a block that lacks a key is refused', () => {
  for (const key of Object.keys(block())) {
    if (key === 'square_conv.weight' || key.endsWith('num_batches_tracked')) continue;
    const state = block('a.b.');
    delete state[`a.b.${key}`];
    refuses(state, new RegExp(`state has no a\\.b\\.${key}`));
  }
  // Without its square kernel there is no block, and without counters there is one.
  const state = block();
  delete state['square_conv.weight'];
  assert.equal(Object.keys(fuseStateDict(state)), Object.keys(state));
  const uncounted = Object.fromEntries(Object.entries(block()).filter(([key]) => !key.endsWith('tracked')));
  assert.equal(Object.keys(fuseStateDict(uncounted)), ['fused_conv.weight', 'fused_conv.bias']);
});

test('a tensor that does not fit its block is refused', () => {
  const wrong: Record<string, number[][]> = {
    'square_conv.weight': [[], [2], [2, 3, 3], [2, 3, 3, 3, 1], [3, 3, 3, 3], [2, 2, 3, 3], [2, 3, 0, 3], [2, 3, 3, 0]],
    'ver_conv.weight': [[], [2, 3, 3], [2, 3, 3, 1, 1], [2, 3, 4, 1], [2, 3, 0, 1], [2, 3, 3, 0], [2, 3, 1, 3]],
    'hor_conv.weight': [[], [2, 3, 3], [2, 3, 1, 4], [2, 3, 1, 0], [2, 3, 2, 3], [1, 3, 1, 3], [2, 1, 1, 3]],
  };
  for (const name of BRANCHES) {
    for (const part of ['weight', 'bias', 'running_mean', 'running_var']) {
      wrong[`${name}_bn.${part}`] = [[], [0], [1], [3], [2, 1], [1, 2]];
    }
  }
  for (const [key, shapes] of Object.entries(wrong)) {
    for (const dims of shapes) {
      const state = block('p.');
      state[`p.${key}`] = tensor(dims, () => 1);
      const got = `\\[.*\\], got \\[${dims.join(', ')}\\]`;
      // A square kernel of other channels is found out by the tensors beside it.
      const named =
        key === 'square_conv.weight' && dims.length === 4 && dims[2]! * dims[3]! > 0
          ? ''
          : `p\\.${key} must have dims ${got}`;
      refuses(state, new RegExp(named || 'p\\.\\w+\\.\\w+ must have dims'));
    }
  }
});

test('a square kernel of the wrong rank is told what its sizes mean', () => {
  refuses(
    { 'a.square_conv.weight': tensor([2, 3, 3], () => 1) },
    /must have dims \[O, C\/g, Kh, Kw\], got \[2, 3, 3\]/,
  );
});

test('empty kernels of absurd size are refused before memory is asked for', () => {
  const state = block();
  for (const name of BRANCHES) {
    state[`${name}_conv.weight`] = tensor([2 ** 26, 0, ...state[`${name}_conv.weight`]!.dims.slice(2)], () => 0);
  }
  refuses(state, /square_bn\.running_mean must have dims \[67108864\], got \[2\]/);
});

test('keys that a block cannot have beside it are refused', () => {
  for (const key of ['square_conv.bias', 'ver_conv.bias', 'hor_conv.bias', 'fused_conv.weight', 'fused_conv.bias']) {
    const extra = { [`a.${key}`]: tensor([2], () => 1) };
    const pattern = new RegExp(`a\\.${key} does not belong`);
    refuses({ ...block('a.'), ...extra }, pattern);
    refuses({ ...extra, ...block('a.') }, pattern);
    assert.is(Object.keys(fuseStateDict({ ...block('b.'), ...extra })).length, 3);
  }
});

test('wrong arguments are TypeError and RangeError', () => {
  const isTypeError = (pattern: RegExp) => (error: Error) => error instanceof TypeError && pattern.test(error.message);
  for (const state of [undefined, null, 7, 'x']) {
    assert.throws(() => fuseStateDict(state as unknown as StateDict), isTypeError(/state must be an object, got /));
  }
  for (const value of [undefined, null, 7, [1], new Float32Array(1)]) {
    assert.throws(
      () => fuseStateDict({ ...block(), 'fc.bias': value as unknown as Tensor }),
      isTypeError(/state\["fc.bias"\] must be a Tensor, got /),
    );
  }
  for (const eps of ['1e-5', null, {}, 1n]) {
    assert.throws(() => fuseStateDict(block(), { eps: eps as number }), isTypeError(/eps must be a number, got /));
  }
  for (const eps of [Number.NaN, -1e-5, Number.POSITIVE_INFINITY])
    refuses(block(), /eps must be a finite number of at least 0, got /, { eps });
});

test.run();
