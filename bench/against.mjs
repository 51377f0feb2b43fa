// npm run bench:against -- DIR: compares another state of this package, built in DIR (its dist), with this one, in one
// process: the layers of bench:peers, shallow layers, depthwise and grouped ones, networks, and MobileNetV2 as
// exported. Both take turns, in both builds. A round in which something else used the core is thrown out: in it the
// register-only peak, taken before, between and after both sides, falls below a share of the best that the process has
// seen, or the process had less time than the clock shows.
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { geometricMean, quantile } from './measure.mjs';
import { MOBILENET_DIMS, mobilenetV2 } from './mobilenetV2.mjs';
import { Peak } from './peak.mjs';
import { nameOf, shapes } from './shapes.mjs';

const HELP = `usage: npm run bench:against -- DIR [options]

  DIR              the dist of another state
  --simd BUILD     baseline, relaxed, or both, separated by a comma; default both
  --only WORDS     contestants whose names contain one of these, separated by commas
  --rounds N       that count; default 21. At most eight times as many are made
  --time MS        of each side in a round; default 8
  --json           the figures as JSON`;

/** The share of the core below which a round is thrown out. */
const MIN_CORE_SHARE = 0.95;
const WARM_UP_ROUNDS = 12;
/** Rounds made at most for each round that counts. */
const MAX_ROUNDS_FACTOR = 8;

/** [inChannels, outChannels, size, kernel, stride, padding, groups] */
const SHALLOW = [
  [64, 64, 56, 1, 1, 0, 1],
  [16, 96, 56, 1, 1, 0, 1],
  [32, 192, 28, 1, 1, 0, 1],
  [3, 32, 32, 3, 1, 1, 1],
  [3, 16, 112, 3, 2, 1, 1],
  [3, 32, 224, 3, 2, 1, 1],
];
const GROUPED = [
  [64, 64, 56, 3, 1, 1, 64],
  [64, 64, 28, 3, 1, 1, 8],
];
const NETWORKS = ['lenet5bn', 'cifarQuick', 'vgg16', 'resnetCifar', 'wideResnet', 'densenet', 'resnet18'];

const options = readOptions();
if (options.help) console.log(HELP);
else await main();

async function main() {
  const load = (folder) => import(pathToFileURL(path.resolve(folder, 'index.js')).href);
  const packages = [await load(options.folder), await load('dist')];
  const rows = [];
  for (const simd of options.builds) rows.push(...(await compareBuild(packages, simd)));
  if (options.json) console.log(JSON.stringify(rows, null, 2));
}

async function compareBuild(packages, simd) {
  const runtimes = [];
  for (const { createRuntime } of packages) runtimes.push(await createRuntime({ simd }));
  const peak = new Peak(simd);
  const rows = [];
  if (!options.json)
    console.log(`${simd}: that state's time / this one's, median (quartiles), and of the fastest rounds (ms)\n`);
  for (const contestant of contestants()) {
    const sides = [];
    for (const [i, runtime] of runtimes.entries()) sides.push(await contestant.prepare(packages[i], runtime));
    const row = { simd, kind: contestant.kind, name: contestant.name, ...compare(sides, peak) };
    for (const { dispose } of sides) dispose();
    rows.push(row);
    if (!options.json) printRow(row);
  }
  if (!options.json) printMeans(rows);
  for (const runtime of runtimes) runtime.dispose();
  return rows;
}

/** All that is compared; `prepare` returns a function to time and one to clean up. */
function contestants() {
  const peers = [...new Map(Object.values(shapes).flatMap((list) => list.map((one) => [nameOf(one), one]))).values()];
  const all = [
    ...peers.map((shape) => layer('layer', shape)),
    ...SHALLOW.map((shape) => layer('shallow', shape)),
    ...GROUPED.map((shape) => layer('grouped', shape)),
    ...NETWORKS.map(network),
    { kind: 'network', name: 'mobilenetV2 as exported', prepare: prepareMobilenet },
  ];
  const { only } = options;
  return all.filter(({ name, kind }) => only.length === 0 || only.some((word) => `${kind} ${name}`.includes(word)));
}

function layer(kind, shape) {
  const [inChannels, outChannels, size, kernelSize, stride, padding, groups = 1] = shape;
  const settings = { inChannels, outChannels, kernelSize, stride, padding, groups };
  return {
    kind,
    name: nameOf(shape) + (groups > 1 ? ` groups ${groups}` : ''),
    prepare: ({ Conv2d, Tensor }, runtime) =>
      prepareLayer(new Conv2d(runtime, settings).eval(), Tensor, [1, inChannels, size, size]),
  };
}

function network(name) {
  const dims = name === 'lenet5bn' ? [1, 1, 28, 28] : name === 'resnet18' ? [1, 3, 224, 224] : [1, 3, 32, 32];
  return {
    kind: 'network',
    name,
    prepare: (all, runtime) => prepareLayer(all[name](runtime, { form: 'deploy' }).eval(), all.Tensor, dims),
  };
}

