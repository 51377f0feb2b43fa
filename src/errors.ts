/**
 * The errors of the package. Wrong types are `TypeError` and wrong values `RangeError`, as in the language;
 * the classes here are for what the language has no name for. Every message names the argument, what was
 * expected and what came.
 */

/** A file that cannot be read: truncated, inconsistent, or not of the format. */
export class FormatError extends Error {
  override readonly name = 'FormatError';
  /** Byte offset in the file where the problem was found. */
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

/** Not enough memory for the request. */
export class OutOfMemoryError extends Error {
  override readonly name = 'OutOfMemoryError';
  /** Bytes requested. */
  readonly bytesRequested: number;
  /** Bytes that were still available. */
  readonly bytesFree: number;

  /** @param withheld bytes held back until worker threads have ended */
  constructor(bytesRequested: number, bytesFree: number, withheld = 0) {
    const waiting = withheld === 0 ? '' : `, ${withheld} bytes wait for the end of a worker thread that died`;
    super(`out of memory: ${bytesRequested} bytes were asked for, ${bytesFree} bytes are free${waiting}`);
    this.bytesRequested = bytesRequested;
    this.bytesFree = bytesFree;
  }
}

/**
 * A worker thread died, or made no progress for seconds, during a computation. Nothing has changed, and the call can be
 * repeated: the runtime continues with one thread until new workers have started. Memory that the worker may still
 * write to is not reused until the worker is known to have ended. `InferenceSession.run` retries by itself.
 */
export class ThreadError extends Error {
  override readonly name = 'ThreadError';
  /** Settles when no worker of that computation can write any more, if the engine ever reports it. @internal */
  readonly workersGone: Promise<void>;

  constructor(message: string, workersGone: Promise<void>) {
    super(message);
    this.workersGone = workersGone;
  }
}
