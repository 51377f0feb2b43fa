/**
 * Kernels that all threads run: a job is cut into ranges of its units, and of its output channels where the kernel takes
 * such a range. A kernel computes each of its values whole, or a sum that is cut by shape alone, so no bit depends on how
 * many threads there are.
 */
import { chunkCount, type Job, type Kernel, MAX_CHUNKS } from '../../runtime/protocol.js';
import { redZonesOf } from '../../runtime/redZones.js';
import type { Runtime } from '../../runtime/runtime.js';

/** About what a thread computes while another wakes up. */
export const MIN_CHUNK_FLOPS = 1e6;
/** Chunks for each thread: where one is slower, others take more. Waking somebody is cheap beside these. */
const THREAD_CHUNKS = 2;
/** What reading and writing a float takes, in operations of a product. */
export const FLOAT_FLOPS = 8;
/** Floats of a cache line: what ranges of values begin at multiples of. */
export const VALUES_TOGETHER = 16;

/** What a kernel takes a range of, its last two arguments. */
export interface Cut<Scratch extends boolean = false> {
  readonly units: number;
  /** Ranges begin at multiples of so many units. */
  readonly multiple?: number;
  /** Operations of the whole, as many as products would take that time. */
  readonly flops: number;
  /** Whether the kernel takes working memory, before its range. */
  readonly takesScratch?: Scratch;
}

type Range<Scratch> = Scratch extends true ? [number, number, number] : [number, number];
/** The arguments of a kernel before working memory and range. */
type Own<K, Scratch> = K extends (...args: [...infer Args, ...Range<Scratch>]) => unknown ? Args : never;

/** A kernel of one range, for all threads. To be called with its other arguments. */
export function cutKernel<Kernels extends object, Name extends keyof Kernels & string, Scratch extends boolean = false>(
  runtime: Runtime,
  kernels: Kernels,
  name: Name,
  { units, multiple = 1, flops, takesScratch = false as Scratch }: Cut<Scratch>,
): (...args: Own<Kernels[Name], Scratch>) => void {
  const { mostThreads: threads } = runtime;
  const most = Math.floor(flops / MIN_CHUNK_FLOPS);
  const chunks = threads === 1 ? 1 : Math.max(1, Math.min(threads * THREAD_CHUNKS, most, MAX_CHUNKS));
  const unitStep = Math.max(1, Math.ceil(units / chunks / multiple)) * multiple;
  return runJob(runtime, kernels, name, { units, unitStep, channels: 1, channelStep: 1, takesScratch, flops });
}

/** How a job is cut, ranges of units by ranges of channels. */
export interface Chunks extends Pick<Job, 'takesScratch' | 'units' | 'unitStep' | 'channels' | 'channelStep'> {
  readonly flops: number;
}

/** A kernel for all threads, to be called with its arguments before working memory and ranges. */
export function runJob<Kernels extends object, Name extends keyof Kernels & string>(
  runtime: Runtime,
  kernels: Kernels,
  name: Name,
  { flops, ...cut }: Chunks,
): (...args: readonly unknown[]) => void {
  const task = { kernel: name, args: [], ...cut };
  const call = kernels[name] as Kernel;
  if (chunkCount(task) === 1) {
    // One list in the call: several are iterated over, which took half a microsecond of each layer of ResNet-56.
    const rest = [...(cut.takesScratch ? [runtime.scratchPtr] : []), 0, cut.units, 0, cut.channels];
    return (...args) => {
      if (CHECKED) redZonesOf(runtime.heap).note(name);
      call(...(args as number[]).concat(rest));
    };
  }
  const job: Job = { ...task, call, chunkFlops: flops / chunkCount(task) };
  return (...args) => {
    job.args = args as readonly number[];
    runtime.run(job);
  };
}
