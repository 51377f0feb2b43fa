/**
 * Convolutions with kernels of one column or row against a float64 oracle: tiles that are whole or not, every padding mode,
 * channels around vectors, panels and chunks of the depth; addends; that no cut changes the bits; and the layer that
 * uses them, also with values that a transform would spread.
 */
import { ACBlock, createRuntime, Tensor } from 'acnet-wasm';
import { backward } from 'acnet-wasm/train';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { windowTable } from '../src/plan/steps/windows.js';
import { LINE_CONV_DESCRIPTOR } from '../src/train/records.js';
import { type ConvOptions, conv2d, type Nd, type Pads, type Pair } from './oracle.js';
import { randomNd, relativeError, sameBits, seededRandom, supportedBuilds } from './support.js';
import { channelsLast, planar, TrainMemory } from './trainKernels.js';

/** What each thread of a runtime has. */
const SCRATCH_BYTES = 640 * 1024;
/** Relative to the largest output; a direct float32 sum errs half as much. */
const TOLERANCE = 5e-6;

interface Case {
  readonly batch?: number;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly size: Pair;
  readonly kernel: Pair;
  readonly pads?: Pads;
  readonly paddingMode?: ConvOptions['paddingMode'];
}

const CASES: readonly Case[] = [
  { inChannels: 16, outChannels: 16, size: [8, 12], kernel: [3, 1], pads: [1, 0, 1, 0] },
  { inChannels: 16, outChannels: 16, size: [12, 8], kernel: [1, 3], pads: [0, 1, 0, 1] },
  { inChannels: 20, outChannels: 50, size: [12, 12], kernel: [5, 1], pads: [0, -2, 0, -2] },
  { inChannels: 50, outChannels: 20, size: [8, 8], kernel: [1, 5], pads: [2, 4, 2, 4] },
  { inChannels: 8, outChannels: 12, size: [4, 5], kernel: [1, 5], pads: [3, 4, 3, 4] },
  { inChannels: 8, outChannels: 12, size: [4, 5], kernel: [3, 1], pads: [2, 2, 2, 3] },
  { inChannels: 1, outChannels: 3, size: [7, 9], kernel: [3, 1], pads: [0, 1, 0, 0] },
  { inChannels: 5, outChannels: 13, size: [3, 1], kernel: [1, 3], pads: [0, 2, 1, 1] },
  { inChannels: 130, outChannels: 9, size: [6, 5], kernel: [5, 1], pads: [2, 0, 2, 0] },
  { inChannels: 300, outChannels: 8, size: [4, 9], kernel: [1, 3], pads: [0, 1, 0, 1] },
  { batch: 7, inChannels: 33, outChannels: 7, size: [10, 11], kernel: [3, 1], pads: [1, 0, 1, 0] },
  ...(['reflect', 'replicate', 'circular'] as const).flatMap((paddingMode): Case[] => [
    { inChannels: 6, outChannels: 4, size: [7, 6], kernel: [5, 1], pads: [2, 0, 2, 0], paddingMode },
    { inChannels: 6, outChannels: 4, size: [7, 6], kernel: [1, 3], pads: [0, 1, 0, 2], paddingMode },
  ]),
];

/** Outputs of a tile. */
const TILES = [2, 4];

