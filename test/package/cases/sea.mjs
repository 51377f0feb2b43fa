// A single-executable Node application: esbuild makes one CommonJS file, postject puts it into a copy of Node.
import { chmodSync, copyFileSync } from 'node:fs';

const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
const CONFIG = { main: 'main.cjs', output: 'main.blob', disableExperimentalSEAWarning: true };

export default {
  needs: ['esbuild', 'postject'],
  async run(project) {
    const args = ['node.js', '--bundle', '--minify', '--platform=node', '--format=cjs', '--outfile=main.cjs'];
    await project.tool('esbuild/bin/esbuild', [...args, '--log-level=warning']);
    project.write('sea.json', JSON.stringify(CONFIG));
    await project.run(process.execPath, ['--experimental-sea-config', 'sea.json']);
    const program = project.path('program');
    copyFileSync(process.execPath, program);
    chmodSync(program, 0o755);
    // It warns about Node's own notes, which it does not know.
    await project.tool('postject/dist/cli.js', ['program', 'NODE_SEA_BLOB', 'main.blob', `--sentinel-fuse=${FUSE}`], {
      mayWarn: true,
    });
    for (const threads of [1, 2]) {
      project.checkPrinted(await project.run(program, [], { env: { THREADS: `${threads}` } }), { threads });
    }
    return { 'script in it': project.sizes('main.cjs') };
  },
};
