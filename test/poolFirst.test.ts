/**
 * A mean before a 1x1 convolution instead of after it (src/passes/poolFirst.ts): where that is done and where not, and
 * that the network still computes the same, against float64.
 */
import { createRuntime, type Graph, InferenceSession } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as passes from '../src/passes/poolFirst.js';
import { runGraph } from './graphOracle.js';
import { graphFrom, type NodeSpec } from './graphSpec.js';
import { randomNd, relativeError, seededRandom, supportedBuilds, toTensor } from './support.js';

const CHANNELS = 8;
const POINT = { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pads: [0, 0, 0, 0] };
const HALF = { kernel: [2, 2], stride: [2, 2], dilation: [1, 1], pads: [0, 0, 0, 0] };
const UNEVEN = { kernel: [3, 2], stride: [1, 2], dilation: [1, 1], pads: [0, 0, 0, 0] };

const poolFirst = passes.poolFirst as unknown as (graph: Graph) => Graph;

/** A convolution and a pool behind it, changed as it says. */
function transition(conv: object = {}, pool: object = {}, random = seededRandom(1)): Graph {
  const { window = POINT, groups = 1 } = conv as { window?: typeof POINT; groups?: number };
  const tensor = (...dims: number[]) => toTensor(randomNd(random, dims));
  const common = { path: '', layer: 'Test' };
  const weight = tensor(6, CHANNELS / groups, ...window.kernel);
  const node = { op: 'conv2d', ...common, inputs: ['x'], output: 'c', weight, bias: tensor(6), window, groups };
  const mean = { op: 'avgPool2d', ...common, inputs: ['c'], output: 'y', window: HALF };
  const nodes = [
    { ...node, paddingMode: 'zeros', ...conv },
    { ...mean, ceilMode: false, countIncludePad: true, ...pool },
  ] as unknown as NodeSpec[];
  return graphFrom({ inputs: ['x'], outputs: ['y'], nodes });
}

const orderOf = (graph: Graph): string =>
  poolFirst(graph)
    .nodes.map(({ op }) => op)
    .join(' ');

test('a mean goes before a 1x1 convolution', () => {
  for (const pool of [{}, { window: UNEVEN }, { countIncludePad: false }]) {
    assert.is(orderOf(transition({}, pool)), 'avgPool2d conv2d', JSON.stringify(pool));
  }
  assert.is(orderOf(transition({}, { op: 'globalAvgPool2d' })), 'globalAvgPool2d conv2d');
  assert.is(orderOf(transition({ groups: 2 })), 'avgPool2d conv2d');
});

test('it stays behind what is more than a linear function of a pixel, and where a mean counts padding', () => {
  const padded = { ...HALF, pads: [1, 1, 1, 1] };
  const graphs = [
    transition({ relu: true }),
    transition({ inputs: ['x', 'x'] }),
    transition({ window: { ...POINT, kernel: [3, 3] } }),
    transition({ window: { ...POINT, stride: [1, 2] } }),
    transition({ window: { ...POINT, pads: [0, 1, 0, 1] } }),
    transition({}, { window: padded }),
    transition({}, { ceilMode: true }),
    transition({}, { window: { ...HALF, stride: [1, 1] } }),
    transition({}, { op: 'maxPool2d' }),
    { ...transition(), outputs: ['y', 'c'] },
  ];
  for (const graph of graphs) assert.is(poolFirst(graph), graph);
});

test('an error speaks of the dims that the convolution would have had', async () => {
  const runtime = await createRuntime({ simd: 'baseline' });
  const session = await InferenceSession.create(transition(), { runtime, reparameterize: false });
  const x = toTensor(randomNd(seededRandom(2), [1, 2, 6, 6]));
  const error = await session.run({ x }).then(
    () => undefined,
    (reason: Error) => reason,
  );
  assert.instance(error, RangeError);
  assert.match(error!.message, '[1, 2, 6, 6]');
  runtime.dispose();
});

for (const build of await supportedBuilds()) {
  test(`${build}: the same results`, async () => {
    const runtime = await createRuntime({ simd: build });
    const random = seededRandom(3);
    for (const groups of [1, 2]) {
      for (const pool of [{}, { window: UNEVEN }, { op: 'globalAvgPool2d' }]) {
        const graph = transition({ groups }, pool, random);
        assert.is.not(poolFirst(graph), graph);
        const session = await InferenceSession.create(graph, { runtime, reparameterize: false });
        for (const size of [3, 4, 7, 16]) {
          const x = randomNd(random, [2, CHANNELS, size, size]);
          const { y } = await session.run({ x: toTensor(x) });
          const expected = runGraph(graph, { x }).y!;
          assert.equal(y!.dims, expected.dims);
          assert.ok(relativeError(y!.data, expected.data) <= 1e-6, `${JSON.stringify(pool)}, ${size}`);
        }
        await session.release();
      }
    }
    runtime.dispose();
  });
}

test.run();
