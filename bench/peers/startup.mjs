// How long a fresh Node process takes to its first result: load the package, its binary and a model, and run one 3x3
// convolution 64->64 @32 once. This package against onnxruntime-web, each beyond an empty process, in alternating runs.
//   node bench/peers/startup.mjs --help
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Tensor, writeSafetensors } from '../../dist/index.js';
import { median, spread } from '../measure.mjs';
import { convolutions, randomData } from './convolution.mjs';
import { machine } from './machine.mjs';
import { onnxConv } from './onnxModel.mjs';
import { HOW_TO_INSTALL, isMissing } from './onnxruntimes.mjs';

const HELP = `usage: node bench/peers/startup.mjs [options]

  --runs N       processes of each kind; default 11
  --simd BUILD   of this package: auto, baseline or relaxed; default baseline
  --json         the figures as JSON

The peers are installed by: npm --prefix bench/peers ci --ignore-scripts`;

/** Relative to the sum of a result's values, which float32 arithmetic rounds. */
const AGREEMENT = 1e-4;

const options = readOptions();
if (options.help) console.log(HELP);
else {
  try {
    await main();
  } catch (error) {
    console.error(`startup: ${error.message}`);
    process.exitCode = 1;
  }
}

async function main() {
  requirePeers();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'acnet-startup-'));
  try {
    report(await measure(writeModels(folder)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @returns milliseconds of every run by kind */
async function measure({ safetensors, onnx }) {
  const kinds = {
    empty: ['startup/empty.mjs'],
    ours: ['startup/ours.mjs', safetensors, options.simd],
    onnxruntimeWeb: ['startup/onnxruntimeWeb.mjs', onnx],
  };
  const times = { empty: [], ours: [], onnxruntimeWeb: [] };
  const sums = {};
  // The first round only fills the file cache.
  for (let round = 0; round <= options.runs; round++) {
    for (const [kind, [script, ...args]] of Object.entries(kinds)) {
      const { milliseconds, line } = await timeToFirstLine(script, args);
      if (round > 0) times[kind].push(milliseconds);
      sums[kind] = Number(line);
    }
  }
  if (!(Math.abs(sums.ours - sums.onnxruntimeWeb) <= AGREEMENT * Math.abs(sums.onnxruntimeWeb))) {
    throw new Error(`the results differ: their sums are ${sums.ours} and ${sums.onnxruntimeWeb}`);
  }
  return times;
}

function report(times) {
  const beyondEmpty = (kind) => median(times[kind].map((time, run) => time - times.empty[run]));
  const figures = {
    machine: machine(),
    runs: options.runs,
    simd: options.simd,
    milliseconds: Object.fromEntries(Object.entries(times).map(([kind, list]) => [kind, median(list)])),
    beyondEmpty: { ours: beyondEmpty('ours'), onnxruntimeWeb: beyondEmpty('onnxruntimeWeb') },
  };
  figures.share = figures.beyondEmpty.ours / figures.beyondEmpty.onnxruntimeWeb;
  if (options.json) {
    console.log(JSON.stringify(figures, null, 2));
    return;
  }
  const { cpu, cores, node } = figures.machine;
  console.log(`${cpu}, ${cores} cores, Node ${node}; fresh process to first result, medians of ${options.runs} runs\n`);
  console.log('                       ms    spread    beyond empty');
  const names = { empty: 'empty process', ours: 'acnet-wasm', onnxruntimeWeb: 'onnxruntime-web' };
  for (const [kind, name] of Object.entries(names)) {
    const total = figures.milliseconds[kind].toFixed(1).padStart(7);
    const wide = `±${(spread(times[kind]) * 100).toFixed(0)} %`.padStart(10);
    const beyond = kind === 'empty' ? '' : `${figures.beyondEmpty[kind].toFixed(1).padStart(13)} ms`;
    console.log(`${name.padEnd(18)}${total}${wide}${beyond}`);
  }
  console.log(`\nacnet-wasm takes ${figures.share.toFixed(3)} of what onnxruntime-web does`);
}

/** From just before the process is started to the first line it prints; then waits for its end. */
function timeToFirstLine(script, args) {
  return new Promise((resolve, reject) => {
    const file = fileURLToPath(new URL(script, import.meta.url));
    const start = performance.now();
    const child = spawn(process.execPath, [...process.execArgv, file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let milliseconds;
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk) => {
      milliseconds ??= performance.now() - start;
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0 && milliseconds !== undefined) resolve({ milliseconds, line: output.trim() });
      else reject(new Error(`${script} ended with code ${code}: ${errors.trim()}`));
    });
  });
}

/** The same parameters as each package reads them. */
function writeModels(folder) {
  const { sizes } = convolutions.find(({ name }) => name === '3x3 64->64 @32');
  const { weight, bias } = randomData(sizes, 1);
  const state = {
    'fused_conv.weight': new Tensor('float32', weight, [64, 64, 3, 3]),
    'fused_conv.bias': new Tensor('float32', bias, [64]),
  };
  const safetensors = path.join(folder, 'block.safetensors');
  const onnx = path.join(folder, 'block.onnx');
  writeFileSync(safetensors, writeSafetensors(state));
  writeFileSync(onnx, onnxConv(sizes, weight, bias));
  return { safetensors, onnx };
}

function requirePeers() {
  try {
    import.meta.resolve('onnxruntime-web');
  } catch (error) {
    throw isMissing(error) ? new Error(HOW_TO_INSTALL) : error;
  }
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        runs: { type: 'string', default: '11' },
        simd: { type: 'string', default: 'baseline' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const runs = Number(values.runs);
    if (!Number.isInteger(runs) || runs < 1) {
      throw new Error(`--runs must be a whole number of at least 1, got ${values.runs}`);
    }
    if (!['auto', 'baseline', 'relaxed'].includes(values.simd)) {
      throw new Error(`--simd must be auto, baseline or relaxed, got ${values.simd}`);
    }
    return { ...values, runs };
  } catch (error) {
    console.error(`startup: ${error.message}`);
    process.exit(2);
  }
}
