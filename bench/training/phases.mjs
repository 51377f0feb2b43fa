// What a training step spends its time on: times every step of the plan. Uses its own bundle of src/, since the package
// does not expose it.
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const ENTRY = `
  export * from './src/index.ts';
  export { Trainer } from './src/train/model/trainer.ts';
  export { Executable } from './src/plan/executable.ts';
  export { writeModel } from './src/formats/onnx/file/proto.ts';
  export { WireWriter } from './src/formats/onnx/file/wire.ts';
`;

/** The package with its internals. */
async function openSource() {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const outfile = `${root}build/bench/phases.mjs`;
  buildSync({
    stdin: { contents: ENTRY, resolveDir: root, loader: 'ts' },
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    logLevel: 'warning',
    define: { CHECKED: 'false' },
    loader: { '.wasm': 'base64' },
  });
  return import(outfile);
}

const KINDS = {
  weightGradient: 'weight gradients',
  batchNorm: 'BatchNorms with what follows',
  normSum: 'BatchNorms with what follows',
  batchNormGradient: 'gradients of BatchNorms and of what follows',
  normSumGradient: 'gradients of BatchNorms and of what follows',
  tapMoments: 'first block, folded',
  foldNorms: 'first block, folded',
  foldNormsGradient: 'first block, folded',
  foldedConv: 'first block, folded',
  centredGradient: 'first block, folded',
  turnedWeights: 'turned kernels, phases',
  interleave: 'turned kernels, phases',
  sgd: 'optimiser',
};
const CONVOLUTIONS = new Set(['conv2d', 'conv2dSum', 'linear']);

/** The kind of a step; values that differentiation adds have names of their own. */
function kindOf({ op, output }) {
  if (CONVOLUTIONS.has(op)) return output.startsWith('gradient') ? 'input gradients' : 'forward convolutions';
  return KINDS[op] ?? 'pools, elementwise and the rest';
}

/** @returns the package's exports as `source`, and `timed(work)`: every plan's step in it, with its milliseconds */
export async function importTimed() {
  const source = await openSource();
  const { prototype } = source.Executable;
  const { run } = prototype;
  let onStep;
  prototype.run = function (inputs) {
    return run.call(this, inputs, onStep);
  };
  const timed = (work) => {
    const steps = [];
    onStep = (info, milliseconds) => steps.push({ ...info, milliseconds });
    try {
      work();
    } finally {
      onStep = undefined;
    }
    return steps;
  };
  return { source, timed };
}

/** Milliseconds by kind, the largest first. */
export function byKind(steps) {
  const sums = new Map();
  for (const step of steps) sums.set(kindOf(step), (sums.get(kindOf(step)) ?? 0) + step.milliseconds);
  return new Map([...sums].sort(([, a], [, b]) => b - a));
}
