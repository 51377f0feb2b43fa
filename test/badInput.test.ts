/**
 * Bad input: each case throws an error of the right class that says what was expected and what came, and changes
 * nothing: the layer computes the same bits afterwards, and memory in use is the same to the byte.
 */
import {
  ACBlock,
  type ACBlockOptions,
  Add,
  AvgPool2d,
  BatchNorm2d,
  Concat,
  Conv2d,
  createRuntime,
  Flatten,
  fuseStateDict,
  GlobalAvgPool2d,
  InferenceSession,
  type Layer,
  Linear,
  lenet5bn,
  MaxPool2d,
  OutOfMemoryError,
  ReLU,
  type Runtime,
  Sequential,
  type StateDict,
  Tensor,
  toACNet,
  UnsupportedError,
  warmUp,
} from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { randomNd, sameBits, seededRandom, take, toTensor, withRuntime } from './support.js';

type ErrorClass = new (...args: never[]) => Error;

const BLOCK: ACBlockOptions = { inChannels: 4, outChannels: 6, kernelSize: 3, padding: 1, groups: 2 };

/** A tensor of these dims with arbitrary values. */
function tensor(...dims: number[]): Tensor {
  return toTensor(randomNd(seededRandom(1), dims));
}

/** Runs `action`, which must throw this class with a message that contains each of these. */
function refuses(action: () => unknown, errorClass: ErrorClass, ...parts: string[]): Error {
  let result: unknown;
  try {
    result = action();
  } catch (error) {
    assert.ok(error instanceof errorClass, `expected ${errorClass.name}, got ${String(error)}`);
    for (const part of parts) {
      assert.ok(error.message.includes(part), `message has no "${part}": ${error.message}`);
    }
    return error;
  }
  throw new Error(`expected ${errorClass.name} (${parts.join(', ')}), but it returned ${String(result)}`);
}

/** The same for what happens asynchronously. */
async function refusesLater(action: () => Promise<unknown>, errorClass: ErrorClass, ...parts: string[]): Promise<void> {
  let caught: unknown;
  await action().catch((error) => {
    caught = error;
  });
  refuses(
    () => {
      if (caught !== undefined) throw caught;
    },
    errorClass,
    ...parts,
  );
}

/** refuses, and `layer` gives the same output and the same state before and after, in the same memory. */
function refusesUnchanged(
  layer: Layer,
  input: Tensor,
  action: () => unknown,
  errorClass: ErrorClass,
  ...parts: string[]
): void {
  const stateBefore = layer.stateDict();
  const outputBefore = take(layer.forward(input));
  const { used } = layer.runtime.memory;
  refuses(action, errorClass, ...parts);
  assert.is(layer.runtime.memory.used, used, `memory in use after: ${parts.join(', ')}`);
  assert.ok(sameBits(take(layer.forward(input)), outputBefore), `output after: ${parts.join(', ')}`);
  const stateAfter = layer.stateDict();
  assert.equal(Object.keys(stateAfter), Object.keys(stateBefore));
  for (const [key, value] of Object.entries(stateBefore)) {
    assert.ok(sameBits(stateAfter[key]!.data, value.data), `${key} after: ${parts.join(', ')}`);
  }
}

/** Arguments of a wrong type, as plain JavaScript could pass them. */
const wrong = <T>(value: unknown): T => value as T;

const onRuntime = (name: string, body: (runtime: Runtime) => void | Promise<void>) =>
  test(name, () => withRuntime('baseline', body));

onRuntime('forward: wrong channels, wrong rank, empty dims', (runtime) => {
  const layers: { layer: Layer; good: Tensor; channels?: string }[] = [
    { layer: new ACBlock(runtime, BLOCK), good: tensor(2, 4, 5, 5), channels: 'this block expects 4' },
    { layer: new ACBlock(runtime, { ...BLOCK, form: 'deploy' }), good: tensor(2, 4, 5, 5), channels: 'expects 4' },
    { layer: new Conv2d(runtime, BLOCK as never), good: tensor(2, 4, 5, 5), channels: 'expects 4' },
    { layer: new BatchNorm2d(runtime, { numFeatures: 4 }), good: tensor(2, 4, 5, 5), channels: 'expects 4' },
    { layer: new MaxPool2d(runtime, { kernelSize: 2 }), good: tensor(2, 4, 5, 5) },
    { layer: new AvgPool2d(runtime, { kernelSize: 2 }), good: tensor(2, 4, 5, 5) },
    { layer: new GlobalAvgPool2d(runtime), good: tensor(2, 4, 5, 5) },
  ];
  for (const { layer, good, channels } of layers) {
    layer.eval();
    const name = layer.constructor === ACBlock ? 'ACBlock.forward' : '.forward';
    const check = (bad: Tensor, ...parts: string[]) => {
      refusesUnchanged(layer, good, () => layer.forward(bad), RangeError, name, ...parts);
      const resident = bad.to(runtime);
      refusesUnchanged(layer, good, () => layer.forward(resident), RangeError, name, ...parts);
      resident.dispose();
    };
    if (channels) {
      for (const count of [1, 3, 5, 8])
        check(tensor(1, count, 5, 5), `${count} channels`, channels, `[1, ${count}, 5, 5]`);
    }
    if (!(layer instanceof BatchNorm2d)) {
      for (const dims of [[4], [1, 4], [1, 4, 5], [1, 4, 5, 5, 1]])
        check(tensor(...dims), `[${dims.join(', ')}]`, '4 dims');
    }
    for (const dims of [
      [0, 4, 5, 5],
      [2, 4, 0, 5],
      [2, 4, 5, 0],
      [0, 0, 0, 0],
    ]) {
      check(tensor(...dims), `[${dims.join(', ')}]`);
    }
    layer.dispose();
  }
});

