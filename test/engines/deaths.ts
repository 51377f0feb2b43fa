/** Entry for all engines: runs the cases of casualties.ts and posts what they cost, or prints it as one JSON line. */
import * as acnet from 'acnet-wasm';
import { type Casualty, runCasualties } from './casualties.js';

/** A worker thread hangs for this long, twice what a runtime waits for it. */
const STALL_MILLISECONDS = 5_000;

const casualties: (Casualty & { threads: number })[] = [];
for (const threads of [2, 4]) {
  for (const casualty of await runCasualties(acnet, threads, STALL_MILLISECONDS)) {
    casualties.push({ threads, ...casualty });
  }
}
const report = JSON.stringify({ casualties });
if (typeof document === 'object') await fetch('/report', { method: 'POST', body: report });
else {
  console.log(report);
  // Deno ends no worker that sleeps, as those do that hang when they start, and does not end before they do.
  (globalThis as { process?: { exit(): void } }).process?.exit();
}
