/**
 * The README and docs/*.md: every snippet runs as it is, in an empty project that has the packed package installed; the
 * picture is what its script draws, links lead somewhere, sizes are those of the build. Those for pages run in Chromium
 * in test/package; here they are bundled and run in Node.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { ACBlock, createRuntime, loadOnnx, resnetCifar, writeOnnx, writeSafetensors } from 'acnet-wasm';
import { build } from 'esbuild';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bytesOf, op, pth } from './pthWriter.js';
import { readSnippets, type Snippet } from './snippets.mjs';

const LENET = 'lenet5bn-acb-fashion-mnist';
const NETWORK = 'test/fixtures/networks/cfqkbnc-small.onnx';
const TIMEOUT_MILLISECONDS = 120_000;
/** For a clone, not a project: .ci/run does what they say, and test/demo.test.ts runs the demo. */
const FOR_A_CLONE = ['npm ci && npm run demo', 'npm ci && npm test'];
/** npm asks no registry, and the colours and widths of the tests' terminal have no effect. */
const ENVIRONMENT = { ...process.env, npm_config_offline: 'true', npm_config_audit: 'false', npm_config_fund: 'false' };

const snippets = readSnippets();
const folder = mkdtempSync(path.join(tmpdir(), 'acnet-readme-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

function runs(command: string, args: readonly string[], what: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: folder,
    encoding: 'utf8',
    env: ENVIRONMENT,
    timeout: TIMEOUT_MILLISECONDS,
  });
  assert.ok(status === 0, `${what}: ${error ?? `exit code ${status}`}\n${stdout}${stderr}`);
  return stdout;
}

function inNode(code: string, what: string, extension = 'mjs'): string {
  const file = path.join(folder, `snippet.${extension}`);
  writeFileSync(file, code);
  return runs(process.execPath, [file], what);
}

/** Writes the files that the snippets name. */
async function writeFiles(): Promise<void> {
  const runtime = await createRuntime();
  const block = new ACBlock(runtime, { inChannels: 16, outChannels: 32, kernelSize: 3, stride: 2, padding: 1 });
  const network = resnetCifar(runtime);
  const entries = Object.entries(network.stateDict());
  const tensors = entries.map(([name, { dims, size }], i): [string, number[]] => [
    name,
    op.tensor(op.storage('FloatStorage', `${i}`, size), dims),
  ]);
  const storages = entries.map(([, { data }], i): [string, Uint8Array] => [`${i}`, bytesOf(data)]);
  const files: Record<string, Uint8Array | string> = {
    'block.safetensors': writeSafetensors(block.stateDict()),
    'resnet56.pth': pth(op.pickle(op.orderedDict(...tensors)), Object.fromEntries(storages)),
    'labels.txt': 'plane\ncar\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n',
  };
  runtime.dispose();
  const beside = writeOnnx(await loadOnnx(NETWORK), { externalData: 'net.onnx.data' });
  files['net.onnx'] = beside.model;
  files['net.onnx.data'] = beside.externalData[0]!.data;
  for (const [name, content] of Object.entries(files)) writeFileSync(path.join(folder, name), content);
  copyFileSync(NETWORK, path.join(folder, 'network.onnx'));
  copyFileSync(`test/fixtures/networks/${LENET}.safetensors`, path.join(folder, 'train.safetensors'));
  copyFileSync('test/fixtures/checkpoints/checkpoint.pth', path.join(folder, 'checkpoint.pth'));
  copyFileSync('test/fixtures/images/filters-rgb8.png', path.join(folder, 'photo.png'));
  copyFileSync('test/fixtures/images/baseline420.jpg', path.join(folder, 'photo.jpg'));
}

test('an empty project, the packed package installed in it as the README says', async () => {
  const packed = spawnSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    encoding: 'utf8',
  });
  assert.is(packed.status, 0, packed.stderr);
  writeFileSync(path.join(folder, 'package.json'), '{ "private": true }\n');
  await writeFiles();
});

