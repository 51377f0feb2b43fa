// An empty project in a temporary folder, as a user would have it: the packed package and one tool with what it needs,
// installed, and nothing else. Tools are linked file by file from this folder's node_modules, since some follow
// symbolic links and look for their files in the wrong place.
import { spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { openPage } from './page.mjs';
import { checkAnswer, fixtures, programs } from './program.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '../..');
const TOOLS = path.join(here, 'node_modules');
const COMMAND_TIMEOUT = 150_000;
/** Characters of a command's output in a message. */
const SHOWN_CHARACTERS = 4000;

export const INSTALL = 'npm --prefix test/package ci --ignore-scripts';

/** Packs the package and unpacks it once, as npm does. @returns the folder above node_modules/acnet-wasm */
export function pack() {
  const folder = mkdtempSync(path.join(tmpdir(), 'acnet-package-'));
  npm(root, ['pack', '--ignore-scripts', '--pack-destination', folder]);
  const tarball = readdirSync(folder).find((file) => file.endsWith('.tgz'));
  writeFileSync(path.join(folder, 'package.json'), '{}');
  npm(folder, ['install', '--offline', '--no-audit', '--no-fund', `./${tarball}`]);
  return { folder, tarball: path.join(folder, tarball) };
}

function npm(cwd, args) {
  const { status, stdout, stderr } = spawnSync('npm', args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`npm ${args[0]} failed\n${stdout}${stderr}`);
}

/** @returns the names among these that `npm ci` has not brought */
export function missingPackages(names) {
  return names.filter((name) => !existsSync(path.join(TOOLS, name)));
}

export class Project {
  #children = new Set();

  /**
   * @param {{ folder: string, tarball: string }} packed
   * @param {string} name
   * @param {{ needs: string[], onStart: (end: () => void) => void }} options
   */
  constructor(packed, name, { needs, onStart }) {
    this.packed = packed;
    this.folder = path.join(packed.folder, name);
    this.onStart = onStart;
    mkdirSync(this.folder);
    this.write('package.json', JSON.stringify({ name: `uses-${name}`, private: true, type: 'module' }));
    const modules = path.join(this.folder, 'node_modules');
    linkTree(path.join(packed.folder, 'node_modules/acnet-wasm'), path.join(modules, 'acnet-wasm'));
    for (const folder of packagesOf(needs)) linkTree(path.join(TOOLS, folder), path.join(modules, folder));
    for (const [file, text] of Object.entries(programs)) this.write(file, text);
    for (const file of fixtures) this.write(path.basename(file), readFileSync(path.join(root, file)));
  }

  path(...parts) {
    return path.join(this.folder, ...parts);
  }

  write(file, content) {
    const target = this.path(file);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, content);
  }

  copy(from, to) {
    copyFileSync(this.path(from), this.path(to));
  }

  read(file) {
    return readFileSync(this.path(file), 'utf8');
  }

  /** Runs a script of a package in the project, `webpack-cli/bin/cli.js`, say. It must succeed and print no warning. */
  tool(script, args = [], options = {}) {
    return this.run(process.execPath, [this.path('node_modules', script), ...args], options);
  }

  /** @returns what the command printed. @throws Error if it fails, or warns */
  async run(command, args, { env = {}, mayWarn = false } = {}) {
    const child = this.start(command, args, env);
    const output = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`took over ${COMMAND_TIMEOUT / 1000} s`)), COMMAND_TIMEOUT);
      child.once('error', reject);
      child.once('close', (code, signal) => {
        clearTimeout(timer);
        if (code === 0) resolve(child.output);
        else reject(new Error(`ended with ${code ?? signal}\n${child.output.slice(-SHOWN_CHARACTERS)}`));
      });
    }).finally(() => killGroup(child));
    if (!mayWarn) checkQuiet(output);
    return output;
  }

  /** Starts a script of a package that runs until the project ends. */
  startTool(script, args, env) {
    return this.start(process.execPath, [this.path('node_modules', script), ...args], env);
  }

  /** @returns what the command's output matches, as soon as it does */
  async waitFor(child, pattern) {
    for (const start = performance.now(); performance.now() - start < COMMAND_TIMEOUT; ) {
      const [match] = pattern.exec(child.output) ?? [];
      if (match !== undefined) return match;
      if (child.exitCode !== null) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`${pattern} did not come\n${child.output.slice(-SHOWN_CHARACTERS)}`);
  }

  /** @throws Error if a command that was started has warned */
  checkQuiet(child) {
    checkQuiet(child.output);
  }

  /** Starts a command that runs until the project ends; its `output` grows. */
  start(command, args, env = {}) {
    const child = spawn(command, args, {
      cwd: this.folder,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0', CI: '1', NODE_ENV: undefined, ...QUIET, ...env },
    });
    this.#children.add(child);
    child.output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        child.output += text;
      });
    }
    return child;
  }

  /** Runs a built file in Node and checks the answer that it prints last. */
  async runNode(file, { flags = [], env = {}, threads = 1 } = {}) {
    const variables = { THREADS: `${threads}`, ...env };
    const output = await this.run(process.execPath, [...flags, this.path(file)], { env: variables });
    this.checkPrinted(output, { threads });
  }

  /** Checks an answer that is the last line of an output. */
  checkPrinted(output, expected) {
    checkAnswer(JSON.parse(output.trimEnd().split('\n').at(-1)), expected);
  }

  /** Opens the built page in Chromium and checks its answer; see page.mjs for the other options. */
  async openPage({ folder = '.', page = '', threads = 1, reason, ...options }) {
    const address = `${page}?threads=${threads}`;
    const answer = await openPage({ ...options, page: address, folder: this.path(folder), onStart: this.onStart });
    checkAnswer(answer, { threads: reason === undefined ? threads : 1, reason });
  }

  /** Bytes of the scripts and binaries in a folder or file, raw and gzip'd. */
  sizes(...places) {
    let [raw, gzip] = [0, 0];
    for (const place of places) {
      for (const file of filesOf(this.path(place))) {
        if (!/\.([cm]?js|wasm)$/.test(file)) continue;
        const bytes = readFileSync(file);
        raw += bytes.length;
        gzip += gzipSync(bytes, { level: 9 }).length;
      }
    }
    return { raw, gzip };
  }

  /** Ends what still runs. */
  end() {
    for (const child of this.#children) killGroup(child);
  }
}

