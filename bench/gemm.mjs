// npm run bench:gemm: how much of the v128 peak the inner GEMM reaches, and the whole convolution with im2col, on 3x3
// 64->64 @32. The three take turns, so that each ratio compares neighbouring moments; the quartiles tell how even the
// machine was. A busy neighbour on the same core slows the inner loop, which also loads, more than the peak.
import { Conv2d, createRuntime, Tensor } from 'acnet-wasm';
import { median } from './measure.mjs';
import { openTestKernels } from './testKernels.mjs';

const ROUNDS = 400;
const WARM_UP = 60;
const DEPTH = 576;

const runtime = await createRuntime({ simd: process.argv[2] ?? 'baseline' });
const { kernels, ptr } = openTestKernels(runtime.simd);
const rows = kernels.TILE_ROWS.value;
const [a, b, tile] = [0, 1 << 18, 1 << 19].map((offset) => ptr + offset);
const options = { inChannels: 64, outChannels: 64, kernelSize: 3, padding: 1, algorithm: 'gemm' };
const layer = new Conv2d(runtime, options);
const data = Float32Array.from({ length: 64 * 32 * 32 }, (_, i) => Math.sin(i));
const input = new Tensor('float32', data, [1, 64, 32, 32]).to(runtime);

const tasks = {
  peak: { flops: 20_000 * 96, run: () => kernels.multiplyAddPeak(20_000, 0.999, 0.001) },
  'inner GEMM': {
    flops: 60 * rows * 8 * 2 * DEPTH,
    run: () => {
      for (let i = 0; i < 60; i++) kernels.gemmTile(rows, 8, a, b, DEPTH, tile);
    },
  },
  convolution: { flops: 2 * 32 * 32 * 64 * DEPTH, run: () => layer.forward(input).dispose() },
};
const rates = Object.fromEntries(Object.keys(tasks).map((name) => [name, []]));
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, { flops, run }] of Object.entries(tasks)) {
    const start = performance.now();
    run();
    if (round >= WARM_UP) rates[name].push(flops / (performance.now() - start) / 1e6);
  }
}
console.log(
  `node ${process.versions.node}, ${runtime.simd} build, one thread; peak ${median(rates.peak).toFixed(1)} GF/s`,
);
for (const name of ['inner GEMM', 'convolution']) {
  const shares = rates[name].map((rate, i) => rate / rates.peak[i]).sort((x, y) => x - y);
  const at = (share) => `${(shares[Math.round((shares.length - 1) * share)] * 100).toFixed(0)} %`;
  console.log(`${name.padEnd(12)} ${at(0.5)} of the peak (quartiles ${at(0.25)}, ${at(0.75)})`);
}
runtime.dispose();
