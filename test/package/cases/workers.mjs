// Cloudflare Workers in `wrangler dev`: everything once when the Worker starts, where no timer may be set, and once in a
// request; the same at a compatibility date without FinalizationRegistry. Sizes of what `wrangler deploy` uploads.
import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import { checkAnswer } from '../program.mjs';
import { checkQuiet } from '../project.mjs';

const WORKER = `
import relaxed from 'acnet-wasm/relaxed.wasm';
import { createRuntime } from 'acnet-wasm';
import { compute } from './compute.js';
import network from './network.bin';
import io from './io.bin';
import bytes from './kernels.bin';

const load = async (name) => new Uint8Array(name.endsWith('.onnx') ? network : io);
const atStart = await compute({ load, threads: 2 });
export default {
  async fetch() {
    const inRequest = await compute({ load });
    const { simd } = await createRuntime({ wasm: relaxed });
    const refusal = await createRuntime({ wasm: bytes }).catch(({ name, message }) => name + ': ' + message);
    return Response.json({ atStart, inRequest, simd, refusal });
  },
};
`;
const SMALL = `
import { compute } from './compute.js';
export default { fetch: async () => Response.json(await compute({})) };
`;

export default {
  needs: ['wrangler'],
  async run(project) {
    project.write('worker.js', WORKER);
    project.write('small.js', SMALL);
    // What wrangler takes as data.
    const copies = { network: 'cfqkbnc-small.onnx', io: 'cfqkbnc-small.io.safetensors' };
    for (const [name, file] of Object.entries(copies)) project.write(`${name}.bin`, readFileSync(project.path(file)));
    project.write('kernels.bin', readFileSync(project.path('node_modules/acnet-wasm/dist/baseline.wasm')));

    const { atStart, inRequest, simd, refusal } = await answerOf(project, '2026-04-01');
    checkAnswer(atStart, { reason: 'a worker at the edge has one thread' });
    checkAnswer(inRequest);
    assert.equal(simd, 'relaxed');
    assert.match(refusal, /^UnsupportedError: .*createRuntime\(\{ wasm: module \}\)/);
    const before = await answerOf(project, '2025-01-01');
    checkAnswer(before.atStart);

    const args = ['deploy', 'small.js', '--dry-run', '--outdir=upload', ...options('2026-04-01')];
    await project.tool(WRANGLER, args, { env: ENV });
    return { upload: project.sizes('upload') };
  },
};

const WRANGLER = 'wrangler/bin/wrangler.js';
const START_TIMEOUT = 60_000;
// Nothing is fetched from the network.
const ENV = {
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_HIDE_BANNER: 'true',
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
};

function options(date) {
  return ['--name=worker', `--compatibility-date=${date}`];
}

/** What the Worker answers under `wrangler dev`. */
async function answerOf(project, date) {
  const args = [project.path('node_modules', WRANGLER), 'dev', 'worker.js', '--ip=127.0.0.1', '--port=0'];
  const child = project.start(process.execPath, [...args, ...options(date)], ENV);
  const response = await fetch(await originOf(child));
  const text = await response.text();
  if (!response.ok) throw new Error(`${child.output}\n${text.slice(0, 2000)}`);
  checkQuiet(child.output);
  return JSON.parse(text);
}

async function originOf(child) {
  const end = performance.now() + START_TIMEOUT;
  for (;;) {
    const [, origin] = /Ready on (http:\/\/127\.0\.0\.1:\d+)/.exec(child.output) ?? [];
    if (origin !== undefined) return origin;
    if (child.exitCode !== null || performance.now() > end) throw new Error(`wrangler dev: ${child.output}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
