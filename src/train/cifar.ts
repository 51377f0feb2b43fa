/**
 * CIFAR-10 and CIFAR-100 in their binary files, records of one image after the other:
 *
 *     CIFAR-10    | label | 32 x 32 red | green | blue |
 *     CIFAR-100   | coarse label | fine label | 32 x 32 red | green | blue |
 */
import { FormatError } from '../index.js';
import { type Dataset, makeDataset, numberedClasses } from './dataset.js';
import { findFile, listFolder, readNames, readUnpacked } from './files.js';
import { checkFolderOptions, type FolderOptions } from './folderOptions.js';

interface Kind {
  readonly files: Readonly<Record<'train' | 'test', readonly string[]>>;
  /** Bytes before the pixels; the label is the last of them. */
  readonly labelBytes: number;
  /** The file that names the classes, one a line. */
  readonly names: string;
}

const DIMS = [3, 32, 32] as const;
const IMAGE_BYTES = 3 * 32 * 32;
const KINDS: readonly Kind[] = [
  {
    files: { train: [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`), test: ['test_batch.bin'] },
    labelBytes: 1,
    names: 'batches.meta.txt',
  },
  { files: { train: ['train.bin'], test: ['test.bin'] }, labelBytes: 2, names: 'fine_label_names.txt' },
];

/**
 * CIFAR-10 (`data_batch_1.bin` to `_5`, `test_batch.bin`) or CIFAR-100 (`train.bin`, `test.bin`, of whose labels the fine
 * ones are taken), whichever is in the folder, also with `.gz`. In Node, Deno and Bun.
 * @throws Error naming what is missing; FormatError when a file is no whole number of images; RangeError when a label has
 * no class
 * @example
 * const data = await cifarDataset('cifar-10-batches-bin', { split: 'test' });
 */
export async function cifarDataset(folder: string, options: FolderOptions = {}): Promise<Dataset> {
  const { split, classes } = checkFolderOptions('cifarDataset', folder, options);
  const { files } = await listFolder(folder);
  const kind = KINDS.find((one) => findFile(one.files[split], files) !== undefined);
  if (kind === undefined) {
    const expected = KINDS.map((one) => one.files[split][0]).join(' or ');
    throw new Error(`cifarDataset: ${folder} has no ${expected}`);
  }
  const parts: Uint8Array[] = [];
  for (const wanted of kind.files[split]) {
    const name = findFile([wanted], files);
    if (name === undefined) throw new Error(`cifarDataset: ${folder} has no ${wanted}`);
    parts.push(await readRecords(`${folder}/${name}`, kind));
  }
  const names = files.includes(kind.names) ? await readNames(`${folder}/${kind.names}`) : undefined;
  return datasetOf(folder, parts, kind, classes ?? names);
}

export function hasCifarFiles(files: readonly string[], split: 'train' | 'test'): boolean {
  return KINDS.some((kind) => findFile(kind.files[split], files) !== undefined);
}

async function readRecords(file: string, { labelBytes }: Kind): Promise<Uint8Array> {
  const bytes = await readUnpacked(file);
  const record = labelBytes + IMAGE_BYTES;
  if (bytes.length === 0 || bytes.length % record !== 0) {
    throw new FormatError(`${file}: expected images of ${record} bytes each, got ${bytes.length} bytes`, bytes.length);
  }
  return bytes;
}

function datasetOf(
  folder: string,
  parts: readonly Uint8Array[],
  { labelBytes }: Kind,
  classes: readonly string[] | undefined,
): Dataset {
  const record = labelBytes + IMAGE_BYTES;
  const count = parts.reduce((sum, { length }) => sum + length / record, 0);
  const pixels = new Uint8Array(count * IMAGE_BYTES);
  const labels = new Uint8Array(count);
  let image = 0;
  for (const part of parts) {
    for (let at = 0; at < part.length; at += record, image++) {
      labels[image] = part[at + labelBytes - 1]!;
      pixels.set(part.subarray(at + labelBytes, at + record), image * IMAGE_BYTES);
    }
  }
  return makeDataset(folder, pixels, labels, DIMS, classes ?? numberedClasses(labels));
}
