/**
 * Starts one worker thread. Its script is text in this file, so that no bundler can forget it: Node evaluates the text,
 * elsewhere a Blob holds it. Where a page's policy forbids that, the same script comes from a file, which bundlers that
 * know `new Worker(new URL(...))` put beside the page's own scripts.
 */
import workerText from '../../build/worker.txt';
import { lifelineCut, lifelineName } from './lifeline.js';
import { importNodeModule } from './nodeModule.js';
import type { Ready, WorkerSetup } from './worker.js';

/**
 * How long a worker may take to start before it counts as dead, in ticks, which do not pass while this thread is busy.
 */
const START_TICKS = 25;
const TICK_MILLISECONDS = 100;
const ENDED_EARLY = 'a worker thread ended before it was ready';
const NEVER = new Promise<void>(() => {});
/** Characters kept of a reason that an engine gives. */
const MAX_REASON_CHARACTERS = 300;

/** What the workers of browsers, Deno, Bun and Node have in common. */
export interface Thread {
  /** Sends it another message, with what has changed since the first. */
  readonly post: (message: Partial<WorkerSetup>) => void;
  readonly terminate: () => void;
  readonly ready: Promise<unknown>;
  /** Settles when it cannot write any more, however it ended; never if the engine does not report it. */
  readonly gone: Promise<void>;
}

/** The part of a node:worker_threads worker used here: compilers for web pages lack its types. */
interface NodeWorker {
  once(event: 'message' | 'error' | 'exit', listener: (value: never) => void): void;
  postMessage(message: unknown): void;
  unref(): void;
  terminate(): unknown;
}

/** The worker's first message: that it is ready, or what has failed in it. Rejects if its script cannot be loaded. */
type FirstMessage = Promise<unknown>;

/** Why there can be no threads here, as far as can be told before one is started. */
export function whyNoThreads(): string | undefined {
  if (typeof SharedArrayBuffer === 'undefined') {
    return 'there is no SharedArrayBuffer here; a page must be cross-origin isolated';
  }
  const { process } = globalThis as { process?: { permission?: { has(scope: string): boolean } } };
  if (typeof Worker === 'undefined' && process === undefined) return 'there are no workers here';
  return process?.permission?.has('worker') === false ? "Node's permission model needs --allow-worker" : undefined;
}

/** @throws Error if no worker can be made; one that does not start rejects its `ready` */
export async function startThread(setup: WorkerSetup): Promise<Thread> {
  return typeof Worker === 'undefined' ? startNodeThread(setup) : startWebThread(setup);
}

function startWebThread(setup: WorkerSetup): Thread {
  let worker: Worker | undefined;
  let isTerminated = false;
  let closed = NEVER;
  const lifeline = lifelineName();
  const start = (make: () => Worker): FirstMessage =>
    firstMessage((resolve, reject) => {
      if (isTerminated) throw new Error('it was terminated');
      const made = make();
      worker = made;
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => {
        event.preventDefault?.();
        reject(new Error(event.message || 'refused without a reason'));
      };
      // Only Bun has this event.
      closed = new Promise<void>((settle) => made.addEventListener('close', () => settle()));
      void closed.then(() => resolve(ENDED_EARLY));
      worker.postMessage({ ...setup, lifeline });
      // Bun's workers keep a process alive unless told not to; browsers' have no such thing.
      (worker as { unref?: () => void }).unref?.();
    });
  const address = URL.createObjectURL(new Blob([workerText], { type: 'text/javascript' }));
  const message = start(() => new Worker(address, { type: 'module' }))
    // Only once the worker has answered: a compiled executable of Bun's loads the script late.
    .finally(() => URL.revokeObjectURL(address))
    .catch((blob) =>
      start(workerOfFile).catch((file) => {
        throw new Error(
          'no worker can be started: the Content-Security-Policy (worker-src, or script-src where that is not set) must ' +
            `allow blob:, which gave: ${reasonOf(blob)}; or worker.js must lie beside this script, which gave: ${reasonOf(file)}`,
        );
      }),
    );
  const ready = message.then(checkReady);
  return {
    ready,
    gone: ready.then(
      ({ holdsLifeline }) => (holdsLifeline ? lifelineCut(lifeline!) : closed),
      () => NEVER,
    ),
    post: (message) => worker?.postMessage({ ...setup, ...message }),
    terminate: () => {
      isTerminated = true;
      worker?.terminate();
    },
  };
}

/** Written in the form that bundlers recognise, so that they put the file where it is found. */
function workerOfFile(): Worker {
  if (import.meta.url === undefined) throw new Error('the script does not know its own address');
  return new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
}

async function startNodeThread(setup: WorkerSetup): Promise<Thread> {
  const { Worker: ThisWorker } = await importNodeModule<{
    Worker: new (script: string, options: { eval: true; execArgv: string[] }) => NodeWorker;
  }>('node:worker_threads');
  // Not the process's own arguments, some of which (--input-type) are not for workers.
  const worker = new ThisWorker(workerText, { eval: true, execArgv: [] });
  const gone = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const ready = firstMessage((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => resolve(ENDED_EARLY));
    worker.postMessage(setup);
  }).then(checkReady);
  ready.then(
    () => worker.unref(),
    () => {},
  );
  return {
    ready,
    gone,
    post: (message) => worker.postMessage({ ...setup, ...message }),
    terminate: () => void worker.terminate(),
  };
}

function firstMessage(
  begin: (resolve: (message: unknown) => void, reject: (error: Error) => void) => void,
): FirstMessage {
  let timer: ReturnType<typeof setInterval>;
  return new Promise((resolve, reject) => {
    let ticks = 0;
    timer = setInterval(() => {
      if (++ticks === START_TICKS) resolve('worker threads did not start in time');
    }, TICK_MILLISECONDS);
    begin(resolve, reject);
  }).finally(() => clearInterval(timer));
}

function checkReady(message: unknown): Ready {
  if (typeof message === 'string') throw new Error(message);
  return message as Ready;
}

function reasonOf(error: unknown): string {
  return String((error as { message?: unknown }).message ?? error).slice(0, MAX_REASON_CHARACTERS);
}
