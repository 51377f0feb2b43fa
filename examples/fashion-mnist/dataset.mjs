/** Fashion-MNIST test images: where they are, their classes, and how the network takes them. */
import { statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { findFile, readImages, readLabels } from './idx.mjs';

export const SIDE = 28;
export const PIXELS = SIDE * SIDE;

export const CLASSES = [
  'T-shirt/top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
];

/**
 * The whole test set in `folder`, or the first 1,000 images beside this file.
 * @returns {{ count: number, pixels: Uint8Array, labels: Uint8Array }} pixels [count, 28, 28]
 * @throws Error naming the file that is missing or broken
 */
export function loadDataset(folder) {
  const own = fileURLToPath(new URL('.', import.meta.url));
  const stem = folder === undefined ? path.join(own, 't10k-1000') : path.join(checkFolder(folder), 't10k');
  const imageFile = findFile(`${stem}-images-idx3-ubyte.gz`);
  const labelFile = findFile(`${stem}-labels-idx1-ubyte.gz`);
  const { count, height, width, pixels } = readImages(imageFile);
  const labels = readLabels(labelFile);
  if (height !== SIDE || width !== SIDE) {
    throw new Error(`${imageFile}: images are ${height} x ${width}, expected ${SIDE} x ${SIDE}`);
  }
  if (count === 0) throw new Error(`${imageFile}: there is no image in it`);
  if (labels.length !== count) throw new Error(`${labelFile}: ${labels.length} labels for ${count} images`);
  const strange = labels.findIndex((label) => label >= CLASSES.length);
  if (strange >= 0) {
    throw new Error(`${labelFile}: label ${strange} is ${labels[strange]}, expected 0 to ${CLASSES.length - 1}`);
  }
  return { count, pixels, labels };
}

/**
 * @param {{ mean: number, std: number }} scale that the network was trained on
 * @returns {Float32Array} images `begin` up to `end` as the network takes them, [end - begin, 1, 28, 28]
 */
export function scaledImages(dataset, { mean, std }, begin, end) {
  const scaled = Float32Array.from({ length: 256 }, (_, p) => (p / 255 - mean) / std);
  return Float32Array.from(dataset.pixels.subarray(begin * PIXELS, end * PIXELS), (p) => scaled[p]);
}

function checkFolder(folder) {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new Error(`${path.join(folder, 't10k-images-idx3-ubyte.gz')}: there is no folder ${folder}`);
  }
  return folder;
}
