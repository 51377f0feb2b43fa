// Runs test/*.test.ts: bundles each file, runs each in a Node process of its own, and sums up. Except in tests of the
// package itself, what they import as the package is a build whose memory has red zones (src/runtime/redZones.ts).
// Names given as arguments pick files: node scripts/test.mjs memory fixtures Shows progress, the whole output of
// failing files, and of the others only lines that begin with #; everything is in build/test/NAME.log. Ends with a line
// `N passed, N failed`.
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { checkedPackage } from './checkedPackage.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
/** For all files, on two otherwise idle cores of a server of 2024. */
const ABOUT = 'about 9 minutes';
/** These test dist, as users have it: what it does, or the time and memory that it takes. */
const OF_DIST = ['charts', 'cli', 'demo', 'hostile', 'package'];
const isTerminal = process.stdout.isTTY === true;
const picked = process.argv.slice(2);
const names = readdirSync('test')
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => file.slice(0, -'.test.ts'.length))
  .filter((name) => picked.length === 0 || picked.includes(name));

rmSync('build/test', { recursive: true, force: true });
mkdirSync('build/test', { recursive: true });
const common = {
  outdir: 'build/test',
  outExtension: { '.js': '.mjs' },
  bundle: true,
  packages: 'external',
  format: 'esm',
  platform: 'node',
  target: 'node20',
  sourcemap: 'inline',
  define: { CHECKED: 'true' },
  loader: { '.wasm': 'base64' },
  logLevel: 'warning',
};
const entryPoints = (picked) => picked.map((name) => `test/${name}.test.ts`);
await build({
  ...common,
  // Files that may do harm are tried in a process other than the test's.
  entryPoints: [...entryPoints(names.filter((name) => OF_DIST.includes(name))), 'test/fuzz/childMain.ts'],
  entryNames: '[name]',
});
await build({
  ...common,
  entryPoints: entryPoints(names.filter((name) => !OF_DIST.includes(name))),
  plugins: [checkedPackage()],
});

const files = `${names.length} test file${names.length === 1 ? '' : 's'}`;
console.log(`${files}${picked.length === 0 ? `, ${ABOUT}` : ''}; what they print is in build/test/*.log`);
let passed = 0;
let failed = 0;
const broken = [];
for (const [i, name] of names.entries()) {
  progress(`[${i + 1}/${names.length}] ${name} (${passed} passed, ${failed} failed)`);
  const start = performance.now();
  const { code, output } = await run(`build/test/${name}.test.mjs`);
  writeFileSync(`build/test/${name}.log`, output);
  const counts = summarise(output);
  // A file that counts no test, or that stops before its end, has failed as a whole.
  const isWhole = counts !== undefined && (code === 0 || counts.failed > 0);
  passed += counts?.passed ?? 0;
  failed += isWhole ? counts.failed : 1;
  const ok = isWhole && counts.failed === 0;
  const figures = counts === undefined ? 'ran no test' : `${counts.passed} passed, ${counts.failed} failed`;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  progress('');
  if (!ok || !isTerminal) console.log(`${ok ? 'ok  ' : 'FAIL'} ${name.padEnd(20)} ${figures}, ${seconds} s`);
  if (!ok) {
    broken.push(name);
    console.log(output);
  } else for (const line of output.split('\n')) if (line.startsWith('# ')) console.log(line);
}
if (broken.length > 0) console.log(`failed: ${broken.join(', ')}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;

/** The one line in a terminal that shows what is running; an empty text removes it. */
function progress(text) {
  if (isTerminal) process.stdout.write(`\r\u001b[K${text.slice(0, (process.stdout.columns || 80) - 1)}`);
}

function run(file) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...relaxedFlag(), '--expose-gc', '--enable-source-maps', file], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, FORCE_COLOR: '0' },
    });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      output += chunk;
    });
    child.on('close', (code) => resolve({ code, output }));
  });
}

/** Node 20 has relaxed SIMD behind a flag; later versions have it on. */
function relaxedFlag() {
  return process.versions.node.startsWith('20.') ? ['--experimental-wasm-relaxed-simd'] : [];
}

/** uvu prints Total, Passed and Skipped once per file. */
function summarise(output) {
  const total = /^\s*Total:\s+(\d+)/m.exec(output);
  const ok = /^\s*Passed:\s+(\d+)/m.exec(output);
  if (total === null || ok === null || Number(total[1]) === 0) return undefined;
  return { passed: Number(ok[1]), failed: Number(total[1]) - Number(ok[1]) };
}
