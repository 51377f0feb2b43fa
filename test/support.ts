/** What the tests share: fixtures, seeded data, error measures, and the list of builds every numeric test runs on. */
import { readFileSync } from 'node:fs';
import { createRuntime, type Runtime, readSafetensors, type StateDict, Tensor, UnsupportedError } from 'acnet-wasm';
import type { Nd } from './oracle.js';

export type Build = 'baseline' | 'relaxed';

/** 'baseline', and 'relaxed' where this engine has relaxed SIMD. */
export async function supportedBuilds(): Promise<Build[]> {
  try {
    (await createRuntime({ simd: 'relaxed' })).dispose();
    return ['baseline', 'relaxed'];
  } catch (error) {
    if (error instanceof UnsupportedError) return ['baseline'];
    throw error;
  }
}

/** Reads test/fixtures/`name`, seen from the repository's root, where tests run. */
export function readFixture(name: string): { tensors: StateDict; metadata: Record<string, string> } {
  return readSafetensors(new Uint8Array(readFileSync(`test/fixtures/${name}`)));
}

/** The tensors whose keys begin with `prefix`, under their keys without it. */
export function withoutPrefix(tensors: StateDict, prefix: string): StateDict {
  const state: StateDict = {};
  for (const [key, tensor] of Object.entries(tensors)) {
    if (key.startsWith(prefix)) state[key.slice(prefix.length)] = tensor;
  }
  return state;
}

/** Largest difference, relative to the largest expected magnitude or to 0.01 if that is smaller. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  return largestDifference(actual, expected) / Math.max(largestOf(expected), 0.01);
}

/** Infinite if the lengths differ or only one of two values is NaN. */
export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i])) continue;
    const difference = Math.abs(actual[i]! - expected[i]!);
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  }
  return largest;
}

function largestOf(values: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]!));
  return largest;
}

export function sumOfSquaredDifferences(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}

/** Whether two arrays hold the same bits; NaNs of different bits are the same. */
export function sameBits(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}

/** Uniform numbers in [0, 1), the same for the same seed everywhere (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A float32 array of these dims, uniform in [low, high). */
export function randomNd(random: () => number, dims: readonly number[], low = -1, high = 1) {
  const data = new Float32Array(dims.reduce((a, b) => a * b, 1));
  for (let i = 0; i < data.length; i++) data[i] = low + (high - low) * random();
  return { data, dims };
}

export function toTensor({ data, dims }: Nd): Tensor {
  return new Tensor('float32', Float32Array.from(data), [...dims]);
}

/** The values of a tensor, which is disposed of. */
export function take(tensor: Tensor): Float32Array {
  const data = tensor.data as Float32Array;
  tensor.dispose();
  return data;
}

/** Runs `body` with a runtime of this build and disposes of it; fails when memory is still in use after `body`. */
export async function withRuntime(simd: Build, body: (runtime: Runtime) => void | Promise<void>): Promise<void> {
  const runtime = await createRuntime({ simd });
  try {
    const before = runtime.memory.used;
    await body(runtime);
    if (runtime.memory.used !== before) {
      throw new Error(`memory in use: ${before} bytes before the test, ${runtime.memory.used} after it`);
    }
  } finally {
    runtime.dispose();
  }
}
