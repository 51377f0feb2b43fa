/**
 * The GEMM micro-kernels against a float64 sum: every m up to the tile, both widths, depths around the loop's edges and
 * around the chunks; that a result does not depend on the tile; and every number of output
 * channels and pixels around the tile through a convolution.
 */
import { readFileSync } from 'node:fs';
import { instantiateSync } from '@assemblyscript/loader';
import { Conv2d, createRuntime } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as oracle from './oracle.js';
import { type Build, randomNd, relativeError, seededRandom, supportedBuilds, toTensor } from './support.js';
import type { TestKernels } from './testKernels.js';

/** The micro-kernels over a memory of their own, 16 MiB. */
interface Inside {
  readonly kernels: TestKernels;
  /** Address of memory for so many floats, until the next `clear`. */
  allocate(count: number): number;
  clear(): void;
  floats(ptr: number, count: number): Float32Array;
}

function openKernels(build: Build): Inside {
  const memory = new WebAssembly.Memory({ initial: 256, maximum: 256 });
  const { exports: kernels } = instantiateSync<TestKernels & Record<string, unknown>>(
    readFileSync(`build/test-kernels.${build}.wasm`),
    { env: { memory } },
  );
  const start = (kernels.heapBase() + 15) & ~15;
  let next = start;
  return {
    kernels,
    allocate: (count) => {
      const ptr = next;
      next += (count * 4 + 31) & ~15;
      assert.ok(next <= memory.buffer.byteLength);
      return ptr;
    },
    clear: () => {
      next = start;
    },
    floats: (ptr, count) => new Float32Array(memory.buffer, ptr, count),
  };
}

const CONV = {
  stride: [1, 1],
  dilation: [1, 1],
  pads: [0, 3, 0, 3],
  paddingMode: 'zeros',
  groups: 1,
} as const;
const DEPTHS = [1, 2, 3, 4, 5, 8, 33, 63, 64, 65, 127, 128, 129, 200];
const STREAMED_DEPTHS = [1, 127, 128, 255, 256, 300, 384, 512, 513, 640, 1024, 1100, 1536];
const ROW_FLOATS = 8;

