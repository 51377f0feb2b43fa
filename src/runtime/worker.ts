/** A worker thread: runs chunks of the jobs in shared memory until it is terminated. */
import type { Kernels } from './kernels.js';
import { holdLifeline } from './lifeline.js';
import { Control, chunkCount, runChunk } from './protocol.js';

/** What the main thread sends once. */
export interface WorkerSetup {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly memory: WebAssembly.Memory;
  readonly controlPtr: number;
  readonly scratchPtr: number;
  /** See lifeline.ts. */
  readonly lifeline?: string | undefined;
}

/** What a worker answers when it has started; where it cannot, or fails later, a text that says why. */
export interface Ready {
  readonly holdsLifeline: boolean;
}

/**
 * Polls before going to sleep, some 100 microseconds: the next layer of a network mostly comes within that. A thread that
 * slept is often woken on the core where the main thread computes, and has to wait for it (2,000 polls: 0.70 ms for
 * 64->64 @32 on two cores; 20,000: 0.60 ms; 100,000: the same).
 */
const POLLS = 20_000;

/** What a web worker's scope and node:worker_threads' parentPort have in common. */
interface Port {
  onmessage: ((event: { data: WorkerSetup }) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
}

/** Short, since the library holds this file as text. */
const { WorkerGlobalScope, process } = globalThis as {
  WorkerGlobalScope?: unknown;
  process?: { getBuiltinModule(name: string): { parentPort: Port } };
};
const port = WorkerGlobalScope
  ? (globalThis as unknown as Port)
  : process!.getBuiltinModule('node:worker_threads').parentPort;
port.onmessage = ({ data }) => void start(data);

async function start(setup: WorkerSetup): Promise<void> {
  const { bytes, memory, controlPtr, scratchPtr, lifeline } = setup;
  try {
    const { instance } = await WebAssembly.instantiate(bytes, { env: { memory } });
    const control = new Control(memory, controlPtr);
    const ready: Ready = { holdsLifeline: lifeline !== undefined && (await holdLifeline(lifeline)) };
    port.postMessage(ready);
    serve(instance.exports as unknown as Kernels, control, scratchPtr);
  } catch (error) {
    port.postMessage(String(error));
  }
  port.close();
}

/** Until it is told to leave. */
function serve(kernels: Kernels, control: Control, scratchPtr: number): void {
  while (!control.stopped()) {
    for (let left = control.take(); left > 0; left = control.take()) {
      let failed = true;
      try {
        const job = control.job();
        runChunk(kernels, job, scratchPtr, chunkCount(job) - left);
        failed = false;
      } finally {
        control.finish(failed);
      }
    }
    for (let i = 0; i < POLLS && !control.hasChunks(); i++);
    control.sleep();
  }
}
