// A built page in Chromium: a server on 127.0.0.1 for one folder, with the headers that threads need, and the answer
// that the page posts. Anything that the page prints as a warning or an error is a failure.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch } from '../engines/browsers.mjs';
import { fixtures } from './program.mjs';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ANSWER_TIMEOUT = 120_000;
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.wasm': 'application/wasm',
};

let browser;

/**
 * Opens a page and settles with its answer.
 * @param {object} options
 * @param {string} options.folder what is served
 * @param {string} [options.page] address of the page in it
 * @param {string} [options.policy] Content-Security-Policy
 * @param {RegExp} [options.mayComplain] lines that are expected
 * @param {string} [options.server] address of a server that is there, instead of the folder
 * @param {(kill: () => void) => void} options.onStart
 */
export async function openPage({ folder, page, policy, mayComplain, server, onStart }) {
  await openBrowser(onStart);
  const own = await serve(folder, policy, server);
  const complaints = [];
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('the page did not answer in time')), ANSWER_TIMEOUT);
  });
  try {
    const answer = await Promise.race([
      browser.run(own, page, (line) => {
        if (!mayComplain?.test(line)) complaints.push(line);
      }),
      late,
    ]);
    if (complaints.length > 0) throw new Error(`the page prints ${complaints.join('\n')}`);
    return answer;
  } catch (error) {
    throw complaints.length > 0 ? new Error(`${error.message}\n${complaints.join('\n')}`) : error;
  } finally {
    clearTimeout(timer);
    own.close();
  }
}

/** The browser that all cases share. */
export async function openBrowser(onStart) {
  browser ??= await launch('chromium', CHROMIUM, onStart);
  return browser;
}

export async function closeBrowser() {
  await browser?.close();
  browser = undefined;
}

async function serve(folder, policy, upstream) {
  let settle = () => {};
  const answered = new Promise((resolve) => {
    settle = resolve;
  });
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
    if (request.method === 'POST' && pathname === '/answer') {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const text = Buffer.concat(chunks).toString();
      // Only once the page has its answer, since it is closed next.
      response.end(() => settle(JSON.parse(text)));
      return;
    }
    const [fixture] = fixtures.filter((file) => pathname === `/files/${path.basename(file)}`);
    if (fixture !== undefined) {
      response.end(await readFile(path.join(root, fixture)));
      return;
    }
    if (pathname === '/favicon.ico') {
      response.end();
      return;
    }
    if (upstream !== undefined) {
      const { status, headers, body } = await fetch(new URL(request.url, upstream), { method: request.method });
      response.statusCode = status;
      response.setHeader('Content-Type', headers.get('content-type') ?? '');
      for await (const chunk of body ?? []) response.write(chunk);
      response.end();
      return;
    }
    const file = path.join(folder, pathname === '/' ? 'index.html' : decodeURIComponent(pathname));
    if (path.relative(folder, file).startsWith('..')) throw Object.assign(new Error('outside'), { code: 'ENOENT' });
    const bytes = await readFile(file);
    if (policy !== undefined) response.setHeader('Content-Security-Policy', policy);
    response.setHeader('Content-Type', TYPES[path.extname(file)] ?? 'application/octet-stream');
    response.end(bytes);
  }

  // A development server's socket to its page.
  server.on('upgrade', (request, socket) => {
    const { hostname, port } = new URL(upstream);
    const other = connect(Number(port), hostname, () => {
      const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`);
      other.write([`GET ${request.url} HTTP/1.1`, ...headers, '', ''].join('\r\n'));
      other.pipe(socket).pipe(other);
    });
    for (const end of [socket, other]) end.on('error', () => {});
  });

  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    report: () => answered,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
