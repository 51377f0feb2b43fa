// edge-runtime, what Vercel's edge functions run in: from bytes if it compiles WebAssembly, and from a module that was
// compiled outside, in another realm, if it does not.
import assert from 'node:assert';
import { checkAnswer } from '../program.mjs';

const FUNCTION = `
import { createRuntime } from 'acnet-wasm';
import { compute } from './compute.js';

const load = async (name) => (name.endsWith('.onnx') ? network : io);
const answer = () => compute({ load, wasm: globalThis.kernels });
const refusal = () => createRuntime().then(() => 'none', ({ name, message }) => name + ': ' + message);
addEventListener('fetch', (event) => {
  const work = event.request.url.endsWith('/refusal') ? refusal() : answer();
  event.respondWith(work.then((result) => Response.json(result), ({ stack }) => Response.json({ error: stack })));
});
`;
const HOST = `
import { readFileSync } from 'node:fs';
import { EdgeRuntime } from 'edge-runtime';

const initialCode = readFileSync('out/function.js', 'utf8');
const files = {
  network: new Uint8Array(readFileSync('cfqkbnc-small.onnx')),
  io: new Uint8Array(readFileSync('cfqkbnc-small.io.safetensors')),
};
const kernels = new WebAssembly.Module(readFileSync('node_modules/acnet-wasm/dist/baseline.wasm'));
const ask = async (options, globals, address) => {
  const extend = (context) => Object.assign(context, files, globals);
  const runtime = new EdgeRuntime({ initialCode, extend, ...options });
  return (await runtime.dispatchFetch('http://127.0.0.1/' + address)).json();
};
const strict = { codeGeneration: { strings: false, wasm: false } };
const fromBytes = await ask({}, {}, '');
const fromModule = await ask(strict, { kernels }, '');
const refusal = await ask(strict, {}, 'refusal');
console.log(JSON.stringify({ fromBytes, fromModule, refusal }));
`;

export default {
  needs: ['edge-runtime', 'esbuild'],
  async run(project) {
    project.write('function.js', FUNCTION);
    project.write('host.js', HOST);
    const args = ['function.js', '--bundle', '--minify', '--outdir=out', '--log-level=warning'];
    await project.tool('esbuild/bin/esbuild', args);
    const output = await project.run(process.execPath, ['host.js']);
    const { fromBytes, fromModule, refusal } = JSON.parse(output.trimEnd().split('\n').at(-1));
    checkAnswer(fromBytes);
    checkAnswer(fromModule);
    assert.match(refusal, /^UnsupportedError: .*createRuntime\(\{ wasm: module \}\)/);
    return { function: project.sizes('out') };
  },
};
