// npm run test:engines: the built package on the fixtures in Node, Deno, Bun, Chromium and Firefox; the bits of the
// baseline build must be the same in all of them. `--help` tells the options.
import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { hasPuppeteer, launch } from './browsers.mjs';
import { serve } from './server.mjs';
import { checkTrainingPage } from './trainingPage.mjs';

const USAGE = `Usage: npm run test:engines -- [--engine NAME]... [--available] [--json]

  --engine NAME   run only this engine: node, deno, bun, chromium or firefox; may be given more than once
  --available     leave out the engines that are not installed, instead of failing
  --json          print the results as JSON

CHROMIUM and FIREFOX in the environment name other browser executables.`;

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '../..');
const ENGINE_TIMEOUT = 240_000;
/** Failures shown per engine; --json has them all. */
const SHOWN_FAILURES = 10;
const INSTALL_PACKAGES = 'npm --prefix test/engines ci --ignore-scripts';
// For each engine: where it is, how to get it, how it runs.
const ENGINES = {
  node: { find: () => process.execPath, get: '', run: runNode },
  deno: { find: () => findPackage('@deno', 'deno'), get: INSTALL_PACKAGES, run: runDeno },
  bun: { find: () => findPackage('@oven', 'bin/bun'), get: INSTALL_PACKAGES, run: runBun },
  chromium: {
    find: () => findBrowser(process.env.CHROMIUM ?? '/usr/bin/chromium'),
    get: `apt-get install chromium, ${INSTALL_PACKAGES}`,
    run: (file) => runBrowser('chromium', file),
  },
  firefox: {
    find: () => findBrowser(process.env.FIREFOX ?? '/usr/bin/firefox-esr'),
    get: `apt-get install firefox-esr, ${INSTALL_PACKAGES}`,
    run: (file) => runBrowser('firefox', file),
  },
};

// Functions that end what this process has started; the last one runs first.
const cleanups = new Set();
process.on('exit', cleanup);
for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
  process.on(signal, () => process.exit(code));
}

const options = readOptions();
try {
  await bundle();
  const rows = [];
  for (const name of options.engines) rows.push(await runEngine(name));
  print(rows);
} catch (error) {
  console.error(`test:engines: ${error.message}`);
  process.exitCode = 1;
  if (!options.json) console.log('\n0 passed, 1 failed');
}
// Even if an engine that was given up is still starting.
process.exit();

function readOptions() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        engine: { type: 'string', multiple: true },
        available: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }));
    const unknown = values.engine?.find((name) => !Object.hasOwn(ENGINES, name));
    if (unknown !== undefined) throw new Error(`unknown engine '${unknown}'`);
  } catch (error) {
    console.error(`${error.message}\n\n${USAGE}`);
    process.exit(2);
  }
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  return { ...values, engines: Object.keys(ENGINES).filter((name) => values.engine?.includes(name) ?? true) };
}

/** Bundles the suite with the built package, and lists the fixtures. */
async function bundle() {
  const { build } = await import('esbuild');
  const outdir = path.join(root, 'build/engines');
  rmSync(outdir, { recursive: true, force: true });
  mkdirSync(outdir, { recursive: true });
  await build({
    entryPoints: ['shell', 'page', 'blocked', 'deaths'].map((name) => path.join(here, `${name}.ts`)),
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    platform: 'neutral',
    external: ['node:*'],
    alias: {
      'acnet-wasm/train': path.join(root, 'dist/train.js'),
      'acnet-wasm': path.join(root, 'dist/index.js'),
    },
    logLevel: 'warning',
  });
  writeFileSync(path.join(outdir, 'list.json'), JSON.stringify(listFixtures()));
}

function listFixtures() {
  const blocks = readdirSync(path.join(root, 'test/fixtures/acblock')).filter((file) => file.endsWith('.safetensors'));
  const networks = [];
  for (const form of ['train', 'base']) {
    const name = `lenet5bn-${form === 'train' ? 'acb' : form}-fashion-mnist`;
    const io = `test/fixtures/networks/${name}.io.safetensors`;
    networks.push({ state: `test/fixtures/networks/${name}.safetensors`, io, form });
  }
  return { blocks: blocks.sort().map((file) => `test/fixtures/acblock/${file}`), networks };
}