onRuntime('forward: Linear, Flatten, ReLU with dims that do not fit', (runtime) => {
  const linear = new Linear(runtime, { inFeatures: 6, outFeatures: 3 });
  const good = tensor(2, 6);
  refusesUnchanged(linear, good, () => linear.forward(tensor(2, 7)), RangeError, 'Linear', '7', '6', '[2, 7]');
  refusesUnchanged(linear, good, () => linear.forward(tensor(6)), RangeError, 'Linear', '[6]');
  refusesUnchanged(linear, good, () => linear.forward(tensor(2, 6, 1, 1)), RangeError, 'Linear', '[2, 6, 1, 1]');
  refusesUnchanged(linear, good, () => linear.forward(tensor(0, 6)), RangeError, 'Linear', '[0, 6]');
  const flatten = new Flatten(runtime);
  refusesUnchanged(flatten, good, () => flatten.forward(tensor(6)), RangeError, 'Flatten', '[6]');
  refusesUnchanged(flatten, good, () => flatten.forward(tensor(2, 0)), RangeError, 'Flatten', '[2, 0]');
  const relu = new ReLU(runtime);
  refusesUnchanged(relu, good, () => relu.forward(tensor(2, 0)), RangeError, 'ReLU', '[2, 0]');
  for (const layer of [linear, flatten, relu]) layer.dispose();
});

onRuntime('forward: what is no tensor, too few and too many inputs', (runtime) => {
  const block = new ACBlock(runtime, BLOCK).eval();
  const good = tensor(1, 4, 5, 5);
  for (const bad of [undefined, null, 7, 'image', [1, 2], new Float32Array(100), { dims: [1, 4, 5, 5] }]) {
    refusesUnchanged(block, good, () => block.forward(wrong(bad)), TypeError, 'ACBlock.forward', 'Tensor');
  }
  refusesUnchanged(block, good, () => (block as Layer).forward(), TypeError, 'ACBlock.forward', '1 input', '0');
  refusesUnchanged(block, good, () => (block as Layer).forward(good, good), TypeError, 'ACBlock.forward', '2');
  const add = new Add(runtime);
  refuses(() => add.forward(good), TypeError, 'Add.forward', '2', '1');
  refuses(() => add.forward(good, tensor(1, 4, 5, 6)), RangeError, 'Add', '[1, 4, 5, 5]', '[1, 4, 5, 6]');
  const concat = new Concat(runtime);
  refuses(() => concat.forward(good, tensor(1, 3, 5, 6)), RangeError, 'Concat', '[1, 4, 5, 5]', '[1, 3, 5, 6]');
  refuses(() => concat.forward(good, tensor(2, 4, 5, 5)), RangeError, 'Concat', '[2, 4, 5, 5]');
  refuses(() => concat.forward(good, tensor(1, 4)), RangeError, 'Concat', '[1, 4]');
  for (const layer of [block, add, concat]) layer.dispose();
});

onRuntime('forward: padding larger than the padding mode allows', (runtime) => {
  for (const [paddingMode, largest] of [
    ['reflect', 2],
    ['circular', 3],
  ] as const) {
    for (const form of ['train', 'deploy'] as const) {
      const padding: [number, number] = [largest, 1];
      const block = new ACBlock(runtime, { ...BLOCK, kernelSize: 5, padding, paddingMode, form }).eval();
      const good = tensor(1, 4, 3, 9);
      assert.is(take(block.forward(good)).length, 6 * (3 + 2 * largest - 4) * 7);
      const parts = ['ACBlock.forward', `'${paddingMode}'`, `${largest}`, '[1, 4, 2, 9]'];
      refusesUnchanged(block, good, () => block.forward(tensor(1, 4, 2, 9)), RangeError, ...parts);
      block.dispose();
    }
  }
  const replicate = new Conv2d(runtime, { ...(BLOCK as object), padding: 9, paddingMode: 'replicate' } as never);
  assert.is(take(replicate.forward(tensor(1, 4, 1, 1))).length, 6 * 17 * 17);
  replicate.dispose();
});

onRuntime('forward: kernel larger than the padded input', (runtime) => {
  for (const form of ['train', 'deploy'] as const) {
    const block = new ACBlock(runtime, { ...BLOCK, kernelSize: [5, 3], padding: 1, dilation: [1, 2], form }).eval();
    const good = tensor(1, 4, 3, 3);
    refusesUnchanged(
      block,
      good,
      () => block.forward(tensor(1, 4, 2, 3)),
      RangeError,
      'ACBlock',
      '5',
      '4',
      '[1, 4, 2, 3]',
    );
    refusesUnchanged(
      block,
      good,
      () => block.forward(tensor(1, 4, 3, 2)),
      RangeError,
      'ACBlock',
      '5',
      '4',
      '[1, 4, 3, 2]',
    );
    block.dispose();
  }
  for (const layer of [new MaxPool2d(runtime, { kernelSize: 4 }), new AvgPool2d(runtime, { kernelSize: 4 })]) {
    const bad = tensor(1, 4, 5, 3);
    refusesUnchanged(
      layer,
      tensor(1, 4, 4, 4),
      () => layer.forward(bad),
      RangeError,
      'Pool2d',
      '4',
      '3',
      '[1, 4, 5, 3]',
    );
    layer.dispose();
  }
});

