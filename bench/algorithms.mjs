// npm run bench:algorithms: every algorithm that can compute a convolution, on the shapes of the paper's networks, and
// the one that the cost model of src/plan/algorithm.ts chooses. A choice is good when it is within 10 % of the fastest.
import { Conv2d, createRuntime, Tensor } from 'acnet-wasm';
import { median } from './measure.mjs';
import { nameOf, shapes, workOf } from './shapes.mjs';

const ALGORITHMS = ['gemm', 'winograd4x3', 'winograd2x3', 'winograd2x5'];
const ROUNDS = 9;
const MILLISECONDS = 12;

const runtime = await createRuntime({ simd: process.argv[2] ?? 'auto' });
console.log(
  `node ${process.versions.node}, ${runtime.simd} build; milliseconds, medians of ${ROUNDS} interleaved rounds\n`,
);
console.log(
  `${'convolution'.padEnd(22)}${ALGORITHMS.map((name) => name.padStart(13)).join('')}${'auto'.padStart(13)}  auto / fastest`,
);
const ratios = [];
for (const shape of new Set(Object.values(shapes).flat())) ratios.push(compare(shape));
const good = ratios.filter((ratio) => ratio <= 1.1).length;
console.log(`\n${good} of ${ratios.length} choices are within 10 % of the fastest`);
runtime.dispose();

function compare(shape) {
  const [inChannels, outChannels, size, kernelSize, stride, padding] = shape;
  const data = Float32Array.from({ length: inChannels * size * size }, (_, i) => Math.sin(i));
  const input = new Tensor('float32', data, [1, inChannels, size, size]).to(runtime);
  const layers = {};
  for (const algorithm of [...ALGORITHMS, undefined]) {
    const layer = new Conv2d(runtime, { inChannels, outChannels, kernelSize, stride, padding, algorithm });
    try {
      repeat(layer, input, 100);
      layers[algorithm ?? 'auto'] = layer;
    } catch {
      layer.dispose();
    }
  }
  const names = Object.keys(layers);
  const times = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of names) times[name].push(repeat(layers[name], input, MILLISECONDS));
  }
  const { flops } = workOf(shape);
  const cell = (name) => (times[name] ? median(times[name]).toFixed(3) : '-').padStart(13);
  const fastest = Math.min(...names.filter((name) => name !== 'auto').map((name) => median(times[name])));
  const ratio = median(times.auto) / fastest;
  const rate = (flops / median(times.auto) / 1e6).toFixed(0);
  console.log(
    `${nameOf(shape).padEnd(22)}${ALGORITHMS.map(cell).join('')}${cell('auto')}  ${ratio.toFixed(2)}, ${rate} GF/s`,
  );
  for (const thing of [input, ...Object.values(layers)]) thing.dispose();
  return ratio;
}

/** Runs for so many milliseconds; returns those of one run. */
function repeat(layer, input, milliseconds) {
  const start = performance.now();
  let count = 0;
  do {
    layer.forward(input).dispose();
    count++;
  } while (performance.now() - start < milliseconds);
  return (performance.now() - start) / count;
}
