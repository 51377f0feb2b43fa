/**
 * The build that tests import finds and names kernels that write outside or leave something unwritten: here some are
 * made to. The shipped build has none of that.
 */
import { readFileSync } from 'node:fs';
import { ACBlock, BatchNorm2d, Conv2d, createRuntime, InferenceSession, type Runtime, type Tensor } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Heap } from '../src/runtime/heap.js';
import { graphFrom, type NodeSpec } from './graphSpec.js';
import { randomNd, seededRandom, toTensor } from './support.js';

type Kernel = (...args: number[]) => number | undefined;
type Internals = Runtime & { kernels: Record<string, Kernel>; heap: Heap; scratchPtr: number; scratchBytes: number };

const random = seededRandom(11);
const tensor = (...dims: number[]): Tensor => toTensor(randomNd(random, dims));

async function open(): Promise<Internals> {
  return (await createRuntime({ simd: 'baseline' })) as Internals;
}

async function runNode(runtime: Runtime, node: object, ...inputs: Tensor[]): Promise<void> {
  const names = inputs.map((_, i) => `x${i}`);
  const nodes = [{ path: 'here', inputs: names, output: 'y', ...node } as unknown as NodeSpec];
  const graph = graphFrom({ inputs: names, outputs: ['y'], nodes });
  const session = await InferenceSession.create(graph, { runtime, reparameterize: false });
  session.runSync(Object.fromEntries(inputs.map((input, i) => [`x${i}`, input])));
  await session.release();
}

const WINDOW = { kernel: [2, 2], stride: [1, 1], dilation: [1, 1], pads: [0, 0, 0, 0] };
const RESIZE = { op: 'resize', coordinates: 'half_pixel', rounding: 'floor', target: [7, 3] };
const POOL = { window: WINDOW, ceilMode: false, countIncludePad: false };
const conv = (runtime: Runtime, options: object, channels: number): void => {
  const layer = new Conv2d(runtime, { inChannels: channels, outChannels: channels, kernelSize: 3, ...options });
  layer.forward(tensor(1, channels, 7, 7)).dispose();
};

/** For each kernel that writes values: which of its arguments is where, and what calls it. */
const KERNELS: readonly [kernel: string, out: number, run: (runtime: Runtime) => unknown][] = [
  ['conv2d', 2, (runtime) => conv(runtime, { algorithm: 'gemm' }, 9)],
  ['winogradConv2d', 2, (runtime) => conv(runtime, { algorithm: 'winogradF4x4K3' }, 9)],
  ['depthwiseConv2d', 2, (runtime) => conv(runtime, { groups: 5 }, 5)],
  ['maxPool2d', 1, (runtime) => runNode(runtime, { op: 'maxPool2d', ...POOL }, tensor(1, 5, 4, 4))],
  ['avgPool2d', 1, (runtime) => runNode(runtime, { op: 'avgPool2d', ...POOL }, tensor(1, 5, 4, 4))],
  ['resizeNearest', 1, (runtime) => runNode(runtime, { ...RESIZE, mode: 'nearest' }, tensor(1, 5, 4, 4))],
  ['resizeLinear', 1, (runtime) => runNode(runtime, { ...RESIZE, mode: 'linear' }, tensor(1, 5, 4, 4))],
  ['globalAvgPool2d', 1, (runtime) => runNode(runtime, { op: 'globalAvgPool2d' }, tensor(2, 5, 4, 4))],
  ['globalMaxPool2d', 1, (runtime) => runNode(runtime, { op: 'globalMaxPool2d' }, tensor(2, 5, 4, 4))],
  ['unary', 2, (runtime) => runNode(runtime, { op: 'sigmoid' }, tensor(3, 5, 1))],
  ['binary', 4, (runtime) => runNode(runtime, { op: 'add' }, tensor(3, 5, 1), tensor(3, 1, 1))],
  ['binaryRange', 3, (runtime) => runNode(runtime, { op: 'add' }, tensor(3, 5, 1), tensor(3, 5, 1))],
  ['softmax', 1, (runtime) => runNode(runtime, { op: 'softmax', axis: 1 }, tensor(3, 5))],
  ['matMul', 2, (runtime) => runNode(runtime, { op: 'matMul' }, tensor(3, 5), tensor(5, 7))],
  ['copyStrided', 2, (runtime) => runNode(runtime, { op: 'transpose', permutation: [1, 0, 2] }, tensor(3, 5, 2))],
  ['reduceMean', 3, (runtime) => runNode(runtime, { op: 'reduceMean', axes: [1], keepDims: true }, tensor(3, 5, 2))],
  ['normalize', 2, (runtime) => new BatchNorm2d(runtime, { numFeatures: 5 }).eval().forward(tensor(1, 5, 3, 3))],
  ['toChannelsLast', 1, (runtime) => tensor(1, 5, 3, 3).to(runtime)],
];

