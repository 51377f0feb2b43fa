// npm run bench:training: training steps of this package and of PyTorch, batch 128, SGD with momentum, in interleaved
// rounds, of one network also of onnxruntime-web's training operators; and the phases of this package's steps.
// `npm run bench:training -- --help`.
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { median } from './measure.mjs';
import { machine } from './peers/machine.mjs';
import { checkBuild } from './peers/options.mjs';
import { canRun, loadOnnxruntime, openOnnxruntime } from './training/onnxruntime/open.mjs';
import { FORMS, NETWORK_NAMES, openOurs } from './training/ours.mjs';
import { openPeak } from './training/peak.mjs';
import { byKind } from './training/phases.mjs';
import { LAYOUTS, openPytorch } from './training/pytorch.mjs';
import { markdown, rowText, tableHead } from './training/report.mjs';

const HELP = `usage: npm run bench:training -- [options]

  --networks REGEX  only those that match: ${NETWORK_NAMES.join(', ')}; default all
  --forms LIST      base, train or both with a comma between; default base,train
  --threads LIST    numbers with a comma between; default 1,2
  --simd BUILD      of this package: auto, baseline or relaxed; default baseline
  --rounds N        interleaved rounds; default 11
  --default-malloc  PyTorch as installed, whose malloc returns large blocks to the system, instead of one that keeps them
  --write           write bench/TRAINING.md
  --json            the figures as JSON

PyTorch is Debian's: apt-get install -y python3-torch libopenblas0. PYTHON in the environment names another Python.
LeNet-5-BN in base form and one thread is measured beside onnxruntime-web 1.19.2, too, where that is installed:
npm --prefix bench/training/onnxruntime ci --ignore-scripts.`;

/** Steps before the first round, and those whose phases are timed. */
const WARM_UP_STEPS = 3;
const PHASE_STEPS = 7;
/** A step counts if the machine was this close to its fastest before it and after it. */
const MIN_SHARE_OF_PEAK = 0.92;
const PEAKS = 50;
/** Rounds tried for each one requested, if others use the machine. */
const MAX_TRIES = 4;
/** Until threads that poll for work have gone to sleep. */
const PAUSE = 15;

const options = readOptions();
if (options.help) console.log(HELP);
else {
  try {
    await main();
  } catch (error) {
    console.error(`bench:training: ${error.message}`);
    process.exitCode = 1;
  }
}

async function main() {
  const report = { machine: machine(), rounds: options.rounds, rows: [], phases: [] };
  if (!options.json) console.log(tableHead());
  const onnxruntime = await loadOnnxruntime();
  for (const threads of options.threads) {
    const [peak, pytorch] = [openPeak(threads), await openPytorch(threads, !options.defaultMalloc)];
    report.pytorch = pytorch.version;
    for (const network of options.networks) {
      for (const form of options.forms) {
        const { row, phases, simd } = await compare({ network, form, threads }, { pytorch, onnxruntime }, peak);
        report.simd = simd;
        report.rows.push(row);
        if (threads === 1) report.phases.push({ network, form, ...phases });
        if (!options.json) console.log(rowText(row));
      }
    }
    pytorch.close();
    await peak.close();
  }
  if (options.json) console.log(JSON.stringify(report, null, 2));
  if (options.write) writeFileSync(new URL('TRAINING.md', import.meta.url), markdown(report));
}

async function compare({ network, form, threads }, { pytorch, onnxruntime }, peak) {
  await pytorch.open(network, form);
  const ours = await openOurs(network, form, threads, options.simd);
  const contestants = {
    ours: () => ours.step(),
    ...Object.fromEntries(LAYOUTS.map((layout) => [layout, () => pytorch.step(layout)])),
    ...(onnxruntime && canRun(network, form, threads) && { onnxruntime: await openOnnxruntime(onnxruntime, ours) }),
  };
  for (const step of Object.values(contestants)) for (let i = 0; i < WARM_UP_STEPS; i++) await step();
  const { rounds, calm } = await calmRounds(contestants, peak);
  const phases = phasesOf(Array.from({ length: PHASE_STEPS }, () => ours.phases()));
  ours.close();
  const row = { network, form, threads, calm: calm / rounds.length, ...summarise(rounds, Object.keys(contestants)) };
  return { row, phases, simd: ours.simd };
}

