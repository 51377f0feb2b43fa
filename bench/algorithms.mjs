// npm run bench:algorithms: every algorithm that can compute a convolution, on the shapes of the paper's networks and
// on first layers, and the one that the cost model of src/plan/conv/algorithm.ts chooses. A choice is good if it is
// within 10 % of the fastest.
import { createRuntime } from 'acnet-wasm';
import { disposeLayer, prepareLayer, repeat } from './layer.mjs';
import { median } from './measure.mjs';
import { nameOf, shapes, workOf } from './shapes.mjs';

const ALGORITHMS = ['gemm', 'winogradF4x4K3', 'winogradF2x2K3', 'winogradF2x3K5', 'winogradF1x4K5', 'winogradF4x4K3S2'];
const FIRST_LAYERS = [
  [3, 16, 32, 3, 1, 1],
  [3, 64, 32, 3, 1, 1],
  [3, 64, 224, 3, 1, 1],
  [3, 16, 112, 3, 2, 1],
  [3, 32, 224, 3, 2, 1],
  [4, 32, 112, 3, 1, 1],
];
const ROUNDS = 9;
const MILLISECONDS = 12;

const runtime = await createRuntime({ simd: process.argv[2] ?? 'auto' });
console.log(
  `node ${process.versions.node}, ${runtime.simd} build; milliseconds, medians of ${ROUNDS} interleaved rounds\n`,
);
console.log(
  `${'convolution'.padEnd(22)}${ALGORITHMS.map((name) => name.padStart(15)).join('')}${'auto'.padStart(15)}  auto / fastest`,
);
const ratios = [];
for (const shape of new Set([...Object.values(shapes).flat(), ...FIRST_LAYERS])) ratios.push(compare(shape));
const good = ratios.filter((ratio) => ratio <= 1.1).length;
console.log(`\n${good} of ${ratios.length} choices are within 10 % of the fastest`);
runtime.dispose();

function compare(shape) {
  const layers = {};
  for (const algorithm of [...ALGORITHMS, undefined]) {
    const side = prepareLayer(runtime, shape, { algorithm });
    try {
      repeat(side, 100);
      layers[algorithm ?? 'auto'] = side;
    } catch {
      disposeLayer(side);
    }
  }
  const names = Object.keys(layers);
  const times = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of names) times[name].push(repeat(layers[name], MILLISECONDS));
  }
  const { flops } = workOf(shape);
  const cell = (name) => (times[name] ? median(times[name]).toFixed(3) : '-').padStart(15);
  const fastest = Math.min(...names.filter((name) => name !== 'auto').map((name) => median(times[name])));
  const ratio = median(times.auto) / fastest;
  const rate = (flops / median(times.auto) / 1e6).toFixed(0);
  console.log(
    `${nameOf(shape).padEnd(22)}${ALGORITHMS.map(cell).join('')}${cell('auto')}  ${ratio.toFixed(2)}, ${rate} GF/s`,
  );
  for (const side of Object.values(layers)) disposeLayer(side);
  return ratio;
}
