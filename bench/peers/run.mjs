// npm run bench:peers: this package's merged block against tfjs-backend-wasm, onnxruntime-web and onnxruntime-node, in
// one process, one thread each, on the convolutions of the paper's networks, batch 1. `npm run bench:peers -- --help`.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { geometricMean, median } from '../measure.mjs';
import { chart } from './chart.mjs';
import { AGREEMENT, compare, variantsOf } from './comparison.mjs';
import { openContestants } from './contestants.mjs';
import { convolutions, randomData } from './convolution.mjs';
import { machine } from './machine.mjs';
import { checkBuild, ROUNDS_OPTIONS, readRounds } from './options.mjs';
import { markdown, summaryLines, tableHead, tableRow } from './report.mjs';
import { warmUp } from './rounds.mjs';

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
    const row = await compareOn(contestants, convolution);
    report.rows.push(row);
    if (!options.json) console.log(tableRow(report, row));
  }
  for (const contestant of contestants) contestant.close();
  report.summary = summarise(report);
  if (options.json) console.log(JSON.stringify(report, null, 2));
  else console.log(`\n${summaryLines(report).join('\n')}`);
  if (options.write) {
    writeFileSync(new URL('../RESULTS.md', import.meta.url), markdown(report));
    writeFileSync(new URL('../results.svg', import.meta.url), chart(report, "Convolutions of the paper's networks"));
  }
  if (report.summary.largestError > AGREEMENT) throw new Error(`the results differ by more than ${AGREEMENT}`);
}

/** A plain one and one with a larger kernel, so that every code path of the peers is warm before the first figure. */
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

/** One convolution: all four agree, then all four are timed. */
async function compareOn(contestants, { network, name, flops, sizes }) {
  const data = randomData(sizes, convolutions.findIndex((one) => one.network === network && one.name === name) + 1);
  const prepared = await prepareAll(contestants, sizes, data);
  const figures = await compare(prepared, flops, options);
  for (const { dispose } of Object.values(prepared)) await dispose();
  return { network, name, sizes, ...figures };
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

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        shapes: { type: 'string', default: '' },
        simd: { type: 'string', default: 'baseline' },
        form: { type: 'string', default: 'deploy' },
        ...ROUNDS_OPTIONS,
        write: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const { rounds, time } = readRounds(values);
    checkBuild(values.simd);
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
