/**
 * IDX files, which MNIST and its like are in. All numbers are big-endian:
 *
 *     images   | 0x803 | count | height | width | a byte a pixel, row by row |
 *     labels   | 0x801 | count | a byte a label |
 */

import { byteView } from '../bytes/byteView.js';
import { FormatError } from '../index.js';
import { show, showList } from '../shown.js';
import { product } from '../sizes.js';
import { type Dataset, makeDataset, numberedClasses } from './dataset.js';
import { listFolder, readNames, readUnpacked } from './files.js';
import { checkFolderOptions, type FolderOptions } from './folderOptions.js';

interface Contents {
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
}

const IMAGES = 0x803;
const LABELS = 0x801;
/** `train-images-idx3-ubyte`, and names that say more, such as `emnist-balanced-test-images-idx3-ubyte`. */
const FILES = {
  train: {
    images: /(^|-)train-(.*-)?images[-.]idx3-ubyte(\.gz)?$/,
    labels: /(^|-)train-(.*-)?labels[-.]idx1-ubyte(\.gz)?$/,
  },
  test: {
    images: /(^|-)(t10k|test)-(.*-)?images[-.]idx3-ubyte(\.gz)?$/,
    labels: /(^|-)(t10k|test)-(.*-)?labels[-.]idx1-ubyte(\.gz)?$/,
  },
};
const EXPECTED = { train: 'train', test: 't10k' };
/** Names of the classes, one a line. */
const CLASSES = 'classes.txt';

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
 * also with `.gz`); `classes.txt` beside them names the classes, one a line. In Node, Deno and Bun.
 * @throws Error that names what is missing or there twice; otherwise as `readIdx`
 * @example
 * const data = await idxDataset('fashion-mnist', { split: 'train' });
 */
export async function idxDataset(folder: string, options: FolderOptions = {}): Promise<Dataset> {
  const { split, classes } = checkFolderOptions('idxDataset', folder, options);
  const { files } = await listFolder(folder);
  const [images, labels] = (['images', 'labels'] as const).map((kind) => {
    const found = files.filter((name) => FILES[split][kind].test(name));
    // Of a file and the same packed, the first is as good.
    const names = new Set(found.map((name) => name.replace(/\.gz$/, '')));
    if (names.size === 1) return `${folder}/${found[0]}`;
    const expected = `${EXPECTED[split]}-${kind}-idx${kind === 'images' ? 3 : 1}-ubyte`;
    throw new Error(`idxDataset: ${folder} must have ${expected} or ${expected}.gz, got ${showList(found) || 'none'}`);
  }) as [string, string];
  const names = classes ?? (files.includes(CLASSES) ? await readNames(`${folder}/${CLASSES}`) : undefined);
  return datasetOf('idxDataset', images, await readUnpacked(images), labels, await readUnpacked(labels), names);
}

export function hasIdxFiles(files: readonly string[], split: 'train' | 'test'): boolean {
  return files.some((name) => FILES[split].images.test(name));
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
