// Builds the package: AssemblyScript to two .wasm binaries, and two more for training, TypeScript to dist/, and to
// build/checked/ with red zones in its memory, for tests. Does nothing when dist/ is newer than every source, and
// compiles no binary that is newer than assembly/. Options: --force always builds everything, --quiet prints only
// errors.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const quiet = process.argv.includes('--quiet');
const force = process.argv.includes('--force');
const stamp = path.join(root, 'build', 'built');
const CONFIGURATION = ['package.json', 'asconfig.json', 'tsconfig.json', 'tsconfig.types.json'];

process.chdir(root);
const isThere = existsSync('dist') && existsSync('build/checked');
if (force || !isThere || !isNewer(stamp, ['assembly', 'src', 'scripts'], CONFIGURATION)) build();

function build() {
  const start = performance.now();
  const fresh = `build/dist-${process.pid}`;
  const checked = `build/checked-${process.pid}`;
  mkdirSync('build', { recursive: true });
  for (const target of ['baseline', 'relaxed']) {
    compile(target, 'assembly/index.ts', target);
    compile(target, 'assembly/train.ts', `train.${target}`);
    compile(target, 'assembly/testKernels.ts', `test-kernels.${target}`);
  }
  run('scripts/bundle.mjs', [checked, '--checked']);
  run('scripts/bundle.mjs', [fresh]);
  run(require.resolve('typescript/bin/tsc'), ['-p', 'tsconfig.types.json', '--outDir', `${fresh}/types`]);
  for (const name of ['baseline', 'relaxed']) copyFileSync(`build/${name}.wasm`, `${fresh}/${name}.wasm`);
  // The old package stays in place until the new one is whole.
  replace('build/checked', checked);
  replace('dist', fresh);
  writeFileSync(stamp, '');
  if (!quiet) console.log(`built in ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

function replace(folder, by) {
  rmSync(folder, { recursive: true, force: true });
  renameSync(by, folder);
}

function run(script, args) {
  const { status } = spawnSync(process.execPath, [script, ...args], { stdio: 'inherit' });
  if (status !== 0) {
    console.error(`build: ${path.basename(script)} failed`);
    process.exit(1);
  }
}

/** Compiles an entry for a target of asconfig.json, to build/NAME.wasm and .wat. */
function compile(target, entry, name) {
  const file = `build/${name}`;
  if (!force && isNewer(`${file}.wasm`, ['assembly'], ['asconfig.json', 'package-lock.json'])) return;
  const asc = path.join(path.dirname(require.resolve('assemblyscript/package.json')), 'bin', 'asc.js');
  const output = ['--outFile', `${file}.wasm`, '--textFile', `${file}.wat`];
  run(asc, [entry, '--config', 'asconfig.json', '--target', target, ...output]);
}

/** Whether a file exists and nothing in the folders or among the others is newer. */
function isNewer(file, folders, others) {
  if (!existsSync(file)) return false;
  const made = statSync(file).mtimeMs;
  const sources = [...others];
  for (const folder of folders) {
    for (const entry of readdirSync(folder, { recursive: true })) sources.push(path.join(folder, entry));
  }
  return sources.every((source) => statSync(source).mtimeMs <= made);
}
