// Bundles src/ into dist/ as ES modules. Each .wasm binary becomes a chunk of its own, loaded only when it is used.
import { build } from 'esbuild';

await build({
  entryPoints: ['src/index.ts'],
  outdir: 'dist',
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
  loader: { '.wasm': 'binary' },
  logLevel: 'warning',
});
