/** Starts one worker thread, in a browser or in Node. */
import { importNodeModule } from './nodeModule.js';
import type { WorkerSetup } from './worker.js';

/** How long a worker may take to start before it counts as dead. */
const START_MILLISECONDS = 10_000;

/** The little of a worker that browsers, Deno, Bun and Node have in common. */
export interface Thread {
  readonly terminate: () => void;
  readonly ready: Promise<void>;
}

/** What is used of a worker of node:worker_threads, whose types a web page's compiler does not have. */
interface NodeWorker {
  once(event: 'message' | 'error', listener: (value: never) => void): void;
  postMessage(message: unknown): void;
  unref(): void;
  terminate(): unknown;
}

/** @throws Error where no worker can be made; one that does not start rejects its `ready` */
export async function startThread(setup: WorkerSetup): Promise<Thread> {
  const url = new URL('./worker.js', import.meta.url);
  const isNode = typeof Worker === 'undefined';
  return isNode ? startNodeThread(url, setup) : startWebThread(url, setup);
}

function startWebThread(url: URL, setup: WorkerSetup): Thread {
  const worker = new Worker(url, { type: 'module' });
  const ready = settleReady((resolve, reject) => {
    worker.onmessage = ({ data }) => (data === 'ready' ? resolve() : reject(new Error(String(data))));
    worker.onerror = (event) => {
      event.preventDefault?.();
      reject(new Error(event.message || `the worker script ${url} cannot be loaded`));
    };
    worker.postMessage(setup);
  });
  // Bun's workers keep a process alive unless told not to; browsers' have no such thing.
  (worker as { unref?: () => void }).unref?.();
  return { ready, terminate: () => worker.terminate() };
}

async function startNodeThread(url: URL, setup: WorkerSetup): Promise<Thread> {
  const { Worker: ThisWorker } = await importNodeModule<{
    Worker: new (url: URL, options: { execArgv: string[] }) => NodeWorker;
  }>('node:worker_threads');
  // Not the process's own arguments, some of which (--input-type) are not for workers.
  const worker = new ThisWorker(url, { execArgv: [] });
  const ready = settleReady((resolve, reject) => {
    worker.once('message', (data: unknown) => (data === 'ready' ? resolve() : reject(new Error(String(data)))));
    worker.once('error', reject);
    worker.postMessage(setup);
  });
  await ready.catch(() => {});
  worker.unref();
  return { ready, terminate: () => void worker.terminate() };
}

function settleReady(begin: (resolve: () => void, reject: (error: Error) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('worker threads did not start in time')), START_MILLISECONDS);
    const settled =
      <T extends unknown[]>(settle: (...args: T) => void) =>
      (...args: T): void => {
        clearTimeout(timer);
        settle(...args);
      };
    begin(settled(resolve), settled(reject));
  });
}
