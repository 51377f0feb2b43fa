/**
 * No size overflows: sizes are exact or refused, whatever an option, a shape or a file asks for, and no other values
 * change. The files are from test/fixtures/hostile.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import {
  ACBlock,
  AvgPool2d,
  Conv2d,
  createRuntime,
  FormatError,
  type Graph,
  type GraphNode,
  InferenceSession,
  Linear,
  MaxPool2d,
  OutOfMemoryError,
  type Runtime,
  Tensor,
  UnsupportedError,
} from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Kernels } from '../src/runtime/kernels.js';
import { bytesOf, countOf, extentOf, fitsMemory, lanesOf, MAX_VALUES, product, sizeOf, wordsOf } from '../src/sizes.js';
import { graphFrom, type NodeSpec } from './graphSpec.js';
import { randomNd, sameBits, seededRandom, take, toTensor } from './support.js';

/** ES2024, which the compiler's library is not told of. */
type Resizable = ArrayBuffer & { resize(bytes: number): void };
type ResizableConstructor = new (bytes: number, options: { maxByteLength: number }) => Resizable;

const HOSTILE = 'test/fixtures/hostile';
const LARGE = [2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 2 ** 32, 2 ** 32 + 4, 2 ** 53 - 1];
const random = seededRandom(23);

function graphOf(node: object, inputs = ['x']): Graph {
  const nodes = [{ inputs, output: 'y', ...node } as unknown as NodeSpec];
  return graphFrom({ inputs, outputs: ['y'], nodes });
}

/** Runs `work` beside a tensor, whose values and the memory in use must be as before. @returns what it threw */
async function beside(runtime: Runtime, work: () => unknown): Promise<unknown> {
  const values = randomNd(random, [1, 5, 9, 11]);
  const bystander = toTensor(values).to(runtime);
  const { used } = runtime.memory;
  let thrown: unknown;
  try {
    await work();
  } catch (error) {
    thrown = error;
  }
  assert.is(runtime.memory.used, used, `memory in use, after ${thrown}`);
  assert.ok(sameBits(bystander.data, values.data), `another tensor has changed, after ${thrown}`);
  bystander.dispose();
  return thrown;
}

async function refuses(runtime: Runtime, work: () => unknown, message: RegExp): Promise<void> {
  const error = await beside(runtime, work);
  assert.ok(error instanceof RangeError || error instanceof OutOfMemoryError, `${error}, expected ${message}`);
  assert.match(error.message, message);
}

async function runGraph(runtime: Runtime, graph: Graph, ...dims: number[][]): Promise<Tensor> {
  const session = await InferenceSession.create(graph, { runtime, reparameterize: false });
  try {
    const feeds = graph.inputs.map((name, i) => [name, toTensor(randomNd(random, dims[i]!))]);
    return session.runSync(Object.fromEntries(feeds)).y!;
  } finally {
    await session.release();
  }
}

test('sizes are exact up to 2^53, then infinite, and 0 where a factor is', () => {
  assert.is(product(2 ** 26, 2 ** 27 - 1), 2 ** 53 - 2 ** 26);
  assert.is(product(2 ** 27, 2 ** 27), Number.POSITIVE_INFINITY);
  assert.is(sizeOf(new Array(60_000).fill(2 ** 53 - 1)), Number.POSITIVE_INFINITY);
  assert.is(sizeOf([...new Array(60_000).fill(2 ** 53 - 1), 0]), 0);
  assert.is(sizeOf([]), 1);
  for (const channels of LARGE.slice(0, -1)) {
    const lanes = channels + ((4 - (channels % 4)) % 4);
    assert.is(lanesOf(channels), lanes);
    assert.equal(extentOf([3, channels, 5]), { batch: 3, channels, pixels: 5, lanes, bytes: 60 * lanes });
    assert.is(bytesOf([3, channels, 5], 'planar'), 60 * channels);
  }
});

test('what has no place in 4 GiB does not fit, however many of its dims are 0', () => {
  assert.ok(fitsMemory([MAX_VALUES]) && fitsMemory([2 ** 15, 2 ** 15, 1]) && fitsMemory([0, 5]));
  assert.not(fitsMemory([MAX_VALUES + 1]) || fitsMemory([2 ** 16, 2 ** 16]) || fitsMemory([2 ** 16, 0, 2 ** 16]));
});

