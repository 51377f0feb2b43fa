/**
 * Weights so large that they are laid out for several streams: read in streams by few pixels and in order by many, by every
 * algorithm, with depths that fill chunks and others, against float64 and with 1, 2 and 3 threads.
 */
import { Conv2d, createRuntime, Linear, Tensor } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as oracle from './oracle.js';
import { randomNd, relativeError, sameBits, seededRandom, supportedBuilds, toTensor } from './support.js';

const CASES = [
  { algorithm: 'gemm', inChannels: 300, outChannels: 260, kernel: 3, groups: 1 },
  { algorithm: 'gemm', inChannels: 600, outChannels: 520, kernel: 3, groups: 2 },
  { algorithm: 'gemm', inChannels: 512, outChannels: 132, kernel: 3, groups: 1 },
  { algorithm: 'winogradF4x4K3', inChannels: 256, outChannels: 68, kernel: 3, groups: 1 },
  { algorithm: 'winogradF4x4K3', inChannels: 300, outChannels: 60, kernel: 3, groups: 1 },
  { algorithm: 'winogradF2x2K3', inChannels: 518, outChannels: 77, kernel: 3, groups: 1 },
  { algorithm: 'winogradF1x4K5', inChannels: 200, outChannels: 90, kernel: 5, groups: 1 },
  { algorithm: 'winogradF2x3K5', inChannels: 270, outChannels: 60, kernel: 5, groups: 1 },
  { algorithm: 'winogradF4x4K3S2', inChannels: 260, outChannels: 70, kernel: 3, groups: 1 },
] as const;
/** Batch, height and width: one pixel, few, and more than are read in streams. */
const IMAGES = [
  [1, 1, 1],
  [1, 2, 2],
  [2, 2, 2],
  [1, 3, 5],
  [2, 5, 13],
] as const;
/** As for whole networks; how exact the algorithms are is the subject of accuracy.test.ts. */
const TOLERANCE = 1e-5;

for (const build of await supportedBuilds()) {
  test(`${build}: convolutions with large weights`, async () => {
    const runtimes = await Promise.all([1, 2, 3].map((threads) => createRuntime({ simd: build, threads })));
    const random = seededRandom(23);
    for (const { algorithm, inChannels, outChannels, kernel, groups } of CASES) {
      const weight = randomNd(random, [outChannels, inChannels / groups, kernel, kernel]);
      const bias = randomNd(random, [outChannels]);
      const stride = algorithm === 'winogradF4x4K3S2' ? 2 : 1;
      const options = { inChannels, outChannels, kernelSize: kernel, stride, padding: kernel >> 1, groups, algorithm };
      const layers = runtimes.map((runtime) =>
        new Conv2d(runtime, options).loadStateDict({ weight: toTensor(weight), bias: toTensor(bias) }),
      );
      for (const [batch, height, width] of IMAGES) {
        const x = randomNd(random, [batch, inChannels, height, width]);
        const outputs = layers.map((layer) => layer.forward(toTensor(x)).data);
        const pad = kernel >> 1;
        const expected = oracle.conv2d(x, weight, bias.data, {
          stride: [stride, stride],
          dilation: [1, 1],
          pads: [pad, pad, pad, pad],
          paddingMode: 'zeros',
          groups,
        });
        const what = `${algorithm} ${inChannels}->${outChannels} on ${batch} x ${height} x ${width}`;
        const error = relativeError(outputs[0]!, expected.data);
        assert.ok(error <= TOLERANCE, `${what}: ${error}`);
        for (const output of outputs) assert.ok(sameBits(output, outputs[0]!), `${what}, threads`);
      }
      for (const layer of layers) layer.dispose();
    }
    for (const runtime of runtimes) runtime.dispose();
  });

  test(`${build}: a product that is deep for all that its image has three channels`, async () => {
    const runtime = await createRuntime({ simd: build });
    const random = seededRandom(41);
    const [weight, x] = [randomNd(random, [800, 3, 15, 15]), randomNd(random, [1, 3, 16, 16])];
    const layer = new Conv2d(runtime, {
      inChannels: 3,
      outChannels: 800,
      kernelSize: 15,
      bias: false,
      algorithm: 'gemm',
    });
    layer.loadStateDict({ weight: toTensor(weight) });
    const plain = { stride: [1, 1], dilation: [1, 1], pads: [0, 0, 0, 0], paddingMode: 'zeros', groups: 1 } as const;
    const error = relativeError(layer.forward(toTensor(x)).data, oracle.conv2d(x, weight, undefined, plain).data);
    assert.ok(error <= TOLERANCE, `${error}`);
    runtime.dispose();
  });

  test(`${build}: linear layers with large weights`, async () => {
    const runtimes = await Promise.all([1, 2].map((threads) => createRuntime({ simd: build, threads })));
    const random = seededRandom(29);
    for (const [inFeatures, outFeatures] of [
      [512, 1030],
      [3000, 180],
    ] as const) {
      const weight = randomNd(random, [outFeatures, inFeatures]);
      const bias = randomNd(random, [outFeatures]);
      const layers = runtimes.map((runtime) =>
        new Linear(runtime, { inFeatures, outFeatures }).loadStateDict({
          weight: toTensor(weight),
          bias: toTensor(bias),
        }),
      );
      for (const batch of [1, 2, 3, 4, 5, 16, 17]) {
        const x = randomNd(random, [batch, inFeatures]);
        const outputs = layers.map((layer) => layer.forward(new Tensor('float32', x.data, x.dims)).data);
        const error = relativeError(outputs[0]!, oracle.linear(x, weight, bias.data).data);
        assert.ok(error <= TOLERANCE, `${inFeatures}->${outFeatures}, batch ${batch}: ${error}`);
        assert.ok(sameBits(outputs[0]!, outputs[1]!), `${inFeatures}->${outFeatures}, batch ${batch}, threads`);
      }
      for (const layer of layers) layer.dispose();
    }
    for (const runtime of runtimes) runtime.dispose();
  });

  test(`${build}: no number of channels makes a transform write beyond its working memory`, async () => {
    const runtime = await createRuntime({ simd: build });
    const random = seededRandom(37);
    // The heap's first allocation lies behind the working memory.
    const behind = toTensor(randomNd(random, [1 << 15])).to(runtime);
    const before = behind.data;
    let computed = 0;
    for (const algorithm of [
      'winogradF4x4K3',
      'winogradF2x2K3',
      'winogradF2x3K5',
      'winogradF1x4K5',
      'winogradF4x4K3S2',
    ] as const) {
      for (const inChannels of [640, 768, 800, 896, 1024, 1920, 2048, 2432]) {
        const kernelSize = algorithm.endsWith('K5') ? 5 : 3;
        const stride = algorithm === 'winogradF4x4K3S2' ? 2 : 1;
        const options = { inChannels, outChannels: 4, kernelSize, stride, padding: kernelSize >> 1, algorithm };
        const layer = new Conv2d(runtime, options);
        const input = toTensor(randomNd(random, [1, inChannels, 20, 20]));
        try {
          layer.forward(input).dispose();
          computed++;
        } catch (error) {
          // There is not enough working memory for a single tile.
          assert.instance(error, RangeError);
        }
        layer.dispose();
        assert.ok(sameBits(behind.data, before), `${algorithm}, ${inChannels} channels`);
      }
    }
    assert.ok(computed > 5, `${computed} layers had room`);
    runtime.dispose();
  });
}

test.run();
