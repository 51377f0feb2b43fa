/**
 * Gradients of convolutions against a float64 oracle: every padding mode, stride, dilation, groups, numbers of channels
 * and pixels around the tiles and blocks; that no cut into chunks or ranges shows in the bits; and the input gradient
 * by convolutions with turned kernels.
 */
import { Conv2d, createRuntime, type Runtime } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { windowTable } from '../src/plan/steps/windows.js';
import { phasesOf } from '../src/train/phases.js';
import { WEIGHT_GRAD_DESCRIPTOR } from '../src/train/records.js';
import { planWeightGradient, type WeightGradientShape } from '../src/train/weightGradient.js';
import { conv2dBackward, convDims } from './gradOracle.js';
import type { ConvOptions, Nd, Pads, Pair } from './oracle.js';
import { randomNd, relativeError, sameBits, seededRandom, supportedBuilds, take, toTensor } from './support.js';
import { channelsLast, planar, TrainMemory } from './trainKernels.js';

/** What each thread of a runtime has. */
const SCRATCH_BYTES = 640 * 1024;

interface Case extends ConvOptions {
  readonly batch: number;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly size: Pair;
  readonly kernel: Pair;
}

function caseOf(options: Partial<Case>): Case {
  return {
    batch: 2,
    inChannels: 8,
    outChannels: 8,
    size: [9, 10],
    kernel: [3, 3],
    stride: [1, 1],
    dilation: [1, 1],
    pads: [1, 1, 1, 1],
    paddingMode: 'zeros',
    groups: 1,
    ...options,
  };
}

interface Problem {
  readonly x: Nd;
  readonly weight: Nd;
  readonly dy: Nd;
  readonly options: Case;
}

function problemOf(options: Case, seed: number): Problem {
  const random = seededRandom(seed);
  const { batch, inChannels, outChannels, size, kernel, groups } = options;
  const x = randomNd(random, [batch, inChannels, ...size]);
  const weight = randomNd(random, [outChannels, inChannels / groups, ...kernel]);
  const dy = randomNd(random, convDims(x, weight, options));
  return { x, weight, dy, options };
}

/** Writes the descriptor of a problem, with so many blocks in a chunk. */
function describe(memory: TrainMemory, { x, weight, dy, options }: Problem, chunkBlocks: number): number {
  const [batch, channels, height, width] = x.dims as [number, number, number, number];
  const [outChannels, inChannels, kernelHeight, kernelWidth] = weight.dims as [number, number, number, number];
  const [, , outHeight, outWidth] = dy.dims as [number, number, number, number];
  const lanes = (channels + 3) & ~3;
  const { groups, stride, dilation, paddingMode } = options;
  const window = { kernel: options.kernel, stride, dilation, pads: options.pads };
  return memory.putRecord(WEIGHT_GRAD_DESCRIPTOR, {
    rowsPtr: memory.putWords(windowTable(window, 0, paddingMode, height, outHeight, width * lanes * 4)),
    columnsPtr: memory.putWords(windowTable(window, 1, paddingMode, width, outWidth, lanes * 4)),
    zerosPtr: memory.put(new Float32Array(Math.max(lanes, (outChannels + 3) & ~3))),
    batch,
    outHeight,
    outWidth,
    kernelHeight,
    kernelWidth,
    groups,
    inChannels,
    outChannels: outChannels / groups,
    inImageStride: height * width * lanes * 4,
    gradPixelStride: ((outChannels + 3) & ~3) * 4,
    columnShift: dilation[1] === 1 ? Math.min(stride[1], kernelWidth) : 0,
    chunkBlocks,
  });
}

type Cut = readonly (readonly [firstChunk: number, lastChunk: number, firstChannel: number, lastChannel: number])[];

