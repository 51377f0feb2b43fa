// npm run test:package: the packed package in an empty project for each tool: built, loaded and run, its results
// compared, without a warning of the tool. One file of cases/ for each; `--help` tells the options.
import { accessSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { hasPuppeteer } from '../engines/browsers.mjs';
import { closeBrowser } from './page.mjs';
import { prepare } from './program.mjs';
import { INSTALL, missingPackages, Project, pack } from './project.mjs';

const USAGE = `Usage: npm run test:package -- [--only NAME]... [--keep]

  --only NAME   run only this case, a file of test/package/cases; may be given more than once
  --keep        leave the projects in the temporary folder, and say where

CHROMIUM in the environment names another browser executable.`;

const cases = path.join(path.dirname(fileURLToPath(import.meta.url)), 'cases');
const NAMES = readdirSync(cases)
  .filter((file) => file.endsWith('.mjs'))
  .map((file) => file.slice(0, -'.mjs'.length));

// Functions that end what this process has started; the last one runs first.
const cleanups = [];
process.on('exit', () => {
  for (const end of cleanups.splice(0).reverse()) end();
});
for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
  process.on(signal, () => process.exit(code));
}

const options = readOptions();
let passed = 0;
let failed = 0;
try {
  const packed = pack();
  if (options.keep) console.log(`projects are in ${packed.folder}`);
  else cleanups.push(() => rmSync(packed.folder, { recursive: true, force: true }));
  await prepare(new Project(packed, 'reference', { needs: [], onStart: () => {} }));
  for (const name of options.names) {
    if (await runCase(packed, name)) passed++;
    else failed++;
  }
} catch (error) {
  console.error(`test:package: ${error.message}`);
  failed++;
}
await closeBrowser();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);

/** Prints the case's lines: the sizes of what it ships, or why it failed. */
async function runCase(packed, name) {
  const start = performance.now();
  const { default: tool } = await import(pathToFileURL(path.join(cases, `${name}.mjs`)));
  const { needs = [], usesBrowser = false } = tool;
  const seconds = () => `${((performance.now() - start) / 1000).toFixed(1)} s`;
  const missing = [...missingPackages(needs), ...(usesBrowser ? missingBrowser() : [])];
  if (missing.length > 0) {
    console.log(`FAIL ${name}: not found: ${missing.join(', ')}; to get it: ${INSTALL}, and see CONTRIBUTING.md`);
    return false;
  }
  const project = new Project(packed, name, { needs, onStart: (end) => cleanups.push(end) });
  cleanups.push(() => project.end());
  try {
    const rows = (await tool.run(project)) ?? {};
    console.log(`ok   ${name.padEnd(24)} ${seconds().padStart(7)}`);
    for (const [what, { raw, gzip }] of Object.entries(rows)) {
      console.log(`       ${what.padEnd(30)} ${kilobytes(raw)} kB, ${kilobytes(gzip)} kB gzip`);
    }
    return true;
  } catch (error) {
    console.log(
      `FAIL ${name.padEnd(24)} ${seconds().padStart(7)}\n${String(error.stack ?? error).replace(/^/gm, '     ')}`,
    );
    return false;
  } finally {
    project.end();
    if (!options.keep) rmSync(project.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function missingBrowser() {
  const missing = hasPuppeteer() ? [] : ['puppeteer-core (npm --prefix test/engines ci --ignore-scripts)'];
  try {
    accessSync(process.env.CHROMIUM ?? '/usr/bin/chromium');
  } catch {
    missing.push('chromium (apt-get install chromium)');
  }
  return missing;
}

function kilobytes(bytes) {
  return (bytes / 1000).toFixed(1).padStart(7);
}

function readOptions() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        only: { type: 'string', multiple: true },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }));
    const unknown = values.only?.find((name) => !NAMES.includes(name));
    if (unknown !== undefined) throw new Error(`unknown case '${unknown}'; there are ${NAMES.join(', ')}`);
  } catch (error) {
    console.error(`${error.message}\n\n${USAGE}`);
    process.exit(2);
  }
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  return { ...values, names: NAMES.filter((name) => values.only?.includes(name) ?? true) };
}
