/** A worker thread: runs chunks of the jobs in shared memory until it is terminated. */
import type { Kernels } from './kernels.js';
import { importNodeModule } from './nodeModule.js';
import { Control, chunkCount, runChunk } from './protocol.js';

/** What the main thread sends once. */
export interface WorkerSetup {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly memory: WebAssembly.Memory;
  readonly controlPtr: number;
  readonly scratchPtr: number;
}

/**
 * Polls before going to sleep, some 100 microseconds: the next layer of a network mostly comes within that. A thread that
 * slept is often woken on the core where the main thread computes, and has to wait for it (2,000 polls: 0.70 ms for
 * 64->64 @32 on two cores; 20,000: 0.60 ms; 100,000: the same).
 */
const POLLS = 20_000;
const FOREVER = 0x7fffffff;

interface Port {
  postMessage(message: unknown): void;
  close(): void;
}

/** What is used of node:worker_threads' parentPort. */
interface NodePort extends Port {
  once(event: 'message', listener: (setup: WorkerSetup) => void): void;
}

async function main(): Promise<void> {
  const isBrowserLike = typeof (globalThis as { WorkerGlobalScope?: unknown }).WorkerGlobalScope === 'function';
  if (isBrowserLike) {
    const scope = globalThis as unknown as Port & { onmessage: ((event: { data: WorkerSetup }) => void) | null };
    scope.onmessage = ({ data }) => void start(data, scope);
  } else {
    const { parentPort } = await importNodeModule<{ parentPort: NodePort | null }>('node:worker_threads');
    parentPort?.once('message', (setup: WorkerSetup) => void start(setup, parentPort));
  }
}

async function start({ bytes, memory, controlPtr, scratchPtr }: WorkerSetup, port: Port): Promise<void> {
  try {
    const { instance } = await WebAssembly.instantiate(bytes, { env: { memory } });
    const control = new Control(memory, controlPtr);
    port.postMessage('ready');
    serve(instance.exports as unknown as Kernels, control, scratchPtr);
    port.close();
  } catch (error) {
    port.postMessage(String(error));
  }
}

/** Until it is told to leave. */
function serve(kernels: Kernels, control: Control, scratchPtr: number): void {
  let number = 0;
  for (;;) {
    for (let i = 0; i < POLLS && control.current() === number; i++);
    if (control.current() === number) control.sleep(number, FOREVER);
    const next = control.current();
    if (control.stopped()) return;
    if (next === number) continue;
    number = next;
    const job = control.job();
    const chunks = chunkCount(job);
    for (let chunk = control.take(number, chunks); chunk >= 0; chunk = control.take(number, chunks)) {
      let failed = true;
      try {
        runChunk(kernels, job, scratchPtr, chunk);
        failed = false;
      } finally {
        control.finish(failed);
      }
    }
  }
}

void main();
