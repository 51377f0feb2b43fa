// esbuild: with splitting, without, as one IIFE for a plain script, and to one CommonJS file for Node.
const SCRIPT = '<!doctype html><title>page</title><script src="./page.js"></script>\n';
const bundle = ['--bundle', '--minify', '--log-level=info'];

export default {
  needs: ['esbuild'],
  usesBrowser: true,
  async run(project) {
    const build = (entry, folder, ...args) =>
      project.tool('esbuild/bin/esbuild', [entry, ...bundle, `--outdir=${folder}`, ...args]);
    await build('page.js', 'split', '--format=esm', '--splitting');
    await build('page.js', 'whole', '--format=esm');
    await build('page.js', 'iife', '--format=iife');
    await build('node.js', 'cjs', '--format=cjs', '--platform=node', '--out-extension:.js=.cjs');
    for (const folder of ['split', 'whole', 'iife']) {
      project.write(`${folder}/index.html`, folder === 'iife' ? SCRIPT : project.read('index.html'));
      for (const threads of [1, 2]) await project.openPage({ folder, threads });
    }
    for (const threads of [1, 2]) await project.runNode('cjs/node.cjs', { threads });
    return Object.fromEntries(['split', 'whole', 'iife', 'cjs'].map((folder) => [folder, project.sizes(folder)]));
  },
};
