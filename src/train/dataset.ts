/**
 * Labelled images: what training reads, wherever it comes from. Pixels are bytes, as files have them; scaling and
 * augmentation are the matter of batches.
 */
import { wholeNumber } from '../options.js';
import { show, showName } from '../shown.js';
import { permutation, Random, SPLIT } from './random.js';

export interface Dataset {
  /** Number of images. */
  readonly size: number;
  /** Names of the classes, by label. */
  readonly classes: readonly string[];
  /** Of each image: [channels, height, width]. */
  readonly dims: readonly [number, number, number];
  /**
   * Writes the pixels of an image, [channels, height, width], from 0 to 255.
   * @returns its label
   */
  read(index: number, target: Uint8Array): number;
}

export interface ArrayDatasetOptions {
  /** [images, channels, height, width]; kept, not copied. */
  readonly pixels: Uint8Array;
  /** Of each image. */
  readonly labels: ArrayLike<number>;
  readonly dims: readonly [number, number, number];
  readonly classes: readonly string[];
}

/** Classes that labels of 16 bits tell apart. */
export const MAX_CLASSES = 2 ** 16;

/**
 * Images in memory.
 * @throws TypeError, RangeError when the parts do not fit each other, or a class has no image
 * @example
 * const data = arrayDataset({ pixels, labels, dims: [1, 28, 28], classes: ['cat', 'dog'] });
 */
export function arrayDataset(options: ArrayDatasetOptions): Dataset {
  const { pixels, labels, dims, classes } = options;
  return makeDataset('arrayDataset', pixels, labels, dims, classes);
}

/** @param owner who is at fault: a function, or a file */
export function makeDataset(
  owner: string,
  pixels: Uint8Array,
  labels: ArrayLike<number>,
  dims: readonly [number, number, number],
  classes: readonly string[],
): Dataset {
  const imageSize = dims[0] * dims[1] * dims[2];
  if (!dims.every((dim) => Number.isSafeInteger(dim) && dim >= 1)) {
    throw new RangeError(`${owner}: dims must be [channels, height, width], each at least 1, got ${show(dims)}`);
  }
  if (labels.length === 0) throw new RangeError(`${owner}: expected images, got none`);
  if (pixels.length !== labels.length * imageSize) {
    throw new RangeError(
      `${owner}: ${labels.length} images of dims ${show(dims)} are ${labels.length * imageSize} pixels, got ` +
        `${pixels.length}`,
    );
  }
  const checked = checkLabels(owner, labels, classes);
  return {
    size: labels.length,
    classes,
    dims,
    read: (index, target) => {
      target.set(pixels.subarray(index * imageSize, (index + 1) * imageSize));
      return checked[index]!;
    },
  };
}

/** Names for classes that have none: their numbers. */
export function numberedClasses(labels: ArrayLike<number>): string[] {
  let largest = 0;
  for (let i = 0; i < labels.length; i++) largest = Math.max(largest, labels[i]!);
  return Array.from({ length: largest + 1 }, (_, i) => String(i));
}

/**
 * Part of a dataset.
 * @param indices of its images, in the order that they are to have
 * @throws RangeError when there is none, or one that the dataset has not
 */
export function subset(data: Dataset, indices: ArrayLike<number>): Dataset {
  const chosen = Uint32Array.from(indices);
  const wrong = Array.from(indices).find((index) => !(Number.isSafeInteger(index) && index >= 0 && index < data.size));
  if (wrong !== undefined) {
    throw new RangeError(`subset: indices must be whole numbers from 0 to ${data.size - 1}, got ${show(wrong)}`);
  }
  if (chosen.length === 0) throw new RangeError('subset: expected at least one index, got none');
  const { classes, dims } = data;
  return { size: chosen.length, classes, dims, read: (index, target) => data.read(chosen[index]!, target) };
}

/**
 * Parts a dataset in two at random, the same for the same seed.
 * @param count images of the second part
 * @throws RangeError when a part would be empty
 */
export function split(data: Dataset, count: number, seed: number): [rest: Dataset, held: Dataset] {
  if (!Number.isSafeInteger(count) || count < 1 || count >= data.size) {
    throw new RangeError(`split: count must be a whole number from 1 to ${data.size - 1}, got ${show(count)}`);
  }
  const order = permutation(data.size, new Random(seed, SPLIT));
  return [subset(data, order.subarray(count)), subset(data, order.subarray(0, count))];
}

/** The labels, whole numbers of classes all of which are there. */
function checkLabels(owner: string, labels: ArrayLike<number>, classes: readonly string[]): Uint16Array {
  if (classes.length > MAX_CLASSES) {
    throw new RangeError(`${owner}: expected at most ${MAX_CLASSES} classes, got ${classes.length}`);
  }
  const counts = new Uint32Array(classes.length);
  for (let i = 0; i < labels.length; i++) {
    const label = wholeNumber(owner, `labels[${i}]`, labels[i], 0);
    if (label >= classes.length) {
      throw new RangeError(
        `${owner}: labels[${i}] must be below ${classes.length}, the number of classes, got ${label}`,
      );
    }
    counts[label]!++;
  }
  const empty = counts.indexOf(0);
  if (empty >= 0) throw new RangeError(`${owner}: class ${empty} (${showName(classes[empty]!)}) has no image`);
  return Uint16Array.from(labels);
}