/**
 * Rounds in which nothing else used the machine, within MAX_TRIES; if they are too few, the calmest of the others fill
 * up.
 */
async function calmRounds(contestants, peak) {
  const peaks = [];
  for (let i = 0; i < PEAKS; i++) peaks.push(await peak.measure());
  const most = Math.min(...peaks) / MIN_SHARE_OF_PEAK;
  const rounds = [];
  let calm = 0;
  while (calm < options.rounds && rounds.length < MAX_TRIES * options.rounds) {
    rounds.push(await oneRound(contestants, peak));
    if (rounds.at(-1).slowest <= most) calm++;
  }
  rounds.sort((a, b) => a.slowest - b.slowest);
  return { rounds: rounds.slice(0, Math.max(calm, options.rounds)).map(({ times }) => times), calm };
}

/** For each contestant its step's milliseconds, and the slowest peak before or after any of them. */
async function oneRound(contestants, peak) {
  const times = {};
  const peaks = [];
  for (const [name, step] of Object.entries(contestants)) {
    await sleep(PAUSE);
    peaks.push(await peak.measure());
    times[name] = await step();
    await sleep(PAUSE);
    peaks.push(await peak.measure());
  }
  return { times, slowest: Math.max(...peaks) };
}

function summarise(rounds, names) {
  const ratioOf = (peer) => quartiles(rounds.map((times) => peer(times) / times.ours));
  return {
    times: Object.fromEntries(names.map((name) => [name, quartiles(rounds.map((times) => times[name]))])),
    ratios: {
      better: ratioOf((times) => Math.min(...LAYOUTS.map((layout) => times[layout]))),
      default: ratioOf((times) => times.default),
      ...(names.includes('onnxruntime') && { onnxruntime: ratioOf((times) => times.onnxruntime) }),
    },
  };
}

function quartiles(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => sorted[Math.round((sorted.length - 1) * share)];
  return { median: median(values), low: at(0.25), high: at(0.75) };
}

/** Medians over the steps, of every step of the plan. */
function phasesOf(runs) {
  const steps = runs[0].map((step, i) => ({ ...step, milliseconds: median(runs.map((run) => run[i].milliseconds)) }));
  return { kinds: Object.fromEntries(byKind(steps)) };
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        networks: { type: 'string', default: '' },
        forms: { type: 'string', default: FORMS.join() },
        threads: { type: 'string', default: '1,2' },
        simd: { type: 'string', default: 'baseline' },
        rounds: { type: 'string', default: '11' },
        'default-malloc': { type: 'boolean', default: false },
        write: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    checkBuild(values.simd);
    const networks = NETWORK_NAMES.filter((name) => new RegExp(values.networks).test(name));
    if (networks.length === 0) throw new Error(`--networks matches none of them, got ${values.networks}`);
    const forms = values.forms.split(',');
    if (!forms.every((form) => FORMS.includes(form))) {
      throw new Error(`--forms must be of ${FORMS.join(', ')}, got ${values.forms}`);
    }
    const threads = values.threads.split(',').map((count) => wholeNumber('threads', count));
    const rounds = wholeNumber('rounds', values.rounds);
    if (values.write && (networks.length < NETWORK_NAMES.length || values['default-malloc'])) {
      throw new Error('--write needs all networks, and a malloc that keeps memory');
    }
    return { ...values, networks, forms, threads, rounds };
  } catch (error) {
    console.error(`bench:training: ${error.message}`);
    process.exit(2);
  }
}

function wholeNumber(name, text) {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new Error(`--${name} must be whole numbers of at least 1, got ${text}`);
}