onRuntime('forward: training with one value per channel has no variance', (runtime) => {
  const block = new ACBlock(runtime, { ...BLOCK, padding: 0 }).train();
  const before = block.stateDict();
  const { used } = runtime.memory;
  refuses(() => block.forward(tensor(1, 4, 3, 3)), RangeError, 'ACBlock.forward', 'more than one value', '1');
  assert.is(runtime.memory.used, used);
  const after = block.stateDict();
  for (const [key, value] of Object.entries(before)) assert.equal(after[key]!.data, value.data, key);
  block
    .eval()
    .forward(tensor(1, 4, 3, 3))
    .dispose();
  block.dispose();
});

onRuntime('constructors: options that are no numbers, or not in their range', (runtime) => {
  const whole = [Number.NaN, Number.POSITIVE_INFINITY, -1, 1.5];
  const text = ['3', {}, true, () => 3];
  const makers: Record<string, { make: (options: object) => unknown; good: object; whole: string[]; real?: string[] }> =
    {
      ACBlock: {
        make: (options) => new ACBlock(runtime, options as ACBlockOptions),
        good: BLOCK,
        whole: ['inChannels', 'outChannels', 'kernelSize', 'stride', 'padding', 'dilation', 'groups', 'branchSize'],
        real: ['eps', 'momentum', 'gammaInit'],
      },
      Conv2d: {
        make: (options) => new Conv2d(runtime, options as never),
        good: BLOCK,
        whole: ['inChannels', 'outChannels', 'kernelSize', 'stride', 'padding', 'dilation', 'groups'],
      },
      BatchNorm2d: {
        make: (options) => new BatchNorm2d(runtime, options as never),
        good: { numFeatures: 4 },
        whole: ['numFeatures'],
        real: ['eps', 'momentum'],
      },
      Linear: {
        make: (options) => new Linear(runtime, options as never),
        good: { inFeatures: 4, outFeatures: 4 },
        whole: ['inFeatures', 'outFeatures'],
      },
      MaxPool2d: {
        make: (options) => new MaxPool2d(runtime, options as never),
        good: { kernelSize: 3 },
        whole: ['kernelSize', 'stride', 'padding', 'dilation'],
      },
      AvgPool2d: {
        make: (options) => new AvgPool2d(runtime, options as never),
        good: { kernelSize: 3 },
        whole: ['kernelSize', 'stride', 'padding'],
      },
      lenet5bn: {
        make: (options) => lenet5bn(runtime, options),
        good: {},
        whole: ['numClasses', 'inChannels'],
      },
    };
  const { used } = runtime.memory;
  for (const [owner, { make, good, whole: wholeNames, real = [] }] of Object.entries(makers)) {
    for (const name of wholeNames) {
      for (const value of whole) refuses(() => make({ ...good, [name]: value }), RangeError, owner, name, `${value}`);
      for (const value of text) {
        // For padding a string has a right type: 'same' and 'valid' exist.
        const named = name === 'padding' && typeof value === 'string' && !owner.endsWith('Pool2d');
        refuses(() => make({ ...good, [name]: value }), named ? RangeError : TypeError, owner, name);
      }
      if (name !== 'padding') refuses(() => make({ ...good, [name]: 0 }), RangeError, owner, name, '0');
    }
    for (const name of real) {
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
        refuses(() => make({ ...good, [name]: value }), RangeError, owner, name, `${value}`);
      }
      for (const value of text) refuses(() => make({ ...good, [name]: value }), TypeError, owner, name);
      if (name !== 'gammaInit') refuses(() => make({ ...good, [name]: -1 }), RangeError, owner, name, '-1');
    }
    for (const bad of [undefined, null, 7])
      if (owner !== 'lenet5bn' || bad !== undefined) refuses(() => make(wrong(bad)), TypeError, owner);
    refuses(() => make({ ...good, kernalSize: 3 }), TypeError, owner, 'kernalSize');
    assert.is(runtime.memory.used, used, `memory in use after ${owner}`);
  }
});