/** @returns the engine's row: a report of suite.ts, or what is missing, or the error that ended it */
async function runEngine(name) {
  const { find, get, run } = ENGINES[name];
  const nothing = { engine: name, version: '', builds: [], passed: 0, failed: 0, failures: [], hash: '', hashes: {} };
  const file = find();
  if (file === undefined) {
    const failures = options.available ? [] : [`not found; to get it: ${get}`];
    return { ...nothing, missing: true, failed: failures.length, failures };
  }
  if (process.stderr.isTTY) process.stderr.write(`${name} ...\r`);
  const start = performance.now();
  try {
    const { casualties, ...report } = await withTimeout(run(file), name);
    for (const { threads, name: what, complaints } of casualties) {
      addCheck(report, `${threads} threads, one ${what}`, complaints.join('; '));
    }
    return { engine: name, ...report, casualties, seconds: (performance.now() - start) / 1000 };
  } catch (error) {
    return { ...nothing, failed: 1, failures: [error.message] };
  } finally {
    cleanup();
  }
}

function runNode(file) {
  // On by default from Node 21 on, where the flag is no longer known.
  const flags = Number(process.versions.node.split('.')[0]) < 21 ? ['--experimental-wasm-relaxed-simd'] : [];
  return runShells('node', file, flags);
}

function runDeno(file) {
  const flags = ['--no-prompt', '--no-config', '--no-lock', '--no-remote', '--no-npm', '--allow-read=.', '--quiet'];
  return runShells('deno', file, ['run', ...flags], { DENO_NO_UPDATE_CHECK: '1' });
}

function runBun(file) {
  return runShells('bun', file, ['--no-install'], { DO_NOT_TRACK: '1' });
}

async function runShells(name, file, args, variables = {}) {
  const { versions, ...report } = await runShell(name, file, [...args, 'build/engines/shell.mjs'], variables);
  const deaths = await runShell(name, file, [...args, 'build/engines/deaths.mjs'], variables);
  return { ...report, ...deaths, version: versions[name] };
}

/** Runs a script in an engine with a command line; its report is the last line it prints. */
async function runShell(name, file, args, variables) {
  const cache = mkdtempSync(path.join(tmpdir(), `acnet-engines-${name}-`));
  const child = spawn(file, args, {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1', DENO_DIR: cache, ...variables },
  });
  cleanups.add(() => {
    killGroup(child);
    rmSync(cache, { recursive: true, force: true });
  });
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr']) {
    child[stream].setEncoding('utf8').on('data', (text) => {
      output[stream] += text;
    });
  }
  const status = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? signal));
  });
  if (status !== 0) throw new Error(`ended with ${status}\n${output.stderr || output.stdout}`);
  return JSON.parse(output.stdout.trimEnd().split('\n').at(-1));
}

