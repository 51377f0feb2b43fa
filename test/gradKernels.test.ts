/**
 * The kernels for training except convolutions, against float64: activations at their kinks, batch normalisation, pools
 * with equals and NaN, cross-entropy, softmax, SGD; that cuts into chunks and ranges do not change the bits; and that
 * the binary works beside a runtime's kernels.
 */
import { readFileSync } from 'node:fs';
import { createRuntime, type Runtime } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UNARY_OPS } from '../src/plan/steps/records.js';
import { windowDivisors, windowTable } from '../src/plan/steps/windows.js';
import type { Kernels } from '../src/runtime/kernels.js';
import { trainKernels } from '../src/train/kernels.js';
import { POOL_WINDOWS } from '../src/train/records.js';
import {
  avgPoolBackward,
  batchNormBackward,
  crossEntropy,
  maxPoolBackward,
  softmaxBackward,
  unaryBackward,
} from './gradOracle.js';
import { largestDifference, randomNd, relativeError, sameBits, seededRandom, supportedBuilds } from './support.js';
import { channelsLast, planar, TrainMemory } from './trainKernels.js';

const CHANNELS = [1, 3, 4, 7, 16, 18];
/** Numbers of pixels, around the chunks below. */
const COUNTS = [1, 5, 64, 65, 200];
const CHUNK = 64;
const lanesOf = (channels: number): number => (channels + 3) & ~3;