onRuntime('constructors: pairs, modes and flags', (runtime) => {
  const { used } = runtime.memory;
  const block = (options: object) => () => new ACBlock(runtime, { ...BLOCK, ...options } as ACBlockOptions);
  for (const name of ['kernelSize', 'stride', 'padding', 'dilation']) {
    for (const value of [[], [1], [1, 2, 3]])
      refuses(block({ [name]: value }), RangeError, 'ACBlock', name, `[${value.join(', ')}]`);
    refuses(block({ [name]: [1, Number.NaN] }), RangeError, 'ACBlock', name, 'NaN');
    refuses(block({ [name]: [1, '2'] }), TypeError, 'ACBlock', name);
  }
  refuses(block({ paddingMode: 'mirror' }), RangeError, 'ACBlock', 'paddingMode', 'reflect', 'mirror');
  refuses(block({ paddingMode: 7 }), TypeError, 'ACBlock', 'paddingMode', '7');
  refuses(block({ padding: 'full' }), RangeError, 'ACBlock', 'padding', 'same', 'full');
  refuses(block({ padding: 'same', stride: 2 }), RangeError, 'ACBlock', 'same', 'stride', '2');
  refuses(block({ form: 'base' }), RangeError, 'ACBlock', 'form', 'deploy', 'base');
  refuses(block({ affine: 'yes' }), TypeError, 'ACBlock', 'affine', 'yes');
  refuses(block({ branchSize: 4 }), RangeError, 'ACBlock', 'branchSize', '3', '4');
  refuses(block({ gammaInit: 0.5, reduceGamma: true }), RangeError, 'ACBlock', 'gammaInit', 'reduceGamma');
  refuses(block({ gammaInit: 0.5, affine: false }), RangeError, 'ACBlock', 'gammaInit', 'affine');
  for (const Pool of [MaxPool2d, AvgPool2d]) {
    refuses(() => new Pool(runtime, { kernelSize: 3, padding: 2 }), RangeError, 'padding', '3', '2');
    refuses(() => new Pool(runtime, wrong({ kernelSize: 3, ceilMode: 1 })), TypeError, 'ceilMode', '1');
  }
  refuses(() => lenet5bn(runtime, { channels: [20] }), RangeError, 'lenet5bn', 'channels', '[20]');
  refuses(() => lenet5bn(runtime, { channels: [20, Number.NaN] }), RangeError, 'lenet5bn', 'channels', 'NaN');
  refuses(() => lenet5bn(runtime, wrong({ form: 'fused' })), RangeError, 'lenet5bn', 'form', 'fused');
  assert.is(runtime.memory.used, used);
});

onRuntime('constructors: groups that do not divide', (runtime) => {
  const { used } = runtime.memory;
  const options = { inChannels: 6, outChannels: 8, kernelSize: 3 };
  for (const make of [
    (groups: number) => new ACBlock(runtime, { ...options, groups }),
    (groups: number) => new Conv2d(runtime, { ...options, groups }),
  ]) {
    refuses(() => make(4), RangeError, 'groups', '4', 'inChannels', '6');
    refuses(() => make(3), RangeError, 'groups', '3', 'outChannels', '8');
    refuses(() => make(12), RangeError, 'groups', '12', '6');
  }
  assert.is(runtime.memory.used, used);
});

onRuntime('constructors: no runtime, and layers that are none', (runtime) => {
  for (const bad of [undefined, null, {}, 'runtime']) {
    refuses(() => new ACBlock(wrong(bad), BLOCK), TypeError, 'ACBlock', 'runtime');
    refuses(() => new ReLU(wrong(bad)), TypeError, 'ReLU', 'runtime');
    refuses(() => lenet5bn(wrong(bad)), TypeError, 'runtime');
  }
  refuses(() => new Sequential(runtime, wrong([7])), TypeError, 'Sequential', '7');
  refuses(() => new Sequential(runtime, wrong(undefined)), TypeError, 'Sequential', 'undefined');
  refuses(() => new Sequential(runtime, []), RangeError, 'Sequential', 'none');
});

onRuntime('Sequential: a layer of two inputs has only one', (runtime) => {
  const input = tensor(1, 4, 5, 5);
  const add = new Add(runtime);
  // In the constructor or in forward.
  refuses(() => new Sequential(runtime, [add]).forward(input), TypeError, 'Add', '2', '1');
  refuses(() => new Sequential(runtime, [new Sequential(runtime, [add])]).forward(input), TypeError, 'Add', '2', '1');
  add.dispose();
});

onRuntime('Sequential: a layer inside it is disposed of', (runtime) => {
  const input = tensor(2, 4, 5, 5);
  for (const mode of ['train', 'eval'] as const) {
    const norm = new BatchNorm2d(runtime, { numFeatures: 4 });
    const network = new Sequential(runtime, [new Sequential(runtime, [norm])])[mode]();
    network.forward(input).dispose();
    norm.dispose();
    // Its statistics are freed memory now, which may belong to something else.
    refuses(() => network.forward(input), TypeError, 'BatchNorm2d', 'disposed');
    refuses(() => network.stateDict(), TypeError, 'disposed');
    network.dispose();
  }
});

onRuntime('Sequential: an error inside names the layer', (runtime) => {
  const inner = new Sequential(runtime, {
    conv: new Conv2d(runtime, { inChannels: 4, outChannels: 5, kernelSize: 3 }),
  });
  const network = new Sequential(runtime, { stem: inner, norm: new BatchNorm2d(runtime, { numFeatures: 6 }) });
  const parts = ['norm', '5', '6'];
  refuses(() => network.forward(tensor(1, 4, 5, 5)), RangeError, 'BatchNorm2d', ...parts);
  refuses(() => network.forward(tensor(1, 3, 5, 5)), RangeError, 'Conv2d', 'stem.conv', '3', '4');
  network.dispose();
});

