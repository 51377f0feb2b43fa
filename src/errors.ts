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

  /** @param withheld bytes that only wait for worker threads to be gone */
  constructor(bytesRequested: number, bytesFree: number, withheld = 0) {
    const waiting = withheld === 0 ? '' : `, ${withheld} bytes wait for the end of a worker thread that died`;
    super(`out of memory: ${bytesRequested} bytes were asked for, ${bytesFree} bytes are free${waiting}`);
    this.bytesRequested = bytesRequested;
    this.bytesFree = bytesFree;
  }
}

/**
 * A worker thread died, or made no progress for seconds, in the middle of a computation. Nothing has changed, and the
 * same call can be made again: the runtime goes on with one thread until new workers have started. What the worker may
 * still be writing is in use by nobody until it is known to be gone. `InferenceSession.run` makes its call again by
 * itself.
 */
export class ThreadError extends Error {
  override readonly name = 'ThreadError';
  /** Settled when no worker of that computation can write any more, if the engine ever tells. @internal */
  readonly workersGone: Promise<void>;

  constructor(message: string, workersGone: Promise<void>) {
    super(message);
    this.workersGone = workersGone;
  }
}
