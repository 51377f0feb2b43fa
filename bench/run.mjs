// npm run bench: Asymmetric Convolution Blocks, three branches against the merged one, on the shapes of the paper's
// networks, batch 1. GF/s count the multiply-adds of the plain convolution in both forms. `npm run bench -- --help`.
import { parseArgs } from 'node:util';
import { ACBlock, createRuntime, Tensor } from 'acnet-wasm';
import { geometricMean, measureRounds, median, spread } from './measure.mjs';
import { nameOf, shapes, workOf } from './shapes.mjs';
import { openTestKernels } from './testKernels.mjs';

const HELP = `usage: npm run bench -- [options]

  --network NAME   one of ${Object.keys(shapes).join(', ')}; default all
  --simd BUILD     auto, baseline or relaxed; default auto
  --rounds N       interleaved rounds; default 15
  --time MS        time of each contestant in a round; default 20
  --json           the figures as JSON`;

const PEAK_STEPS = 2000;
const PEAK_FLOPS = PEAK_STEPS * 96;

const options = readOptions();
if (options.help) console.log(HELP);
else await main();

async function main() {
  const runtime = await createRuntime({ simd: options.simd });
  const { kernels } = openTestKernels(runtime.simd);
  const rows = [];
  if (!options.json) printHead(runtime);
  for (const network of options.networks) {
    for (const shape of shapes[network]) {
      const row = { network, shape: nameOf(shape), ...(await compare(runtime, kernels, shape)) };
      rows.push(row);
      if (!options.json) printRow(row);
    }
  }
  const speedUp = geometricMean(rows.map((row) => row.speedUp));
  if (options.json) {
    const { simd } = runtime;
    console.log(
      JSON.stringify({ engine: `node ${process.versions.node}`, simd, rounds: options.rounds, rows, speedUp }, null, 2),
    );
  } else {
    console.log(`\nmerging makes a block ${speedUp.toFixed(2)} times as fast (geometric mean of ${rows.length})`);
  }
  runtime.dispose();
}

/** Both forms of one block and the machine's peak, in the same rounds. */
async function compare(runtime, kernels, shape) {
  const [inChannels, outChannels, size, kernelSize, stride, padding] = shape;
  const blockOptions = { inChannels, outChannels, kernelSize, stride, padding };
  const unfused = new ACBlock(runtime, blockOptions).eval();
  const fused = new ACBlock(runtime, blockOptions).loadStateDict(unfused.stateDict()).eval().switchToDeploy();
  const data = Float32Array.from({ length: inChannels * size * size }, (_, i) => Math.sin(i));
  const input = new Tensor('float32', data, [1, inChannels, size, size]).to(runtime);
  const times = await measureRounds(
    {
      peak: () => kernels.multiplyAddPeak(PEAK_STEPS, 0.999, 0.001),
      unfused: () => unfused.forward(input).dispose(),
      fused: () => fused.forward(input).dispose(),
    },
    options,
  );
  for (const thing of [unfused, fused, input]) thing.dispose();
  const { flops } = workOf(shape);
  const rate = (milliseconds) => flops / milliseconds / 1e6;
  const ratios = times.unfused.map((time, i) => time / times.fused[i]);
  return {
    unfusedMilliseconds: median(times.unfused),
    fusedMilliseconds: median(times.fused),
    unfusedGflops: rate(median(times.unfused)),
    fusedGflops: rate(median(times.fused)),
    peakGflops: PEAK_FLOPS / median(times.peak) / 1e6,
    shareOfPeak: median(times.fused.map((time, i) => (flops / time) * (times.peak[i] / PEAK_FLOPS))),
    speedUp: median(ratios),
    spread: spread(ratios),
  };
}

function printHead(runtime) {
  console.log(
    `node ${process.versions.node}, ${runtime.simd} build, one thread, batch 1, medians of ${options.rounds} rounds\n`,
  );
  console.log('network      shape               three branches      merged          of v128 peak   speed-up');
  console.log('                                    ms    GF/s       ms    GF/s                            ');
}

function printRow(row) {
  const cell = (value, digits, width) => value.toFixed(digits).padStart(width);
  console.log(
    row.network.padEnd(13) +
      row.shape.padEnd(19) +
      cell(row.unfusedMilliseconds, 3, 8) +
      cell(row.unfusedGflops, 1, 8) +
      cell(row.fusedMilliseconds, 3, 10) +
      cell(row.fusedGflops, 1, 8) +
      `${cell(row.shareOfPeak * 100, 0, 13)} %` +
      `${cell(row.speedUp, 2, 11)} +-${cell(row.spread * 100, 0, 2)} %`,
  );
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        network: { type: 'string' },
        simd: { type: 'string', default: 'auto' },
        rounds: { type: 'string', default: '15' },
        time: { type: 'string', default: '20' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const positive = (name) => {
      const value = Number(values[name]);
      if (!(value >= 1)) throw new Error(`--${name} must be a number of at least 1, got ${values[name]}`);
      return value;
    };
    if (values.network !== undefined && !(values.network in shapes)) {
      throw new Error(`--network must be one of ${Object.keys(shapes).join(', ')}, got ${values.network}`);
    }
    if (!['auto', 'baseline', 'relaxed'].includes(values.simd)) {
      throw new Error(`--simd must be auto, baseline or relaxed, got ${values.simd}`);
    }
    const networks = values.network === undefined ? Object.keys(shapes) : [values.network];
    return { ...values, networks, rounds: positive('rounds'), time: positive('time') };
  } catch (error) {
    console.error(`bench: ${error.message}`);
    process.exit(2);
  }
}