onRuntime('loadStateDict: missing and surplus keys', (runtime) => {
  for (const form of ['train', 'deploy'] as const) {
    const block = new ACBlock(runtime, { ...BLOCK, form }).eval();
    const input = tensor(1, 4, 5, 5);
    const other = new ACBlock(runtime, { ...BLOCK, form });
    const state = other.stateDict();
    other.dispose();
    const where = 'ACBlock.loadStateDict';
    for (const key of Object.keys(state)) {
      const { [key]: _, ...rest } = state;
      refusesUnchanged(block, input, () => block.loadStateDict(rest), RangeError, where, 'missing', key);
    }
    const surplus = { ...state, 'diagonal_conv.weight': tensor(6, 2, 3, 3) };
    refusesUnchanged(
      block,
      input,
      () => block.loadStateDict(surplus),
      RangeError,
      where,
      'surplus',
      'diagonal_conv.weight',
    );
    refusesUnchanged(block, input, () => block.loadStateDict({}), RangeError, where, 'missing');
    refusesUnchanged(block, input, () => block.loadStateDict(state, 'stem.'), RangeError, where, 'missing', 'stem.');
    const prefixed = Object.fromEntries(Object.entries(state).map(([key, value]) => [`stem.${key}`, value]));
    refusesUnchanged(block, input, () => block.loadStateDict(prefixed), RangeError, where, 'surplus', 'stem.');
    // Nothing is wrong with these: PyTorch's counters, and keys beside the prefix.
    block.loadStateDict({ ...state, 'square_bn.num_batches_tracked': tensor(1) });
    block.loadStateDict({ ...prefixed, 'head.weight': tensor(1) }, 'stem.');
    block.dispose();
  }
});

onRuntime('loadStateDict: wrong shapes, and what is no tensor', (runtime) => {
  for (const form of ['train', 'deploy'] as const) {
    const block = new ACBlock(runtime, { ...BLOCK, form }).eval();
    const input = tensor(1, 4, 5, 5);
    const other = new ACBlock(runtime, { ...BLOCK, form });
    const state = other.stateDict();
    other.dispose();
    const where = 'ACBlock.loadStateDict';
    for (const [key, value] of Object.entries(state)) {
      const expected = `[${value.dims.join(', ')}]`;
      for (const dims of [[...value.dims, 1], [value.dims[0]! + 1, ...value.dims.slice(1)], [value.size * 2], [0]]) {
        const bad: StateDict = { ...state, [key]: tensor(...dims) };
        const got = `[${dims.join(', ')}]`;
        refusesUnchanged(block, input, () => block.loadStateDict(bad), RangeError, where, key, expected, got);
      }
      for (const thing of [null, undefined, value.data, 'weights']) {
        const bad = { ...state, [key]: wrong<Tensor>(thing) };
        refusesUnchanged(block, input, () => block.loadStateDict(bad), TypeError, where, key);
      }
      const disposed = new Tensor('float32', value.data.slice(), value.dims);
      disposed.dispose();
      refusesUnchanged(block, input, () => block.loadStateDict({ ...state, [key]: disposed }), TypeError, 'disposed');
    }
    for (const bad of [null, undefined, 7]) {
      refusesUnchanged(block, input, () => block.loadStateDict(wrong(bad)), TypeError, where, 'state');
    }
    block.dispose();
  }
});

onRuntime('loadStateDict: the state of the other form, and of another network', (runtime) => {
  const train = new ACBlock(runtime, BLOCK).eval();
  const deploy = new ACBlock(runtime, { ...BLOCK, form: 'deploy' }).eval();
  const input = tensor(1, 4, 5, 5);
  refusesUnchanged(
    train,
    input,
    () => train.loadStateDict(deploy.stateDict()),
    RangeError,
    'square_conv.weight',
    'fused_conv',
  );
  refusesUnchanged(
    deploy,
    input,
    () => deploy.loadStateDict(train.stateDict()),
    RangeError,
    'fused_conv.weight',
    'square_conv',
  );
  const network = lenet5bn(runtime, { channels: [2, 3] }).eval();
  const image = tensor(1, 1, 28, 28);
  refusesUnchanged(
    network,
    image,
    () => network.loadStateDict(train.stateDict()),
    RangeError,
    'missing',
    'stem.conv1.acb',
  );
  const state = network.stateDict();
  // The last key of all: the ones before it must not have been loaded.
  const bad = { ...network.stateDict(), 'linear2.bias': tensor(11) };
  for (const value of Object.values(bad)) value.data.fill(0.5);
  refusesUnchanged(network, image, () => network.loadStateDict(bad), RangeError, 'linear2.bias', '[10]', '[11]');
  assert.equal(network.stateDict()['linear1.weight']!.data, state['linear1.weight']!.data);
  for (const layer of [train, deploy, network]) layer.dispose();
});

onRuntime('switchToDeploy twice changes nothing', (runtime) => {
  const block = new ACBlock(runtime, BLOCK).eval();
  const input = tensor(1, 4, 5, 5);
  assert.is(block.switchToDeploy(), block);
  const output = take(block.forward(input));
  const state = block.stateDict();
  const { used } = runtime.memory;
  assert.is(block.switchToDeploy(), block);
  assert.is(block.form, 'deploy');
  assert.is(runtime.memory.used, used);
  assert.ok(sameBits(take(block.forward(input)), output));
  assert.equal(
    Object.entries(block.stateDict()).map(([key, value]) => [key, value.data]),
    Object.entries(state).map(([key, value]) => [key, value.data]),
  );
  const { weight, bias } = block.equivalentKernelBias();
  assert.equal(weight.data, state['fused_conv.weight']!.data);
  assert.equal(bias.data, state['fused_conv.bias']!.data);
  for (const value of [weight, bias]) value.dispose();
  refusesUnchanged(block, input, () => block.initGamma(1), TypeError, 'ACBlock.initGamma', 'deploy');
  refusesUnchanged(block, input, () => block.initSingle(), TypeError, 'ACBlock.initSingle', 'deploy');
  block.dispose();
});

