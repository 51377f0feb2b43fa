// Deno with permission to read and no other: the library and the command line.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const SCOPE = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../engines/node_modules/@deno');
const FLAGS = ['run', '--no-prompt', '--no-remote', '--node-modules-dir=manual', '--allow-read'];
const PROGRAM = `
import { compute } from './compute.js';

const [threads] = Deno.args;
const answer = await compute({ load: (name) => Deno.readFile(name), source: 'cfqkbnc-small.onnx', threads: Number(threads) });
console.log(JSON.stringify(answer));
`;

export default {
  async run(project) {
    const deno = path.join(SCOPE, readdirSync(SCOPE)[0], 'deno');
    const env = { DENO_DIR: project.path('cache'), DENO_NO_UPDATE_CHECK: '1' };
    const run = (...args) => project.run(deno, [...FLAGS, ...args], { env });
    project.write('deno.js', PROGRAM);
    for (const threads of [1, 2]) project.checkPrinted(await run('deno.js', `${threads}`), { threads });
    const output = await run('node_modules/acnet-wasm/dist/cli.js', 'inspect', 'cfqkbnc-small.onnx');
    if (!output.includes('Conv')) throw new Error(`inspect prints ${output}`);
  },
};
