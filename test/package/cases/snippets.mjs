// The snippets of README.md and docs/*.md that import nothing of Node, bundled by esbuild, in Chromium.
import { copyFileSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { readSnippets } from '../../snippets.mjs';
import { openPage } from '../page.mjs';

/** Settles when the snippet has run to its end. */
const ENTRY = `
import('./snippet.js')
  .then(() => ({ done: true }), (error) => ({ error: String(error?.stack ?? error) }))
  .then((answer) => fetch('/answer', { method: 'POST', body: JSON.stringify(answer) }));
`;
const PAGE = '<!doctype html><title>snippet</title><script type="module" src="./entry.js"></script>\n';

export default {
  needs: ['esbuild'],
  usesBrowser: true,
  async run(project) {
    project.write('index.html', PAGE);
    project.write('entry.js', ENTRY);
    await writeModels(project);
    const snippets = readSnippets().filter(({ runsInPage }) => runsInPage);
    const options = ['--bundle', '--format=esm', '--loader:.wasm=file', '--outfile=snippet.js', '--target=es2022'];
    for (const { name, language, code } of snippets) {
      project.write(`source.${language}`, code);
      await project.tool('esbuild/bin/esbuild', [`source.${language}`, ...options, '--log-level=warning']);
      const opened = openPage({ folder: project.folder, page: '', onStart: project.onStart });
      const { error } = await opened.catch((cause) => ({ error: cause.message }));
      if (error !== undefined) throw new Error(`${name}: ${error}`);
    }
    console.log(`       ${snippets.length} snippets: ${snippets.map(({ name }) => name).join(', ')}`);
  },
};

/** The network that snippets name, with its weights inside and beside it. */
async function writeModels(project) {
  const file = project.path('cfqkbnc-small.onnx');
  copyFileSync(file, project.path('network.onnx'));
  const { readOnnx, writeOnnx } = await import(pathToFileURL(project.path('node_modules/acnet-wasm/dist/index.js')));
  const { model, externalData } = writeOnnx(readOnnx(readFileSync(file)), { externalData: 'net.onnx.data' });
  project.write('net.onnx', model);
  project.write('net.onnx.data', externalData[0].data);
}