onRuntime('initGamma: what is no number', (runtime) => {
  const block = new ACBlock(runtime, BLOCK).eval();
  const input = tensor(1, 4, 5, 5);
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    refusesUnchanged(block, input, () => block.initGamma(value), RangeError, 'initGamma', 'value', `${value}`);
  }
  refusesUnchanged(block, input, () => block.initGamma(wrong('1')), TypeError, 'initGamma', 'value');
  block.dispose();
  const plain = new ACBlock(runtime, { ...BLOCK, affine: false }).eval();
  refusesUnchanged(plain, input, () => plain.initGamma(1), TypeError, 'initGamma', 'affine');
  plain.dispose();
});

onRuntime('a disposed tensor', (runtime) => {
  const block = new ACBlock(runtime, BLOCK).eval();
  const good = tensor(1, 4, 5, 5);
  const resident = good.to(runtime);
  const host = tensor(1, 4, 5, 5);
  const output = block.forward(good);
  for (const gone of [resident, host, output]) {
    gone.dispose();
    gone.dispose();
    refuses(() => gone.data, TypeError, 'Tensor', 'disposed');
    refuses(() => gone.to(runtime), TypeError, 'Tensor', 'disposed');
    refusesUnchanged(block, good, () => block.forward(gone), TypeError, 'ACBlock.forward', 'input', 'disposed');
  }
  block.dispose();
});

onRuntime('a disposed layer', (runtime) => {
  const block = new ACBlock(runtime, BLOCK);
  const state = block.stateDict();
  const input = tensor(1, 4, 5, 5);
  block.forward(input).dispose();
  block.dispose();
  const { used } = runtime.memory;
  const uses: Record<string, () => unknown> = {
    forward: () => block.forward(input),
    train: () => block.train(),
    eval: () => block.eval(),
    stateDict: () => block.stateDict(),
    loadStateDict: () => block.loadStateDict(state),
    equivalentKernelBias: () => block.equivalentKernelBias(),
    switchToDeploy: () => block.switchToDeploy(),
    initGamma: () => block.initGamma(1),
    initSingle: () => block.initSingle(),
    dispose: () => block.dispose(),
  };
  for (const [name, use] of Object.entries(uses)) {
    if (name === 'dispose') use();
    else refuses(use, TypeError, `ACBlock.${name}`, 'disposed');
  }
  assert.is(runtime.memory.used, used);

  const inner = new ReLU(runtime);
  const network = new Sequential(runtime, [inner]);
  network.dispose();
  refuses(() => inner.forward(input), TypeError, 'ReLU.forward', 'disposed');
});

test('a disposed runtime', async () => {
  const runtime = await createRuntime({ simd: 'baseline' });
  const block = new ACBlock(runtime, BLOCK);
  const state = block.stateDict();
  const input = tensor(1, 4, 5, 5);
  const resident = input.to(runtime);
  const output = block.forward(input);
  runtime.dispose();
  runtime.dispose();
  assert.is(runtime.memory.used, 0);
  for (const use of [
    () => block.forward(input),
    () => block.train(),
    () => block.stateDict(),
    () => block.loadStateDict(state),
    () => block.equivalentKernelBias(),
    () => block.switchToDeploy(),
    () => resident.data,
    () => output.data,
    () => input.to(runtime),
    () => new ACBlock(runtime, BLOCK),
    () => lenet5bn(runtime),
  ]) {
    refuses(use, TypeError, 'runtime', 'disposed');
  }
  // Tidying up afterwards is no error, and values that are not in the runtime are still there.
  for (const thing of [block, resident, output]) thing.dispose();
  assert.is(input.data.length, 100);
  assert.is(state['square_conv.weight']!.data.length, 6 * 2 * 9);
});

onRuntime('tensors and layers of two runtimes', async (runtime) => {
  const other = await createRuntime({ simd: 'baseline' });
  const block = new ACBlock(runtime, BLOCK).eval();
  const good = tensor(1, 4, 5, 5);
  const foreign = good.to(other);
  const { used } = other.memory;
  refusesUnchanged(block, good, () => block.forward(foreign), RangeError, 'ACBlock.forward', 'input', 'runtime');
  const add = new Add(runtime);
  const own = good.to(runtime);
  refusesUnchanged(block, good, () => add.forward(own, foreign), RangeError, 'Add.forward', 'runtime');
  const theirs = new ReLU(other);
  refusesUnchanged(block, good, () => new Sequential(runtime, [theirs]), RangeError, 'Sequential', 'runtime');
  assert.is(other.memory.used, used);
  // On request, it moves.
  const moved = foreign.to(runtime);
  assert.ok(sameBits(take(block.forward(moved)), take(block.forward(good))));
  for (const thing of [moved, own, foreign, block, add, theirs]) thing.dispose();
  other.dispose();
});

test('Tensor: type, data and dims that do not fit each other', () => {
  refuses(() => new Tensor(wrong('int32'), [1], [1]), TypeError, 'Tensor', 'float32', 'int32');
  refuses(() => new Tensor('float32', wrong('12'), [2]), TypeError, 'Tensor', 'data', '12');
  refuses(() => new Tensor('float32', wrong(new Float64Array(2)), [2]), TypeError, 'Tensor', 'data', 'Float64Array');
  refuses(() => new Tensor('float32', [1, 2], wrong(2)), TypeError, 'Tensor', 'dims', '2');
  refuses(() => new Tensor('float32', [1, 2], wrong(undefined)), TypeError, 'Tensor', 'dims', 'undefined');
  refuses(() => new Tensor('float32', [1, 2], [3]), RangeError, 'Tensor', 'dims', '3', '2');
  for (const bad of [Number.NaN, -1, 1.5, Number.POSITIVE_INFINITY]) {
    refuses(() => new Tensor('float32', [1, 2], [2, bad]), RangeError, 'Tensor', 'dims', `${bad}`);
  }
  refuses(() => new Tensor('float32', [1, 2], wrong(['2'])), RangeError, 'Tensor', 'dims');
  assert.is(new Tensor('float32', [], [0, 3]).size, 0);
  assert.is(new Tensor('float32', [5], []).size, 1);
});