for (const snippet of snippets.filter(({ language }) => language === 'sh')) {
  test(`${snippet.name}: commands`, () => {
    for (const line of snippet.code.trim().split('\n')) {
      if (FOR_A_CLONE.includes(line)) console.log(`\n# ${snippet.name}: not run here, is for a clone: ${line}`);
      else runs('bash', ['-c', line], `${snippet.name}: ${line}`);
    }
  });
}

for (const snippet of snippets.filter(({ runsInNode }) => runsInNode)) {
  test(`${snippet.name}: Node`, async () => {
    const { language, code, name } = snippet;
    if (language === 'js') inNode(code, name);
    else inNode(await bundle(snippet), name);
  });
}

for (const snippet of snippets.filter(({ runsInPage, runsInNode }) => runsInPage && !runsInNode)) {
  test(`${snippet.name}: bundled`, async () => {
    // What a page has and Node does not: relative addresses.
    const fetchFile = `
      const { readFile } = await import('node:fs/promises');
      globalThis.fetch = async (file) => new Response(await readFile(file), { headers: { 'content-type': 'application/wasm' } });`;
    inNode(`${fetchFile}\n${await bundle(snippet)}`, snippet.name);
  });
}

/** As esbuild does it for Node 20; an imported binary is the name of a file. */
async function bundle({ code, language }: Snippet): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: code, loader: language === 'ts' ? 'ts' : 'js', resolveDir: folder },
    outdir: folder,
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    loader: { '.wasm': 'file' },
    logLevel: 'silent',
  });
  for (const { path: file, contents } of outputFiles.slice(0, -1)) writeFileSync(file, contents);
  return outputFiles.at(-1)!.text;
}

test('TypeScript snippets are strict', () => {
  mkdirSync(path.join(folder, 'types'));
  for (const [i, { language, code }] of snippets.entries()) {
    if (language === 'ts') writeFileSync(path.join(folder, 'types', `${i}.mts`), code);
  }
  const options = {
    strict: true,
    noEmit: true,
    target: 'ES2022',
    module: 'NodeNext',
    lib: ['ES2022', 'DOM', 'ESNext.Disposable'],
    types: [],
  };
  writeFileSync(path.join(folder, 'types/tsconfig.json'), JSON.stringify({ compilerOptions: options }));
  const tsc = path.resolve('node_modules/typescript/bin/tsc');
  runs(process.execPath, [tsc, '-p', path.join(folder, 'types')], 'tsc');
});

test("the README's first snippet prints a difference that is rounding", () => {
  const [first] = snippets.filter(({ name, language }) => name.startsWith('README.md') && language === 'js');
  const printed = inNode(first!.code, first!.name);
  const [, difference] = /^largest difference (\S+)\n$/.exec(printed) ?? [];
  assert.ok(Number(difference) > 0 && Number(difference) < 1e-5, printed);
});

test('the README is short, the picture as its script draws it', () => {
  assert.ok(statSync('README.md').size < 10_000);
  const drawn = path.join(folder, 'block.svg');
  runs(process.execPath, [path.resolve('scripts/picture.mjs'), drawn], 'picture.mjs');
  assert.is(readFileSync(drawn, 'utf8'), readFileSync('docs/block.svg', 'utf8'));
});

interface Sizes {
  readonly bytes: number;
  readonly gzip: number;
}

/** A page's own script and the baseline kernels, or the one file that it is without splitting. */
async function pageSize(source: string, splitting: boolean): Promise<Sizes> {
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: folder },
    outdir: path.join(folder, 'page'),
    bundle: true,
    minify: true,
    splitting,
    write: false,
    format: 'esm',
    logLevel: 'silent',
  });
  const loaded = outputFiles.filter(({ path: file }) => !path.basename(file).startsWith('relaxed'));
  return sizeOf(loaded.map(({ contents }) => contents));
}

