// `require` of this package of ES modules, if Node supports it.
const PROGRAM = `
const { readFile } = require('node:fs/promises');
const { createRuntime, InferenceSession, readSafetensors } = require('acnet-wasm');

require('./compute.js')
  .compute({ load: async (name) => new Uint8Array(await readFile(name)), threads: Number(process.env.THREADS) })
  .then((answer) => console.log(JSON.stringify(answer)));
`;

export default {
  async run(project) {
    if (!process.features.require_module) return;
    project.write('main.cjs', PROGRAM);
    for (const threads of [1, 2]) await project.runNode('main.cjs', { threads });
  },
};
