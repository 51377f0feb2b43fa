/**
 * Warming up. Engines compile WebAssembly twice: at once and badly, then what is busy again, and better, in the
 * background. A running function keeps its bad code until it returns, so the first inference of a network is several
 * times slower than the rest, unless its kernels were busy before.
 */

import { GraphBuilder } from '../graph/graph.js';
import type { Algorithm } from '../nodes/algorithm.js';
import { conv2d } from '../ops/conv2d.js';
import { checkNames } from '../options.js';
import { winogradScheme } from '../plan/conv/algorithm.js';
import { Executable } from '../plan/executable.js';
import type { Runtime } from '../runtime/runtime.js';
import { show } from '../shown.js';
import { sizeOf } from '../sizes.js';
import { Tensor } from '../tensor.js';

/** Small convolutions that run every important kernel, about 0.1 ms each. */
const CONVOLUTIONS: readonly { algorithm: Algorithm; size: number; channels: number; groups: number }[] = [
  { algorithm: 'winogradF4x4K3', size: 3, channels: 32, groups: 1 },
  { algorithm: 'winogradF2x3K5', size: 5, channels: 16, groups: 1 },
  { algorithm: 'winogradF1x4K5', size: 5, channels: 16, groups: 1 },
  { algorithm: 'winogradF4x4K3S2', size: 3, channels: 16, groups: 1 },
  { algorithm: 'winogradF2x2K3', size: 3, channels: 16, groups: 1 },
  { algorithm: 'gemm', size: 3, channels: 32, groups: 1 },
  { algorithm: 'gemm', size: 5, channels: 2, groups: 1 },
  { algorithm: 'depthwise', size: 3, channels: 32, groups: 32 },
];
/** Not a multiple of the tiles' size, so that edges are compiled too. */
const IMAGE_SIZE = 14;
/**
 * First and later runs of four merged blocks at 56 x 56 on Node 20: 50 to 60 and 16 ms without, 25 and 15 ms after 50
 * ms or more of this. Of the 25, ten are packing weights.
 */
const MILLISECONDS = 100;
/** How long the thread is blocked at a time. */
const SLICE_MILLISECONDS = 4;

/**
 * Computes small convolutions for a while, so that the engine's optimising compiler has the kernels ready before a user
 * waits for the first result. Other tasks of the thread run in between. Memory is as it was afterwards.
 * @param options.milliseconds how long, default 100
 * @throws RangeError, TypeError for a disposed runtime, OutOfMemoryError
 * @example
 * const runtime = await createRuntime();
 * void warmUp(runtime); // while the checkpoint is on its way
 */
export async function warmUp(runtime: Runtime, options: { milliseconds?: number } = {}): Promise<void> {
  checkNames('warmUp', options, ['milliseconds']);
  const { milliseconds = MILLISECONDS } = options;
  if (!(milliseconds >= 0 && milliseconds < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`warmUp: milliseconds must be a finite number of at least 0, got ${show(milliseconds)}`);
  }
  const runs = runtime.heap.undoOnError(() => CONVOLUTIONS.map((one) => prepare(runtime, one)));
  try {
    const end = performance.now() + milliseconds;
    while (performance.now() < end && !runtime.isDisposed) {
      const sliceEnd = performance.now() + SLICE_MILLISECONDS;
      while (performance.now() < sliceEnd) for (const { run } of runs) run();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  } finally {
    for (const { dispose } of runs) if (!runtime.isDisposed) dispose();
  }
}

function prepare(
  runtime: Runtime,
  { algorithm, size, channels, groups }: (typeof CONVOLUTIONS)[number],
): { run: () => void; dispose: () => void } {
  const zeros = (...dims: number[]): Tensor => new Tensor('float32', new Float32Array(sizeOf(dims)), dims);
  const pad = size >> 1;
  const stride = winogradScheme(algorithm)?.stride ?? 1;
  const graph = new GraphBuilder();
  const output = graph.add(
    {
      op: 'conv2d',
      path: '',
      layer: 'warmUp',
      inputs: ['input', graph.store('weight', zeros(channels, channels / groups, size, size), 'frozen')],
      window: { kernel: [size, size], stride: [stride, stride], dilation: [1, 1], pads: [pad, pad, pad, pad] },
      paddingMode: 'zeros',
      groups,
      relu: true,
      algorithm,
    },
    conv2d,
  );
  const executable = new Executable(runtime, graph.finish(['input'], [output]));
  const input = zeros(1, channels, IMAGE_SIZE, IMAGE_SIZE).to(runtime);
  return {
    run: () => executable.run([input])[0]!.dispose(),
    dispose: () => {
      executable.dispose();
      input.dispose();
    },
  };
}
