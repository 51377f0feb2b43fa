/** PNG and JPEG files in a folder for each class. */
import { type DecodedImage, decodeImage, withChannels } from '../images/image.js';
import { resize } from '../images/resize.js';
import { checkNames, wholeNumber } from '../options.js';
import { show, showName, showText } from '../shown.js';
import { product } from '../sizes.js';
import { type Dataset, makeDataset } from './dataset.js';
import { listFolder, readBytes } from './files.js';
import { checkClasses } from './folderOptions.js';

export interface ImageFolderOptions {
  /** [height, width] that images are resized to, whatever their proportions; by default all must have the same. */
  readonly size?: readonly [number, number];
  /** 1 (grey) or 3; by default those of the first image. */
  readonly channels?: 1 | 3;
  /** The folders that are classes, by label; by default all, in the order of their names. */
  readonly classes?: readonly string[];
  /** Told how many images have been read, and how many there are. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

interface Labelled {
  readonly file: string;
  readonly label: number;
}

const OWNER = 'imageFolder';
const IMAGE = /\.(png|jpe?g)$/i;
/** Pixels of all images together, which are kept in memory. */
const MAX_PIXELS = 2 ** 31;
/** Files read at a time. */
const READERS = 16;

/**
 * Images in a folder for each class: `DIR/cat/1.png`, `DIR/dog/2.jpg`. All are read now, so that what is wrong with one
 * shows before training begins. In Node, Deno and Bun.
 * @throws Error naming the image that cannot be read; RangeError when a class has none, when they are of different sizes
 * and `size` does not say which to take, or when they are too many for memory
 * @example
 * const data = await imageFolder('pets/train', { size: [32, 32] });
 */
export async function imageFolder(folder: string, options: ImageFolderOptions = {}): Promise<Dataset> {
  if (typeof folder !== 'string') throw new TypeError(`${OWNER}: folder must be a path, got ${show(folder)}`);
  checkNames(OWNER, options, ['size', 'channels', 'classes', 'onProgress', 'signal']);
  const { signal, onProgress } = options;
  const size = checkSize(options.size);
  checkChannels(options.channels);
  const classes = checkClasses(OWNER, options.classes) ?? (await listFolder(folder)).folders;
  if (classes.length === 0) throw new RangeError(`${OWNER}: ${folder} has no folders, expected one for each class`);
  const images = await findImages(folder, classes);

  const first = await readImage(images[0]!.file);
  const [height, width] = size ?? [first.height, first.width];
  const channels = options.channels ?? first.channels;
  const imageSize = channels * height * width;
  if (product(images.length, imageSize) > MAX_PIXELS) {
    throw new RangeError(
      `${OWNER}: ${images.length} images of [${channels}, ${height}, ${width}] must be at most ${MAX_PIXELS} pixels, ` +
        `got ${product(images.length, imageSize)}; resize them to a smaller size`,
    );
  }
  const pixels = new Uint8Array(images.length * imageSize);
  for (let begin = 0; begin < images.length; begin += READERS) {
    signal?.throwIfAborted();
    onProgress?.(begin, images.length);
    const group = images.slice(begin, begin + READERS);
    const decoded = await Promise.all(group.map(({ file }) => readImage(file)));
    for (const [i, image] of decoded.entries()) {
      if (size === undefined) checkSameSize(group[i]!.file, image, first);
      const fitting = resize(withChannels(image, channels), width, height);
      writePlanar(fitting, pixels.subarray((begin + i) * imageSize));
    }
  }
  onProgress?.(images.length, images.length);
  const labels = images.map(({ label }) => label);
  return makeDataset(OWNER, pixels, labels, [channels, height, width], classes);
}

async function findImages(folder: string, classes: readonly string[]): Promise<Labelled[]> {
  const images: Labelled[] = [];
  for (const [label, name] of classes.entries()) {
    const { files } = await listFolder(`${folder}/${name}`);
    const found = files.filter((file) => IMAGE.test(file) && !file.startsWith('.'));
    if (found.length === 0) {
      throw new RangeError(
        `${OWNER}: class ${showName(name)} has no image: ${folder}/${name} holds no .png, .jpg, .jpeg`,
      );
    }
    images.push(...found.map((file) => ({ file: `${folder}/${name}/${file}`, label })));
  }
  return images;
}

async function readImage(file: string): Promise<DecodedImage> {
  const bytes = await readBytes(file);
  try {
    return decodeImage(bytes);
  } catch (error) {
    throw new Error(`${file}: ${showText((error as Error).message)}`, { cause: error });
  }
}

function checkSameSize(file: string, { height, width }: DecodedImage, first: DecodedImage): void {
  if (height === first.height && width === first.width) return;
  throw new RangeError(
    `${OWNER}: ${file} must be ${first.height} x ${first.width} like the first image, got ${height} x ${width}; ` +
      'the option size makes all alike',
  );
}

/** From [height][width][channels] to [channels][height][width]. */
function writePlanar({ channels, data }: DecodedImage, target: Uint8Array): void {
  const plane = data.length / channels;
  for (let channel = 0; channel < channels; channel++) {
    for (let i = 0; i < plane; i++) target[channel * plane + i] = data[i * channels + channel]!;
  }
}

function checkChannels(channels: unknown): void {
  if (channels === undefined || channels === 1 || channels === 3) return;
  throw new RangeError(`${OWNER}: channels must be 1 or 3, got ${show(channels)}`);
}

function checkSize(size: unknown): readonly [number, number] | undefined {
  if (size === undefined) return undefined;
  if (!Array.isArray(size) || size.length !== 2) {
    throw new TypeError(`${OWNER}: size must be [height, width], got ${show(size)}`);
  }
  return [wholeNumber(OWNER, 'size[0]', size[0], 1), wholeNumber(OWNER, 'size[1]', size[1], 1)];
}
