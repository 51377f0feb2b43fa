/**
 * Accuracy of every algorithm: its largest error against float64 is at most three times that of a direct float32 sum,
 * on random and on ReLU'd inputs, 16 to 512 channels (384 are the most that stride 2 has working memory for); the largest
 * of 6,272 outputs (1,568 with stride 2), so that luck does not decide. 14 is not a multiple of 4: F(4x4, 3x3) has half
 * tiles there.
 */
import { Conv2d, createRuntime, Tensor } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { seededRandom, supportedBuilds } from './support.js';

const SIZE = 14;
const OUT_CHANNELS = 32;
const CASES = [
  { kernel: 3, stride: 1, most: 512, algorithms: ['gemm', 'winogradF4x4K3', 'winogradF2x2K3'] },
  { kernel: 3, stride: 2, most: 384, algorithms: ['gemm', 'winogradF4x4K3S2'] },
  { kernel: 5, stride: 1, most: 512, algorithms: ['gemm', 'winogradF2x3K5', 'winogradF1x4K5'] },
] as const;

for (const build of await supportedBuilds()) {
  for (const { kernel, stride, most, algorithms } of CASES) {
    for (const relu of [false, true]) {
      test(`${build}: ${kernel}x${kernel}, stride ${stride}, ${relu ? "ReLU'd" : 'random'} inputs`, async () => {
        const runtime = await createRuntime({ simd: build });
        const random = seededRandom(kernel * 2 + Number(relu));
        const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
        for (const channels of [16, 64, 256, most]) {
          const x = Float32Array.from({ length: channels * SIZE * SIZE }, () =>
            relu ? Math.max(0, normal()) : normal(),
          );
          const w = Float32Array.from(
            { length: OUT_CHANNELS * channels * kernel * kernel },
            () => normal() / Math.sqrt(channels) / kernel,
          );
          const { exact, direct } = convolve(x, w, channels, kernel, stride);
          const allowed = 3 * largestDifference(direct, exact);
          for (const algorithm of algorithms) {
            const options = {
              inChannels: channels,
              outChannels: OUT_CHANNELS,
              kernelSize: kernel,
              stride,
              padding: kernel >> 1,
            };
            const layer = new Conv2d(runtime, { ...options, bias: false, algorithm });
            layer.loadStateDict({ weight: new Tensor('float32', w, [OUT_CHANNELS, channels, kernel, kernel]) });
            const got = layer.forward(new Tensor('float32', x, [1, channels, SIZE, SIZE])).data;
            const error = largestDifference(got, exact);
            assert.ok(error <= allowed, `${algorithm}, ${channels} channels: ${error}, allowed ${allowed}`);
            layer.dispose();
          }
        }
        runtime.dispose();
      });
    }
  }
}

/** The convolution in float64, and summed one float32 at a time. */
function convolve(
  x: Float32Array,
  w: Float32Array,
  channels: number,
  kernel: number,
  stride: number,
): { exact: Float64Array; direct: Float64Array } {
  const outSize = SIZE / stride;
  const exact = new Float64Array(OUT_CHANNELS * outSize * outSize);
  const direct = new Float64Array(exact.length);
  const pad = kernel >> 1;
  for (let at = 0; at < exact.length; at++) {
    const o = Math.floor(at / outSize / outSize);
    const y = (Math.floor(at / outSize) % outSize) * stride;
    const column = (at % outSize) * stride;
    let sum = 0;
    let rounded = 0;
    for (let c = 0; c < channels; c++) {
      for (let ky = 0; ky < kernel; ky++) {
        for (let kx = 0; kx < kernel; kx++) {
          const [iy, ix] = [y + ky - pad, column + kx - pad];
          if (iy < 0 || ix < 0 || iy >= SIZE || ix >= SIZE) continue;
          const product = x[(c * SIZE + iy) * SIZE + ix]! * w[((o * channels + c) * kernel + ky) * kernel + kx]!;
          sum += product;
          rounded = Math.fround(rounded + Math.fround(product));
        }
      }
    }
    exact[at] = sum;
    direct[at] = rounded;
  }
  return { exact, direct };
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}

test.run();
