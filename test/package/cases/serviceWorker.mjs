// A service worker, where nothing can be imported later: bundled without splitting, and with the package as it is and
// the kernels given.
const WORKER = (source) => `
import { compute } from './compute.js';

const load = async (name) => new Uint8Array(await (await fetch('/files/' + name)).arrayBuffer());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
self.addEventListener('message', ({ source, data }) => {
  const wasm = ${source};
  compute({ load, threads: data.threads, wasm })
    .catch((error) => ({ error: String(error?.stack ?? error) }))
    .then((answer) => source.postMessage(answer));
});
`;
const PAGE = `<!doctype html><title>page</title><script type="module">
await navigator.serviceWorker.register('./service.js', { type: 'module' });
const { active } = await navigator.serviceWorker.ready;
navigator.serviceWorker.onmessage = ({ data }) => fetch('/answer', { method: 'POST', body: JSON.stringify(data) });
active.postMessage({ threads: Number(new URL(location.href).searchParams.get('threads')) });
</script>
`;

export default {
  needs: ['esbuild'],
  usesBrowser: true,
  async run(project) {
    const build = async (name, source, ...args) => {
      project.write(`${name}.js`, WORKER(source));
      const flags = ['--bundle', '--minify', '--format=esm', `--outdir=${name}`, '--entry-names=service', ...args];
      await project.tool('esbuild/bin/esbuild', [`${name}.js`, ...flags]);
      project.write(`${name}/index.html`, PAGE);
    };
    await build('whole', 'undefined');
    await build('split', "fetch('./baseline.wasm').then((response) => response.arrayBuffer())", '--splitting');
    project.copy('node_modules/acnet-wasm/dist/baseline.wasm', 'split/baseline.wasm');
    for (const folder of ['whole', 'split']) {
      await project.openPage({ folder });
      await project.openPage({ folder, threads: 2, reason: 'worker' });
    }
    return {
      whole: project.sizes('whole'),
      'split, kernels given': project.sizes('split/service.js', 'split/baseline.wasm'),
    };
  },
};