function prepareLayer(net, Tensor, dims) {
  const input = inputOf(Tensor, dims).to(net.runtime);
  const dispose = () => {
    net.dispose();
    input.dispose();
  };
  return { run: () => net.forward(input).dispose(), dispose };
}

async function prepareMobilenet({ InferenceSession, Tensor }, runtime) {
  const session = await InferenceSession.create(mobilenetV2(), { runtime });
  const image = inputOf(Tensor, MOBILENET_DIMS);
  return { run: () => session.runSync({ image }), dispose: () => session.release() };
}

function inputOf(Tensor, dims) {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return new Tensor(
    'float32',
    Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.3)),
    dims,
  );
}

function compare(sides, peak) {
  for (const { run } of sides) timeCalls(run, 5);
  const calls = sides.map(({ run }) => Math.max(1, Math.ceil(options.time / timeCalls(run, 5).time)));
  for (let i = 0; i < WARM_UP_ROUNDS; i++) sides.forEach(({ run }, side) => void timeCalls(run, calls[side]));
  const times = [[], []];
  const fastest = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  let made = 0;
  for (; times[0].length < options.rounds && made < MAX_ROUNDS_FACTOR * options.rounds; made++) {
    const order = made % 2 === 0 ? [0, 1] : [1, 0];
    const round = [];
    let isQuiet = peak.isReached();
    for (const side of order) {
      const { time, coreShare } = timeCalls(sides[side].run, calls[side]);
      round[side] = time;
      fastest[side] = Math.min(fastest[side], time);
      isQuiet = peak.isReached() && coreShare >= MIN_CORE_SHARE && isQuiet;
    }
    if (isQuiet) round.forEach((time, side) => void times[side].push(time));
  }
  const ratios = times[0].map((time, i) => time / times[1][i]);
  const [ratio, low, high] = [0.5, 0.25, 0.75].map((share) => quantile(ratios, share));
  return { ratio, low, high, fastest, rounds: ratios.length, made };
}

/** Milliseconds of a call, and the share of one core that the process had meanwhile. */
function timeCalls(run, calls) {
  const before = process.cpuUsage();
  const start = performance.now();
  for (let i = 0; i < calls; i++) run();
  const wall = performance.now() - start;
  const { user, system } = process.cpuUsage(before);
  return { time: wall / calls, coreShare: (user + system) / 1000 / wall };
}

function printRow({ name, ratio, low, high, fastest, rounds, made }) {
  const figures = rounds === 0 ? 'no quiet round' : `${ratio.toFixed(3)} (${low.toFixed(3)}-${high.toFixed(3)})`;
  const [that, own] = fastest;
  const best = `${that.toFixed(3).padStart(8)} ${own.toFixed(3).padStart(8)}   ${(that / own).toFixed(3)}`;
  console.log(`${name.padEnd(28)}${figures.padEnd(22)}${best}   ${rounds} of ${made} rounds`);
}

function printMeans(rows) {
  const ratiosOf = (...kinds) =>
    rows.filter(({ kind, rounds }) => kinds.includes(kind) && rounds > 0).map(({ ratio }) => ratio);
  console.log();
  for (const [title, ratios] of [
    ['layers of bench:peers', ratiosOf('layer')],
    ['shallow layers', ratiosOf('shallow')],
    ['networks', ratiosOf('network')],
    ['layers of bench:peers and networks', ratiosOf('layer', 'network')],
  ]) {
    if (ratios.length === 0) continue;
    const [mean, lowest] = [geometricMean(ratios), Math.min(...ratios)].map((value) => value.toFixed(3));
    console.log(`${title}: geometric mean ${mean}, lowest ${lowest}`);
  }
  console.log();
}

function readOptions() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        simd: { type: 'string', default: 'baseline,relaxed' },
        only: { type: 'string', default: '' },
        rounds: { type: 'string', default: '21' },
        time: { type: 'string', default: '8' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return values;
    if (positionals.length !== 1) throw new Error('DIR is missing: the dist of another state');
    const builds = values.simd.split(',');
    const wrong = builds.find((build) => build !== 'baseline' && build !== 'relaxed');
    if (wrong !== undefined) throw new Error(`--simd must be baseline, relaxed or both, got ${wrong}`);
    const positive = (name) => {
      const value = Number(values[name]);
      if (!(value >= 1)) throw new Error(`--${name} must be a number of at least 1, got ${values[name]}`);
      return value;
    };
    const only = values.only.split(',').filter((word) => word !== '');
    return { ...values, folder: positionals[0], builds, only, rounds: positive('rounds'), time: positive('time') };
  } catch (error) {
    console.error(`bench:against: ${error.message}`);
    process.exit(2);
  }
}
