// npm run bench:builds: every convolution of the paper's networks by the baseline and by the relaxed build, in interleaved
// rounds. Relaxed SIMD is on by default from Node 21; the script turns it on for Node 20.
import { createRuntime } from 'acnet-wasm';
import { disposeLayer, prepareLayer, repeat } from './layer.mjs';
import { geometricMean, median, spread } from './measure.mjs';
import { nameOf, shapes } from './shapes.mjs';

const ROUNDS = 15;
const MILLISECONDS = 15;

const runtimes = [await createRuntime({ simd: 'baseline' }), await createRuntime({ simd: 'relaxed' })];
console.log(`node ${process.versions.node}, medians of ${ROUNDS} rounds; a ratio is baseline / relaxed\n`);
const ratios = [...new Set(Object.values(shapes).flat())].map(compare);
console.log(`geometric mean ${geometricMean(ratios).toFixed(2)}, lowest ${Math.min(...ratios).toFixed(2)}`);
for (const runtime of runtimes) runtime.dispose();

function compare(shape) {
  const sides = runtimes.map((runtime) => ({ ...prepareLayer(runtime, shape), times: [] }));
  for (const side of sides) repeat(side, 100);
  for (let round = 0; round < ROUNDS; round++) {
    for (const side of sides) side.times.push(repeat(side, MILLISECONDS));
  }
  for (const side of sides) disposeLayer(side);
  const [baseline, relaxed] = sides.map(({ times }) => times);
  const each = baseline.map((time, round) => time / relaxed[round]);
  console.log(
    `${nameOf(shape).padEnd(20)}${median(baseline).toFixed(3).padStart(9)} ms${median(relaxed).toFixed(3).padStart(9)} ms` +
      `   ${median(each).toFixed(2)} ±${(spread(each) * 100).toFixed(0)} %`,
  );
  return median(each);
}
