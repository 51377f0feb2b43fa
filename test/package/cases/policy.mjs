// A page under a policy that forbids Blobs: threads start from worker.js, which Vite, webpack and Parcel put beside the
// page's scripts and which is there if the package is served as it is. esbuild and Rollup leave it out, and the reason
// says so.
import { createHash } from 'node:crypto';

const POLICY = "default-src 'none'; connect-src 'self'; script-src 'self' 'wasm-unsafe-eval'";
/** The browser reports what the policy blocked, once for each runtime. */
const BLOCKED = /Creating a worker from 'blob:/;

export default {
  needs: ['@rollup/plugin-node-resolve', 'esbuild', 'parcel', 'rollup', 'vite', 'webpack', 'webpack-cli'],
  usesBrowser: true,
  async run(project) {
    const open = (folder, options) =>
      project.openPage({ folder, threads: 2, policy: POLICY, mayComplain: BLOCKED, ...options });
    await project.tool('vite/bin/vite.js', ['build', '--outDir', 'vite']);
    await open('vite');
    const webpack = ['build', '--mode', 'production', '--entry', './page.js', '--output-path', './webpack'];
    await project.tool('webpack-cli/bin/cli.js', webpack);
    project.write('webpack/index.html', '<!doctype html><title>page</title><script src="./main.js"></script>\n');
    await open('webpack');
    const parcel = ['build', 'index.html', '--no-cache', '--no-autoinstall', '--dist-dir', 'parcel'];
    await project.tool('parcel/lib/bin.js', parcel);
    await open('parcel', { policy: withHashOf(project.read('parcel/index.html')) });
    const esbuild = ['page.js', '--bundle', '--minify', '--format=esm', '--outdir=esbuild'];
    await project.tool('esbuild/bin/esbuild', esbuild);
    const rollup = ['page.js', '-p', 'node-resolve', '--dir', 'rollup', '--format', 'es'];
    await project.tool('rollup/dist/bin/rollup', rollup);
    const missing = /Creating a worker from 'blob:|404/;
    for (const folder of ['esbuild', 'rollup']) {
      project.write(`${folder}/index.html`, project.read('index.html'));
      await open(folder, { reason: 'worker-src', mayComplain: missing });
      project.copy('node_modules/acnet-wasm/dist/worker.js', `${folder}/worker.js`);
      await open(folder);
    }
    // With the policy's consent nothing is printed.
    await open('esbuild', { policy: `${POLICY}; worker-src blob:`, mayComplain: undefined });
  },
};

/** The policy with consent to the import map that Parcel writes into the page. */
function withHashOf(html) {
  const [, importMap] = /<script type="?importmap"?>([\s\S]*?)<\/script>/.exec(html);
  const hash = createHash('sha256').update(importMap).digest('base64');
  return POLICY.replace("'self' 'wasm", `'self' 'sha256-${hash}' 'wasm`);
}
