// A page under a policy that forbids Blobs: threads start from worker.js, which Vite and webpack put beside the page's
// scripts and which is there where the package is served as it is. esbuild forgets it, and the reason says so.
const POLICY = "default-src 'none'; connect-src 'self'; script-src 'self' 'wasm-unsafe-eval'";
/** The browser tells of what the policy stopped, once for each runtime. */
const BLOCKED = /Creating a worker from 'blob:/;

export default {
  needs: ['esbuild', 'vite', 'webpack', 'webpack-cli'],
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
    const esbuild = ['page.js', '--bundle', '--minify', '--format=esm', '--outdir=esbuild'];
    await project.tool('esbuild/bin/esbuild', esbuild);
    project.write('esbuild/index.html', project.read('index.html'));
    const missing = /Creating a worker from 'blob:|404/;
    await open('esbuild', { reason: 'worker-src', mayComplain: missing });
    project.copy('node_modules/acnet-wasm/dist/worker.js', 'esbuild/worker.js');
    await open('esbuild');
    // With the policy's consent nothing is printed.
    await open('esbuild', { policy: `${POLICY}; worker-src blob:`, mayComplain: undefined });
  },
};
