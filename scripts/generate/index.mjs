// npm run generate: writes the kernels that repeat from their descriptions, and formats them as the rest. The files are
// checked in; .ci/run compares them with what this writes.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { registerTiles } from './registerTiles.mjs';
import { winogradInput } from './winogradInput.mjs';
import { winogradOutput } from './winogradOutput.mjs';
import { winogradWeight } from './winogradWeight.mjs';

const files = {
  'assembly/gemm/registerTiles.ts': registerTiles(),
  'assembly/conv/winogradInput.ts': winogradInput(),
  'assembly/conv/winogradOutput.ts': winogradOutput(),
  'assembly/conv/winogradWeight.ts': winogradWeight(),
};

process.chdir(fileURLToPath(new URL('../..', import.meta.url)));
for (const [file, source] of Object.entries(files)) writeFileSync(file, source);
const biome = createRequire(import.meta.url).resolve('@biomejs/biome/bin/biome');
const { status } = spawnSync(process.execPath, [biome, 'check', '--write', '--log-level=warn', ...Object.keys(files)], {
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
