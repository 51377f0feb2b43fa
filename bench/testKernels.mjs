// The kernels that only tests and measurements call, over a memory of their own, 4 MiB.
import { readFileSync } from 'node:fs';
import { instantiateSync } from '@assemblyscript/loader';

/** @returns the exports of assembly/testKernels.ts, and `ptr`, where free memory begins, filled with 0.5 */
export function openTestKernels(build) {
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 64 });
  const binary = readFileSync(new URL(`../build/test-kernels.${build}.wasm`, import.meta.url));
  const { exports: kernels } = instantiateSync(binary, { env: { memory } });
  const ptr = (kernels.heapBase() + 15) & ~15;
  new Float32Array(memory.buffer, ptr).fill(0.5);
  return { kernels, ptr };
}
