/**
 * Accuracy of every algorithm: its largest error against float64 is at most three times that of a direct float32 sum,
 * on random and on ReLU'd inputs, 16 to 512 channels; the largest of 1,152 outputs, so that luck does not decide.
 */
import { Conv2d, createRuntime, Tensor } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { seededRandom, supportedBuilds } from './support.js';

const SIZE = 12;
const OUT_CHANNELS = 8;
const ALGORITHMS = { 3: ['gemm', 'winograd4x3', 'winograd2x3'], 5: ['gemm', 'winograd2x5'] } as const;

for (const build of await supportedBuilds()) {
  for (const kernel of [3, 5] as const) {
    for (const relu of [false, true]) {
      test(`${build}: ${kernel}x${kernel}, ${relu ? "ReLU'd" : 'random'} inputs`, async () => {
        const runtime = await createRuntime({ simd: build });
        const random = seededRandom(kernel * 2 + Number(relu));
        const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
        for (const channels of [16, 64, 256, 512]) {
          const x = Float32Array.from({ length: channels * SIZE * SIZE }, () =>
            relu ? Math.max(0, normal()) : normal(),
          );
          const w = Float32Array.from(
            { length: OUT_CHANNELS * channels * kernel * kernel },
            () => normal() / Math.sqrt(channels) / kernel,
          );
          const exact = convolve(x, w, channels, kernel, (sum, product) => sum + product);
          const direct = convolve(x, w, channels, kernel, (sum, product) => Math.fround(sum + Math.fround(product)));
          const allowed = 3 * largestDifference(direct, exact);
          for (const algorithm of ALGORITHMS[kernel]) {
            const options = {
              inChannels: channels,
              outChannels: OUT_CHANNELS,
              kernelSize: kernel,
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

function convolve(
  x: Float32Array,
  w: Float32Array,
  channels: number,
  kernel: number,
  add: (sum: number, product: number) => number,
): Float64Array {
  const out = new Float64Array(OUT_CHANNELS * SIZE * SIZE);
  const pad = kernel >> 1;
  for (let o = 0; o < OUT_CHANNELS; o++) {
    for (let y = 0; y < SIZE; y++) {
      for (let column = 0; column < SIZE; column++) {
        let sum = 0;
        for (let c = 0; c < channels; c++) {
          for (let ky = 0; ky < kernel; ky++) {
            for (let kx = 0; kx < kernel; kx++) {
              const [iy, ix] = [y + ky - pad, column + kx - pad];
              if (iy < 0 || ix < 0 || iy >= SIZE || ix >= SIZE) continue;
              sum = add(sum, x[(c * SIZE + iy) * SIZE + ix]! * w[((o * channels + c) * kernel + ky) * kernel + kx]!);
            }
          }
        }
        out[(o * SIZE + y) * SIZE + column] = sum;
      }
    }
  }
  return out;
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}

test.run();
