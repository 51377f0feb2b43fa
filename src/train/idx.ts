/**
 * IDX files, which MNIST and its like are in. All numbers are big-endian:
 *
 *     images   | 0x803 | count | height | width | a byte a pixel, row by row |
 *     labels   | 0x801 | count | a byte a label |
 */

import { byteView } from '../formats/file.js';
import { FormatError } from '../index.js';
import { show } from '../shown.js';
import { product } from '../sizes.js';
import { type Dataset, makeDataset, numberedClasses } from './dataset.js';
import { findFile, listFolder, readUnpacked } from './files.js';
import { checkFolderOptions, type FolderOptions } from './folderOptions.js';

interface Contents {
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
}

const IMAGES = 0x803;
const LABELS = 0x801;
const FILES = {
  train: {
    images: ['train-images-idx3-ubyte', 'train-images.idx3-ubyte'],
    labels: ['train-labels-idx1-ubyte', 'train-labels.idx1-ubyte'],
  },
  test: {
    images: ['t10k-images-idx3-ubyte', 't10k-images.idx3-ubyte'],
    labels: ['t10k-labels-idx1-ubyte', 't10k-labels.idx1-ubyte'],
  },
};

/**
 * The images of two IDX files, unpacked.
 * @param classes names by label; the numbers of the labels by default
 * @throws FormatError when a file is damaged or of another kind; RangeError when they do not fit each other
 */
export function readIdx(
  images: Uint8Array | ArrayBuffer,
  labels: Uint8Array | ArrayBuffer,
  classes?: readonly string[],
): Dataset {
  return datasetOf('readIdx', 'readIdx: images', images, 'readIdx: labels', labels, classes);
}

/**
 * MNIST, Fashion-MNIST and others in the same files (`train-images-idx3-ubyte`, `t10k-images-idx3-ubyte` and their labels,
 * also with `.gz`). In Node, Deno and Bun.
 * @throws Error that names the file that is missing; otherwise as `readIdx`
 * @example
 * const data = await idxDataset('fashion-mnist', { split: 'train' });
 */
export async function idxDataset(folder: string, options: FolderOptions = {}): Promise<Dataset> {
  const { split, classes } = checkFolderOptions('idxDataset', folder, options);
  const { files } = await listFolder(folder);
  const [images, labels] = [FILES[split].images, FILES[split].labels].map((names) => {
    const name = findFile(names, files);
    if (name === undefined) throw new Error(`idxDataset: ${folder} has no ${names[0]}, nor one with .gz`);
    return `${folder}/${name}`;
  }) as [string, string];
  return datasetOf('idxDataset', images, await readUnpacked(images), labels, await readUnpacked(labels), classes);
}

export function hasIdxFiles(files: readonly string[], split: 'train' | 'test'): boolean {
  return findFile(FILES[split].images, files) !== undefined;
}

/** @param imagesName, labelsName of the files, for messages */
function datasetOf(
  owner: string,
  imagesName: string,
  images: Uint8Array | ArrayBuffer,
  labelsName: string,
  labels: Uint8Array | ArrayBuffer,
  classes: readonly string[] | undefined,
): Dataset {
  const { dims, bytes: pixels } = readContents(imagesName, byteView(images, owner), IMAGES, 3);
  const { bytes: labelBytes } = readContents(labelsName, byteView(labels, owner), LABELS, 1);
  const [count, height, width] = dims as [number, number, number];
  if (labelBytes.length !== count) {
    throw new RangeError(`${labelsName}: expected ${count} labels, one for each image, got ${labelBytes.length}`);
  }
  return makeDataset(labelsName, pixels, labelBytes, [1, height, width], classes ?? numberedClasses(labelBytes));
}

function readContents(name: string, file: Uint8Array, magic: number, rank: number): Contents {
  const start = 4 + 4 * rank;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length >= 4 && view.getUint32(0) !== magic) {
    throw new FormatError(
      `${name}: expected an IDX file of ${rank} dims (0x${magic.toString(16)}), got 0x${view.getUint32(0).toString(16)}`,
      0,
    );
  }
  if (file.length < start) {
    throw new FormatError(`${name}: expected a header of ${start} bytes, got ${file.length}`, file.length);
  }
  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const expected = start + product(...dims);
  if (file.length !== expected) {
    throw new FormatError(`${name}: expected ${expected} bytes for ${show(dims)}, got ${file.length}`, file.length);
  }
  return { dims, bytes: file.subarray(start) };
}
