/** How far the making of a session has come, and whether it is still wanted. */

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
  /** Undefined where a server does not tell how many bytes there are. */
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

  /** A phase of work; other tasks of the thread get their turn before it. */
  async during<T>(phase: Exclude<Phase, 'load'>, work: () => T | Promise<T>): Promise<T> {
    this.report(phase, 0, 1);
    await otherTasks();
    this.throwIfAborted();
    const result = await work();
    this.report(phase, 1, 1);
    return result;
  }
}

/** Lets others have their turn. Where no timer may be set, in a Cloudflare Worker that starts, there are none. */
function otherTasks(): Promise<void> {
  return new Promise((resolve) => {
    try {
      setTimeout(resolve, 0);
    } catch {
      resolve();
    }
  });
}
