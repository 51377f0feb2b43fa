// Bundles test/fuzz and runs it with the arguments given; --help tells which. The package itself stays an import, of
// the build whose memory has red zones, as in tests.
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { checkedPackage } from './checkedPackage.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
await build({
  entryPoints: ['test/fuzz/main.ts', 'test/fuzz/childMain.ts'],
  outdir: 'build/fuzz',
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
  plugins: [checkedPackage()],
});
await import('../build/fuzz/main.mjs');
