/** What the package promises of itself: sizes, no calls in hot loops, a working tarball layout. */
import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const WASM_LIMIT = 64 * 1024;
/** Limits for everything, and for what a bundler leaves of it for a page that runs one block. */
const JAVASCRIPT_LIMIT = 90 * 1024;
const BLOCK_PAGE_LIMIT = 33 * 1024;

test('each .wasm is at most 64 kB', () => {
  for (const name of ['baseline', 'relaxed']) {
    const bytes = readFileSync(`dist/${name}.wasm`).length;
    assert.ok(bytes > 0 && bytes <= WASM_LIMIT, `${name}.wasm has ${bytes} bytes, at most ${WASM_LIMIT} are allowed`);
  }
});

test("the JavaScript is at most 90 kB gzip'd, binaries, command line, training and the twin for the edge aside", () => {
  const aside = ['cli.js', 'edge.js', 'train.js'];
  const chunks = readdirSync('dist').filter((file) => file.endsWith('.js') && !aside.includes(file));
  assert.ok(chunks.some((file) => file.startsWith('baseline-')) && chunks.some((file) => file.startsWith('relaxed-')));
  const scripts = chunks.filter((file) => !/^(baseline|relaxed)-/.test(file));
  const bytes = scripts.reduce((sum, file) => sum + gzipSync(readFileSync(`dist/${file}`), { level: 9 }).length, 0);
  assert.ok(
    bytes <= JAVASCRIPT_LIMIT,
    `${scripts.join(', ')}: ${bytes} bytes, at most ${JAVASCRIPT_LIMIT} are allowed`,
  );
});

test("what is for the edge is at most 90 kB gzip'd and imports one binary", () => {
  const edge = readFileSync('dist/edge.js', 'utf8');
  const bytes = gzipSync(edge, { level: 9 }).length;
  assert.ok(bytes <= JAVASCRIPT_LIMIT, `edge.js: ${bytes} bytes, at most ${JAVASCRIPT_LIMIT} are allowed`);
  assert.is(edge.match(/\bimport \w+ from"\.\/baseline\.wasm\?module"/g)?.length, 1);
  assert.not.match(edge, /\bimport\(|relaxed\.wasm\?/);
});

test("a page with one block is at most 33 kB gzip'd, binaries aside", async () => {
  const names = 'ACBlock, createRuntime, readSafetensors, Tensor';
  const { outputFiles } = await build({
    stdin: { contents: `import { ${names} } from './dist/index.js'; console.log(${names});`, resolveDir: '.' },
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    outdir: 'page',
    write: false,
  });
  const scripts = outputFiles.filter(({ path }) => !/(baseline|relaxed)-/.test(path));
  const bytes = scripts.reduce((sum, { contents }) => sum + gzipSync(contents, { level: 9 }).length, 0);
  assert.ok(bytes > 0 && bytes <= BLOCK_PAGE_LIMIT, `${bytes} bytes, at most ${BLOCK_PAGE_LIMIT} are allowed`);
});

test('a page that only infers has nothing that is for training', async () => {
  const names = 'ACBlock, createRuntime, InferenceSession, lenet5bn, readOnnx, Tensor';
  const page = await partsOf(`import { ${names} } from './dist/index.js'; console.log(${names});`);
  assert.ok(page.sources.includes('src/session/inferenceSession.ts'), `${page.sources.length} sources`);
  assert.equal(page.sources.filter(isForTraining), []);
  const trainer = await partsOf(`import { Trainer } from './dist/train.js'; console.log(Trainer);`);
  for (const source of ['src/train/model/trainer.ts', 'src/passes/differentiate.ts']) {
    assert.ok(trainer.sources.includes(source) && isForTraining(source), source);
  }
  for (const build of ['baseline', 'relaxed']) {
    const binary = readFileSync(`build/train.${build}.wasm`).toString('base64').slice(2000, 3000);
    assert.equal([page.text.includes(binary), trainer.text.includes(binary)], [false, true], build);
  }
});

function isForTraining(source: string): boolean {
  return source.startsWith('src/train') || source === 'src/passes/differentiate.ts';
}

/** The package's files of which a page loads a part, at once or later: their text, and what went into them. */
async function partsOf(contents: string): Promise<{ text: string; sources: string[] }> {
  const { metafile } = await build({
    stdin: { contents, resolveDir: '.' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    outdir: 'page',
    write: false,
    metafile: true,
  });
  const inputs = Object.values(metafile.outputs).flatMap((output) => Object.entries(output.inputs));
  const used = inputs.filter(([file, { bytesInOutput }]) => file.startsWith('dist/') && bytesInOutput > 0);
  const files = [...new Set(used.map(([file]) => file))];
  const sources = files.flatMap((file) => JSON.parse(readFileSync(`${file}.map`, 'utf8')).sources as string[]);
  return {
    text: files.map((file) => readFileSync(file, 'utf8')).join('\n'),
    // Relative to where they were bundled, a folder in the repository.
    sources: sources.map((source) => source.replace(/^(\.\.\/)+/, '')),
  };
}

test('the loops of the micro-kernels hold no call', () => {
  for (const [build, least] of [
    ['baseline', 10],
    ['relaxed', 10],
    ['train.baseline', 8],
    ['train.relaxed', 8],
  ] as const) {
    const loops = innermostLoops(readFileSync(`build/${build}.wat`, 'utf8')).filter((loop) =>
      loop.includes('load32_splat'),
    );
    assert.ok(loops.length >= least, `${build}: ${loops.length} loops with a splat`);
    for (const loop of loops) assert.not.match(loop, /\bcall(_indirect)?\b/);
  }
});

test('the package imports nothing at run time', () => {
  const { dependencies, sideEffects } = JSON.parse(readFileSync('package.json', 'utf8'));
  assert.is(dependencies, undefined);
  assert.is(sideEffects, false);
});

test('the lockfile holds no download addresses', () => {
  for (const folder of ['.', 'test/engines', 'test/package', 'bench/peers', 'bench/training/onnxruntime']) {
    assert.not.match(readFileSync(`${folder}/package-lock.json`, 'utf8'), /"resolved"/);
  }
});

/** Texts of the loops that hold no other loop, by indentation. */
function innermostLoops(wat: string): string[] {
  const loops: string[] = [];
  const lines = wat.split('\n');
  lines.forEach((line, start) => {
    if (!/^\s*loop\b/.test(line)) return;
    const indent = line.search(/\S/);
    let end = start + 1;
    while (lines[end]!.search(/\S/) > indent) end++;
    const body = lines.slice(start + 1, end).join('\n');
    if (!/^\s*loop\b/m.test(body)) loops.push(body);
  });
  return loops;
}

test.run();
