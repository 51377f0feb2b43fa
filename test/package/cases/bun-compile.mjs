// `bun build --compile`: one executable, with one thread and with two.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const SCOPE = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../engines/node_modules/@oven');

export default {
  async run(project) {
    const bun = path.join(SCOPE, readdirSync(SCOPE)[0], 'bin/bun');
    await project.run(bun, ['build', '--compile', '--minify', 'node.js', '--outfile', 'program']);
    for (const threads of [1, 2]) {
      const output = await project.run(project.path('program'), [], { env: { THREADS: `${threads}` } });
      project.checkPrinted(output, { threads });
    }
    await project.run(bun, ['build', '--target=bun', '--minify', 'node.js', '--outfile', 'out/bundle.js']);
    return { 'script in it': project.sizes('out') };
  },
};
