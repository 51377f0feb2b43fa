/**
 * The errors of the package. Wrong types are `TypeError` and wrong values `RangeError`, as in the language;
 * the classes here are for what the language has no name for. Every message names the argument, what was
 * expected and what came.
 */

/** A file that cannot be read: truncated, inconsistent, or not of the format. */
export class FormatError extends Error {
  override readonly name = 'FormatError';
  /** Byte offset in the file at which the trouble was seen. */
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(`${message} (at byte ${offset})`);
    this.offset = offset;
  }
}

/** A feature that this engine, or this version of the package, does not have. */
export class UnsupportedError extends Error {
  override readonly name = 'UnsupportedError';
}

/** No memory left for what was asked. */
export class OutOfMemoryError extends Error {
  override readonly name = 'OutOfMemoryError';
  /** Bytes that were asked for. */
  readonly bytesRequested: number;
  /** Bytes that could still have been had. */
  readonly bytesFree: number;

  constructor(bytesRequested: number, bytesFree: number) {
    super(`out of memory: ${bytesRequested} bytes were asked for, ${bytesFree} bytes are free`);
    this.bytesRequested = bytesRequested;
    this.bytesFree = bytesFree;
  }
}
