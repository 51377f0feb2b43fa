/**
 * Entry for browsers, run by a page under the content security policy: runs the suite on files fetched from the
 * server and posts the report back to it.
 */
import * as acnet from 'acnet-wasm';
import { Trainer } from 'acnet-wasm/train';
import { runSuite } from './suite.js';
import type { Package } from './trainingRuns.js';

// This file is served as /build/engines/page.mjs.
const root = new URL('../../', import.meta.url);
// Not a literal, so that the bundler leaves the import alone.
const [plainUrl, trainUrl] = ['dist/index.js', 'dist/train.js'].map((file) => new URL(file, root).href);

async function main(): Promise<object> {
  const plain: Package = { ...(await import(plainUrl!)), ...(await import(trainUrl!)) };
  const report = await runSuite({ ...acnet, Trainer }, plain, load);
  return { ...report, evalBlocked: evalBlocked(), crossOriginIsolated };
}

async function load(path: string): Promise<Uint8Array> {
  const response = await fetch(new URL(path, root));
  if (!response.ok) throw new Error(`GET ${path}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Whether the policy is in force at all: without it, eval works. */
function evalBlocked(): boolean {
  try {
    new Function('return 1')();
    return false;
  } catch {
    return true;
  }
}

const answer = await main().catch((error: unknown) => ({
  error: error instanceof Error ? error.stack : String(error),
}));
await fetch('/report', { method: 'POST', body: JSON.stringify(answer) });