/** Tools must not report what is built here. */
const QUIET = { NEXT_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' };

/** @throws Error if a line warns */
export function checkQuiet(output) {
  const lines = output.split('\n').filter((line) => /warn|deprecat|critical dependency/i.test(line));
  const [warning] = lines.filter((line) => !/\b0 warnings\b/i.test(line));
  if (warning !== undefined) throw new Error(`warns: ${warning.trim()}\n${output.slice(0, SHOWN_CHARACTERS)}`);
}

function killGroup(child) {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

/** The packages with all that they depend on, as folders of node_modules, from npm's record of them. */
function packagesOf(names) {
  if (names.length === 0) return [];
  const { packages } = JSON.parse(readFileSync(path.join(TOOLS, '.package-lock.json'), 'utf8'));
  const found = new Set();
  const add = (name, from) => {
    const folder = resolvePackage(packages, name, from);
    if (folder === undefined || found.has(folder)) return;
    found.add(folder);
    const { dependencies = {}, optionalDependencies = {}, peerDependencies = {} } = packages[folder];
    for (const next of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) {
      add(next, folder);
    }
  };
  for (const name of names) add(name, '');
  // A nested package comes with the one that it is in.
  return [...found]
    .map((folder) => folder.slice('node_modules/'.length))
    .filter((folder) => !folder.includes('/node_modules/') && existsSync(path.join(TOOLS, folder)));
}

/** From `node_modules/a/node_modules/b` outwards, as Node looks for modules. */
function resolvePackage(packages, name, from) {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('node_modules/') - 1))) {
    const folder = `${at === '' ? '' : `${at}/`}node_modules/${name}`;
    if (packages[folder] !== undefined) return folder;
    if (at === '') return undefined;
  }
}

function linkTree(from, to) {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)];
    if (entry.isDirectory()) linkTree(source, target);
    else if (entry.isFile()) linkFile(source, target);
  }
}

/** Temporary files may be on a disk of their own. */
function linkFile(source, target) {
  try {
    linkSync(source, target);
  } catch (error) {
    if (error.code !== 'EXDEV') throw error;
    copyFileSync(source, target);
  }
}

function filesOf(place) {
  if (!existsSync(place)) throw new Error(`${place} was not built`);
  if (statSync(place).isFile()) return [place];
  const entries = readdirSync(place, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
}