/** dW, computed in these parts. */
function weightGrad(
  memory: TrainMemory,
  problem: Problem,
  chunkBlocks: number,
  cut: (chunks: number, channels: number) => Cut = (chunks, channels) => [[0, chunks, 0, channels]],
  start?: Float32Array,
): Float32Array {
  const { kernels } = memory;
  const { x, weight, dy, options } = problem;
  const descriptorPtr = describe(memory, problem, chunkBlocks);
  const [batch, outChannels, outHeight, outWidth] = dy.dims as [number, number, number, number];
  const chunks = Math.ceil(kernels.weightGradBlocks(batch, outHeight, outWidth) / chunkBlocks);
  const size = weight.data.length;
  const inPtr = memory.put(channelsLast(x.data, batch, x.dims[1]!, x.dims[2]! * x.dims[3]!));
  const gradPtr = memory.put(channelsLast(dy.data, batch, outChannels, outHeight * outWidth));
  const sumsPtr = memory.allocate(chunks * size * 4);
  const scratchBytes = kernels.weightGradScratchBytes(descriptorPtr);
  assert.ok(scratchBytes <= SCRATCH_BYTES, `${scratchBytes} bytes of scratch`);
  const scratchPtr = memory.allocate(scratchBytes);
  for (const [firstChunk, lastChunk, firstChannel, lastChannel] of cut(chunks, outChannels / options.groups)) {
    kernels.conv2dWeightGrad(
      descriptorPtr,
      inPtr,
      sumsPtr,
      gradPtr,
      scratchPtr,
      firstChunk,
      lastChunk,
      firstChannel,
      lastChannel,
    );
  }
  const outPtr = start === undefined ? memory.allocate(size * 4) : memory.put(start);
  const half = outChannels >> 1;
  for (const [first, last] of [
    [half, outChannels],
    [0, half],
  ] as const) {
    kernels.writeWeightGrad(descriptorPtr, sumsPtr, outPtr, chunks, start === undefined ? 0 : 1, first, last);
  }
  const result = memory.floats(outPtr, size).slice();
  memory.clear(JSON.stringify(options));
  return result;
}

/** dW by Winograd's algorithm, computed in these parts. */
function winogradGrad(
  memory: TrainMemory,
  problem: Problem,
  chunkBlocks: number,
  cut: (chunks: number, channels: number) => Cut = (chunks, channels) => [[0, chunks, 0, channels]],
  start?: Float32Array,
): Float32Array {
  const { kernels } = memory;
  const { x, weight, dy } = problem;
  const descriptorPtr = describe(memory, problem, chunkBlocks);
  const [batch, outChannels, outHeight, outWidth] = dy.dims as [number, number, number, number];
  const [, inChannels, height, width] = weight.dims as [number, number, number, number];
  const blocks = kernels.winogradGradBlocks(batch, outHeight, outWidth, height, width, inChannels);
  const chunks = Math.ceil(blocks / chunkBlocks);
  const points = [height, width].reduce((product, taps) => product * (taps === 1 ? 1 : taps + 3), 1);
  const floats = points * outChannels * ((inChannels + 3) & ~3);
  const size = weight.data.length;
  const inPtr = memory.put(channelsLast(x.data, batch, x.dims[1]!, x.dims[2]! * x.dims[3]!));
  const gradPtr = memory.put(channelsLast(dy.data, batch, outChannels, outHeight * outWidth));
  const sumsPtr = memory.allocate(chunks * floats * 4);
  const scratchBytes = kernels.winogradGradScratchBytes(descriptorPtr);
  assert.ok(scratchBytes <= SCRATCH_BYTES, `${scratchBytes} bytes of scratch`);
  const scratchPtr = memory.allocate(scratchBytes);
  for (const part of cut(chunks, outChannels)) {
    kernels.winogradWeightGrad(descriptorPtr, inPtr, sumsPtr, gradPtr, scratchPtr, ...part);
  }
  const outPtr = start === undefined ? memory.allocate(size * 4) : memory.put(start);
  const workPtr = memory.allocate(kernels.WRITE_BYTES.value);
  const half = outChannels >> 1;
  for (const [first, last] of [
    [half, outChannels],
    [0, half],
  ] as const) {
    const accumulate = start === undefined ? 0 : 1;
    kernels.writeWinogradWeightGrad(descriptorPtr, sumsPtr, outPtr, chunks, accumulate, workPtr, first, last);
  }
  const result = memory.floats(outPtr, size).slice();
  memory.clear(JSON.stringify(problem.options));
  return result;
}

