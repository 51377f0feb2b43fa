/** How far the creation of a session has come, and whether it was aborted. */

/**
 * load: bytes of a URL or file arrive, of the model and then of each file that its weights lie in. read: the file
 * becomes a Graph. merge: branches are merged and BatchNorms folded. plan: weights are packed and memory is laid out.
 * Phases that a source does not need are left out.
 */
export type Phase = 'load' | 'read' | 'merge' | 'plan';

export interface ProgressEvent {
  readonly phase: Phase;
  /** Bytes so far in the phase load; in others 0 when it begins and 1 when it is done. */
  readonly loaded: number;
  /** Undefined if the server does not announce it. */
  readonly total: number | undefined;
}

export class Progress {
  readonly #onProgress: ((event: ProgressEvent) => void) | undefined;
  readonly signal: AbortSignal | undefined;

  constructor(onProgress: ((event: ProgressEvent) => void) | undefined, signal: AbortSignal | undefined) {
    this.#onProgress = onProgress;
    this.signal = signal;
  }

  report(phase: Phase, loaded: number, total: number | undefined): void {
    this.#onProgress?.({ phase, loaded, total });
  }

  /** @throws the signal's reason */
  throwIfAborted(): void {
    this.signal?.throwIfAborted();
  }

  /** Runs a phase of work, after letting other tasks of the thread run. */
  async during<T>(phase: Exclude<Phase, 'load'>, work: () => T | Promise<T>): Promise<T> {
    this.report(phase, 0, 1);
    await otherTasks();
    this.throwIfAborted();
    const result = await work();
    this.report(phase, 1, 1);
    return result;
  }
}

/** Lets other tasks run. A starting Cloudflare Worker may not set timers, and has no other tasks. */
function otherTasks(): Promise<void> {
  return new Promise((resolve) => {
    try {
      setTimeout(resolve, 0);
    } catch {
      resolve();
    }
  });
}
