// The kernels for training over a memory of their own, for measurements.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { instantiateSync } from '@assemblyscript/loader';
import { buildSync } from 'esbuild';

/** Imports a module of src/, which Node cannot read as it is. */
export async function importSource(file) {
  const entry = fileURLToPath(new URL(`../src/${file}`, import.meta.url));
  const { outputFiles } = buildSync({ entryPoints: [entry], bundle: true, format: 'esm', write: false });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
}

/** @returns the exports of assembly/train.ts, and functions that put values into its memory, 256 MiB */
export function openTrainKernels(build) {
  const memory = new WebAssembly.Memory({ initial: 4096, maximum: 4096 });
  const binary = readFileSync(new URL(`../build/train.${build}.wasm`, import.meta.url));
  const { exports: kernels } = instantiateSync(binary, { env: { memory } });
  let next = 64;
  const allocate = (bytes) => {
    const ptr = next;
    next += (bytes + 127) & ~63;
    return ptr;
  };
  const clear = () => {
    next = 64;
  };
  const floats = (ptr, count) => new Float32Array(memory.buffer, ptr, count);
  const putWords = (words) => {
    const ptr = allocate(words.length * 4);
    new Int32Array(memory.buffer, ptr, words.length).set(words);
    return ptr;
  };
  const putRecord = (fields, values) => putWords(Object.keys(fields).map((name) => values[name]));
  /** `count` floats between -0.5 and 0.5. */
  const putRandom = (count) => {
    const ptr = allocate(count * 4);
    const view = floats(ptr, count);
    for (let i = 0; i < count; i++) view[i] = Math.random() - 0.5;
    return ptr;
  };
  return { kernels, allocate, clear, putWords, putRecord, putRandom };
}
