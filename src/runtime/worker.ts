/** A worker thread: runs chunks of the jobs in shared memory until it is terminated. */
import { holdLifeline } from './lifeline.js';
import { Control, chunkCount, type Kernel, runChunk } from './protocol.js';

/** The main thread's message, sent at first and whenever there are more kernels. */
export interface WorkerSetup {
  /** Modules of kernels, in addition to those that the worker has. */
  readonly binaries: readonly Uint8Array<ArrayBuffer>[];
  readonly memory: WebAssembly.Memory;
  readonly controlPtr: number;
  readonly scratchPtr: number;
  /** The era until whose end it computes. */
  readonly era: number;
  /** See lifeline.ts. Only in the first message. */
  readonly lifeline?: string | undefined;
}

/** A worker's answer once it has started; if it cannot, or fails later, a text that says why. */
export interface Ready {
  readonly holdsLifeline: boolean;
}

/**
 * Polls before going to sleep, some 100 microseconds: the next layer of a network usually comes within that. A thread
 * that slept is often woken on the core where the main thread computes, and has to wait for it (2,000 polls: 0.70 ms
 * for 64->64 @32 on two cores; 20,000: 0.60 ms; 100,000: the same).
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
const kernels: Record<string, Kernel> = {};
port.onmessage = ({ data }) => void start(data);

async function start({ binaries, memory, controlPtr, scratchPtr, era, lifeline }: WorkerSetup): Promise<void> {
  const control = new Control(memory, controlPtr);
  try {
    for (const bytes of binaries) {
      // Synchronously, since the next message must not come in between.
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
      Object.assign(kernels, exports);
    }
    const ready: Ready = { holdsLifeline: lifeline !== undefined && (await holdLifeline(lifeline)) };
    port.postMessage(ready);
    serve(control, scratchPtr, era);
    if (!control.stopped()) return;
  } catch (error) {
    port.postMessage(String(error));
  }
  port.close();
}

/** Computes chunks until the era is over. */
function serve(control: Control, scratchPtr: number, era: number): void {
  while (control.era === era) {
    for (let left = control.take(era); left > 0; left = control.take(era)) {
      let failed = true;
      try {
        const job = control.job();
        runChunk(kernels[job.kernel]!, job, scratchPtr, chunkCount(job) - left);
        failed = false;
      } finally {
        control.finish(failed);
      }
    }
    for (let i = 0; i < POLLS && !control.hasChunks(); i++);
    control.sleep(era);
  }
}
