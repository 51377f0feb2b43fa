// esbuild: with splitting, without, as one IIFE for a plain script, and to one CommonJS file for Node.
const SCRIPT = '<!doctype html><title>page</title><script src="./page.js"></script>\n';
const bundle = ['--bundle', '--minify', '--log-level=warning'];

export default {
  needs: ['esbuild'],
  usesBrowser: true,
  async run(project) {
    const build = async (entry, folder, ...args) => {
      const output = await project.tool('esbuild/bin/esbuild', [entry, ...bundle, `--outdir=${folder}`, ...args]);
      if (output.trim() !== '') throw new Error(`esbuild prints ${output}`);
    };
    await build('page.js', 'split', '--format=esm', '--splitting');
    await build('page.js', 'whole', '--format=esm');
    await build('page.js', 'iife', '--format=iife');
    await build('node.js', 'cjs', '--format=cjs', '--platform=node', '--out-extension:.js=.cjs');
    for (const folder of ['split', 'whole', 'iife']) {
      project.write(`${folder}/index.html`, folder === 'iife' ? SCRIPT : project.read('index.html'));
      await project.openPage({ folder });
    }
    await project.runNode('cjs/node.cjs');
    return Object.fromEntries(['split', 'whole', 'iife', 'cjs'].map((folder) => [folder, project.sizes(folder)]));
  },
};
