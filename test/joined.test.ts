/**
 * Concatenations whose parts are made at their places (src/plan/memory/joined.ts): random graphs of convolutions, BatchNorms and
 * concatenations, nested and with several readers, against float64.
 */
import { createRuntime, type Graph, InferenceSession, Tensor } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { useAllOperations } from '../src/graph/operations.js';
import { findHomes } from '../src/plan/memory/joined.js';
import { runGraph } from './graphOracle.js';
import { graphFrom, type NodeSpec } from './graphSpec.js';
import { randomNd, relativeError, seededRandom, supportedBuilds, toTensor } from './support.js';

const GRAPHS = 60;
const SIZE = [5, 6] as const;

function denseGraph(random: () => number): Graph {
  const nodes: NodeSpec[] = [];
  const channels = new Map([['x', 8]]);
  const pick = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)]!;
  const tensor = (dims: readonly number[], low = -1, high = 1) => toTensor(randomNd(random, dims, low, high));
  const add = (node: object, count: number): string => {
    const output = `value${nodes.length}`;
    nodes.push({ path: output, ...node, output } as unknown as NodeSpec);
    channels.set(output, count);
    return output;
  };
  const conv = (input: string): string => {
    const out = pick([4, 4, 8, 12, 5]);
    const weight = tensor([out, channels.get(input)!, 3, 3], -0.3, 0.3);
    const window = { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pads: [1, 1, 1, 1] };
    const algorithm = pick([undefined, 'winogradF4x4K3', 'winogradF2x2K3']);
    const how = {
      paddingMode: 'zeros',
      groups: 1,
      ...(algorithm && { algorithm }),
      ...(random() < 0.3 && { relu: true }),
    };
    return add({ op: 'conv2d', inputs: [input], weight, bias: undefined, window, ...how }, out);
  };
  const norm = (input: string): string => {
    const count = channels.get(input)!;
    const [gamma, beta, mean] = [0, 1, 2].map(() => tensor([count]));
    const statistics = { gamma, beta, mean, variance: tensor([count], 0.5, 2), eps: 1e-5 };
    return add({ op: 'batchNorm', inputs: [input], norm: statistics, momentum: undefined, relu: true }, count);
  };
  const outputs: string[] = [];
  let state = random() < 0.5 ? 'x' : conv('x');
  for (let layer = 0; layer < 4; layer++) {
    const grown = conv(random() < 0.8 ? norm(state) : state);
    const parts = random() < 0.8 ? [state, grown] : [grown, state, conv(state)];
    if (random() < 0.1) parts.push(grown);
    if (random() < 0.1) add({ op: 'relu', inputs: [state] }, channels.get(state)!);
    if (random() < 0.2) outputs.push(add({ op: 'flatten', inputs: [state], axis: 1 }, 0));
    const count = parts.reduce((sum, part) => sum + channels.get(part)!, 0);
    state = add({ op: 'concat', inputs: parts, axis: 1 }, count);
  }
  outputs.push(random() < 0.5 ? state : norm(state));
  if (random() < 0.2)
    outputs.push(pick([...channels.keys()].filter((name) => name !== 'x' && !outputs.includes(name))));
  return graphFrom({ inputs: ['x'], outputs, nodes, inputDims: new Map([['x', [-1, 8, ...SIZE]]]) });
}

for (const build of await supportedBuilds()) {
  test(`${build}: random dense blocks`, async () => {
    const runtime = await createRuntime({ simd: build });
    const random = seededRandom(31);
    for (let i = 0; i < GRAPHS; i++) {
      const graph = denseGraph(random);
      const x = randomNd(random, [1 + (i % 2), 8, ...SIZE]);
      const expected = runGraph(graph, { x });
      const session = await InferenceSession.create(graph, { runtime, reparameterize: false });
      // Twice: what the first run leaves in memory must not matter.
      for (let run = 0; run < 2; run++) {
        const outputs = await session.run({ x: toTensor(x) });
        for (const [name, { data }] of Object.entries(expected)) {
          const error = relativeError(outputs[name]!.data, data);
          assert.ok(error <= 1e-5, `graph ${i}, ${name}: ${error}`);
        }
      }
      await session.release();
    }
    runtime.dispose();
  });
}

test('parts are made at their places unless somebody else needs them elsewhere', () => {
  const conv = (input: string, output: string, out: number): NodeSpec => {
    const window = { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pads: [0, 0, 0, 0] };
    const weight = new Tensor('float32', new Float32Array(out * 8), [out, 8, 1, 1]);
    return { op: 'conv2d', inputs: [input], output, weight, window, groups: 1 } as NodeSpec;
  };
  const join = (inputs: string[], output: string): NodeSpec => {
    return { op: 'concat', inputs, output, axis: 1 } as NodeSpec;
  };
  const nodes = [
    conv('x', 'a', 8),
    conv('x', 'b', 4),
    join(['a', 'b'], 'ab'),
    conv('x', 'odd', 5),
    conv('x', 'behind', 4),
    conv('x', 'read', 4),
    { op: 'relu', inputs: ['read'], output: 'positive' },
    join(['x', 'ab', 'odd', 'behind', 'read'], 'all'),
  ];
  const graph = graphFrom({ inputs: ['x'], outputs: ['all', 'positive'], nodes });
  const channels = { x: 8, a: 8, b: 4, ab: 12, odd: 5, behind: 4, read: 4, positive: 4, all: 33 };
  const shapes = new Map(Object.entries(channels).map(([name, count]) => [name, [1, count, 2, 2]]));
  useAllOperations();
  const wanted = new Map([...shapes.keys()].map((name) => [name, 'channelsLast' as const]));
  const homes = Object.fromEntries(findHomes(graph as unknown as Parameters<typeof findHomes>[0], shapes, wanted));
  assert.equal(homes, {
    a: { value: 'ab', channel: 0 },
    b: { value: 'ab', channel: 8 },
    ab: { value: 'all', channel: 8 },
  });
});

test.run();
