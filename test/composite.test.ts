/** Networks that users wire themselves: residual blocks, what is refused, and that refusals leave nothing behind. */
import {
  ACBlock,
  Add,
  Composite,
  Conv2d,
  createRuntime,
  InferenceSession,
  Layer,
  ReLU,
  Sequential,
  Tensor,
  type Wiring,
} from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { largestDifference } from './support.js';

const runtime = await createRuntime({ simd: 'baseline' });
const block = (): ACBlock => new ACBlock(runtime, { inChannels: 4, outChannels: 4, kernelSize: 3, padding: 1 });
const wiring: Wiring = (x, apply) => apply('relu', apply('add', apply('block', x), x));
const residual = (inner: Layer): Composite =>
  new Composite(runtime, { block: inner, add: new Add(runtime), relu: new ReLU(runtime) }, wiring);
const image = new Tensor(
  'float32',
  Float32Array.from({ length: 4 * 36 }, (_, i) => Math.sin(i)),
  [1, 4, 6, 6],
);

function values(layer: Layer): Float32Array {
  const output = layer.forward(image);
  const { data } = output;
  output.dispose();
  return data;
}

test('a residual block computes what its layers say, in both forms', async () => {
  const inner = block();
  const net = residual(inner).eval();
  assert.instance(net, Layer);
  const alone = values(inner);
  const expected = alone.map((value, i) => Math.max(0, value + image.data[i]!));
  assert.ok(largestDifference(values(net), expected) <= 1e-6);
  assert.ok(Object.keys(net.stateDict()).every((key) => key.startsWith('block.')));
  const session = await InferenceSession.create(net);
  const outputs = await session.run({ input: image });
  assert.ok(largestDifference(Object.values(outputs)[0]!.data, expected) <= 1e-5);
  session.release();
  net.switchToDeploy();
  assert.is(inner.form, 'deploy');
  assert.ok(largestDifference(values(net), expected) <= 1e-5);
  net.dispose();
});

test('a composite can be in a chain, and a chain in a composite', () => {
  const inner = block();
  const chain = new Sequential(runtime, [residual(inner), new ReLU(runtime)]).eval();
  const nested = residual(new Sequential(runtime, { only: block().loadStateDict(inner.stateDict()) })).eval();
  assert.equal(values(chain), values(nested));
  for (const layer of [chain, nested]) layer.dispose();
});

test('what is no network is refused, in words', () => {
  const relu = new ReLU(runtime);
  const make = (layers: unknown, wire: unknown) => () =>
    new Composite(runtime, layers as Record<string, Layer>, wire as Wiring);
  assert.throws(make(undefined, wiring), /^Composite: layers must be an array or a record of layers, got undefined$/);
  assert.throws(make({}, wiring), /^Composite: layers must hold at least one layer, got none$/);
  assert.throws(make({ relu: 3 }, wiring), /^Composite: relu must be a layer, got 3$/);
  assert.throws(make({ relu }, undefined), /^Composite: wiring must be a function, got undefined$/);
  const wired = (wire: unknown) => () => values(new Composite(runtime, { relu }, wire as Wiring));
  const apply = (name: string, ...inputs: unknown[]) =>
    wired((_x: string, use: (...all: unknown[]) => string) => use(name, ...inputs));
  assert.throws(apply('gelu', 'input0'), /Composite\.forward: wiring must apply one of its layers, got "gelu"$/);
  assert.throws(apply('relu', undefined), /wiring must use its input and what apply returns, got undefined$/);
  assert.throws(apply('relu', 'relu'), /wiring must use its input and what apply returns, got "relu"$/);
  assert.throws(apply('relu'), /there must be 1 input, got 0$/);
  assert.throws(
    wired(() => undefined),
    /wiring must use its input and what apply returns, got undefined$/,
  );
  relu.dispose();
});

test('a layer of another runtime is refused', async () => {
  const other = await createRuntime({ simd: 'baseline' });
  const conv = new Conv2d(other, { inChannels: 4, outChannels: 4, kernelSize: 1 });
  assert.throws(() => residual(conv), /^Composite: block belongs to another runtime$/);
  other.dispose();
});

test('nothing is left', () => {
  assert.is(runtime.memory.used, 0);
  runtime.dispose();
});

test.run();