function sizeOf(files: readonly Uint8Array[]): Sizes {
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return {
    bytes: sum(files.map(({ length }) => length)),
    gzip: sum(files.map((file) => gzipSync(file, { level: 9 }).length)),
  };
}

test('sizes in docs/performance.md and the README are those of the build, to a few percent', async () => {
  const session = `import { InferenceSession, Tensor } from 'acnet-wasm';
    const session = await InferenceSession.create('/network.onnx');
    const image = new Tensor('float32', new Float32Array(3072), [1, 3, 32, 32]);
    console.log((await session.run({ image }))[session.outputNames[0]].data);`;
  const block = `import { ACBlock, createRuntime, Tensor } from 'acnet-wasm';
    const block = new ACBlock(await createRuntime(), { inChannels: 3, outChannels: 8, kernelSize: 3 }).eval();
    console.log(block.forward(new Tensor('float32', new Float32Array(3072), [1, 3, 32, 32])).data);`;
  const inDist = (name: RegExp): Sizes => {
    const files = readdirSync('dist').filter((candidate) => name.test(candidate));
    return sizeOf(files.map((file) => readFileSync(`dist/${file}`)));
  };
  const page = await pageSize(session, true);
  const whole = await pageSize(session, false);
  const text = readFileSync('docs/performance.md', 'utf8');
  const measured: [row: string, sizes: Sizes][] = [
    ['an `InferenceSession`, with splitting', page],
    ['the same in one file', whole],
    ['one `ACBlock`, with splitting', await pageSize(block, true)],
    ['everything but kernels and training', inDist(/^(index|chunk-\w+)\.js$/)],
    ['the chunk with the baseline kernels', inDist(/^baseline-\w+\.js$/)],
    ['the chunk with the relaxed kernels', inDist(/^relaxed-\w+\.js$/)],
    ...[...text.matchAll(/^\| (`dist\/([\w.]+)`)(?= \||,)/gm)].map(([, row, file]): [string, Sizes] => [
      row!,
      sizeOf([readFileSync(`dist/${file}`)]),
    ]),
  ];
  const wrong = measured.filter(([row, sizes]) => {
    const [line] = text.split('\n').filter((candidate) => candidate.startsWith('|') && candidate.includes(row));
    const [, , bytes, gzip] = line?.split('|') ?? [];
    return !isNear(bytes, sizes.bytes) || !isNear(gzip, sizes.gzip);
  });
  assert.is(wrong.map(([row, { bytes, gzip }]) => `${row}: ${bytes}, ${gzip}`).join('\n'), '');
  const [, ...said] =
    /loads (\d+) kB, kernels included, gzip'd;\s(\d+) kB/.exec(readFileSync('README.md', 'utf8')) ?? [];
  assert.ok(isNear(said[0], page.gzip / 1000) && isNear(said[1], whole.gzip / 1000), `${page.gzip}, ${whole.gzip}`);
});

function isNear(said: string | undefined, size: number): boolean {
  return Math.abs(Number(said?.replaceAll(',', '')) / size - 1) < 0.05;
}

test('links lead to files and headings that there are', () => {
  const anchor = (heading: string): string =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-');
  for (const file of ['README.md', 'CONTRIBUTING.md', ...readdirSync('docs').map((name) => `docs/${name}`)]) {
    if (!file.endsWith('.md')) continue;
    for (const [, target] of readFileSync(file, 'utf8').matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target!)) continue;
      const [place, heading] = target!.split('#') as [string, string?];
      const linked = place === '' ? file : path.join(path.dirname(file), place);
      assert.ok(existsSync(linked), `${file}: ${target}`);
      if (heading === undefined) continue;
      const headings = [...readFileSync(linked, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, title]) => anchor(title!));
      assert.ok(headings.includes(heading), `${file}: ${target}`);
    }
  }
});

test.run();
