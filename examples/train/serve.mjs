// npm run page: serves the page on 127.0.0.1, with the policy that it needs and nothing more.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HELP = `Usage: npm run page -- [options]

Serves a page that trains an ACNet in the browser, on 127.0.0.1.

  --port N     default 8080
  --isolated   cross-origin isolated, so that it may train on several threads
  --help       print this
`;
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FOLDERS = ['examples/', 'dist/', 'node_modules/uplot/dist/'];
const PAGE = '/examples/train/index.html';
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css',
  '.mjs': 'text/javascript',
  '.js': 'text/javascript',
};
// Worker threads start from a Blob; the page has an empty icon.
const POLICY =
  "default-src 'none'; connect-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; " +
  "style-src 'self'; img-src data:";

/** @returns {Promise<{ url: string, close: () => void }>} */
export async function serve(port, isIsolated) {
  const server = createServer((request, response) => {
    answer(new URL(request.url, 'http://127.0.0.1').pathname, response, isIsolated).catch((error) => {
      response.statusCode = error.code === 'ENOENT' || error.code === 'EISDIR' ? 404 : 500;
      response.end();
    });
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}${PAGE}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(pathname, response, isIsolated) {
  if (pathname === '/') {
    response.writeHead(302, { Location: PAGE }).end();
    return;
  }
  // The URL parser has resolved every '..' that is not hidden behind a percent sign.
  const file = decodeURIComponent(pathname).slice(1);
  if (!FOLDERS.some((folder) => file.startsWith(folder)) || file.includes('..')) {
    response.writeHead(404).end();
    return;
  }
  const bytes = await readFile(path.join(ROOT, file));
  response.setHeader('Content-Type', TYPES[path.extname(file)] ?? 'application/octet-stream');
  response.setHeader('Content-Security-Policy', POLICY);
  response.setHeader('Cache-Control', 'no-cache');
  if (isIsolated) {
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
  }
  response.end(bytes);
}

async function main() {
  const options = { port: { type: 'string' }, isolated: { type: 'boolean' }, help: { type: 'boolean' } };
  const { values } = parseArgs({ options });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const { url } = await serve(Number(values.port ?? 8080), values.isolated === true);
  process.stdout.write(`Open ${url}\nCtrl-C ends.\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    process.stderr.write(`page: ${error.message}\n`);
    process.exitCode = 1;
  });
}
