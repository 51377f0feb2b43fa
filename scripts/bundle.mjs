// Bundles src/ into the folder given as argument as ES modules. Each .wasm binary becomes a chunk of its own, loaded only when it is used.
import { build } from 'esbuild';

await build({
  entryPoints: { index: 'src/index.ts', worker: 'src/runtime/worker.ts' },
  outdir: process.argv[2],
  bundle: true,
  splitting: true,
  format: 'esm',
  target: 'es2022',
  platform: 'neutral',
  mainFields: ['module', 'main'],
  minify: true,
  sourcemap: 'linked',
  sourcesContent: true,
  chunkNames: '[name]-[hash]',
  loader: { '.wasm': 'base64' },
  logLevel: 'warning',
});
