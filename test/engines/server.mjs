// The pages for the browsers, on 127.0.0.1 at a free port: the repository's built files under a strict content
// security policy, and one address to which a page posts what it found.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';

const TYPES = {
  '.mjs': 'text/javascript',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.html': 'text/html',
};
const FOLDERS = ['build/engines/', 'dist/', 'test/fixtures/'];
const POLICY = "default-src 'none'; connect-src 'self'; script-src 'self'";
// Two pages that differ only in their policy, the one that the package needs and one with a word less; and one whose
// worker threads may start from text, as the faulty ones do.
const PAGES = {
  '/page.html': { script: 'page.mjs', policy: `${POLICY} 'wasm-unsafe-eval'` },
  '/blocked.html': { script: 'blocked.mjs', policy: POLICY },
  '/deaths.html': { script: 'deaths.mjs', policy: `${POLICY} 'wasm-unsafe-eval'; worker-src blob:` },
};

/**
 * @param {string} root the repository
 * @returns {Promise<{ origin: string, report: () => Promise<any>, close: () => void }>}
 *   report() settles with what the next page posts
 */
export async function serve(root) {
  let settle = () => {};
  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      response.statusCode = error.code === 'ENOENT' ? 404 : 500;
      response.end(String(error));
    });
  });

  async function answer(request, response) {
    const { pathname } = new URL(request.url, 'http://127.0.0.1');
    response.setHeader('Cache-Control', 'no-store');
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    if (request.method === 'POST' && pathname === '/report') {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const report = JSON.parse(Buffer.concat(chunks).toString());
      // Only once the page has its answer, since it is closed next.
      response.end(() => settle(report));
      return;
    }
    const page = PAGES[pathname];
    if (page) {
      response.setHeader('Content-Type', 'text/html; charset=utf-8');
      response.setHeader('Content-Security-Policy', page.policy);
      response.end(
        `<!doctype html><title>engines</title><script type="module" src="/build/engines/${page.script}"></script>`,
      );
      return;
    }
    // The URL parser has resolved every '..' by now.
    const file = decodeURIComponent(pathname).slice(1);
    if (!FOLDERS.some((folder) => file.startsWith(folder)) || file.includes('..')) {
      response.statusCode = 404;
      response.end();
      return;
    }
    const bytes = await readFile(path.join(root, file));
    response.setHeader('Content-Type', TYPES[path.extname(file)] ?? 'application/octet-stream');
    response.end(bytes);
  }

  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    report: () => new Promise((resolve) => (settle = resolve)),
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