/** dW of a depthwise convolution, its chunks in reverse. */
function depthwiseGrad(memory: TrainMemory, problem: Problem, chunkRows: number): Float32Array {
  const { kernels } = memory;
  const { x, weight, dy, options } = problem;
  const descriptorPtr = describe(memory, problem, chunkRows);
  const [batch, channels, outHeight, outWidth] = dy.dims as [number, number, number, number];
  const taps = options.kernel[0] * options.kernel[1];
  const chunks = Math.ceil((batch * outHeight) / chunkRows);
  const inPtr = memory.put(channelsLast(x.data, batch, channels, x.dims[2]! * x.dims[3]!));
  const gradPtr = memory.put(channelsLast(dy.data, batch, channels, outHeight * outWidth));
  const sumsPtr = memory.allocate(chunks * taps * ((channels + 3) & ~3) * 4);
  for (let i = chunks - 1; i >= 0; i--)
    kernels.depthwiseWeightGrad(descriptorPtr, inPtr, sumsPtr, gradPtr, 0, i, i + 1);
  const outPtr = memory.put(new Float32Array(weight.data.length).fill(1));
  kernels.writeDepthwiseWeightGrad(sumsPtr, outPtr, chunks, 1, channels, taps);
  const result = memory.floats(outPtr, weight.data.length).map((value) => value - 1);
  memory.clear(JSON.stringify(options));
  return result;
}

/** dx by convolutions of dy with turned kernels, phase by phase; `algorithm`: of those, where it applies to all. */
function inputGrad(
  memory: TrainMemory,
  runtime: Runtime,
  problem: Problem,
  algorithm: 'auto' | Algorithm,
): Float32Array {
  const { kernels } = memory;
  const { x, weight, dy, options } = problem;
  const { groups, kernel, stride, dilation, pads } = options;
  const [batch, channels, height, width] = x.dims as [number, number, number, number];
  const [outChannels, groupChannels] = weight.dims as [number, number];
  const lanes = (channels + 3) & ~3;
  const [rows, columns] = [0, 1].map((axis) =>
    phasesOf(kernel[axis]!, stride[axis]!, dilation[axis]!, pads[axis]!, x.dims[axis + 2]!, dy.dims[axis + 2]!),
  ) as [ReturnType<typeof phasesOf>, ReturnType<typeof phasesOf>];
  const weightPtr = memory.put(Float32Array.from(weight.data));
  const outPtr = memory.allocate(batch * height * width * lanes * 4);
  for (const row of rows) {
    for (const column of columns) {
      const count = channels * (outChannels / groups) * row.taps * column.taps;
      let phasePtr = 0;
      if (count > 0) {
        const turnedPtr = memory.allocate(count * 4);
        kernels.turnWeights(
          weightPtr,
          turnedPtr,
          outChannels / groups,
          groupChannels,
          ...kernel,
          row.firstTap,
          row.tapStep,
          row.taps,
          column.firstTap,
          column.tapStep,
          column.taps,
          0,
          channels,
        );
        const node = new Conv2d(runtime, {
          inChannels: outChannels,
          outChannels: channels,
          kernelSize: [row.taps, column.taps],
          dilation: [row.dilation, column.dilation],
          groups,
          bias: false,
          ...(algorithm === 'auto' ? {} : { algorithm }),
        });
        const dims = [channels, outChannels / groups, row.taps, column.taps];
        node.loadStateDict({ weight: toTensor({ data: memory.floats(turnedPtr, count), dims }) });
        // A layer has the same pads on both sides, so those of a phase are added around dy, or cut from it.
        const padded = padImage(dy, [row.pads[0], column.pads[0], row.pads[1], column.pads[1]]);
        const phase = take(node.forward(toTensor(padded)));
        node.dispose();
        phasePtr = memory.put(channelsLast(phase, batch, channels, row.size * column.size));
      }
      const steps = [row.first, stride[0], column.first, stride[1]] as const;
      kernels.interleavePhase(phasePtr, outPtr, height, width, lanes, ...steps, 1, batch);
      kernels.interleavePhase(phasePtr, outPtr, height, width, lanes, ...steps, 0, 1);
    }
  }
  const result = planar(memory.floats(outPtr, batch * height * width * lanes), batch, channels, height * width);
  memory.clear(JSON.stringify(options));
  return result;
}

type Algorithm = NonNullable<ConstructorParameters<typeof Conv2d>[1]['algorithm']>;

