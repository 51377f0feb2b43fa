/** An image in memory, and the bound on the size that a file may claim. */
import { FormatError, UnsupportedError } from '../index.js';

export interface DecodedImage {
  readonly width: number;
  readonly height: number;
  /** Grey, or red, green and blue. */
  readonly channels: 1 | 3;
  /** [height][width][channels] */
  readonly data: Uint8Array;
}

/** Enough for photos of 12 megapixels. */
export const MAX_PIXELS = 2 ** 24;
/** Largest height and width; JPEG has no larger ones. */
const MAX_SIDE = 2 ** 16 - 1;

/** Checks a size that a file claims, before anything is allocated for it. */
export function checkPixels(width: number, height: number, at: number): void {
  if (width === 0 || height === 0) throw new FormatError(`decodeImage: the image is of size ${width} x ${height}`, at);
  if (width * height > MAX_PIXELS || Math.max(width, height) > MAX_SIDE) {
    throw new UnsupportedError(
      `decodeImage: the image is of size ${width} x ${height}, expected at most ${MAX_PIXELS} pixels and sides of ` +
        `${MAX_SIDE}`,
    );
  }
}
