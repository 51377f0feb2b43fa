// npm run bench:peers: this package's merged block against tfjs-backend-wasm, onnxruntime-web and onnxruntime-node, in
// one process, one thread each, on the convolutions of the paper's networks, batch 1. `npm run bench:peers -- --help`.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { geometricMean, median, spread } from '../measure.mjs';
import { chart } from './chart.mjs';
import { openContestants } from './contestants.mjs';
import { convolutions, randomData } from './convolution.mjs';
import { machine } from './machine.mjs';
import { markdown, summaryLines, tableHead, tableRow } from './report.mjs';
import { timeInRounds, warmUp } from './rounds.mjs';

const HELP = `usage: npm run bench:peers -- [options]

  --shapes REGEX   only the shapes whose network and name match, as in "VGG-16 3x3 64->64 @32"; default all
  --simd BUILD     of this package: auto, baseline or relaxed; default baseline
  --form FORM      of this package's block: deploy (one convolution) or train (three branches in evaluation mode, beside
                   the peers' single convolution); default deploy
  --rounds N       interleaved rounds; default 15
  --time MS        least time of each contestant in a round; default 15
  --write          write bench/RESULTS.md and bench/results.svg
  --json           the figures as JSON

The peers are installed by: npm --prefix bench/peers ci --ignore-scripts`;

/** Of the largest magnitude of the output. */
const AGREEMENT = 1e-4;

const options = readOptions();
if (options.help) console.log(HELP);
else {
  try {
    await main();
  } catch (error) {
    console.error(`bench:peers: ${error.message}`);
    process.exitCode = 1;
  }
}

async function main() {
  const contestants = await openContestants(options.simd, options.form);
  const [ours, ...peers] = contestants.map(({ name }) => name);
  const report = {
    machine: machine(),
    versions: Object.fromEntries(contestants.map(({ name, version }) => [name, version])),
    simd: contestants[0].simd,
    rounds: options.rounds,
    time: options.time,
    ours,
    peers,
    rows: [],
  };
  if (!options.json) console.log(tableHead(report));
  await warmUpAll(contestants);
  for (const convolution of options.convolutions) {
    const row = await compare(contestants, convolution);
    report.rows.push(row);
    if (!options.json) console.log(tableRow(report, row));
  }
  for (const contestant of contestants) contestant.close();
  report.summary = summarise(report);
  if (options.json) console.log(JSON.stringify(report, null, 2));
  else console.log(`\n${summaryLines(report).join('\n')}`);
  if (options.write) {
    writeFileSync(new URL('../RESULTS.md', import.meta.url), markdown(report));
    writeFileSync(new URL('../results.svg', import.meta.url), chart(report));
  }
  if (report.summary.largestError > AGREEMENT) throw new Error(`the results differ by more than ${AGREEMENT}`);
}

/** A plain one and one with a larger kernel, so that every road through the peers is warm before the first figure. */
async function warmUpAll(contestants) {
  for (const name of ['3x3 64->64 @32', '5x5 32->32 @16']) {
    const { sizes } = convolutions.find((one) => one.name === name);
    const prepared = await prepareAll(contestants, sizes, randomData(sizes, 1));
    await warmUp(variantsOf(prepared));
    for (const { dispose } of Object.values(prepared)) await dispose();
  }
}

async function prepareAll(contestants, sizes, data) {
  const prepared = {};
  for (const { name, prepare } of contestants) prepared[name] = await prepare(sizes, data);
  return prepared;
}

function variantsOf(prepared) {
  return mapValues(prepared, ({ variants }) => variants);
}