function padImage({ data, dims }: Nd, pads: Pads): Nd {
  const [n, channels, height, width] = dims as [number, number, number, number];
  const size = [height + pads[0] + pads[2], width + pads[1] + pads[3]] as const;
  const out = new Float32Array(n * channels * size[0] * size[1]);
  for (let i = 0; i < out.length; i++) {
    const [y, x] = [(Math.floor(i / size[1]) % size[0]) - pads[0], (i % size[1]) - pads[1]];
    const plane = Math.floor(i / (size[0] * size[1]));
    if (y >= 0 && y < height && x >= 0 && x < width) out[i] = data[(plane * height + y) * width + x]!;
  }
  return { data: out, dims: [n, channels, ...size] };
}

const CASES: Partial<Case>[] = [
  ...[1, 2, 3, 4, 5, 7, 12, 31, 33, 36, 70].map((inChannels) => ({ inChannels, outChannels: 9 })),
  ...[1, 2, 3, 4, 5, 8, 13, 20, 63, 66].map((outChannels) => ({ outChannels, inChannels: 6 })),
  ...(['reflect', 'replicate', 'circular'] as const).map((paddingMode) => ({ paddingMode, inChannels: 5 })),
  ...[1, 3, 20].map((inChannels) => ({ inChannels, kernel: [5, 5] as Pair, pads: [2, 2, 2, 2] as Pads })),
  { kernel: [1, 1], pads: [0, 0, 0, 0] },
  { kernel: [1, 1], pads: [0, 0, 0, 0], stride: [2, 2] },
  { kernel: [3, 1], pads: [1, 0, 1, 0] },
  { kernel: [1, 3], pads: [0, 1, 0, 1], inChannels: 1 },
  { kernel: [2, 4], pads: [0, 1, 1, 2], inChannels: 10 },
  { kernel: [5, 5], pads: [-1, -2, -1, 0], size: [12, 11] },
  ...[
    [2, 2],
    [3, 1],
    [1, 2],
    [4, 4],
  ].map((stride) => ({ stride: stride as unknown as Pair, inChannels: 3 })),
  { stride: [2, 2], kernel: [5, 5], inChannels: 18, pads: [2, 2, 1, 1] },
  { dilation: [2, 2], pads: [2, 2, 2, 2] },
  { dilation: [1, 3], stride: [2, 1], inChannels: 1 },
  { groups: 2 },
  { groups: 4, inChannels: 12, outChannels: 20 },
  { groups: 3, inChannels: 9, outChannels: 6, stride: [2, 2] },
  { groups: 5, inChannels: 5, outChannels: 10 },
  { size: [1, 1], kernel: [1, 1], pads: [0, 0, 0, 0], batch: 300, inChannels: 40, outChannels: 10 },
  { size: [7, 7], batch: 13, inChannels: 16, outChannels: 16 },
  { kernel: [1, 17], dilation: [1, 2], pads: [0, 16, 0, 16], size: [2, 270], inChannels: 33, outChannels: 3, batch: 1 },
  { size: [40, 33], batch: 1 },
  { size: [3, 700], batch: 2, inChannels: 4, outChannels: 5 },
  { size: [2, 1025], batch: 1, inChannels: 1, outChannels: 2, stride: [1, 2], kernel: [1, 5], pads: [0, 2, 0, 2] },
];

const KERNELS: readonly Pair[] = [
  [3, 3],
  [5, 5],
  [3, 1],
  [1, 3],
  [5, 1],
  [1, 5],
];

const WINOGRAD: Partial<Case>[] = [
  ...[1, 3, 4, 6, 8, 12, 17, 68].map((inChannels) => ({ inChannels, outChannels: 5 })),
  ...[1, 2, 4, 7, 16, 17, 35].map((outChannels) => ({ outChannels, inChannels: 6 })),
  ...[1, 2, 3, 4, 5, 8, 17, 26].flatMap((size) => [
    { size: [size, 9] as Pair, pads: [1, 1, 1, 1] as Pads },
    { size: [6, size] as Pair, pads: [1, 1, 1, 1] as Pads, batch: 3 },
  ]),
  ...(['reflect', 'replicate', 'circular'] as const).map((paddingMode) => ({ paddingMode })),
  { pads: [0, 2, -1, 1] },
  { batch: 40, size: [8, 8], inChannels: 16, outChannels: 16 },
];

const DEPTHWISE: Partial<Case>[] = [
  {},
  { stride: [2, 2], kernel: [5, 5], pads: [2, 2, 2, 2] },
  { dilation: [2, 1], pads: [2, 1, 0, 1] },
  { paddingMode: 'reflect' },
];

