/** Entry for Node, Deno and Bun: runs the suite on the files of the repository, prints the report as one JSON line. */
import { readFile } from 'node:fs/promises';
import * as process from 'node:process';
import * as acnet from 'acnet-wasm';
import { Trainer } from 'acnet-wasm/train';
import { runSuite } from './suite.js';
import type { Package } from './trainingRuns.js';

// This file runs as build/engines/shell.mjs.
const root = new URL('../../', import.meta.url);
// Not a literal, so that the bundler leaves the import alone.
const [plainUrl, trainUrl] = ['dist/index.js', 'dist/train.js'].map((file) => new URL(file, root).href);
const plain: Package = { ...(await import(plainUrl!)), ...(await import(trainUrl!)) };

const report = await runSuite({ ...acnet, Trainer }, plain, (path) => readFile(new URL(path, root)));
process.stdout.write(`${JSON.stringify({ ...report, versions: process.versions })}\n`);