for (const build of await supportedBuilds()) {
  const memory = new TrainMemory(build);
  const { kernels } = memory;
  for (const [i, { one, tile }] of CASES.flatMap((one) => TILES.map((tile) => ({ one, tile }))).entries()) {
    const { batch = 2, inChannels, outChannels, size, kernel, pads = [0, 0, 0, 0], paddingMode = 'zeros' } = one;
    test(`${build}: ${inChannels}->${outChannels} ${kernel.join('x')} @${size.join('x')} ${paddingMode}, tiles of ${tile}`, () => {
      const random = seededRandom(100 + i);
      const x = randomNd(random, [batch, inChannels, ...size]);
      const weight = randomNd(random, [outChannels, inChannels, ...kernel]);
      const window = { kernel, stride: [1, 1], dilation: [1, 1], pads } as const;
      const expected = conv2d(x, weight, undefined, { ...window, paddingMode, groups: 1 });
      const addend = randomNd(random, expected.dims);
      const plain = run(tile, x, weight, expected, window, paddingMode, undefined, 1);
      assert.ok(relativeError(plain, expected.data) < TOLERANCE, `error ${relativeError(plain, expected.data)}`);
      const sum = run(tile, x, weight, expected, window, paddingMode, addend, 3);
      const both = Float64Array.from(expected.data, (value, j) => value + addend.data[j]!);
      assert.ok(relativeError(sum, both) < TOLERANCE, `with an addend: error ${relativeError(sum, both)}`);
      const apart = run(tile, x, weight, expected, window, paddingMode, addend, 2, 'apart');
      assert.ok(sameBits(apart, sum), 'where the addend is shows in the bits');
      const pieces = run(tile, x, weight, expected, window, paddingMode, undefined, 7);
      assert.ok(sameBits(pieces, plain), 'the cut shows in the bits');
    });
  }

  /** Runs in this many ranges, the last one first. The addend is where the output will be, or apart. */
  function run(
    tile: number,
    x: Nd,
    weight: Nd,
    { dims }: Nd,
    window: Parameters<typeof windowTable>[0],
    mode: ConvOptions['paddingMode'],
    addend: Nd | undefined,
    ranges: number,
    place: 'there' | 'apart' = 'there',
  ): Float32Array {
    const [outChannels, inChannels] = weight.dims as [number, number];
    const [batch, , height, width] = x.dims as [number, number, number, number];
    const [, , outHeight, outWidth] = dims as [number, number, number, number];
    const [kernelHeight, kernelWidth] = window.kernel;
    const taps = Math.max(kernelHeight, kernelWidth);
    const lanes = (inChannels + 3) & ~3;
    const weightsPtr = memory.allocate(Math.ceil(outChannels / 8) * (taps + tile - 1) * lanes * 32);
    kernels.packLineWeights(
      memory.put(weight.data),
      weightsPtr,
      outChannels,
      inChannels,
      taps,
      tile,
      memory.allocate(kernels.LINE_WEIGHTS_BYTES.value),
      0,
      Math.ceil(outChannels / 8),
    );
    const descriptorPtr = memory.putRecord(LINE_CONV_DESCRIPTOR, {
      weightsPtr,
      rowsPtr: memory.putWords(windowTable(window, 0, mode, height, outHeight, width * lanes * 4)),
      columnsPtr: memory.putWords(windowTable(window, 1, mode, width, outWidth, lanes * 4)),
      zerosPtr: memory.put(new Float32Array(lanes)),
      outHeight,
      outWidth,
      kernelHeight,
      kernelWidth,
      inChannels,
      outChannels,
      inImageStride: height * width * lanes * 4,
      inRowStride: width * lanes * 4,
      tile,
    });
    const inPtr = memory.put(channelsLast(x.data, batch, inChannels, height * width));
    const pixels = outHeight * outWidth;
    const addendPtr = addend === undefined ? 0 : memory.put(channelsLast(addend.data, batch, outChannels, pixels));
    const isThere = addend !== undefined && place === 'there';
    const outPtr = isThere ? addendPtr : memory.allocate(batch * pixels * ((outChannels + 3) & ~3) * 4);
    const bytes = kernels.lineConvScratchBytes(descriptorPtr, memory.allocate(256));
    assert.ok(bytes <= SCRATCH_BYTES, `${bytes} bytes of scratch`);
    const scratchPtr = memory.allocate(bytes);
    const along = (count: number, tap: number): number => (tap === 1 ? count : Math.ceil(count / tile));
    const tiles = batch * along(outHeight, kernelHeight) * along(outWidth, kernelWidth);
    for (let i = ranges - 1; i >= 0; i--) {
      const [first, last] = [i, i + 1].map((part) => Math.floor((part * tiles) / ranges)) as [number, number];
      kernels.lineConv2d(descriptorPtr, inPtr, outPtr, addendPtr, scratchPtr, first, last);
    }
    const result = memory.floats(outPtr, batch * pixels * ((outChannels + 3) & ~3)).map((value) => value + 0);
    memory.clear(`${weight.dims}`);
    return planar(result, batch, outChannels, pixels);
  }
}

test('values that a transform would spread go another way', async () => {
  const runtime = await createRuntime();
  const block = new ACBlock(runtime, { inChannels: 8, outChannels: 8, kernelSize: 3, padding: 1 });
  const dims = [1, 8, 8, 8];
  const dy = new Tensor('float32', new Float32Array(512).fill(1), dims);
  const values = randomNd(seededRandom(5), dims).data;
  const x = new Tensor('float32', Float32Array.from(values), dims);
  const infinite = new Tensor(
    'float32',
    Float32Array.from(values, (value, i) => (i === 0 ? Infinity : value)),
    dims,
  );
  block.eval();
  const { output } = backward(block, x, dy);
  const { output: spread } = backward(block, infinite, dy);
  const [plain, changed] = [output.data, spread.data];
  // The window of 3 x 3 at the corner sees it, and nothing else.
  for (let i = 0; i < plain.length; i++) {
    const [y, column] = [Math.floor((i % 64) / 8), i % 8];
    if (y > 1 || column > 1) assert.ok(Math.abs(changed[i]! - plain[i]!) < 1e-5, `${i}: ${changed[i]} for ${plain[i]}`);
  }
  for (const tensor of [output, spread]) tensor.dispose();
  runtime.dispose();
});

test.run();
