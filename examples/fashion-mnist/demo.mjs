#!/usr/bin/env node
/**
 * The main job: a trained ACNet classifies Fashion-MNIST images in train form, is merged, and classifies them again.
 * This file reads the command line; exit code 0, 1 (the work failed), 2 (wrong usage), 130 (Ctrl-C), 143 (SIGTERM).
 */
import process from 'node:process';
import { parseArgs } from 'node:util';

const SIMD = ['auto', 'baseline', 'relaxed'];

const HELP = `Usage: npm run demo -- [options]
       node examples/fashion-mnist/demo.mjs [options]

Classifies Fashion-MNIST test images with a trained ACNet, in train form and merged, and compares the two.

  --data DIR    classify the whole test set in DIR: t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, also with .gz
                (default: the 1,000 images that come with the demo)
  --simd BUILD  auto, baseline or relaxed (default: auto). In Node 20, relaxed takes
                node --experimental-wasm-relaxed-simd
  --batch N     images at a time (default: 50)
  --json        print the figures as JSON, and nothing else
  --help        print this
`;

class UsageError extends Error {}

function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      data: { type: 'string' },
      simd: { type: 'string', default: 'auto' },
      batch: { type: 'string', default: '50' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.data === '') throw new UsageError('--data must name a folder');
  if (!SIMD.includes(values.simd)) {
    throw new UsageError(`--simd must be auto, baseline or relaxed, got '${values.simd}'`);
  }
  if (!/^[1-9]\d{0,5}$/.test(values.batch)) {
    throw new UsageError(`--batch must be a whole number of 1 to 999999, got '${values.batch}'`);
  }
  return { ...values, batch: Number(values.batch) };
}

async function main() {
  const options = readOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  const { loadDataset } = await import('./dataset.mjs');
  const dataset = loadDataset(options.data);
  // Only now, so that --help, and messages, need neither the built package nor its dependencies.
  const [{ measureBothForms }, { introduction, report }, { describeTerminal }, { stopProgress }] = await Promise.all(
    ['./figures.mjs', './report.mjs', './terminal.mjs', './progress.mjs'].map((file) => import(file)),
  );
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ]) {
    process.once(signal, () => {
      stopProgress();
      process.exit(code);
    });
  }

  const print = (text) => process.stdout.write(`${text}\n`);
  const figures = await measureBothForms(dataset, { ...options, progress: !options.json }, (subject) => {
    if (!options.json) print(introduction(subject));
  });
  print(options.json ? JSON.stringify(figures, null, 2) : report(figures, dataset, describeTerminal(process.stdout)));
}

function fail(error) {
  const isUsage = error instanceof UsageError || error.code?.startsWith('ERR_PARSE_ARGS');
  const hint = error.code === 'ERR_MODULE_NOT_FOUND' ? ' (first run: npm ci && npm run build)' : '';
  process.stderr.write(`demo: ${error.message}${hint}${isUsage ? '; --help shows the options' : ''}\n`);
  process.exitCode = isUsage ? 2 : 1;
}

// A reader such as `head` that leaves early is no failure.
process.stdout.on('error', (error) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
await main().catch(fail);