for (const build of await supportedBuilds()) {
  const memory = new TrainMemory(build);
  const { kernels } = memory;

  test(`${build}: gradients of elementwise operations`, () => {
    const random = seededRandom(3);
    const kinks = [0, -0, 1, -1, 3, -3, 2.5, 1e-30, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    const parameters = { relu: [0, 0], leakyRelu: [0.1, 0], clip: [-1, 2.5], sigmoid: [0, 0] } as const;
    for (const [op, name] of UNARY_OPS.entries()) {
      const [alpha, beta] = (parameters as Record<string, readonly [number, number]>)[name] ?? [1 / 6, 1 / 2];
      for (const count of [1, 2, 3, 4, 5, 8, 23, 40]) {
        const x = Float32Array.from({ length: count }, (_, i) => kinks[i + 17 - count] ?? random() * 10 - 5);
        // The gradient of a sigmoid takes its output.
        if (name === 'sigmoid') x.set(x.map(() => random()));
        const dy = Float32Array.from(x, () => random() * 2 - 1);
        const [gradPtr, valuePtr, outPtr] = [memory.put(dy), memory.put(x), memory.allocate(count * 4)];
        kernels.unaryGrad(op, gradPtr, valuePtr, outPtr, alpha, beta, 0, count);
        const expected = Array.from(x, (value, i) => unaryBackward(name, value, dy[i]!, alpha, beta));
        const error = largestDifference(memory.floats(outPtr, count), expected);
        assert.ok(error < 1e-6, `${name} of ${[...x]}: ${memory.floats(outPtr, count)}, not ${expected}`);
        kernels.unaryGrad(op, gradPtr, valuePtr, gradPtr, alpha, beta, 0, count & ~3);
        kernels.unaryGrad(op, gradPtr, valuePtr, gradPtr, alpha, beta, count & ~3, count);
        assert.ok(sameBits(memory.floats(gradPtr, count), memory.floats(outPtr, count)), `${name} in place`);
        memory.clear(name);
      }
    }
  });

  test(`${build}: mean and variance of a batch`, () => {
    const random = seededRandom(5);
    for (const channels of [...CHANNELS, 300]) {
      for (const pixels of COUNTS) {
        for (const offset of [0, 1000]) {
          const lanes = lanesOf(channels);
          const z = randomNd(random, [1, channels, pixels]).data.map((value) => value + offset);
          // A channel that does not vary, at a value that is not exact.
          z.fill(Math.fround(offset + 1 / 3), 0, pixels);
          const { mean, variance } = batchNormBackward(z, z, channels, pixels, undefined, 0, {
            mean: [],
            variance: [],
            usesBatch: true,
          });
          const inPtr = memory.put(channelsLast(z, 1, channels, pixels));
          const chunks = Math.ceil(pixels / CHUNK);
          const momentsPtr = memory.allocate(kernels.normMomentsBytes(chunks, lanes));
          for (let i = chunks - 1; i >= 0; i--) kernels.normMoments(inPtr, momentsPtr, pixels, lanes, CHUNK, i, i + 1);
          const [ptr, copyPtr] = [memory.allocate(lanes * 16), memory.allocate(lanes * 16)];
          kernels.gatherMoments(momentsPtr, pixels, lanes, CHUNK, ptr, copyPtr);
          const got = memory.doubles(ptr, lanes * 2);
          assert.equal([...memory.doubles(copyPtr, lanes * 2)], [...got]);
          assert.ok(relativeError(got.subarray(0, channels), mean) < 1e-6);
          const error = relativeError(got.subarray(lanes, lanes + channels), variance);
          assert.ok(error < 1e-6, `${channels} channels, ${pixels} pixels, from ${offset} on: variances err ${error}`);
          assert.ok(got[lanes]! < 1e-12, `the variance of a constant is ${got[lanes]}`);
          memory.clear('statistics');
        }
      }
    }
  });

  test(`${build}: sums of batch normalisations, and their gradients`, () => {
    const random = seededRandom(7);
    const forms = [
      { hasMask: false, usesBatch: true, hasGamma: true, hasAddend: true },
      { hasMask: true, usesBatch: true, hasGamma: true, hasAddend: false },
      { hasMask: false, usesBatch: false, hasGamma: true, hasAddend: false },
      { hasMask: true, usesBatch: true, hasGamma: false, hasAddend: true },
    ];
    for (const channels of CHANNELS) {
      for (const pixels of COUNTS) {
        for (const form of forms)
          for (const branches of [1, 2, 3, 4, 5, 9]) holdNormSum(channels, pixels, branches, form);
      }
    }

    function holdNormSum(channels: number, pixels: number, branches: number, form: (typeof forms)[number]): void {
      const lanes = lanesOf(channels);
      const size = channels * pixels;
      const vary = (): Float32Array => randomNd(random, [1, channels, pixels]).data;
      const place = (values: ArrayLike<number>): number => memory.put(channelsLast(values, 1, channels, pixels));
      const padded = (...rows: readonly ArrayLike<number>[]): number[] =>
        rows.flatMap((row) => Array.from({ length: lanes }, (_, c) => row[c] ?? 0));
      const [dy, addend, images] = [vary(), vary(), Array.from({ length: branches }, vary)];
      for (const z of images) z.set(z.map((value, i) => value + Math.floor(i / pixels)));
      const gammas = images.map(() => randomNd(random, [channels], 0.5, 2).data);
      const betas = images.map(() => randomNd(random, [channels]).data);
      const { usesBatch, hasMask, hasGamma, hasAddend } = form;
      const [mean, variance] = [randomNd(random, [channels]).data, randomNd(random, [channels], 0.5, 2).data];
      const normOf = (i: number, d: ArrayLike<number>) =>
        batchNormBackward(images[i]!, d, channels, pixels, hasGamma ? gammas[i] : undefined, 1e-5, {
          mean,
          variance,
          usesBatch,
        });
      const norms = images.map((_, i) => normOf(i, dy));
      // Terms may cancel out, and rounding is proportional to their magnitudes.
      const holdSums = (got: Float32Array, sums: Float64Array, terms: ArrayLike<number>, name: string): void => {
        const magnitudes = new Float64Array(channels);
        for (let i = 0; i < size; i++) magnitudes[Math.floor(i / pixels)]! += Math.abs(terms[i]!);
        const error = largestDifference(got, sums) / Math.max(0.01, ...magnitudes);
        assert.ok(error < 1e-6, `${about}: the gradient of ${name} errs ${error}`);
      };
      const about = `${channels} channels, ${pixels} pixels, ${branches} branches`;

      const imagePtrs = images.map(place);
      const coefficients = norms.flatMap(({ mean, scale }, i) => padded(mean, scale, betas[i]!));
      const [sumPtr, addendPtr] = [memory.allocate(pixels * lanes * 4), hasAddend ? place(addend) : 0];
      const [tablePtr, coefficientsPtr] = [memory.putWords(imagePtrs), memory.put(coefficients)];
      const low = hasMask ? 0 : Number.NEGATIVE_INFINITY;
      const sum = (outPtr: number, first: number, last: number): void =>
        kernels.normSum(tablePtr, branches, addendPtr, coefficientsPtr, outPtr, lanes, low, first, last);
      sum(sumPtr, pixels >> 1, pixels);
      sum(sumPtr, 0, pixels >> 1);
      const expected = Array.from({ length: size }, (_, i) => {
        const c = Math.floor(i / pixels);
        const terms = norms.map(({ mean, scale }, b) => (images[b]![i]! - mean[c]!) * scale[c]! + betas[b]![c]!);
        return Math.max(
          low,
          terms.reduce((a, b) => a + b, hasAddend ? addend[i]! : 0),
        );
      });
      const y = planar(memory.floats(sumPtr, pixels * lanes), 1, channels, pixels);
      assert.ok(relativeError(y, expected) < 1e-6 * branches, about);
      if (hasAddend) {
        sum(addendPtr, 0, pixels);
        assert.ok(sameBits(memory.floats(addendPtr, pixels * lanes), memory.floats(sumPtr, pixels * lanes)));
      }

      const masked = dy.map((d, i) => (hasMask && y[i]! <= 0 ? 0 : d));
      const gradients = images.map((_, i) => normOf(i, masked));
      const [gradPtr, maskPtr, maskedPtr] = [place(dy), hasMask ? sumPtr : 0, memory.allocate(pixels * lanes * 4)];
      const statisticsPtr = memory.putDoubles(norms.flatMap(({ mean, variance }) => padded(mean, variance)));
      const chunks = Math.ceil(pixels / CHUNK);
      const sumsPtr = memory.allocate(chunks * (1 + branches) * lanes * 8);
      const addUp = (toPtr: number): void => {
        for (let i = chunks - 1; i >= 0; i--) {
          const range = [pixels, lanes, CHUNK, 0, i, i + 1] as const;
          const images = [tablePtr, branches, statisticsPtr] as const;
          kernels.normGradSums(gradPtr, maskPtr, 0, 0, toPtr, ...images, sumsPtr, ...range);
        }
      };
      addUp(maskedPtr);
      assert.ok(sameBits(planar(memory.floats(maskedPtr, pixels * lanes), 1, channels, pixels), masked));
      const before = memory.doubles(sumsPtr, chunks * (1 + branches) * lanes).slice();
      addUp(0);
      assert.equal(memory.doubles(sumsPtr, before.length), before, 'what is written does not change the sums');
      const betaGradPtr = memory.allocate(channels * 4);
      kernels.writeBetaGrad(sumsPtr, chunks, branches, channels, lanes, betaGradPtr);
      holdSums(memory.floats(betaGradPtr, channels), gradients[0]!.betaGrad, masked, 'beta');
      const appliedPtr = memory.allocate(branches * lanes * 16);
      gradients.forEach(({ gammaGrad, mean, variance }, i) => {
        const toPtr = memory.allocate(channels * 4);
        const ofBranch = [hasGamma ? memory.put(gammas[i]!) : 0, statisticsPtr + i * lanes * 16] as const;
        const how = [pixels, channels, lanes, ...ofBranch, 1e-5, usesBatch ? 1 : 0] as const;
        kernels.normGrad(sumsPtr, chunks, branches, i, ...how, toPtr, appliedPtr + i * lanes * 16);
        const terms = Array.from(masked, (d, j) => {
          const c = Math.floor(j / pixels);
          return (d * (images[i]![j]! - mean[c]!)) / Math.sqrt(variance[c]! + 1e-5);
        });
        holdSums(memory.floats(toPtr, channels), gammaGrad, terms, 'gamma');
      });
      const outPtrs = images.map(() => memory.allocate(pixels * lanes * 4));
      const bothPtr = memory.putWords([...imagePtrs, ...outPtrs]);
      const by = [branches, appliedPtr, lanes, 0] as const;
      kernels.applyNormGrad(gradPtr, maskPtr, 0, 0, bothPtr, ...by, pixels >> 1, pixels);
      kernels.applyNormGrad(maskedPtr, 0, 0, 0, bothPtr, ...by, 0, pixels >> 1);
      const inPlacePtr = memory.putWords([...imagePtrs, ...imagePtrs]);
      kernels.applyNormGrad(gradPtr, maskPtr, 0, 0, inPlacePtr, ...by, 0, pixels);
      gradients.forEach(({ dz, scale }, i) => {
        const got = planar(memory.floats(outPtrs[i]!, pixels * lanes), 1, channels, pixels);
        // A gradient may be the small difference of large terms, dy gamma / sigma being the largest.
        const terms = Array.from(masked, (d, j) => d * scale[Math.floor(j / pixels)]!);
        const error = largestDifference(got, dz) / Math.max(0.01, ...terms.map(Math.abs));
        assert.ok(error < 1e-6, `${about}: the gradient of an image errs ${error}`);
        const inPlace = memory.floats(imagePtrs[i]!, pixels * lanes);
        assert.ok(sameBits(inPlace, memory.floats(outPtrs[i]!, pixels * lanes)), 'in place');
      });
      memory.clear(about);
    }
  });

  test(`${build}: a max pool behind a sum of batch normalisations gives the bits of one that stands alone`, () => {
    const random = seededRandom(8);
    const windows = [
      { kernel: [2, 2], stride: [2, 2], pads: [0, 0, 0, 0] },
      { kernel: [3, 3], stride: [2, 2], pads: [1, 1, 1, 1] },
      { kernel: [3, 2], stride: [1, 3], pads: [1, 0, 0, 1] },
    ] as const;
    const [batch, height, width, branches] = [3, 7, 8, 2];
    const pixels = height * width;
    for (const channels of CHANNELS) {
      for (const { kernel, stride, pads } of windows) {
        for (const [low, bandRows] of [
          [0, 1],
          [Number.NEGATIVE_INFINITY, 2],
          [0, 9],
        ] as const) {
          const lanes = lanesOf(channels);
          const window = { kernel, stride, pads, dilation: [1, 1] } as const;
          const counts = ([height, width] as const).map((size, axis) => {
            const span = size + pads[axis]! + pads[axis + 2]! - kernel[axis]!;
            return Math.floor(span / stride[axis]!) + 1;
          });
          const [outHeight, outWidth] = counts as [number, number];
          const place = (count: number): number =>
            memory.put(channelsLast(randomNd(random, [batch, channels, count]).data, batch, channels, count));
          const images = Array.from({ length: branches }, () => place(pixels));
          const tablePtr = memory.putWords([
            ...images,
            ...images.map(() => memory.allocate(batch * pixels * lanes * 4)),
          ]);
          const factors = Array.from({ length: branches * 3 * lanes }, (_, i) => (i % lanes < channels ? random() : 0));
          const coefficientsPtr = memory.put(factors);
          const table = (axis: 0 | 1, size: number, out: number, distance: number): Int32Array =>
            windowTable(window, axis, 'zeros', size, out, distance);
          const rows = table(0, height, outHeight, width * lanes * 4);
          const columns = table(1, width, outWidth, lanes * 4);
          const seen = (of: Int32Array, taps: number, size: number, distance: number, outDistance: number): number[] =>
            Array.from({ length: size }, (_, i) => {
              const found = [...of.entries()].filter(([, at]) => at === i * distance);
              return Array.from({ length: 3 }, (_, j) =>
                found[j] ? Math.floor(found[j][0] / taps) * outDistance : -1,
              );
            }).flat();
          const [rowsPtr, columnsPtr] = [memory.putWords(rows), memory.putWords(columns)];
          const rowWindows = seen(rows, kernel[0], height, width * lanes * 4, outWidth * lanes * 4);
          const columnWindows = seen(columns, kernel[1], width, lanes * 4, lanes * 4);
          const windowsPtr = memory.putRecord(POOL_WINDOWS, {
            rowsPtr,
            columnsPtr,
            rowWindowsPtr: memory.putWords(rowWindows),
            columnWindowsPtr: memory.putWords(columnWindows),
            height,
            width,
            outHeight,
            outWidth,
            kernelHeight: kernel[0],
            kernelWidth: kernel[1],
            mostRows: 3,
            mostColumns: 3,
            bandRows,
          });
          const outBytes = batch * outHeight * outWidth * lanes * 4;
          const [outPtr, placesPtr, sumPtr] = [outBytes, outBytes, batch * pixels * lanes * 4].map((bytes) =>
            memory.allocate(bytes),
          ) as [number, number, number];
          const scratchPtr = memory.allocate(Math.max(4096, pixels * lanes * 4));
          const by = [tablePtr, branches, coefficientsPtr] as const;
          for (const image of [1, 0, 2]) {
            kernels.normSumPool(...by, outPtr, placesPtr, windowsPtr, lanes, low, scratchPtr, image, image + 1);
          }
          kernels.normSum(tablePtr, branches, 0, coefficientsPtr, sumPtr, lanes, low, 0, batch * pixels);
          const sums = memory.floats(sumPtr, batch * pixels * lanes);
          const expected = new Float32Array(outBytes / 4).map((_, i) => {
            const [c, pixel] = [i % lanes, Math.floor(i / lanes)];
            const [image, y] = [Math.floor(pixel / outWidth / outHeight), Math.floor(pixel / outWidth) % outHeight];
            const x = pixel % outWidth;
            const down = [...rows.subarray(y * kernel[0], (y + 1) * kernel[0])].filter((at) => at >= 0);
            const across = [...columns.subarray(x * kernel[1], (x + 1) * kernel[1])].filter((at) => at >= 0);
            const seenBy = down.flatMap((row) =>
              across.map((column) => (row + column) / 4 + c + image * pixels * lanes),
            );
            return Math.max(...seenBy.map((at) => sums[at]!));
          });
          assert.ok(sameBits(memory.floats(outPtr, outBytes / 4), expected));

          const [gradPtr, dxPtr] = [place(outHeight * outWidth), memory.allocate(batch * pixels * lanes * 4)];
          const shape = [outHeight, outWidth, kernel[0], kernel[1], pixels * lanes * 4, lanes, 0, batch] as const;
          kernels.maxPool2dGrad(gradPtr, sumPtr, dxPtr, rowsPtr, columnsPtr, ...shape);
          const statisticsPtr = memory.putDoubles(new Float64Array(branches * lanes * 2).fill(0.5));
          const chunks = Math.ceil((batch * pixels) / CHUNK);
          const count = chunks * (1 + branches) * lanes;
          const run = (dPtr: number, yPtr: number, places: number, windows: number): Float64Array => {
            const ptr = memory.allocate(count * 8);
            const maskPtr = low === 0 ? yPtr : 0;
            const range = [batch * pixels, lanes, CHUNK, scratchPtr, 0, chunks] as const;
            kernels.normGradSums(dPtr, maskPtr, places, windows, 0, tablePtr, branches, statisticsPtr, ptr, ...range);
            const applied = memory.put(new Float32Array(branches * lanes * 4).fill(0.25));
            const whole = [lanes, scratchPtr, 0, batch * pixels] as const;
            kernels.applyNormGrad(dPtr, maskPtr, places, windows, tablePtr, branches, applied, ...whole);
            const outs = [...memory.words(tablePtr + branches * 4, branches)];
            const values = outs.flatMap((at) => [...memory.floats(at, batch * pixels * lanes)]);
            return Float64Array.from([...memory.doubles(ptr, count), ...values]);
          };
          assert.equal(run(gradPtr, outPtr, placesPtr, windowsPtr), run(dxPtr, sumPtr, 0, 0));
          memory.clear('pooled sums');
        }
      }
    }
  });

  test(`${build}: sums of columns`, () => {
    const random = seededRandom(9);
    for (const channels of CHANNELS) {
      for (const pixels of COUNTS) {
        const lanes = lanesOf(channels);
        const dy = randomNd(random, [1, channels, pixels]).data;
        const inPtr = memory.put(channelsLast(dy, 1, channels, pixels));
        const chunks = Math.ceil(pixels / CHUNK);
        const sumsPtr = memory.allocate(chunks * lanes * 8);
        for (let i = chunks - 1; i >= 0; i--) kernels.columnSums(inPtr, sumsPtr, pixels, lanes, CHUNK, i, i + 1);
        const outPtr = memory.allocate(channels * 4);
        kernels.writeColumnSums(sumsPtr, chunks, channels, lanes, outPtr);
        const expected = Array.from({ length: channels }, (_, c) =>
          dy.subarray(c * pixels, (c + 1) * pixels).reduce((a, b) => a + b, 0),
        );
        assert.ok(relativeError(memory.floats(outPtr, channels), expected) < 1e-6);
        memory.clear('columns');
      }
    }
  });

  test(`${build}: gradients of pools`, () => {
    const random = seededRandom(11);
    const windows = [
      { kernel: [2, 2], stride: [2, 2], pads: [0, 0, 0, 0] },
      { kernel: [3, 3], stride: [2, 2], pads: [1, 1, 1, 1] },
      { kernel: [3, 2], stride: [1, 2], pads: [1, 0, 0, 1] },
      { kernel: [2, 3], stride: [3, 3], pads: [0, 1, 0, 1] },
    ] as const;
    for (const channels of CHANNELS) {
      for (const { kernel, stride, pads } of windows) {
        for (const special of [false, true]) {
          const [batch, height, width, lanes] = [3, 7, 8, lanesOf(channels)];
          const window = { kernel, stride, pads, dilation: [1, 1] } as const;
          const outSize = [height, width].map(
            (size, axis) => Math.floor((size + pads[axis]! + pads[axis + 2]! - kernel[axis]!) / stride[axis]!) + 1,
          ) as [number, number];
          const pixels = outSize[0] * outSize[1];
          const x = randomNd(random, [batch, channels, height * width]).data;
          // Equal values, of which the first wins; NaN, which wins over all; and windows of only -infinity.
          if (special) {
            for (let i = 0; i < x.length; i++) x[i] = Math.round(x[i]! * 2);
            for (let i = 0; i < x.length; i += 11) x[i] = Number.NaN;
            x.fill(Number.NEGATIVE_INFINITY, 0, 3 * width);
          }
          const dy = randomNd(random, [batch, channels, pixels]).data;
          const rowsPtr = memory.putWords(windowTable(window, 0, 'zeros', height, outSize[0], width * lanes * 4));
          const columnsPtr = memory.putWords(windowTable(window, 1, 'zeros', width, outSize[1], lanes * 4));
          const inPtr = memory.put(channelsLast(x, batch, channels, height * width));
          const gradPtr = memory.put(channelsLast(dy, batch, channels, pixels));
          const size = batch * height * width * lanes;
          const outPtr = memory.allocate(size * 4);
          type Shape = [number, number, number, number, number, number];
          const shape: Shape = [...outSize, kernel[0], kernel[1], height * width * lanes * 4, lanes];
          kernels.maxPool2dGrad(gradPtr, inPtr, outPtr, rowsPtr, columnsPtr, ...shape, 1, 3);
          kernels.maxPool2dGrad(gradPtr, inPtr, outPtr, rowsPtr, columnsPtr, ...shape, 0, 1);
          const dims = [batch, channels, height, width] as const;
          const expected = maxPoolBackward(
            { data: x, dims },
            { data: dy, dims: [batch, channels, ...outSize] },
            window,
          );
          const got = planar(memory.floats(outPtr, size), batch, channels, height * width);
          assert.ok(relativeError(got, expected) < 1e-6, `max ${channels} channels, ${JSON.stringify(window)}`);
          const divisors = [0, 1].map((axis) =>
            windowDivisors(window, axis as 0 | 1, special, [height, width][axis]!, outSize[axis]!),
          ) as [Float32Array, Float32Array];
          const averagePtr = memory.allocate(size * 4);
          const divisorPtrs = [memory.put(divisors[0]), memory.put(divisors[1])] as const;
          kernels.avgPool2dGrad(gradPtr, averagePtr, rowsPtr, columnsPtr, ...divisorPtrs, ...shape, 0, 2);
          kernels.avgPool2dGrad(gradPtr, averagePtr, rowsPtr, columnsPtr, ...divisorPtrs, ...shape, 2, 3);
          const averages = avgPoolBackward(dims, { data: dy, dims: [batch, channels, ...outSize] }, window, special);
          const average = planar(memory.floats(averagePtr, size), batch, channels, height * width);
          assert.ok(relativeError(average, averages) < 1e-6, `average ${channels}, ${JSON.stringify(window)}`);
          memory.clear('pools');
        }
      }
    }
  });

  test(`${build}: gradients of global pools`, () => {
    const random = seededRandom(13);
    for (const channels of CHANNELS) {
      for (const [height, width] of [
        [1, 1],
        [3, 5],
      ] as const) {
        const [batch, pixels, lanes] = [3, height * width, lanesOf(channels)];
        const x = randomNd(random, [batch, channels, pixels]).data.map((value) => Math.round(value * 3));
        if (pixels > 1) x[2] = Number.NaN;
        const dy = randomNd(random, [batch, channels, 1]).data;
        const inPtr = memory.put(channelsLast(x, batch, channels, pixels));
        const gradPtr = memory.put(channelsLast(dy, batch, channels, 1));
        const dims = [batch, channels, height, width] as const;
        const window = { kernel: [height, width], stride: [1, 1], pads: [0, 0, 0, 0] } as const;
        const out = { data: dy, dims: [batch, channels, 1, 1] };
        for (const [kernel, expected] of [
          ['globalMaxPool2dGrad', maxPoolBackward({ data: x, dims }, out, window)],
          ['globalAvgPool2dGrad', avgPoolBackward(dims, out, window, false)],
        ] as const) {
          const outPtr = memory.allocate(batch * pixels * lanes * 4);
          for (const [first, last] of [
            [1, 3],
            [0, 1],
          ] as const) {
            if (kernel === 'globalMaxPool2dGrad') kernels[kernel](gradPtr, inPtr, outPtr, pixels, lanes, first, last);
            else kernels[kernel](gradPtr, outPtr, pixels, lanes, first, last);
          }
          const got = planar(memory.floats(outPtr, batch * pixels * lanes), batch, channels, pixels);
          assert.ok(relativeError(got, expected) < 1e-6, `${kernel} of ${channels} channels`);
        }
        memory.clear('global pools');
      }
    }
  });

  test(`${build}: cross-entropy`, () => {
    const random = seededRandom(15);
    for (const classes of [1, 2, 3, 10, 101]) {
      for (const smoothing of [0, 0.1]) {
        for (const spread of [1, 30, 1000]) {
          const [rows, stride] = [7, lanesOf(classes)];
          const logits = randomNd(random, [rows, classes], -spread, spread).data;
          const labels = Array.from({ length: rows }, () => Math.floor(random() * classes));
          const padded = channelsLast(logits, rows, classes, 1);
          const [inPtr, labelsPtr] = [memory.put(padded), memory.putWords(labels)];
          const [lossPtr, gradPtr] = [memory.allocate(rows * 8), memory.allocate(rows * stride * 4)];
          for (const [first, last] of [
            [3, rows],
            [0, 3],
          ] as const) {
            kernels.crossEntropy(inPtr, labelsPtr, lossPtr, gradPtr, classes, stride, smoothing, 1 / rows, first, last);
          }
          const expected = crossEntropy(logits, labels, classes, smoothing);
          const losses = memory.doubles(lossPtr, rows);
          expected.losses.forEach((loss, i) => {
            assert.ok(Math.abs(losses[i]! - loss) <= 1e-13 * Math.max(1, loss), `loss ${losses[i]}, not ${loss}`);
          });
          const grad = planar(memory.floats(gradPtr, rows * stride), rows, classes, 1);
          assert.ok(
            relativeError(
              grad,
              expected.grad.map((value) => value / rows),
            ) < 1e-7,
          );
          const best = (row: number): number => {
            const values = [...logits.subarray(row * classes, (row + 1) * classes)];
            return values.indexOf(Math.max(...values));
          };
          const correct = labels.filter((label, row) => label === best(row)).length;
          assert.is(kernels.countCorrect(inPtr, labelsPtr, classes, stride, rows), correct);
          kernels.crossEntropy(inPtr, labelsPtr, lossPtr, 0, classes, stride, smoothing, 1, 0, rows);
          kernels.crossEntropy(inPtr, labelsPtr, lossPtr, inPtr, classes, stride, smoothing, 1 / rows, 0, rows);
          assert.ok(sameBits(memory.floats(inPtr, rows * stride), memory.floats(gradPtr, rows * stride)));
          memory.clear('cross-entropy');
        }
      }
    }
  });

  test(`${build}: cross-entropy of what is not a number is none, of an impossible class is infinite`, () => {
    const lossOf = (logits: number[], smoothing: number): number => {
      const [inPtr, labelsPtr, lossPtr] = [memory.put(logits), memory.putWords([0]), memory.allocate(8)];
      kernels.crossEntropy(inPtr, labelsPtr, lossPtr, 0, logits.length, logits.length, smoothing, 1, 0, 1);
      const [loss] = memory.doubles(lossPtr, 1);
      memory.clear('values');
      return loss!;
    };
    assert.ok(Number.isNaN(lossOf([1, Number.NaN, 2, 3], 0)));
    assert.ok(Number.isNaN(lossOf([1, Number.POSITIVE_INFINITY, 2, 3], 0)));
    assert.is(lossOf([Number.NEGATIVE_INFINITY, 1, 2, 3], 0), Number.POSITIVE_INFINITY);
    assert.ok(Math.abs(lossOf([1, Number.NEGATIVE_INFINITY, 1, 1], 0) - Math.log(3)) < 1e-15);
    assert.is(lossOf([1, Number.NEGATIVE_INFINITY, 1, 1], 0.1), Number.POSITIVE_INFINITY);
  });

  test(`${build}: gradients of softmax and its logarithm`, () => {
    const random = seededRandom(17);
    for (const isLog of [false, true]) {
      for (const [outer, axis, inner] of [
        [3, 5, 1],
        [2, 4, 3],
        [1, 1, 2],
      ] as const) {
        const x = randomNd(random, [outer, axis, inner], -4, 4).data;
        const dy = randomNd(random, [outer, axis, inner]).data;
        const { y, dx } = softmaxBackward(x, dy, outer, axis, inner, isLog);
        const [gradPtr, valuePtr, outPtr] = [memory.put(dy), memory.put(y), memory.allocate(x.length * 4)];
        for (let i = outer - 1; i >= 0; i--) {
          kernels.softmaxGrad(gradPtr, valuePtr, outPtr, axis * inner, inner, axis, inner, isLog, i, i + 1);
        }
        assert.ok(relativeError(memory.floats(outPtr, x.length), dx) < 1e-6, `${isLog}, ${[outer, axis, inner]}`);
        memory.clear('softmax');
      }
    }
  });

  test(`${build}: steps of SGD, of an average, and norms`, () => {
    const random = seededRandom(19);
    for (const count of [1, 2, 3, 4, 5, 7, 40]) {
      for (const [momentum, dampening, nesterov] of [
        [0, 0, false],
        [0.9, 0, false],
        [0.9, 0.3, false],
        [0.9, 0, true],
      ] as const) {
        const [p, g1, g2] = Array.from({ length: 3 }, () => randomNd(random, [count]).data) as [
          Float32Array,
          Float32Array,
          Float32Array,
        ];
        const paramPtr = memory.put(p);
        const velocityPtr = momentum === 0 ? 0 : memory.allocate(count * 4);
        const expected = Float64Array.from(p);
        const velocity = new Float64Array(count);
        [g1, g2].forEach((grad, step) => {
          kernels.sgdStep(
            paramPtr,
            memory.put(grad),
            velocityPtr,
            0.1,
            momentum,
            dampening,
            0.01,
            0.5,
            nesterov ? 1 : 0,
            step === 0 ? 1 : 0,
            0,
            count,
          );
          grad.forEach((value, i) => {
            const g = value * 0.5 + 0.01 * expected[i]!;
            velocity[i] = step === 0 ? g : momentum * velocity[i]! + (1 - dampening) * g;
            expected[i]! -= 0.1 * (momentum === 0 ? g : nesterov ? g + momentum * velocity[i]! : velocity[i]!);
          });
        });
        assert.ok(relativeError(memory.floats(paramPtr, count), expected) < 1e-6, `${count}, ${momentum}`);
        const norm = p.reduce((sum, value) => sum + value * value, 0);
        assert.ok(Math.abs(kernels.squaredNorm(memory.put(p), count) - norm) < 1e-12);
        memory.clear('steps');
      }
    }
  });

  test(`${build}: the binary holds no data and stands beside a runtime's kernels`, async () => {
    const module = new WebAssembly.Module(readFileSync(`build/train.${build}.wasm`));
    assert.equal(WebAssembly.Module.imports(module), [{ module: 'env', name: 'memory', kind: 'memory' }]);
    assert.not.match(readFileSync(`build/train.${build}.wat`, 'utf8'), /^ *\(data /m);
    for (const threads of [1, 2]) {
      const runtime = (await createRuntime({ simd: build, threads })) as Runtime & {
        kernels: Kernels;
        share(binary: Uint8Array<ArrayBuffer>): void;
        heap: { allocate(bytes: number): { ptr: number; free(): void }; floats(ptr: number, n: number): Float32Array };
      };
      const train = trainKernels(runtime);
      assert.is(train.IS_RELAXED.value, build === 'relaxed' ? 1 : 0);
      const memoryOf = runtime.heap.allocate(64);
      runtime.heap.floats(memoryOf.ptr, 3).set([1, 2, 3]);
      assert.is(train.squaredNorm(memoryOf.ptr, 3), 14);
      memoryOf.free();
      runtime.dispose();
    }
  });
}

test.run();
