// Builds the package: AssemblyScript to two .wasm binaries, TypeScript to dist/. Does nothing when dist/ is newer
// than every source. Options: --force builds in any case, --quiet prints only errors.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const quiet = process.argv.includes('--quiet');
const stamp = path.join(root, 'build', 'built');

process.chdir(root);
if (process.argv.includes('--force') || !isFresh()) build();

function build() {
  const start = performance.now();
  const fresh = `build/dist-${process.pid}`;
  mkdirSync('build', { recursive: true });
  const asc = path.join(path.dirname(require.resolve('assemblyscript/package.json')), 'bin', 'asc.js');
  for (const target of ['baseline', 'relaxed']) run(asc, ['--config', 'asconfig.json', '--target', target]);
  run('scripts/bundle.mjs', [fresh]);
  run(require.resolve('typescript/bin/tsc'), ['-p', 'tsconfig.types.json', '--outDir', `${fresh}/types`]);
  for (const name of ['baseline', 'relaxed']) copyFileSync(`build/${name}.wasm`, `${fresh}/${name}.wasm`);
  // The old package stays in place until the new one is whole.
  rmSync('dist', { recursive: true, force: true });
  renameSync(fresh, 'dist');
  writeFileSync(stamp, '');
  if (!quiet) console.log(`built in ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

function run(script, args) {
  const { status } = spawnSync(process.execPath, [script, ...args], { stdio: 'inherit' });
  if (status !== 0) {
    console.error(`build: ${path.basename(script)} failed`);
    process.exit(1);
  }
}

function isFresh() {
  if (!existsSync(stamp) || !existsSync('dist')) return false;
  const built = statSync(stamp).mtimeMs;
  const sources = ['package.json', 'asconfig.json', 'tsconfig.json', 'tsconfig.types.json'];
  for (const folder of ['assembly', 'src', 'scripts']) {
    for (const entry of readdirSync(folder, { recursive: true })) sources.push(path.join(folder, entry));
  }
  return sources.every((file) => statSync(file).mtimeMs <= built);
}