test('createRuntime: options', async () => {
  const rejects = (options: object, errorClass: ErrorClass, ...parts: string[]) =>
    refusesLater(async () => (await createRuntime(options)).dispose(), errorClass, 'createRuntime', ...parts);
  await rejects({ simd: 'avx' }, RangeError, 'simd', 'avx');
  for (const memory of ['big', '']) await rejects({ memory }, RangeError, 'memory', JSON.stringify(memory));
  for (const [name, value] of Object.entries({ simd: 1, threads: '2', memory: null, maximumMemory: '65536' })) {
    await rejects({ [name]: value }, TypeError, name, JSON.stringify(value));
  }
  for (const threads of [0, 1.5, Number.NaN, -1]) await rejects({ threads }, RangeError, 'threads', `${threads}`);
  for (const maximumMemory of [0, Number.NaN, -1, 2 ** 33]) {
    await rejects({ maximumMemory }, RangeError, 'maximumMemory', `${maximumMemory}`);
  }
  await rejects({ thread: 2 }, TypeError, 'unknown option thread', 'simd, threads, memory, maximumMemory, wasm');
});

test('options that are no object, or have a name that is none', async () => {
  const runtime = await createRuntime();
  const session = await InferenceSession.create(new ReLU(runtime).eval(), { runtime });
  const image = { [session.inputNames[0]!]: tensor(1, 4, 2, 2) };
  const takers: [string, (options: never) => unknown][] = [
    ['createRuntime', async (options) => (await createRuntime(options)).dispose()],
    ['warmUp', (options) => warmUp(runtime, options)],
    ['InferenceSession.create', (options) => InferenceSession.create(new ReLU(runtime).eval(), options)],
    ['InferenceSession.profile', async (options) => session.profile(image, options)],
    ['fuseStateDict', async (options) => fuseStateDict({}, options)],
    ['toACNet', async (options) => toACNet(new ReLU(runtime), options)],
    ['lenet5bn', async (options) => lenet5bn(runtime, options)],
  ];
  const circular: unknown[] = [];
  circular.push(circular);
  for (const [name, construct] of takers) {
    const refused = (options: unknown, ...parts: string[]): Promise<void> =>
      refusesLater(async () => construct(options as never), TypeError, name, ...parts);
    for (const options of [null, 2, 7n, 'relaxed', [], circular, () => {}]) {
      await refused(options, 'options must be an object');
    }
    await refused({ tread: 1 }, 'unknown option tread');
  }
  runtime.dispose();
});

test('warmUp: milliseconds, and a runtime that is disposed of', async () => {
  const runtime = await createRuntime();
  for (const milliseconds of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    await refusesLater(
      () => warmUp(runtime, { milliseconds }),
      RangeError,
      'warmUp',
      'milliseconds',
      `${milliseconds}`,
    );
  }
  runtime.dispose();
  await refusesLater(() => warmUp(runtime), TypeError, 'disposed');
});

test('createRuntime: relaxed SIMD where the engine has none', async () => {
  const { validate } = WebAssembly;
  // An engine without it: it takes no module with the relaxed multiply-add.
  WebAssembly.validate = (bytes) =>
    !Array.from(new Uint8Array(bytes as ArrayBuffer))
      .join()
      .includes('253,133,2') && validate(bytes);
  try {
    await createRuntime({ simd: 'relaxed' }).then(
      () => assert.unreachable(),
      (error: Error) => {
        assert.instance(error, UnsupportedError);
        assert.match(error.message, /simd is 'relaxed'.*relaxed/);
      },
    );
    const runtime = await createRuntime({ simd: 'auto' });
    assert.is(runtime.simd, 'baseline');
    assert.is(runtime.capabilities.relaxedSimd.available, false);
    assert.match(runtime.capabilities.relaxedSimd.reason!, /relaxed/);
    runtime.dispose();
  } finally {
    WebAssembly.validate = validate;
  }
});

/**
 * Fills a runtime's memory except for a hole of about `bytes`; returns a function that undoes it. Moving a tensor in
 * takes its size twice for a moment, so the filling gets finer and finer.
 */
function leaveFree(runtime: Runtime, bytes: number): () => void {
  const hole =
    bytes > 0 ? new Tensor('float32', new Float32Array(bytes / 4), [1, 4, 1, bytes / 16]).to(runtime) : undefined;
  const fillers: Tensor[] = [];
  for (let size = 1 << 20; size >= 64; size /= 2) {
    const host = new Tensor('float32', new Float32Array(size / 4), [1, 4, 1, size / 16]);
    try {
      for (;;) fillers.push(host.to(runtime));
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
    }
  }
  hole?.dispose();
  return () => {
    for (const filler of fillers) filler.dispose();
  };
}

/**
 * Runs `action` in ever larger holes until it fits. Whenever it does not, memory in use must stay as it was, and
 * `check` tests everything else. Returns how often it failed.
 */
