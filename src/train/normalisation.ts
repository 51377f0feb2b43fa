/** What is taken off pixels and what they are divided by, for each channel; pixels are from 0 to 1 there, as in PyTorch. */
import { show } from '../shown.js';
import type { Dataset } from './dataset.js';

export interface Normalisation {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

const LEVELS = 256;

/** Means and standard deviations over all images. Sums of whole numbers, so no order of summation matters. */
export function normalisationOf(data: Dataset): Normalisation {
  const [channels, height, width] = data.dims;
  const plane = height * width;
  const counts = new Float64Array(channels * LEVELS);
  const image = new Uint8Array(channels * plane);
  for (let index = 0; index < data.size; index++) {
    data.read(index, image);
    for (let i = 0, channel = 0; channel < channels; channel++) {
      for (const end = i + plane; i < end; i++) counts[channel * LEVELS + image[i]!]!++;
    }
  }
  const moments = Array.from({ length: channels }, (_, i) => momentsOf(counts.subarray(i * LEVELS, (i + 1) * LEVELS)));
  return { mean: moments.map(({ mean }) => mean), std: moments.map(({ std }) => std) };
}

/** @throws TypeError, RangeError when it is not a finite number for each channel, with no zero in std */
export function checkNormalisation(owner: string, { mean, std }: Normalisation, channels: number): Normalisation {
  for (const [name, values] of Object.entries({ mean, std })) {
    if (!Array.isArray(values)) {
      throw new TypeError(`${owner}: ${name} must be an array of ${channels} numbers, got ${show(values)}`);
    }
    if (values.length !== channels || !values.every(Number.isFinite) || (name === 'std' && values.includes(0))) {
      const kind = name === 'std' ? 'numbers other than 0' : 'numbers';
      throw new RangeError(`${owner}: ${name} must be ${channels} finite ${kind}, got ${show(values)}`);
    }
  }
  return { mean, std };
}

/** A channel of one value is divided by 1. */
function momentsOf(counts: Float64Array): { mean: number; std: number } {
  let count = 0;
  let sum = 0;
  let squares = 0;
  for (let level = 0; level < LEVELS; level++) {
    count += counts[level]!;
    sum += counts[level]! * level;
    squares += counts[level]! * level * level;
  }
  const mean = sum / count;
  const std = Math.sqrt(Math.max(0, squares / count - mean * mean));
  return { mean: mean / (LEVELS - 1), std: std === 0 ? 1 : std / (LEVELS - 1) };
}