/** One convolution: all four agree, then all four are timed. */
async function compare(contestants, { network, name, flops, sizes }) {
  const data = randomData(sizes, convolutions.findIndex((one) => one.network === network && one.name === name) + 1);
  const prepared = await prepareAll(contestants, sizes, data);
  const results = [];
  for (const { result } of Object.values(prepared)) results.push(await result());
  const error = disagreement(results);
  const { times, coreShare } = await timeInRounds(variantsOf(prepared), options);
  for (const { dispose } of Object.values(prepared)) await dispose();

  const [ours, ...peers] = Object.keys(times);
  const milliseconds = mapValues(times, median);
  const ratios = mapValues(pick(times, peers), (list) => list.map((time, round) => time / times[ours][round]));
  return {
    network,
    name,
    sizes,
    flops,
    error,
    coreShare,
    milliseconds,
    gflops: mapValues(milliseconds, (time) => flops / time / 1e6),
    ratio: mapValues(ratios, median),
    spread: mapValues(ratios, spread),
  };
}

/** Widest gap between any two results, relative to the largest magnitude; infinite where one is not a number. */
function disagreement(results) {
  const [first] = results;
  if (results.some(({ length }) => length !== first.length)) return Number.POSITIVE_INFINITY;
  let gap = 0;
  let magnitude = 0;
  for (let i = 0; i < first.length; i++) {
    const values = results.map((result) => result[i]);
    if (values.some(Number.isNaN)) return Number.POSITIVE_INFINITY;
    gap = Math.max(gap, Math.max(...values) - Math.min(...values));
    magnitude = Math.max(magnitude, ...values.map(Math.abs));
  }
  return gap / magnitude;
}

function summarise({ peers, rows }) {
  const plain = rows.filter(({ sizes }) => sizes.kernel === 3 && sizes.stride === 1);
  const over = (list) =>
    list.length === 0
      ? undefined
      : Object.fromEntries(peers.map((peer) => [peer, geometricMean(list.map(({ ratio }) => ratio[peer]))]));
  const lowest = (peer) => {
    const row = rows.reduce((least, one) => (one.ratio[peer] < least.ratio[peer] ? one : least));
    return { shape: `${row.network} ${row.name}`, ratio: row.ratio[peer] };
  };
  return {
    threeByThree: over(plain),
    all: over(rows),
    lowest: Object.fromEntries(peers.map((peer) => [peer, lowest(peer)])),
    counts: { threeByThree: plain.length, all: rows.length },
    coreShare: median(rows.map(({ coreShare }) => coreShare)),
    largestError: Math.max(...rows.map(({ error }) => error)),
  };
}

function mapValues(record, change) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

function pick(record, keys) {
  return Object.fromEntries(keys.map((key) => [key, record[key]]));
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        shapes: { type: 'string', default: '' },
        simd: { type: 'string', default: 'baseline' },
        form: { type: 'string', default: 'deploy' },
        rounds: { type: 'string', default: '15' },
        time: { type: 'string', default: '15' },
        write: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const rounds = Number(values.rounds);
    if (!Number.isInteger(rounds) || rounds < 1) {
      throw new Error(`--rounds must be a whole number of at least 1, got ${values.rounds}`);
    }
    const time = Number(values.time);
    if (!(time > 0 && time < Number.POSITIVE_INFINITY)) {
      throw new Error(`--time must be a positive number of milliseconds, got ${values.time}`);
    }
    if (!['auto', 'baseline', 'relaxed'].includes(values.simd)) {
      throw new Error(`--simd must be auto, baseline or relaxed, got ${values.simd}`);
    }
    if (!['deploy', 'train'].includes(values.form)) {
      throw new Error(`--form must be deploy or train, got ${values.form}`);
    }
    if (values.write && values.form === 'train') throw new Error('--write needs --form deploy');
    const wanted = new RegExp(values.shapes);
    const picked = convolutions.filter(({ network, name }) => wanted.test(`${network} ${name}`));
    if (picked.length === 0) throw new Error(`--shapes matches none of the shapes, got ${values.shapes}`);
    if (values.write && picked.length < convolutions.length)
      throw new Error('--write needs all shapes, leave out --shapes');
    return { ...values, rounds, time, convolutions: picked };
  } catch (error) {
    console.error(`bench:peers: ${error.message}`);
    process.exit(2);
  }
}