for (const build of await supportedBuilds()) {
  const inside = openKernels(build);
  const { kernels } = inside;
  const [rows, streamRows, chunk] = [kernels.TILE_ROWS.value, kernels.STREAM_ROWS.value, kernels.DEPTH_CHUNK.value];

  test(`${build}: a tile of every m, width and depth`, () => {
    const random = seededRandom(7);
    for (let m = 1; m <= rows; m++) {
      for (const columns of [4, 8]) {
        for (const depth of DEPTHS) checkTile(inside, 'gemmTile', m, columns, depth, random);
      }
    }
  });

  test(`${build}: a streamed tile of every m, width and depth`, () => {
    const random = seededRandom(17);
    for (let m = 1; m <= streamRows; m++) {
      for (const columns of [4, 8]) {
        for (const depth of STREAMED_DEPTHS) checkTile(inside, 'streamedTile', m, columns, depth, random);
      }
    }
  });

  test(`${build}: a row of a tile has the same bits whatever tile it is in`, () => {
    const random = seededRandom(11);
    const depth = 100;
    const a = Array.from({ length: rows }, () => Float32Array.from({ length: depth }, () => random() - 0.5));
    const b = Float32Array.from({ length: depth * 8 }, () => random() - 0.5);
    const results = new Set<string>();
    for (let m = 1; m <= rows; m++) results.add(runTile(inside, 'gemmTile', a.slice(0, m), b, 8).slice(0, 8).join());
    assert.is(results.size, 1);
    const deep = a.slice(0, streamRows).map((row) => Float32Array.from({ length: 700 }, (_, k) => row[k % depth]!));
    const deepB = Float32Array.from({ length: 700 * 8 }, () => random() - 0.5);
    const streamed = new Set<string>();
    for (let m = 1; m <= streamRows; m++) {
      streamed.add(runTile(inside, 'streamedTile', deep.slice(0, m), deepB, 8).slice(0, 8).join());
    }
    assert.is(streamed.size, 1);
  });

  test(`${build}: the tiles of a batch have the bits of each`, () => {
    inside.clear();
    const random = seededRandom(19);
    const values = 16 * 8 * chunk;
    const [a, b, tiles] = [inside.allocate(values), inside.allocate(values), inside.allocate(5 * 6 * 8)];
    for (const ptr of [a, b]) inside.floats(ptr, values).set(Array.from({ length: values }, () => random() - 0.5));
    const results = (at: number, m: number): string => inside.floats(tiles + at * m * 32, m * 8).join();
    for (const m of [4, 5, 6].filter((height) => height <= rows)) {
      for (const depth of [1, 2, 3, 12, 16, 31, 64, 127, 128]) {
        // Panels of A side by side, one after the other, one with panels of B, and two with two.
        const steps = [
          [depth, 2 * depth, 0, 0],
          [depth, m * chunk, 0, 0],
          [0, 0, 8 * depth, 16 * depth],
          [depth, 0, 0, 8 * depth],
        ] as const;
        for (const inFloats of steps) {
          const [step, pairStep, bStep, bPairStep] = inFloats.map((count) => count * 4) as [
            number,
            number,
            number,
            number,
          ];
          for (let count = 1; count <= 4; count++) {
            inside.floats(tiles, 5 * m * 8).fill(7);
            kernels.gemmMicroBatch(m, count, a, step, pairStep, b, bStep, bPairStep, depth, tiles);
            for (let n = 0; n < 4; n++) {
              const [pair, odd] = [n >> 1, n & 1];
              const [aPtr, bPtr] = [a + pair * pairStep + odd * step, b + pair * bPairStep + odd * bStep];
              if (n < count) kernels.gemmTile(m, 8, aPtr, bPtr, depth, tiles + 4 * m * 32);
              else inside.floats(tiles + 4 * m * 32, m * 8).fill(7);
              assert.is(
                results(n, m),
                results(4, m),
                `m ${m}, depth ${depth}, tile ${n} of ${count}, steps ${inFloats}`,
              );
            }
          }
        }
      }
    }
  });

  for (const inChannels of [3, 12]) {
    test(`${build}: every number of output channels and pixels around the tile, ${inChannels} input channels`, async () => {
      const runtime = await createRuntime({ simd: build });
      const random = seededRandom(13);
      for (let outChannels = 1; outChannels <= 17; outChannels++) {
        for (const width of [1, 2, 3, 4, 5, 6, 7, 11, 13, 20, 26, 61]) {
          const layer = new Conv2d(runtime, {
            inChannels,
            outChannels,
            kernelSize: [1, 6],
            padding: [0, 3],
            algorithm: 'gemm',
          });
          const [w, bias, x] = [[outChannels, inChannels, 1, 6], [outChannels], [1, inChannels, 1, width]].map((dims) =>
            randomNd(random, dims),
          ) as unknown as [oracle.Nd, oracle.Nd, oracle.Nd];
          layer.loadStateDict({ weight: toTensor(w), bias: toTensor(bias) });
          const output = layer.forward(toTensor(x));
          const expected = oracle.conv2d(x, w, bias.data, CONV);
          const error = relativeError(output.data, expected.data);
          assert.ok(error <= 1e-6, `${outChannels} channels, width ${width}: ${error}`);
          output.dispose();
          layer.dispose();
        }
      }
      runtime.dispose();
    });
  }
}

function checkTile(
  inside: Inside,
  type: 'gemmTile' | 'streamedTile',
  m: number,
  columns: number,
  depth: number,
  random: () => number,
): void {
  const a = Array.from({ length: m }, () => Float32Array.from({ length: depth }, () => random() * 2 - 1));
  const b = Float32Array.from({ length: depth * columns }, () => random() * 2 - 1);
  const tile = runTile(inside, type, a, b, columns);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let k = 0; k < depth; k++) sum += a[i]![k]! * b[k * columns + j]!;
      const got = tile[i * ROW_FLOATS + j]!;
      assert.ok(
        Math.abs(got - sum) <= 1e-7 * depth,
        `m ${m}, columns ${columns}, depth ${depth}, [${i}, ${j}]: ${got}, not ${sum}`,
      );
    }
  }
}

/** Packs A in chunks, runs the micro-kernel, returns the tile, whose rows are 32 bytes apart. */
function runTile(
  inside: Inside,
  type: 'gemmTile' | 'streamedTile',
  a: Float32Array[],
  b: Float32Array,
  columns: number,
): number[] {
  const chunk = inside.kernels.DEPTH_CHUNK.value;
  const [m, depth] = [a.length, a[0]!.length];
  const panels = Math.ceil(depth / chunk) * m * chunk;
  inside.clear();
  const [aPtr, bPtr, tilePtr] = [panels, b.length, 48].map(inside.allocate) as [number, number, number];
  const packed = inside.floats(aPtr, panels);
  for (let i = 0; i < m; i++) {
    for (let k = 0; k < depth; k++) packed[(Math.floor(k / chunk) * m + i) * chunk + (k % chunk)] = a[i]![k]!;
  }
  inside.floats(bPtr, b.length).set(b);
  inside.kernels[type](m, columns, aPtr, bPtr, depth, tilePtr);
  return [...inside.floats(tilePtr, m * ROW_FLOATS)];
}

test.run();
