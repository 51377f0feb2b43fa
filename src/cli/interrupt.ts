/** Ctrl-C for commands that have something to save first: the first one tells them, the second one ends them. */

/** Why work was ended, with the exit code. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly exitCode: number;

  constructor(exitCode: number) {
    super('interrupted');
    this.exitCode = exitCode;
  }
}

let listener: AbortController | undefined;

/** Runs `work` with a signal that is aborted, with `Interrupted` as its reason, when the process is to end. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  listener = new AbortController();
  try {
    return await work(listener.signal);
  } finally {
    listener = undefined;
  }
}

/** Tells running work to end; false if there is none, or if it was told before. */
export function interrupt(exitCode: number): boolean {
  if (listener === undefined || listener.signal.aborted) return false;
  listener.abort(new Interrupted(exitCode));
  return true;
}
