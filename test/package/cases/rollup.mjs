// Rollup with the plugin that finds packages: chunks for a page, and one IIFE.
export default {
  needs: ['rollup', '@rollup/plugin-node-resolve'],
  usesBrowser: true,
  async run(project) {
    const build = (...args) => project.tool('rollup/dist/bin/rollup', ['page.js', '-p', 'node-resolve', ...args]);
    await build('--dir', 'chunks', '--format', 'es');
    await build('--file', 'iife/page.js', '--format', 'iife', '--inlineDynamicImports');
    project.write('chunks/index.html', project.read('index.html'));
    project.write('iife/index.html', '<!doctype html><title>page</title><script src="./page.js"></script>\n');
    for (const folder of ['chunks', 'iife']) {
      for (const threads of [1, 2]) await project.openPage({ folder, threads });
    }
    return { chunks: project.sizes('chunks'), iife: project.sizes('iife') };
  },
};
