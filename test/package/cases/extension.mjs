// A Manifest V3 extension in Chromium, bundled by esbuild: a page with one thread and with two, a service worker with the
// package bundled and with the package's own files, which it may not import by chunks; and one whose policy does not
// allow WebAssembly.
import assert from 'node:assert';
import { cpSync } from 'node:fs';
import { createServer } from 'node:http';
import { openBrowser } from '../page.mjs';
import { checkAnswer } from '../program.mjs';

const MANIFEST = {
  manifest_version: 3,
  name: 'uses acnet-wasm',
  version: '1',
  host_permissions: ['http://127.0.0.1/*'],
  cross_origin_embedder_policy: { value: 'require-corp' },
  cross_origin_opener_policy: { value: 'same-origin' },
};
const POLICY = "script-src 'self' 'wasm-unsafe-eval'; object-src 'self'";
const HTML = '<!doctype html><title>page</title><script type="module" src="page.js"></script>\n';
const POST = `
const load = async (name) => new Uint8Array(await (await fetch('/' + name)).arrayBuffer());
const post = (work) =>
  work
    .catch((error) => ({ error: String(error.stack ?? error) }))
    .then((answer) => fetch(ADDRESS, { method: 'POST', body: JSON.stringify(answer) }));
`;
const PAGE = `
import { compute } from './compute.js';
${POST}
const threads = Number(new URL(location.href).searchParams.get('threads'));
post(compute({ load, threads }));
`;
const SERVICE_WORKER = `
import { compute } from './compute.js';
import { createRuntime } from './acnet-wasm/index.js';
${POST}
const messageOf = ({ name, message }) => name + ': ' + message;
async function work() {
  const refusal = await createRuntime().catch(messageOf);
  const runtime = await createRuntime({ wasm: fetch('/acnet-wasm/baseline.wasm'), threads: 2 });
  const { simd, capabilities } = runtime;
  return { answer: await compute({ load }), refusal, simd, reason: capabilities.threads.reason };
}
addEventListener('activate', (event) => event.waitUntil(post(work())));
`;

export default {
  needs: ['esbuild'],
  usesBrowser: true,
  async run(project) {
    const answers = await listen();
    try {
      const browser = await openBrowser(project.onStart);
      await build(project, answers.address);

      const service = answers.next();
      const origin = await browser.install(project.path('extension'));
      const { answer, refusal, simd, reason } = await service;
      checkAnswer(answer);
      assert.match(refusal, /^UnsupportedError: .*give wasm, say a fetch of acnet-wasm\/baseline\.wasm/);
      assert.equal(simd, 'baseline');
      assert.match(reason, /no workers/);

      const run = (place, page) => browser.run({ origin: place, report: answers.next }, page);
      checkAnswer(await run(origin, 'index.html?threads=1'));
      checkAnswer(await run(origin, 'index.html?threads=2'), { threads: 2 });
      const { error } = await run(await browser.install(project.path('strict')), 'index.html?threads=1');
      assert.match(error, /UnsupportedError: .*script-src 'wasm-unsafe-eval'/);
      return { page: project.sizes('extension/page.js') };
    } finally {
      answers.close();
    }
  },
};

async function build(project, address) {
  const bundle = ['--bundle', '--minify', '--format=esm', '--log-level=warning', `--define:ADDRESS="${address}"`];
  project.write('page.js', PAGE);
  project.write('service.js', SERVICE_WORKER);
  await project.tool('esbuild/bin/esbuild', [
    'page.js',
    'service.js',
    ...bundle,
    '--external:./acnet-wasm/*',
    '--outdir=extension',
  ]);
  await project.tool('esbuild/bin/esbuild', ['page.js', ...bundle, '--outdir=strict']);
  for (const folder of ['extension', 'strict']) {
    project.write(`${folder}/index.html`, HTML);
    for (const file of ['cfqkbnc-small.onnx', 'cfqkbnc-small.io.safetensors']) {
      project.copy(file, `${folder}/${file}`);
    }
  }
  const dist = 'node_modules/acnet-wasm/dist';
  cpSync(project.path(dist), project.path('extension/acnet-wasm'), { recursive: true });
  // The policy forbids a worker from a Blob: the file stands in.
  project.copy(`${dist}/worker.js`, 'extension/worker.js');
  project.write('strict/manifest.json', JSON.stringify(MANIFEST));
  const whole = {
    ...MANIFEST,
    content_security_policy: { extension_pages: POLICY },
    background: { service_worker: 'service.js', type: 'module' },
  };
  project.write('extension/manifest.json', JSON.stringify(whole));
}

/** A server on 127.0.0.1 that takes one answer at a time. */
async function listen() {
  let settle = () => {};
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    response.end(() => settle(JSON.parse(Buffer.concat(chunks))));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${server.address().port}/`,
    next: () => new Promise((resolve) => (settle = resolve)),
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
