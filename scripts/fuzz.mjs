// Bundles test/fuzz and runs it with the arguments given; --help tells which. The package itself stays an import of the
// build whose memory has red zones, as in tests.
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { checkedPackage } from './checkedPackage.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
const outfile = 'build/fuzz/main.mjs';
await build({
  entryPoints: ['test/fuzz/main.ts'],
  outfile,
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
process.argv[1] = fileURLToPath(new URL(`../${outfile}`, import.meta.url));
await import(process.argv[1]);
