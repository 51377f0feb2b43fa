// Cloudflare Workers in `wrangler dev`: everything once when the Worker starts, when no timer may be set, and once in a
// request; the same at a compatibility date without FinalizationRegistry. Sizes of what `wrangler deploy` uploads.
import assert from 'node:assert';
import { readSnippets } from '../../snippets.mjs';
import { checkAnswer } from '../program.mjs';

const WORKER = `
import relaxed from 'acnet-wasm/relaxed.wasm';
import { createRuntime } from 'acnet-wasm';
import { compute } from './compute.js';
import network from './network.bin';
import io from './io.bin';
import bytes from './kernels.bin';
import { snippets } from './snippets.js';

const load = async (name) => new Uint8Array(name.endsWith('.onnx') ? network : io);
const atStart = await compute({ load, threads: 2 });
export default {
  async fetch(request) {
    const inRequest = await compute({ load });
    const { simd } = await createRuntime({ wasm: relaxed });
    const refusal = await createRuntime({ wasm: bytes }).catch(({ name, message }) => name + ': ' + message);
    const documented = await Promise.all(snippets.map(async (worker) => (await worker.fetch(request)).json()));
    return Response.json({ atStart, inRequest, simd, refusal, documented });
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
    project.copy('cfqkbnc-small.onnx', 'network.bin');
    project.copy('cfqkbnc-small.io.safetensors', 'io.bin');
    project.copy('node_modules/acnet-wasm/dist/baseline.wasm', 'kernels.bin');
    const count = writeSnippets(project);

    const { atStart, inRequest, simd, refusal, documented } = await answerOf(project, '2026-04-01');
    checkAnswer(atStart, { reason: 'a worker at the edge has one thread' });
    checkAnswer(inRequest);
    assert.equal(simd, 'relaxed');
    assert.match(refusal, /^UnsupportedError: .*createRuntime\(\{ wasm: module \}\)/);
    assert.equal(documented.length, count);
    const before = await answerOf(project, '2025-01-01');
    checkAnswer(before.atStart);

    const args = ['deploy', 'small.js', '--dry-run', '--outdir=upload', ...options('2026-04-01')];
    await project.tool(WRANGLER, args, { env: ENV });
    return { upload: project.sizes('upload') };
  },
};

const WRANGLER = 'wrangler/bin/wrangler.js';
// Nothing is fetched from the network.
const ENV = {
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_HIDE_BANNER: 'true',
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
};

function options(date) {
  return ['--name=worker', `--compatibility-date=${date}`];
}

/** The Workers of docs/*.md as a list. @returns how many there are */
function writeSnippets(project) {
  const snippets = readSnippets().filter(({ runsInWorker }) => runsInWorker);
  assert.ok(snippets.length > 0);
  for (const [i, { code }] of snippets.entries()) project.write(`snippet${i}.js`, code);
  const imports = snippets.map((_, i) => `import snippet${i} from './snippet${i}.js';\n`);
  const names = snippets.map((_, i) => `snippet${i}`);
  project.write('snippets.js', `${imports.join('')}export const snippets = [${names.join(', ')}];\n`);
  return snippets.length;
}

/** What the Worker answers under `wrangler dev`. */
async function answerOf(project, date) {
  const args = ['dev', 'worker.js', '--ip=127.0.0.1', '--port=0', ...options(date)];
  const child = project.startTool(WRANGLER, args, ENV);
  await project.waitFor(child, /Ready on/);
  const response = await fetch(await project.waitFor(child, /http:\/\/127\.0\.0\.1:\d+/));
  const text = await response.text();
  if (!response.ok) throw new Error(`${child.output}\n${text.slice(0, 2000)}`);
  project.checkQuiet(child);
  return JSON.parse(text);
}