for (const [name, out, run] of KERNELS) {
  test(`${name}: a float before its output is found`, async () => {
    const runtime = await open();
    const kernel = runtime.kernels[name]!;
    runtime.kernels[name] = (...args) => {
      const result = kernel(...args);
      runtime.heap.floats(args[out]! - 4, 1)[0] = 1;
      return result;
    };
    const error = await errorOf(() => run(runtime));
    assert.match(error, new RegExp(`red zones: .*\\b${name}\\b.* wrote 4 bytes before|4 bytes before .* given back`));
  });

  test(`${name}: what it leaves unwritten is found`, async () => {
    const runtime = await open();
    runtime.kernels[name] = () => undefined;
    // Kernels that are replaced are no longer noted.
    assert.match(await errorOf(() => run(runtime)), /red zones: .* left (channel|word) 0 .*unwritten/);
  });
}

test('a float behind the working memory is found', async () => {
  const runtime = await open();
  const { conv2d } = runtime.kernels;
  runtime.kernels.conv2d = (...args) => {
    runtime.heap.floats(runtime.scratchPtr + runtime.scratchBytes, 1)[0] = 1;
    return conv2d!(...args);
  };
  const error = await errorOf(() => conv(runtime, { algorithm: 'gemm' }, 3));
  assert.match(error, /conv2d \(value0\) \[.*conv2d.*\] wrote 0 bytes behind \d+ bytes \(the working memory\)/);
});

test('a lane behind the channels that is not zero is found', async () => {
  const runtime = await open();
  const { conv2d } = runtime.kernels;
  runtime.kernels.conv2d = (...args) => {
    conv2d!(...args);
    runtime.heap.floats(args[2]!, 4)[3] = 1;
    return undefined;
  };
  const error = await errorOf(() => conv(runtime, { algorithm: 'gemm' }, 3));
  assert.match(error, /left lane 3 behind channel 2 of pixel 0 not zero/);
});

test('a float behind a value that lies between others is found', async () => {
  const runtime = await open();
  const block = new ACBlock(runtime, { inChannels: 3, outChannels: 4, kernelSize: 3, padding: 1 }).train();
  const { normalize, batchStatistics } = runtime.kernels;
  let lanes = 0;
  let pixels = 0;
  runtime.kernels.batchStatistics = (...args) => {
    [pixels, lanes] = [args[1]!, args[2]!];
    return batchStatistics!(...args);
  };
  runtime.kernels.normalize = (...args) => {
    normalize!(...args);
    runtime.heap.floats(args[2]! + pixels * lanes * 4, 1)[0] = 1;
    return undefined;
  };
  assert.match(await errorOf(() => block.forward(tensor(1, 3, 5, 5))), /batchNorm .* wrote 0 bytes behind 400 bytes/);
});

test('nothing of it is in the package', () => {
  for (const file of ['index.js', 'worker.js', 'edge.js']) {
    assert.not.match(readFileSync(`dist/${file}`, 'utf8'), /red ?zones/i, file);
  }
});

async function errorOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    return (error as Error).message;
  }
  return 'no error';
}

test.run();
