/** Images for a network: decoding of PNG and JPEG files, and the tensor that torchvision's transforms would make. */
import { byteView } from '../bytes/byteView.js';
import { FormatError, Tensor } from '../index.js';
import { decodeJpeg, isJpeg } from './jpeg.js';
import type { DecodedImage } from './pixels.js';
import { decodePng, isPng } from './png.js';
import { resize } from './resize.js';

export type { DecodedImage } from './pixels.js';

export interface InputOptions {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** Mean of each channel, for values from 0 to 1; default 0. */
  readonly mean?: readonly number[];
  /** Standard deviation of each channel, for values from 0 to 1; default 1. */
  readonly std?: readonly number[];
}

/**
 * Decodes a PNG or JPEG file, told apart by their bytes. Ignores transparency and a photo's orientation; 16 bits become
 * 8.
 *
 * @throws {FormatError} if the file is damaged or of another format
 * @throws {UnsupportedError} if the image has more than 2^24 pixels or is of a rare JPEG process
 */
export function decodeImage(bytes: Uint8Array | ArrayBuffer): DecodedImage {
  const file = byteView(bytes, 'decodeImage');
  if (isPng(file)) return decodePng(file);
  if (isJpeg(file)) return decodeJpeg(file);
  throw new FormatError('decodeImage: the file is neither PNG nor JPEG', 0);
}

/**
 * Makes the input [N, channels, height, width] of a network, as torchvision's Resize, ToTensor and Normalize do: each
 * image is made grey or coloured, resized regardless of its proportions, then (value / 255 - mean) / std.
 *
 * @throws {RangeError} if an option does not fit the others
 */
export function toInput(images: readonly DecodedImage[], options: InputOptions): Tensor {
  const { channels, height, width } = options;
  const mean = checkPerChannel('mean', options.mean ?? Array(channels).fill(0), channels);
  const std = checkPerChannel('std', options.std ?? Array(channels).fill(1), channels);
  if (channels !== 1 && channels !== 3) {
    throw new RangeError(`toInput: channels is ${channels}, expected 1 or 3`);
  }
  for (const [name, size] of Object.entries({ height, width })) {
    if (!Number.isInteger(size) || size < 1) throw new RangeError(`toInput: ${name} is ${size}, expected at least 1`);
  }
  if (std.includes(0)) throw new RangeError('toInput: std has a zero');
  const plane = height * width;
  const values = new Float32Array(images.length * channels * plane);
  let to = 0;
  for (const image of images) {
    const { data } = resize(withChannels(image, channels), width, height);
    for (let channel = 0; channel < channels; channel++) {
      for (let i = 0; i < plane; i++) {
        values[to++] = (data[i * channels + channel]! / 255 - mean[channel]!) / std[channel]!;
      }
    }
  }
  return new Tensor('float32', values, [images.length, channels, height, width]);
}

function checkPerChannel(name: string, values: readonly number[], channels: number): readonly number[] {
  if (values.length !== channels || !values.every(Number.isFinite)) {
    throw new RangeError(`toInput: ${name} is [${values.join(', ')}], expected ${channels} finite numbers`);
  }
  return values;
}

/** Grey is the luma of ITU-R BT.601, in Pillow's integers. */
export function withChannels(image: DecodedImage, channels: 1 | 3): DecodedImage {
  const { width, height, data } = image;
  if (image.channels === channels) return image;
  const converted = new Uint8Array(width * height * channels);
  for (let i = 0; i < width * height; i++) {
    if (channels === 3) converted.fill(data[i]!, 3 * i, 3 * i + 3);
    else converted[i] = (19595 * data[3 * i]! + 38470 * data[3 * i + 1]! + 7471 * data[3 * i + 2]! + 0x8000) >> 16;
  }
  return { width, height, channels, data: converted };
}