async function exhaust<T>(
  maximumMemory: number,
  step: number,
  prepare: (runtime: Runtime) => T,
  action: (prepared: T, runtime: Runtime) => unknown,
  check: (prepared: T) => void,
): Promise<number> {
  for (let failures = 0; failures < 2000; failures++) {
    const runtime = await createRuntime({ simd: 'baseline', maximumMemory });
    try {
      const prepared = prepare(runtime);
      const refill = leaveFree(runtime, failures * step);
      const { used } = runtime.memory;
      try {
        action(prepared, runtime);
        return failures;
      } catch (error) {
        if (!(error instanceof OutOfMemoryError)) throw error;
        assert.is(runtime.memory.used, used, `memory in use after it failed in a hole of ${failures * step} bytes`);
        assert.match(error.message, /out of memory: \d+ bytes were asked for, \d+ bytes are free/);
        assert.ok(error.bytesRequested > error.bytesFree, error.message);
      }
      refill();
      check(prepared);
      assert.ok(runtime.memory.reserved <= maximumMemory);
    } finally {
      runtime.dispose();
    }
  }
  throw new Error('it never fitted');
}

const MEGABYTE = 1 << 20;
const IMAGE = tensor(2, 4, 7, 7);

/** A block, with what it should compute: the same values in a runtime that has enough memory. */
async function blockWithOutput(training: boolean) {
  const runtime = await createRuntime({ simd: 'baseline' });
  const block = new ACBlock(runtime, BLOCK);
  const state = block.stateDict();
  if (!training) block.eval();
  const expected = take(block.forward(IMAGE));
  runtime.dispose();
  const prepare = (small: Runtime) => {
    const copy = new ACBlock(small, BLOCK).loadStateDict(state);
    return training ? copy : copy.eval();
  };
  const check = (copy: ACBlock) => {
    for (const [key, value] of Object.entries(copy.stateDict())) assert.equal(value.data, state[key]!.data, key);
    assert.is(copy.form, 'train');
    assert.ok(sameBits(take(copy.forward(IMAGE)), expected), 'output after there is memory again');
  };
  return { prepare, check };
}

for (const training of [false, true]) {
  test(`memory exhausted: forward in ${training ? 'training' : 'evaluation'} mode`, async () => {
    const { prepare, check } = await blockWithOutput(training);
    const failures = await exhaust(MEGABYTE, 256, prepare, (block) => block.forward(IMAGE), check);
    assert.ok(failures > 10, `${failures} failures`);
  });
}

test('memory exhausted: switchToDeploy, equivalentKernelBias', async () => {
  const { prepare, check } = await blockWithOutput(false);
  const switching = await exhaust(MEGABYTE, 64, prepare, (block) => block.switchToDeploy(), check);
  assert.ok(switching > 5, `${switching} failures`);
  const merging = await exhaust(MEGABYTE, 64, prepare, (block) => block.equivalentKernelBias(), check);
  assert.is(merging, 0, 'the kernel is merged in JavaScript');
});

test('memory exhausted: constructors', async () => {
  const small = { channels: [3, 4] };
  const nothing = () => undefined;
  const blocks = await exhaust(MEGABYTE, 256, nothing, (_, runtime) => new ACBlock(runtime, BLOCK), nothing);
  assert.ok(blocks > 2, `${blocks} failures`);
  const networks = await exhaust(MEGABYTE, 4096, nothing, (_, runtime) => lenet5bn(runtime, small), nothing);
  assert.ok(networks > 5, `${networks} failures`);
});

test('memory exhausted: a network is in one form or the other', async () => {
  const image = tensor(1, 1, 28, 28);
  const prepare = (runtime: Runtime) => lenet5bn(runtime, { channels: [3, 4] }).eval();
  const failures = await exhaust(
    2 * MEGABYTE,
    128,
    prepare,
    (network) => network.switchToDeploy(),
    (network) => {
      const fused = Object.keys(network.stateDict()).filter((key) => key.includes('fused'));
      assert.equal(fused, [], 'blocks in deploy form after switchToDeploy failed');
      network.forward(image).dispose();
    },
  );
  assert.ok(failures > 5, `${failures} failures`);
});

test('memory exhausted: moving a tensor in and reading it', async () => {
  const values = IMAGE.data.slice();
  const moving = await exhaust(
    MEGABYTE,
    64,
    () => undefined,
    (_, runtime) => IMAGE.to(runtime),
    () => assert.equal(IMAGE.data, values),
  );
  assert.ok(moving > 5, `${moving} failures`);
  // Reading may need memory; if it fails, the tensor keeps its values.
  await exhaust(
    MEGABYTE,
    64,
    (runtime) => IMAGE.to(runtime),
    (resident) => resident.data,
    (resident) => assert.equal(resident.data, values),
  );
});

test('memory exhausted: more than a memory can ever have', async () => {
  await withRuntime('baseline', (runtime) => {
    const options = { inChannels: 2 ** 20, outChannels: 2 ** 20, kernelSize: 7 };
    for (const make of [() => new Conv2d(runtime, options), () => new ACBlock(runtime, options)]) {
      const { reserved } = runtime.memory;
      const error = refuses(make, OutOfMemoryError, 'bytes') as OutOfMemoryError;
      assert.ok(error.bytesRequested >= 2 ** 40 * 49 * 4);
      assert.is(runtime.memory.reserved, reserved);
    }
  });
});

test.run();
