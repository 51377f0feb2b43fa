/**
 * Batches of a dataset: normalised, shuffled and augmented images in arrays that are allocated once and written again
 * for each batch. The order of an epoch depends on seed and epoch, what is done to an image on seed, epoch and its index:
 * any batch can be made without those before it.
 */
import { Tensor } from '../index.js';
import { checkNames, flag, wholeNumber } from '../options.js';
import type { Dataset } from './dataset.js';
import { checkNormalisation, type Normalisation } from './normalisation.js';
import { AUGMENTATION, ORDER, permutation, Random } from './random.js';

export interface Augmentation {
  /** Black pixels that are put around an image before one of its size is cut out at random; default 0. */
  readonly crop?: number;
  /** Whether half of the images are mirrored, left to right; default false. */
  readonly flip?: boolean;
}

export interface Batch {
  /** [N, C, H, W]; its values change with the next batch. */
  readonly input: Tensor;
  /** Of each image; they change with the next batch. */
  readonly labels: Uint16Array;
}

const LEVELS = 256;

export class Batches {
  readonly data: Dataset;
  readonly batchSize: number;
  /** Pixels to values: [channel][byte]. */
  readonly #values: Float32Array;
  readonly #image: Uint8Array;
  readonly #inputs: Float32Array;
  readonly #labels: Uint16Array;
  readonly #whole: Tensor;

  /** @throws TypeError, RangeError when an argument does not fit the data */
  constructor(data: Dataset, batchSize: number, normalisation: Normalisation) {
    const { mean, std } = checkNormalisation('Batches', normalisation, data.dims[0]);
    this.data = data;
    this.batchSize = wholeNumber('Batches', 'batchSize', batchSize, 1);
    this.#values = Float32Array.from(
      { length: data.dims[0] * LEVELS },
      (_, i) => ((i % LEVELS) / (LEVELS - 1) - mean[Math.floor(i / LEVELS)]!) / std[Math.floor(i / LEVELS)]!,
    );
    const [channels, height, width] = data.dims;
    this.#image = new Uint8Array(channels * height * width);
    this.#inputs = new Float32Array(batchSize * this.#image.length);
    this.#labels = new Uint16Array(batchSize);
    this.#whole = new Tensor('float32', this.#inputs, [batchSize, channels, height, width]);
  }

  /** Whole batches of an epoch; the images that are left over are others in the next. */
  get perEpoch(): number {
    return Math.floor(this.data.size / this.batchSize);
  }

  /**
   * The whole batches of an epoch, shuffled.
   * @param epoch from 0
   * @param first batch to begin with
   */
  *training(seed: number, epoch: number, augmentation: Augmentation = {}, first = 0): Generator<Batch> {
    const order = permutation(this.data.size, new Random(seed, ORDER, epoch));
    for (let batch = first; batch < this.perEpoch; batch++) {
      for (let i = 0; i < this.batchSize; i++) {
        const index = order[batch * this.batchSize + i]!;
        this.#labels[i] = this.data.read(index, this.#image);
        this.#writeAugmented(i, augmentation, () => new Random(seed, AUGMENTATION, epoch, index));
      }
      yield { input: this.#whole, labels: this.#labels };
    }
  }

  /** All images in their order and as they are; the last batch may be a smaller one. */
  *inOrder(): Generator<Batch> {
    const { size } = this.data;
    for (let begin = 0; begin < size; begin += this.batchSize) {
      const count = Math.min(this.batchSize, size - begin);
      for (let i = 0; i < count; i++) {
        this.#labels[i] = this.data.read(begin + i, this.#image);
        this.#write(i, 0, 0, false);
      }
      yield count === this.batchSize ? { input: this.#whole, labels: this.#labels } : this.#part(count);
    }
  }

  #part(count: number): Batch {
    const values = this.#inputs.subarray(0, count * this.#image.length);
    return {
      input: new Tensor('float32', values, [count, ...this.data.dims]),
      labels: this.#labels.subarray(0, count),
    };
  }

  #writeAugmented(place: number, { crop = 0, flip = false }: Augmentation, random: () => Random): void {
    if (crop === 0 && !flip) {
      this.#write(place, 0, 0, false);
      return;
    }
    const numbers = random();
    const down = numbers.below(2 * crop + 1) - crop;
    const across = numbers.below(2 * crop + 1) - crop;
    this.#write(place, down, across, flip && numbers.below(2) === 1);
  }

  /** Writes the image, seen from a window that is moved by `down` and `across`, black where there is no image. */
  #write(place: number, down: number, across: number, mirrored: boolean): void {
    const [channels, height, width] = this.data.dims;
    const image = this.#image;
    const inputs = this.#inputs;
    // The columns of the result that show some of the image, and where the first of them comes from.
    const begin = Math.min(width, Math.max(0, mirrored ? across : -across));
    const end = Math.max(begin, Math.min(width, mirrored ? width + across : width - across));
    const first = mirrored ? width - 1 - begin + across : begin + across;
    const step = mirrored ? -1 : 1;
    let to = place * image.length;
    for (let channel = 0; channel < channels; channel++) {
      const values = this.#values.subarray(channel * LEVELS, (channel + 1) * LEVELS);
      for (let y = 0; y < height; y++, to += width) {
        const row = y + down;
        const isThere = row >= 0 && row < height;
        if (!isThere || end - begin < width) inputs.fill(values[0]!, to, to + width);
        if (!isThere) continue;
        let from = (channel * height + row) * width + first;
        for (let x = begin; x < end; x++, from += step) inputs[to + x] = values[image[from]!]!;
      }
    }
  }
}

/** @throws TypeError, RangeError naming the option */
export function checkAugmentation(owner: string, augmentation: Augmentation = {}): Augmentation {
  checkNames(`${owner}: augment`, augmentation, ['crop', 'flip']);
  const { crop = 0, flip = false } = augmentation;
  return { crop: wholeNumber(owner, 'augment.crop', crop, 0), flip: flag(owner, 'augment.flip', flip) };
}