test('what leaves for a kernel is refused where it has no 32 bits', () => {
  assert.is(countOf('Layer', 'count', 2 ** 31 - 1), 2 ** 31 - 1);
  for (const count of [2 ** 31, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => countOf('Layer', 'count', count), /^Layer: count must be a whole number .*, got /);
  }
  assert.equal(wordsOf('plan', [1, 2 ** 31, -4, 1 - 2 ** 32]), Int32Array.of(1, -(2 ** 31), -4, 1));
  assert.throws(() => wordsOf('plan', [2 ** 32]), /^plan: a distance must be .*, got 4294967296/);
});

const FOLDS = ['fold.ts', 'reductions.ts'].map((file) => `formats/onnx/operators/${file}`);

test('dims are multiplied in one place, and in no 32-bit arithmetic', () => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  assert.ok(sources.length > 100);
  for (const file of sources) {
    if (file === 'sizes.ts') continue;
    const text = readFileSync(path.join('src', file), 'utf8');
    assert.not.match(text, /& ~[1-9]/, `${file} rounds in 32 bits`);
    // These calculate what Mul and ReduceProd in a file say, of any numbers; readers refuse integers beyond 2^53 where
    // they use them.
    if (!FOLDS.includes(file.replaceAll('\\', '/')))
      assert.not.match(text, /\((\w+), (\w+)\) => \1 \* \2\b/, `${file} multiplies by itself`);
    assert.not.match(text, /\b(dims|sizes?|shape)\w*\.reduce\(\(product/, `${file} multiplies by itself`);
  }
});

for (const file of readdirSync(HOSTILE).filter((name) => name.endsWith('.onnx'))) {
  test(`${file}: a result or an error of ours, with and without merging`, async () => {
    const bytes = new Uint8Array(readFileSync(path.join(HOSTILE, file)));
    const runtime = await createRuntime();
    for (const reparameterize of [true, false]) {
      for (const channels of [1, 3, 12, 200, 2000]) {
        const error = await beside(runtime, async () => {
          const session = await InferenceSession.create(bytes, { runtime, reparameterize });
          try {
            const tensor = () => toTensor(randomNd(random, [1, channels, 1, 1]));
            await session.run(Object.fromEntries(session.inputNames.map((name) => [name, tensor()])));
          } finally {
            await session.release();
          }
        });
        const isOurs = [FormatError, RangeError, OutOfMemoryError, UnsupportedError].some(
          (kind) => error instanceof kind,
        );
        assert.ok(error === undefined || isOurs, `${error}`);
      }
    }
    runtime.dispose();
  });
}

test('options and dims around 2^31, 2^32 and 2^53 are refused by every layer', async () => {
  const runtime = await createRuntime();
  const image = toTensor(randomNd(random, [1, 4, 5, 5]));
  const forward = (layer: { forward(input: Tensor): Tensor; dispose(): void }): void => {
    try {
      layer.forward(image).dispose();
    } finally {
      layer.dispose();
    }
  };
  const conv = { inChannels: 4, outChannels: 4, kernelSize: 3 };
  for (const size of LARGE) {
    await refuses(runtime, () => new Conv2d(runtime, { ...conv, outChannels: size }), /out of memory/);
    await refuses(runtime, () => new Conv2d(runtime, { ...conv, kernelSize: size }), /out of memory/);
    await refuses(runtime, () => new Conv2d(runtime, { ...conv, inChannels: size, outChannels: 1 }), /out of memory/);
    await refuses(runtime, () => new ACBlock(runtime, { ...conv, kernelSize: [3, size] }), /out of memory/);
    await refuses(runtime, () => new Linear(runtime, { inFeatures: size, outFeatures: size }), /out of memory/);
    await refuses(runtime, () => forward(new Conv2d(runtime, { ...conv, padding: size })), /Conv2d\.forward: /);
    await refuses(runtime, () => forward(new Conv2d(runtime, { ...conv, dilation: size })), /Conv2d\.forward: /);
    await refuses(
      runtime,
      () => forward(new Conv2d(runtime, { ...conv, dilation: size, padding: 'same' })),
      /Conv2d\.forward: |needs a table/,
    );
    await refuses(runtime, () => forward(new ACBlock(runtime, { ...conv, dilation: size })), /ACBlock\.forward: /);
    for (const Pool of [MaxPool2d, AvgPool2d]) {
      await refuses(runtime, () => forward(new Pool(runtime, { kernelSize: size })), /Pool2d\.forward: /);
    }
    assert.is(await beside(runtime, () => forward(new Conv2d(runtime, { ...conv, stride: size }))), undefined);
  }
  runtime.dispose();
});

test('pads, slices and reshapes by numbers around 2^31, 2^32 and 2^53', async () => {
  const runtime = await createRuntime();
  for (const size of LARGE) {
    for (const mode of ['constant', 'edge', 'wrap']) {
      for (const pads of [
        [0, size, 0, 0],
        [0, 0, size, size],
      ]) {
        await refuses(
          runtime,
          () => runGraph(runtime, graphOf({ op: 'pad', pads, mode, value: 1 }), [3, 5]),
          /Pad|Test/,
        );
      }
    }
    // Added before and cropped behind, by 4 less.
    const shifted = graphOf({ op: 'pad', pads: [0, size, 0, 4 - size], mode: 'constant', value: 1 });
    if (size < 2 ** 31) assert.equal((await runGraph(runtime, shifted, [3, 5])).dims, [3, 9]);
    else await refuses(runtime, () => runGraph(runtime, shifted, [3, 5]), /each of pads must be/);
    for (const target of [
      [-1, size],
      [size, size, 0],
      [-1, size, size],
    ]) {
      await refuses(
        runtime,
        () => runGraph(runtime, graphOf({ op: 'reshape', target }), [3, 4]),
        /cannot reshape|has no axis/,
      );
    }
    const far = graphOf({ op: 'slice', axes: [0, 1], starts: [-size, 1], ends: [size, size], steps: [size, size] });
    const output = await runGraph(runtime, far, [3, 5]);
    assert.equal(output.dims, [1, 1]);
  }
  runtime.dispose();
});

test('backwards through an axis of size 0 there is nothing', async () => {
  const runtime = await createRuntime();
  const graph = graphOf({ op: 'slice', axes: [0], starts: [-1], ends: [-9], steps: [-1] });
  const session = await InferenceSession.create(graph, { runtime });
  const { y } = session.runSync({ x: new Tensor('float32', [], [0, 3]) });
  assert.equal(y!.dims, [0, 3]);
  runtime.dispose();
});

test('a graph whose parameters do not have the sizes that it says is refused', async () => {
  const runtime = await createRuntime();
  const window = { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pads: [0, 0, 0, 0] };
  const weight = toTensor(randomNd(random, [4, 2, 3, 3]));
  const conv = { op: 'conv2d', weight, bias: undefined, window, paddingMode: 'zeros', groups: 2 };
  const vector = (size: number): Tensor => toTensor(randomNd(random, [size]));
  const norm = { gamma: vector(4), beta: vector(4), mean: vector(4), variance: vector(4), eps: 0 };
  const wrong: [object, RegExp][] = [
    [{ ...conv, window: { ...window, kernel: [5, 5] } }, /a weight of dims \[4, 2, 5, 5\], got \[4, 2, 3, 3\]/],
    [{ ...conv, window: { ...window, stride: [0, 1] } }, /a window of whole numbers from 1, got 3,3,0,1/],
    [{ ...conv, window: { ...window, dilation: [1.5, 1] } }, /a window of whole numbers/],
    [{ ...conv, window: { ...window, pads: [0, 0, Number.NaN, 0] } }, /pads of whole numbers/],
    [{ ...conv, groups: 3 }, /groups of whole numbers from 1, got 3,1\.33/],
    [{ ...conv, groups: 0 }, /groups of whole numbers/],
    [{ ...conv, bias: vector(3) }, /a bias of 4 values, got 3/],
    [{ ...conv, parallel: [{ ...conv, bias: vector(5) }] }, /a bias of 4 values, got 5/],
    [{ op: 'linear', weight, bias: undefined }, /a weight of 2 dims/],
    [{ op: 'linear', weight: toTensor(randomNd(random, [4, 2])), bias: vector(2) }, /a bias of 4 values, got 2/],
    [{ op: 'batchNorm', norm: { ...norm, gamma: vector(3) }, momentum: undefined }, /a norm of 4 values, got 3/],
    [
      { op: 'maxPool2d', window: { ...window, kernel: [0, 1] }, ceilMode: false, countIncludePad: false },
      /a window of whole numbers from 1/,
    ],
  ];
  for (const [node, message] of wrong) {
    await refuses(runtime, () => InferenceSession.create(graphOf(node), { runtime, reparameterize: false }), message);
  }
  await runGraph(runtime, graphOf(conv), [1, 4, 5, 5]);
  runtime.dispose();
});

test('many products of matrices that are only declared are no work', async () => {
  const runtime = await createRuntime({ maximumMemory: 2 ** 26 });
  const dims = [2 ** 28, 1, 1];
  const graph: Graph = {
    ...graphOf({ op: 'matMul' }, ['a', 'b']),
    inputDims: new Map([
      ['a', dims],
      ['b', dims],
    ]),
  };
  await refuses(runtime, () => InferenceSession.create(graph, { runtime }), /out of memory: 2147483648 bytes/);
  runtime.dispose();
});

test('images of 2 GiB and more are refused by what slides windows over them', async () => {
  const runtime = await createRuntime();
  const graph: Graph = {
    ...graphOf({ op: 'maxPool2d', window: { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pads: [0, 0, 0, 0] } }),
    inputDims: new Map([['x', [1, 1, 2 ** 14, 2 ** 13]]]),
  };
  const nodes = [{ ...graph.nodes[0]!, ceilMode: false, countIncludePad: false } as GraphNode];
  await refuses(
    runtime,
    () => InferenceSession.create({ ...graph, nodes }, { runtime }),
    /images of at most 2147483647/,
  );
  runtime.dispose();
});

test('a tensor of dims that no memory holds is refused, though it is empty', () => {
  assert.throws(() => new Tensor('float32', [], [0, 2 ** 31]), /at most 1073741824 values, got \[0, 2147483648\]/);
});

test('a tensor whose buffer was changed in size is refused', async () => {
  const runtime = await createRuntime();
  const buffer: Resizable = new (ArrayBuffer as unknown as ResizableConstructor)(64, { maxByteLength: 4096 });
  const tensor = new Tensor('float32', new Float32Array(buffer), [16]);
  for (const bytes of [4096, 32, 0]) {
    buffer.resize(bytes);
    await refuses(runtime, () => tensor.to(runtime), /hold 16 values, its data now has \d+/);
  }
  runtime.dispose();
});

/** Kernels of 1 x 5,867,443 with the same stride: 60 windows and a kernel of 12 bytes a column are 2^32 + 980 bytes. */
test('the widest kernels do not make the line of a thin image wrap', async () => {
  const runtime = await createRuntime({ simd: 'baseline' });
  const width = 5_867_443;
  await beside(runtime, () => {
    const conv = new Conv2d(runtime, {
      inChannels: 1,
      outChannels: 1,
      kernelSize: [1, width],
      stride: [1, width],
      bias: false,
    });
    const weight = new Tensor('float32', new Float32Array(width).fill(1), [1, 1, 1, width]);
    conv.loadStateDict({ weight });
    const image = new Tensor('float32', new Float32Array(width).fill(1), [1, 1, 1, width]);
    assert.equal([...take(conv.forward(image))], [width]);
    conv.dispose();
  });
  runtime.dispose();
});

test('what Winograd needs for the deepest products does not wrap', async () => {
  const runtime = (await createRuntime()) as Runtime & { kernels: Kernels };
  const { kernels } = runtime;
  for (let depth = 4; depth < 2 ** 29; depth = Math.ceil(depth * 1.01)) {
    for (const points of [16, 36, 42, 81]) {
      const bytes = kernels.winogradScratchBytes(points, 4, depth, 2 ** 29, false);
      assert.ok(bytes >= Math.min(2 ** 31 - 1, points * 4 * depth * 4), `depth ${depth}, ${points} points: ${bytes}`);
    }
  }
  runtime.dispose();
});

test('a job of more chunks than its ticket counts is cut into fewer', async () => {
  const runtimes = [await createRuntime({ simd: 'baseline', threads: 2 }), await createRuntime({ simd: 'baseline' })];
  if (!runtimes[0]!.capabilities.threads.available) return;
  const options = { inChannels: 16, outChannels: 16, kernelSize: 5, padding: 2, algorithm: 'winogradF1x4K5' } as const;
  const state = { weight: toTensor(randomNd(random, [16, 16, 5, 5])), bias: toTensor(randomNd(random, [16])) };
  const image = toTensor(randomNd(random, [1, 16, 1000, 1000]));
  const [two, one] = runtimes.map((runtime) => {
    const output = take(new Conv2d(runtime, options).loadStateDict(state).forward(image));
    runtime.dispose();
    return output;
  });
  assert.ok(sameBits(two!, one!));
});

test.run();
