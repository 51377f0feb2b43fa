// Bundles src/ into the folder given as argument as ES modules. Each .wasm binary becomes a chunk of its own, loaded
// only when it is used. The worker's script is a file of its own, and text in the library. edge.js is the library
// again, for platforms that compile no bytes (Cloudflare Workers, Next's edge): files of src that have a twin
// NAME.edge.ts are replaced by it. The command line is a file of its own that imports the library, which stays
// unchanged; a text file beside it and train.js has the licences of what is bundled into them.
import { chmodSync, copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { minify } from 'terser';

const folder = process.argv[2];
/** The build for tests, whose memory has red zones (src/runtime/redZones.ts); the library alone. */
const checked = process.argv.includes('--checked');
const common = {
  bundle: true,
  format: 'esm',
  target: 'es2022',
  minify: !checked,
  logLevel: 'warning',
  define: { CHECKED: String(checked) },
};

// The worker is not a module, so that Node can evaluate it, and is self-contained: one file for a thread to load.
const worker = path.join(folder, 'worker.js');
await build({
  ...common,
  entryPoints: ['src/runtime/worker.ts'],
  outfile: worker,
  format: 'iife',
  platform: 'neutral',
});
copyFileSync(worker, 'build/worker.txt');

await build({
  ...common,
  entryPoints: { index: 'src/index.ts', train: 'src/train.ts' },
  outdir: folder,
  splitting: true,
  platform: 'neutral',
  mainFields: ['module', 'main'],
  sourcemap: 'linked',
  sourcesContent: true,
  chunkNames: '[name]-[hash]',
  loader: { '.wasm': 'base64' },
  plugins: [decoderAsModule()],
});

if (!checked) {
  await build({
    ...common,
    entryPoints: { edge: 'src/index.ts' },
    outdir: folder,
    platform: 'neutral',
    mainFields: ['module', 'main'],
    plugins: [edgeTwins()],
  });

  const cli = path.join(folder, 'cli.js');
  await build({
    ...common,
    entryPoints: ['src/cli/main.ts'],
    outfile: cli,
    platform: 'node',
    plugins: [libraryBeside()],
  });
  await pack(folder);
  chmodSync(cli, 0o755);
  for (const name of ['cli', 'train']) writeFileSync(path.join(folder, `${name}.LICENSES.txt`), licences(name));
}

/** Minifies a folder's bundles again: terser's names for what is private to a module save 5 % after gzip. */
async function pack(folder) {
  for (const name of readdirSync(folder).filter((name) => name.endsWith('.js') && name !== 'worker.js')) {
    const file = path.join(folder, name);
    const hasMap = existsSync(`${file}.map`);
    const sourceMap = hasMap && { content: readFileSync(`${file}.map`, 'utf8'), url: `${name}.map` };
    const { code, map } = await minify(readFileSync(file, 'utf8'), { module: true, ecma: 2022, sourceMap });
    writeFileSync(file, code);
    if (hasMap) writeFileSync(`${file}.map`, map);
  }
}

/** The JPEG decoder, which only training needs here, as an ES module: helpers for CommonJS would be a chunk for all. */
function decoderAsModule() {
  return {
    name: 'decoder as module',
    setup({ onLoad }) {
      onLoad({ filter: /jpeg-js.lib.decoder\.js$/ }, ({ path: file }) => ({
        contents: `const module = {};\n${readFileSync(file, 'utf8')}\nexport default module.exports;`,
      }));
    },
  };
}

/** The twins of edge.js; the kernels stay a file beside it, imported as Workers and Next write it. */
function edgeTwins() {
  return {
    name: 'edge twins',
    setup({ onResolve }) {
      onResolve({ filter: /\.wasm\?module$/ }, ({ path: name }) => ({
        path: `./${path.basename(name)}`,
        external: true,
      }));
      onResolve({ filter: /^\.\.?\/.*\.js$/ }, ({ path: name, resolveDir }) => {
        const twin = path.resolve(resolveDir, name.replace(/\.js$/, '.edge.ts'));
        return existsSync(twin) ? { path: twin } : undefined;
      });
    },
  };
}

/** Makes src/cli import the bundled library instead of its index.ts and train.ts. */
function libraryBeside() {
  return {
    name: 'library beside',
    setup({ onResolve }) {
      onResolve({ filter: /^\.\.\/(index|train)\.js$/ }, ({ path: name }) => ({ path: name.slice(1), external: true }));
    },
  };
}

function licences(name) {
  const read = (file) => readFileSync(`node_modules/${file}`, 'utf8').trim();
  const [notice] = /Copyright 2011[\s\S]*?(?=\s*\*\/)/.exec(read('jpeg-js/lib/decoder.js'));
  return [
    `${name}.js contains the JPEG decoder of jpeg-js (https://github.com/eugeneware/jpeg-js).`,
    read('jpeg-js/LICENSE'),
    notice.replace(/^ {3}/gm, ''),
    // The notice points to it; AssemblyScript is under the same license.
    read('assemblyscript/LICENSE'),
  ]
    .map((text) => `${text}\n`)
    .join(`\n${'-'.repeat(80)}\n\n`);
}
