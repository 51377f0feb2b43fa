// Images in IDX files, as MNIST and Fashion-MNIST are, fetched or from the reader's disk; unpacked where they end in .gz.
import { readIdx } from '../../dist/train.js';

const COMMITTED = ['train-5000', 't10k-1000'].flatMap((prefix) => [
  `${prefix}-images-idx3-ubyte.gz`,
  `${prefix}-labels-idx1-ubyte.gz`,
]);
const FOLDER = new URL('../fashion-mnist/', import.meta.url);

/** The images that come with the example. */
export async function committedImages() {
  const files = await Promise.all(
    [...COMMITTED, 'classes.txt'].map(async (name) => {
      const response = await fetch(new URL(name, FOLDER));
      if (!response.ok) throw new Error(`${name}: the server says ${response.status}`);
      return new File([await response.blob()], name);
    }),
  );
  return imagesOf(files);
}

/**
 * @param {File[]} files images and labels to train and to test, in any order; classes.txt with names if there is one
 * @throws {Error} naming what is missing or cannot be read
 */
export async function imagesOf(files) {
  const names = files.find(({ name }) => name === 'classes.txt');
  const classes = names && (await names.text()).split(/\r?\n/).filter((line) => line !== '');
  const training = await read(files, 'train', /train/, classes);
  const test = await read(files, 't10k', /t10k|test/, classes ?? training.classes);
  return { training, test };
}

async function read(files, split, pattern, classes) {
  const [images, labels] = await Promise.all(
    ['images', 'labels'].map((kind) => {
      const file = files.find(({ name }) => pattern.test(name) && name.includes(kind));
      if (file === undefined) throw new Error(`A file ${split}-${kind} is missing; there must be all four.`);
      return unpack(file);
    }),
  );
  return readIdx(images, labels, classes);
}

async function unpack(file) {
  if (!file.name.endsWith('.gz')) return file.arrayBuffer();
  try {
    return await new Response(file.stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
  } catch {
    throw new Error(`${file.name} cannot be unpacked: it is no gzip file, or damaged.`);
  }
}