const TURNED: [Partial<Case>, 'auto' | Algorithm][] = [
  [{ inChannels: 5 }, 'gemm'],
  [{ inChannels: 16, outChannels: 20 }, 'winogradF4x4K3'],
  [{ inChannels: 16, outChannels: 20, pads: [0, 2, 1, 0] }, 'winogradF2x2K3'],
  [{ kernel: [5, 5], pads: [2, 2, 2, 2], inChannels: 6 }, 'winogradF2x3K5'],
  [{ kernel: [5, 5], pads: [0, 0, 0, 0], inChannels: 6 }, 'winogradF1x4K5'],
  [{ groups: 8 }, 'auto'],
  [{ groups: 2, stride: [2, 2] }, 'auto'],
  [{ stride: [2, 2] }, 'auto'],
  [{ stride: [2, 3], kernel: [5, 4], pads: [2, 1, 1, 2], inChannels: 3 }, 'auto'],
  [{ stride: [2, 2], kernel: [1, 1], pads: [0, 0, 0, 0] }, 'auto'],
  [{ stride: [4, 3], kernel: [3, 3], pads: [0, 0, 0, 0] }, 'auto'],
  [{ stride: [2, 2], dilation: [2, 3], pads: [2, 3, 2, 3], size: [11, 12] }, 'auto'],
  [{ stride: [6, 4], dilation: [4, 2], kernel: [3, 3], pads: [4, 2, 4, 2], size: [23, 22] }, 'auto'],
  [{ dilation: [2, 2], pads: [2, 2, 2, 2] }, 'auto'],
  [{ stride: [3, 3], kernel: [2, 2], pads: [0, 0, 0, 0], size: [2, 11] }, 'auto'],
];