function killGroup(child) {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

async function runBrowser(name, file) {
  const server = await serve(root);
  cleanups.add(() => server.close());
  const browser = await launch(name, file, (kill) => cleanups.add(kill));
  try {
    const report = await browser.run(server, 'page.html');
    if (report.error) throw new Error(report.error);
    const { evalBlocked, crossOriginIsolated, ...row } = report;
    addCheck(row, 'content security policy', evalBlocked ? '' : 'the page could run text as code');
    addCheck(row, 'cross-origin isolation', crossOriginIsolated ? '' : 'the page is not isolated');
    const { error } = await browser.run(server, 'blocked.html');
    const clear = error?.name === 'UnsupportedError' && error.message.includes('wasm-unsafe-eval');
    const met = error?.name ? `${error.name}: ${error.message}` : String(error);
    const wish = "without 'wasm-unsafe-eval' createRuntime should give an UnsupportedError that names it, it gave";
    addCheck(row, 'a policy without WebAssembly', clear ? '' : `${wish} ${met}`);
    const deaths = await browser.run(server, 'deaths.html');
    const { checks, longestPause } = await checkTrainingPage(browser.open);
    for (const [what, complaint] of checks) addCheck(row, what, complaint);
    return { ...row, ...deaths, version: browser.version, longestPause };
  } finally {
    await browser.close();
  }
}

function addCheck(row, name, complaint) {
  if (complaint === '') row.passed++;
  else {
    row.failed++;
    row.failures.push(`${name}: ${complaint}`);
  }
}

/** The executable of an engine that comes as one npm package for each platform; only this machine's is installed. */
function findPackage(scope, file) {
  const folder = path.join(here, 'node_modules', scope);
  if (!existsSync(folder)) return undefined;
  const suffix = process.platform === 'win32' ? '.exe' : '';
  return readdirSync(folder)
    .map((name) => path.join(folder, name, file + suffix))
    .find(isExecutable);
}

function findBrowser(file) {
  return isExecutable(file) && hasPuppeteer() ? file : undefined;
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function withTimeout(promise, name) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${name} took over ${ENGINE_TIMEOUT / 1000} s`)), ENGINE_TIMEOUT);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function cleanup() {
  for (const end of [...cleanups].reverse()) {
    try {
      end();
    } catch (error) {
      console.error(`test:engines: ${error.message}`);
    }
  }
  cleanups.clear();
}

/** Compares the bits of the baseline build, prints everything, sets the exit code. */
function print(rows) {
  const ran = rows.filter((row) => row.hash !== '');
  const differences = findDifferences(ran);
  const same = new Set(ran.map((row) => row.hash)).size <= 1;
  const compared = ran.length > 1;
  let passed = compared && same ? 1 : 0;
  let failed = compared && !same ? 1 : 0;
  for (const row of rows) {
    passed += row.passed;
    failed += row.failed;
  }
  // If nothing ran at all, that is no success.
  if (ran.length === 0 && failed === 0) failed = 1;
  if (failed > 0) process.exitCode = 1;

  if (options.json) {
    const engines = rows.map(({ hashes, ...row }) => row);
    console.log(JSON.stringify({ engines, sameBits: compared ? same : null, differences, passed, failed }, null, 2));
    return;
  }
  console.log(table(rows));
  for (const row of rows) {
    for (const line of row.failures.slice(0, SHOWN_FAILURES)) console.log(`\n${row.engine}: ${line}`);
    const more = row.failures.length - SHOWN_FAILURES;
    if (more > 0) console.log(`\n${row.engine}: and ${more} more`);
  }
  if (compared && same) console.log(`\nThe baseline build gives the same bits in ${ran.length} engines.`);
  if (compared && !same) {
    console.log('\nThe baseline build does not give the same bits everywhere:');
    for (const [name, hashes] of Object.entries(differences)) {
      const text = Object.entries(hashes).map(([engine, hash]) => `${engine} ${hash}`);
      console.log(`  ${name}: ${text.join(', ')}`);
    }
  }
  console.log(`\n${passed} passed, ${failed} failed`);
}

/** The hashes in all engines of each output that differs. */
function findDifferences(rows) {
  const differences = {};
  for (const name of new Set(rows.flatMap((row) => Object.keys(row.hashes)))) {
    const hashes = Object.fromEntries(rows.map((row) => [row.engine, row.hashes[name] ?? 'none']));
    if (new Set(Object.values(hashes)).size > 1) differences[name] = hashes;
  }
  return differences;
}

function table(rows) {
  const lines = [['engine', 'version', 'builds', 'passed', 'failed', 'seconds', 'baseline bits']];
  for (const row of rows) {
    const builds = row.missing ? 'missing' : row.builds.join(', ');
    const seconds = row.seconds?.toFixed(1) ?? '';
    lines.push([row.engine, row.version, builds, `${row.passed}`, `${row.failed}`, seconds, row.hash]);
  }
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
