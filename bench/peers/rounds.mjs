// Timing of contestants whose calls take from microseconds to tens of milliseconds, some of them async, in interleaved
// rounds. A round's figure for a contestant is the fastest quartile of its calls: on a machine that others use too, it
// says more about the code than the median does, and unlike the minimum it is no single lucky call.
import { setTimeout as sleep } from 'node:timers/promises';

const MIN_CALLS = 3;
/**
 * V8 moves a function to its optimising compiler in the background, which takes calls and then time on another thread.
 * On a busy machine onnxruntime-web was seen at a third of its speed for its first 900 ms: so the first warm-up is long,
 * and each slice of one is followed by a pause that leaves the core to the compiler.
 */
const WARM_UP_SLICE = 50;
const WARM_UP_PAUSE = 20;
const WARM_UP_SLICES = 4;
const FIRST_WARM_UP_SLICES = 30;

/**
 * Warms up every contestant, keeps the fastest of each one's variants, then times them.
 * @param contestants record of lists of functions
 * @returns times, a record of each round's milliseconds per call, and coreShare, the share of one core that the process
 * had meanwhile. If others compute too it falls below 1, and then long calls lose more than short ones, which fit
 * between two interruptions: a contestant with long calls looks slower than it is.
 */
export async function timeInRounds(contestants, { rounds, time }) {
  const names = Object.keys(contestants);
  const calls = {};
  for (const name of names) calls[name] = await fastestOf(contestants[name]);
  const times = Object.fromEntries(names.map((name) => [name, []]));
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  for (let round = 0; round < rounds; round++) {
    // Each goes first in turn, so that none always runs after the same other one.
    for (let i = 0; i < names.length; i++) {
      const name = names[(round + i) % names.length];
      times[name].push(await timePerCall(calls[name], time));
    }
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  return { times, coreShare: (user + system) / 1000 / (performance.now() - start) };
}

/** Before the first shape, so that what all shapes share reaches its final speed. */
export async function warmUp(contestants) {
  for (const variants of Object.values(contestants)) await fastestOf(variants, FIRST_WARM_UP_SLICES);
}

async function fastestOf(variants, slices = WARM_UP_SLICES) {
  const best = variants.map(() => Number.POSITIVE_INFINITY);
  for (let slice = 0; slice < slices; slice++) {
    for (const [i, call] of variants.entries()) {
      best[i] = Math.min(best[i], await timePerCall(call, WARM_UP_SLICE));
      await sleep(WARM_UP_PAUSE);
    }
  }
  return variants[best.indexOf(Math.min(...best))];
}

async function timePerCall(call, time) {
  const samples = [];
  const start = performance.now();
  let before = start;
  let after = start;
  do {
    before = performance.now();
    const pending = call();
    if (pending instanceof Promise) await pending;
    after = performance.now();
    samples.push(after - before);
  } while (after - start < time || samples.length < MIN_CALLS);
  samples.sort((a, b) => a - b);
  return samples[samples.length >> 2];
}
