// npm run generate: writes the repetitive kernels from their descriptions, formatted like the rest. The files are
// checked in; .ci/run compares them with what this writes.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { kernels, planRecords, trainRecords } from './abi.mjs';
import { depthwiseRuns } from './depthwiseRuns.mjs';
import { lineTransforms } from './lineTransforms.mjs';
import { outerTiles } from './outerTiles.mjs';
import { registerTiles } from './registerTiles.mjs';
import { winogradTransforms } from './winogradGrad.mjs';
import { winogradInput } from './winogradInput.mjs';
import { winogradOutput } from './winogradOutput.mjs';
import { winogradWeight } from './winogradWeight.mjs';

process.chdir(fileURLToPath(new URL('../..', import.meta.url)));
write({
  'assembly/conv/depthwiseRuns.ts': depthwiseRuns(),
  'assembly/gemm/registerTiles.ts': registerTiles(),
  'assembly/conv/winogradInput.ts': winogradInput(),
  'assembly/conv/winogradOutput.ts': winogradOutput(),
  'assembly/conv/winogradWeight.ts': winogradWeight(),
  'assembly/train/lineTransforms.ts': lineTransforms(),
  'assembly/train/outerTiles.ts': outerTiles(),
  'assembly/train/winogradTransforms.ts': winogradTransforms(),
});
// These are derived from assembly/, which includes the files above.
write({
  'src/runtime/kernels.ts': kernels('assembly/index.ts', 'Kernels'),
  'src/plan/steps/records.ts': planRecords(),
  'src/train/abi.ts': kernels('assembly/train.ts', 'TrainKernels'),
  'src/train/records.ts': trainRecords(),
  'test/testKernels.ts': kernels('assembly/testKernels.ts', 'TestKernels'),
});

/** Writes files, formatted. */
function write(files) {
  for (const [file, source] of Object.entries(files)) writeFileSync(file, source);
  const biome = createRequire(import.meta.url).resolve('@biomejs/biome/bin/biome');
  const options = ['check', '--write', '--log-level=warn', ...Object.keys(files)];
  const { status } = spawnSync(process.execPath, [biome, ...options], { stdio: 'inherit' });
  if (status !== 0) throw new Error('biome cannot format what was generated');
}
