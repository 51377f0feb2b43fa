/** The images of `acnet train`: which kind of set a folder holds, and what is for training, validation and test. */
import { cifarDataset, hasCifarFiles } from '../train/cifar.js';
import { type Dataset, split } from '../train/dataset.js';
import { listFolder } from '../train/files.js';
import { hasIdxFiles, idxDataset } from '../train/idx.js';
import { imageFolder } from '../train/imageFolder.js';
import { CommandError } from './errors.js';
import { withProgress } from './progress.js';
import type { TrainSettings } from './trainSettings.js';

export interface TrainData {
  readonly training: Dataset;
  /** What decides which epoch is the best: images held out, or else the test set. */
  readonly validation: Dataset | undefined;
  readonly test: Dataset | undefined;
}

/** What a folder holds. */
export interface Sets {
  readonly training: Dataset;
  readonly test: Dataset | undefined;
}

const TEST_FOLDERS = ['test', 'val', 'valid', 'validation'];

/** @throws {CommandError} when more images are to be held out than there are */
export function dataFor({ holdOut, seed }: TrainSettings, { training, test }: Sets): TrainData {
  if (holdOut === undefined) return { training, validation: test, test };
  if (holdOut >= training.size) {
    throw new CommandError(`--hold-out is ${holdOut}, expected fewer than the ${training.size} training images`);
  }
  const [rest, held] = split(training, holdOut, seed);
  return { training: rest, validation: held, test };
}

/**
 * The sets that a folder has.
 * @throws {CommandError} when it holds no images of a known kind
 */
export async function openSets(
  folder: string,
  size: readonly [number, number] | undefined,
  signal: AbortSignal,
): Promise<Sets> {
  const { folders, files } = await listFolder(folder);
  const kind = [
    { has: hasIdxFiles, open: idxDataset },
    { has: hasCifarFiles, open: cifarDataset },
  ].find(({ has }) => has(files, 'train'));
  if (kind !== undefined) {
    if (size !== undefined) throw new CommandError(`${folder}: --size is for folders of images, this set has its own`);
    const training = await kind.open(folder, { split: 'train' });
    const hasTest = kind.has(files, 'test');
    const test = hasTest ? await kind.open(folder, { split: 'test', classes: training.classes }) : undefined;
    return { training, test };
  }
  if (folders.length === 0) {
    throw new CommandError(
      `${folder}: holds no images: expected IDX files (MNIST), binary CIFAR files, or a folder for each class`,
    );
  }
  const isSplit = folders.includes('train');
  const training = await openFolder(isSplit ? `${folder}/train` : folder, size && { size }, signal);
  const testFolder = isSplit ? TEST_FOLDERS.find((name) => folders.includes(name)) : undefined;
  if (testFolder === undefined) return { training, test: undefined };
  const [channels, height, width] = training.dims;
  const alike = { channels: channels as 1 | 3, size: [height, width] as const, classes: training.classes };
  return { training, test: await openFolder(`${folder}/${testFolder}`, alike, signal) };
}

async function openFolder(
  folder: string,
  options: Parameters<typeof imageFolder>[1],
  signal: AbortSignal,
): Promise<Dataset> {
  return withProgress('reading', 0, (step) =>
    imageFolder(folder, { ...options, signal, onProgress: (done, total) => void step(done, total) }),
  );
}