for (const build of await supportedBuilds()) {
  const memory = new TrainMemory(build);

  test(`${build}: the weight gradient of every shape`, () => {
    CASES.forEach((options, i) => {
      const problem = problemOf(caseOf(options), i + 1);
      const { dw } = conv2dBackward(problem.x, problem.weight, problem.dy, problem.options);
      const error = relativeError(weightGrad(memory, problem, 3), dw.data);
      assert.ok(error <= 2e-6, `${JSON.stringify(options)}: ${error}`);
    });
  });

  test(`${build}: the weight gradient by Winograd's algorithm`, () => {
    WINOGRAD.forEach((options, i) => {
      for (const kernel of KERNELS) {
        // So that the output's size does not depend on the kernel.
        const grown = [0, 1, 0, 1].map((axis) => (kernel[axis]! - 3) / 2);
        const pads = (options.pads ?? [1, 1, 1, 1]).map((pad, side) => pad + grown[side]!) as unknown as Pads;
        const whole = caseOf({ ...options, kernel, pads });
        const problem = problemOf(whole, i + 1);
        const { dw } = conv2dBackward(problem.x, problem.weight, problem.dy, problem.options);
        const error = relativeError(winogradGrad(memory, problem, 2), dw.data);
        assert.ok(error <= (Math.max(...kernel) === 3 ? 4e-6 : 2e-5), `${JSON.stringify(whole)}: ${error}`);
      }
    });
  });

  test(`${build}: Winograd's weight gradient in parts, and added to what is there`, () => {
    for (const kernel of KERNELS) {
      const options = caseOf({ batch: 30, size: [16, 9], inChannels: 20, outChannels: 40, kernel });
      const problem = problemOf(options, 3);
      const whole = winogradGrad(memory, problem, 2);
      const parts = winogradGrad(memory, problem, 2, (chunks, channels) =>
        Array.from({ length: chunks }, (_, i) => chunks - 1 - i).flatMap((chunk) => [
          [chunk, chunk + 1, 24, channels] as const,
          [chunk, chunk + 1, 0, 24] as const,
        ]),
      );
      assert.ok(sameBits(whole, parts));
      const start = whole.map((_, i) => i % 5);
      const sum = winogradGrad(memory, problem, 2, undefined, start);
      assert.ok(
        relativeError(
          sum,
          whole.map((value, i) => value + start[i]!),
        ) < 1e-6,
      );
    }
  });

  test(`${build}: the plan of a weight gradient`, () => {
    const { kernels } = memory;
    const shape: WeightGradientShape = {
      batch: 128,
      outHeight: 32,
      outWidth: 32,
      kernel: [3, 3],
      stride: [1, 1],
      dilation: [1, 1],
      groups: 1,
      inChannels: 16,
      outChannels: 16,
    };
    const planOf = (options: Partial<WeightGradientShape>) => planWeightGradient(kernels, { ...shape, ...options });
    const { chunks, chunkBlocks, sumsBytes, channelStep, algorithm } = planOf({});
    assert.is(algorithm, 'winograd');
    assert.equal([chunks, channelStep, sumsBytes], [8, 16, 8 * 36 * 16 * 16 * 4]);
    assert.is(chunkBlocks * chunks, kernels.winogradGradBlocks(128, 32, 32, 3, 3, 16));
    assert.is(planOf({ stride: [2, 2] }).algorithm, 'direct');
    assert.equal(planOf({ kernel: [1, 3] }).sumsBytes, 8 * 6 * 16 * 16 * 4);
    assert.is(planOf({ kernel: [3, 5] }).algorithm, 'direct');
    assert.is(planOf({ groups: 16, inChannels: 1, outChannels: 1 }).algorithm, 'depthwise');
    // Sums of many channels are cut by channels, and small ones not at all.
    const deep = planOf({ inChannels: 512, outChannels: 512, outHeight: 4, outWidth: 4 });
    assert.equal([deep.chunks, deep.channelStep], [1, 64]);
    const small = planOf({ batch: 1, outHeight: 4, outWidth: 4 });
    assert.equal([small.chunks, small.channelStep], [1, 16]);
  });

  test(`${build}: the weight gradient of depthwise convolutions`, () => {
    for (const channels of [1, 3, 4, 9, 32]) {
      DEPTHWISE.forEach((options, i) => {
        const whole = { inChannels: channels, outChannels: channels, groups: channels, ...options };
        const problem = problemOf(caseOf(whole), i + 1);
        const { dw } = conv2dBackward(problem.x, problem.weight, problem.dy, problem.options);
        for (const chunkRows of [1, 5, 100]) {
          const error = relativeError(depthwiseGrad(memory, problem, chunkRows), dw.data);
          assert.ok(error <= 2e-6, `${channels} channels, ${JSON.stringify(options)}: ${error}`);
        }
      });
    }
  });

  test(`${build}: the input gradient by turned kernels, with strides by phases`, async () => {
    const runtime = await createRuntime({ simd: build });
    for (const [i, [options, algorithm]] of TURNED.entries()) {
      const problem = problemOf(caseOf(options), i + 1);
      const { dx } = conv2dBackward(problem.x, problem.weight, problem.dy, problem.options);
      const error = relativeError(inputGrad(memory, runtime, problem, algorithm), dx.data);
      assert.ok(error <= 2e-6, `${JSON.stringify(options)} ${algorithm}: ${error}`);
    }
    runtime.dispose();
  });

  test(`${build}: the weight gradient is added to what is there`, () => {
    const problem = problemOf(caseOf({}), 5);
    const { dw } = conv2dBackward(problem.x, problem.weight, problem.dy, problem.options);
    const start = Float32Array.from(dw.data, (_, i) => i % 7);
    const expected = dw.data.map((value, i) => value + start[i]!);
    assert.ok(relativeError(weightGrad(memory, problem, 1, undefined, start), expected) <= 1e-6);
  });

  test(`${build}: chunks in any order and ranges of channels give the same bits`, () => {
    for (const options of [
      caseOf({ size: [33, 20], outChannels: 70 }),
      caseOf({ size: [33, 20], groups: 2 }),
      caseOf({ inChannels: 1, size: [28, 28], kernel: [5, 5] }),
    ]) {
      const problem = problemOf(options, 9);
      const whole = weightGrad(memory, problem, 2);
      const parts = weightGrad(memory, problem, 2, (chunks, channels) => {
        const ranges =
          options.groups > 1
            ? [[0, channels]]
            : [
                [4, channels],
                [0, 4],
              ];
        return Array.from({ length: chunks }, (_, i) => chunks - 1 - i).flatMap((chunk) =>
          ranges.map(([first, last]) => [chunk, chunk + 1, first!, last!] as const),
        );
      });
      assert.ok(sameBits(whole, parts), JSON.stringify(options));
    }
  });
}

test.run();
