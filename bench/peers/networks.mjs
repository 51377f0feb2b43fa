// npm run bench:networks: whole networks here, in onnxruntime-web and in onnxruntime-node, in one process, one thread each,
// batch 1, from ONNX files in deploy form and in train form. `npm run bench:networks -- --help`.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { geometricMean, median } from '../measure.mjs';
import { chart } from './chart.mjs';
import { AGREEMENT, compare, variantsOf } from './comparison.mjs';
import { machine } from './machine.mjs';
import { openContestants } from './networkContestants.mjs';
import { networks, onnxModels, randomImage } from './networkModels.mjs';
import { markdown, summaryLines } from './networkReport.mjs';
import { checkBuild, ROUNDS_OPTIONS, readRounds } from './options.mjs';
import { tableHead, tableRow } from './report.mjs';
import { warmUp } from './rounds.mjs';

const HELP = `usage: npm run bench:networks -- [options]

  --networks REGEX  only the networks whose name matches, as in "VGG-16"; default all
  --form FORM       deploy, train or both; default both
  --simd BUILD      of this package: auto, baseline or relaxed; default baseline
  --rounds N        interleaved rounds; default 15
  --time MS         least time of each contestant in a round; default 15
  --write           write bench/NETWORKS.md and bench/networks.svg
  --json            the figures as JSON
  --help            this text

The peers are installed by: npm --prefix bench/peers ci --ignore-scripts`;

const FORMS = ['deploy', 'train'];

const options = readOptions();
if (options.help) console.log(HELP);
else {
  try {
    await main();
  } catch (error) {
    console.error(`bench:networks: ${error.message}`);
    process.exitCode = 1;
  }
}

async function main() {
  const contestants = await openContestants(options.simd);
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
  for (const { network, models } of modelsOf(contestants[0].runtime)) {
    for (const form of options.forms) {
      const row = { network, name: form, ...(await compareOn(contestants, models[form], models.flops)) };
      report.rows.push(row);
      if (!options.json) console.log(tableRow(report, row));
    }
  }
  for (const contestant of contestants) contestant.close();
  report.summary = summarise(report);
  if (options.json) console.log(JSON.stringify(report, null, 2));
  else console.log(`\n${summaryLines(report).join('\n')}`);
  if (report.summary.largestError > AGREEMENT) throw new Error(`the results differ by more than ${AGREEMENT}`);
  if (options.write) {
    writeFileSync(new URL('../NETWORKS.md', import.meta.url), markdown(report));
    writeFileSync(new URL('../networks.svg', import.meta.url), chart(report, "The paper's networks for CIFAR"));
  }
}

/** The networks that were asked for, each made when its turn comes. The seed is a network's place in the list. */
function* modelsOf(runtime) {
  for (const [i, { network, build }] of networks.entries()) {
    if (options.networks.test(network)) yield { network, models: onnxModels(runtime, build, i + 1) };
  }
}

/** With the first network, so that every code path is warm before the first figure. */
async function warmUpAll(contestants) {
  const { deploy } = onnxModels(contestants[0].runtime, networks[0].build, 1);
  const prepared = await prepareAll(contestants, deploy);
  await warmUp(variantsOf(prepared));
  for (const { dispose } of Object.values(prepared)) await dispose();
}

async function prepareAll(contestants, model) {
  const input = randomImage(1);
  const prepared = {};
  for (const { name, prepare } of contestants) prepared[name] = await prepare(model, input);
  return prepared;
}

/** One file: all three agree, then all three are timed. */
async function compareOn(contestants, model, flops) {
  const prepared = await prepareAll(contestants, model);
  const load = Object.fromEntries(Object.entries(prepared).map(([name, one]) => [name, one.load]));
  const figures = await compare(prepared, flops, options);
  for (const { dispose } of Object.values(prepared)) await dispose();
  return { load, ...figures };
}

function summarise({ peers, rows }) {
  const meansOf = (form) => {
    const ofForm = rows.filter(({ name }) => name === form);
    const mean = (peer) => geometricMean(ofForm.map(({ ratio }) => ratio[peer]));
    return { form, ratio: Object.fromEntries(peers.map((peer) => [peer, mean(peer)])) };
  };
  return {
    means: options.forms.map(meansOf),
    coreShare: median(rows.map(({ coreShare }) => coreShare)),
    largestError: Math.max(...rows.map(({ error }) => error)),
  };
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        networks: { type: 'string', default: '' },
        form: { type: 'string', default: 'both' },
        simd: { type: 'string', default: 'baseline' },
        ...ROUNDS_OPTIONS,
        write: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const { rounds, time } = readRounds(values);
    checkBuild(values.simd);
    if (![...FORMS, 'both'].includes(values.form)) {
      throw new Error(`--form must be deploy, train or both, got ${values.form}`);
    }
    const wanted = new RegExp(values.networks);
    const count = networks.filter(({ network }) => wanted.test(network)).length;
    if (count === 0) throw new Error(`--networks matches none of the networks, got ${values.networks}`);
    if (values.write && (count < networks.length || values.form !== 'both')) {
      throw new Error('--write needs all networks in both forms, leave out --networks and --form');
    }
    const forms = values.form === 'both' ? FORMS : [values.form];
    return { ...values, rounds, time, forms, networks: wanted };
  } catch (error) {
    console.error(`bench:networks: ${error.message}`);
    process.exit(2);
  }
}
