/**
 * Every Winograd scheme over every size of image around its tiles, up to two tiles and a remainder, and around its runs
 * of tiles, with an addend that is another value or the image itself, with and without a ReLU after it, and with
 * channels that fill vectors and panels or do not.
 */
import { type Graph, InferenceSession, type Runtime } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { graphFrom } from './graphSpec.js';
import * as oracle from './oracle.js';
import { largestDifference, randomNd, seededRandom, supportedBuilds, toTensor, withRuntime } from './support.js';

const SCHEMES = [
  { algorithm: 'winogradF4x4K3', kernel: 3, stride: 1, most: 11, run: 16 },
  { algorithm: 'winogradF2x2K3', kernel: 3, stride: 1, most: 5, run: 16 },
  { algorithm: 'winogradF2x3K5', kernel: 5, stride: 1, most: 8, run: 12 },
  { algorithm: 'winogradF1x4K5', kernel: 5, stride: 1, most: 11, run: 4 },
  { algorithm: 'winogradF4x4K3S2', kernel: 3, stride: 2, most: 11, run: 8 },
] as const;
const CHANNELS = [
  [3, 1],
  [4, 4],
  [5, 9],
  [12, 12],
  [9, 17],
  [20, 7],
] as const;

type Scheme = (typeof SCHEMES)[number];

function graphOf(scheme: Scheme, weight: oracle.Nd, bias: oracle.Nd, addend: string | undefined, relu: boolean): Graph {
  const pad = scheme.kernel >> 1;
  const node = {
    op: 'conv2d' as const,
    inputs: addend === undefined ? ['x'] : ['x', addend],
    output: 'y',
    weight: toTensor(weight),
    bias: toTensor(bias),
    window: {
      kernel: [scheme.kernel, scheme.kernel] as const,
      stride: [scheme.stride, scheme.stride] as const,
      dilation: [1, 1] as const,
      pads: [pad, pad, pad, pad] as const,
    },
    paddingMode: 'zeros' as const,
    groups: 1,
    relu,
    algorithm: scheme.algorithm,
  };
  return graphFrom({ inputs: addend === 'r' ? ['x', 'r'] : ['x'], outputs: ['y'], nodes: [node] });
}

async function checkSize(runtime: Runtime, scheme: Scheme, outHeight: number, outWidth: number): Promise<void> {
  const turn = outHeight * scheme.most + outWidth;
  const random = seededRandom(turn);
  const [inChannels, outChannels] = CHANNELS[turn % CHANNELS.length]!;
  const [height, width] = [outHeight, outWidth].map((size) => (size - 1) * scheme.stride + 1 + (turn % scheme.stride));
  const x = randomNd(random, [2, inChannels, height!, width!]);
  const weight = randomNd(random, [outChannels, inChannels, scheme.kernel, scheme.kernel]);
  const bias = randomNd(random, [outChannels]);
  const own = inChannels === outChannels && scheme.stride === 1 && turn % 2 === 0;
  const addend = own ? 'x' : turn % 3 === 0 ? undefined : 'r';
  const r = own ? x : randomNd(random, [2, outChannels, outHeight, outWidth]);
  const relu = turn % 4 < 2;
  const session = await InferenceSession.create(graphOf(scheme, weight, bias, addend, relu), { runtime });
  const feeds = { x: toTensor(x), ...(addend === 'r' && { r: toTensor(r) }) };
  const { y } = session.runSync(feeds);
  const pad = scheme.kernel >> 1;
  const options: oracle.ConvOptions = {
    stride: [scheme.stride, scheme.stride],
    dilation: [1, 1],
    pads: [pad, pad, pad, pad],
    paddingMode: 'zeros',
    groups: 1,
  };
  const sum = oracle.conv2d(x, weight, bias.data, options);
  const added = addend === undefined ? sum : oracle.add(sum, r);
  const expected = relu ? oracle.relu(added) : added;
  assert.equal([...y!.dims], [...expected.dims]);
  // Relative to what is added up, as outputs may cancel out.
  const error = largestDifference(y!.data as Float32Array, expected.data);
  const scale = oracle.convolutionScale(x, weight, bias.data, options) + 1;
  const what = `${outHeight} x ${outWidth}, ${inChannels}->${outChannels}, addend ${addend}`;
  assert.ok(error <= 1e-6 * scale, `${what}: ${error} of ${scale}`);
  session.release();
}

for (const build of await supportedBuilds()) {
  for (const scheme of SCHEMES) {
    test(`${build}: ${scheme.algorithm}, every size up to ${scheme.most} x ${scheme.most}, with addends`, () =>
      withRuntime(build, async (runtime) => {
        for (let height = 1; height <= scheme.most; height++) {
          for (let width = 1; width <= scheme.most; width++) await checkSize(runtime, scheme, height, width);
          // Neighbours that share a transform: whole runs, one pixel less or more, two runs and a tile.
          const { run } = scheme;
          for (const width of [run - 1, run, run + 1, run + 2, 2 * run + 3]) {
            await checkSize(runtime, scheme, height, width);
          }
        }
      }));
  }
}

test.run();
