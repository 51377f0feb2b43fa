// Headless Chromium and Firefox through puppeteer-core: opens a page of server.mjs and waits for what it posts.
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';

const STARTUP_TIMEOUT = 60_000;

// Requests only to this machine: the browsers' own services are switched off, and anything else finds no host.
const CHROMIUM_ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
  '--enable-unsafe-extension-debugging',
  '--no-proxy-server',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];
const FIREFOX_PREFERENCES = {
  'network.proxy.type': 1,
  'network.proxy.http': '127.0.0.1',
  'network.proxy.http_port': 9,
  'network.proxy.ssl': '127.0.0.1',
  'network.proxy.ssl_port': 9,
  'network.proxy.allow_hijacking_localhost': false,
};

/**
 * @param {'chromium' | 'firefox'} name
 * @param {string} executablePath
 * @param {(kill: () => void) => void} onStart gets a function that ends the browser at once
 */
export async function launch(name, executablePath, onStart) {
  // Imported only here, so that the other engines run without it.
  const { default: puppeteer } = await import('puppeteer-core');
  const userDataDir = mkdtempSync(path.join(tmpdir(), `acnet-engines-${name}-`));
  let browser;
  let killed = false;
  const kill = () => {
    killed = true;
    const pid = browser?.process()?.pid;
    if (pid !== undefined) {
      try {
        // Puppeteer makes the browser the head of a process group.
        process.kill(-pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    }
    rmSync(userDataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };
  onStart(kill);
  try {
    browser = await puppeteer.launch({
      browser: name === 'firefox' ? 'firefox' : 'chrome',
      executablePath,
      userDataDir,
      headless: true,
      timeout: STARTUP_TIMEOUT,
      handleSIGINT: false,
      handleSIGTERM: false,
      handleSIGHUP: false,
      ...(name === 'firefox'
        ? { extraPrefsFirefox: FIREFOX_PREFERENCES }
        : { args: CHROMIUM_ARGS, pipe: true, enableExtensions: true }),
    });
  } catch (error) {
    kill();
    throw error;
  }
  if (killed) {
    kill();
    throw new Error(`${name} was ended while it started`);
  }

  return {
    version: (await browser.version()).replace(/^.*\//, ''),

    /**
     * Opens a page and settles with its report, or with the first error that the page meets.
     * @param {(line: string) => void} [onComplaint] gets what the page prints as a warning or an error
     */
    async run(server, file, onComplaint) {
      const page = await browser.newPage();
      page.on('console', (message) => {
        if (['warn', 'error'].includes(message.type())) onComplaint?.(`${message.type()}: ${message.text()}`);
      });
      const report = server.report();
      const broken = new Promise((_, reject) => {
        page.on('pageerror', (error) => {
          // Firefox reports what the policy stopped as an error too: the page's icon, and what page.ts tries.
          if (!error.message.startsWith('Content-Security-Policy')) reject(new Error(`${file}: ${error.message}`));
        });
        page.on('error', (error) => reject(new Error(`${file}: ${error.message}`)));
        browser.on('disconnected', () => reject(new Error(`${name} ended before ${file} reported`)));
      });
      broken.catch(() => {});
      await Promise.race([
        page.goto(`${server.origin}/${file}`, { waitUntil: 'load', timeout: STARTUP_TIMEOUT }),
        broken,
      ]);
      const value = await Promise.race([report, broken]);
      await page.close();
      return value;
    },

    /** A page at an address, once it is loaded; the caller closes it. */
    async open(url) {
      const page = await browser.newPage();
      await page.goto(url, { waitUntil: 'load', timeout: STARTUP_TIMEOUT });
      return page;
    },

    /** Loads an extension from its folder. Only Chromium does. @returns the origin of its pages */
    async install(folder) {
      return `chrome-extension://${await browser.installExtension(folder)}`;
    },

    async close() {
      await Promise.race([
        browser.close().catch(() => {}),
        new Promise((resolve) => setTimeout(resolve, 5_000).unref()),
      ]);
      kill();
    },
  };
}

/** Whether `npm ci` was run in this folder. */
export function hasPuppeteer() {
  try {
    createRequire(import.meta.url).resolve('puppeteer-core');
    return true;
  } catch {
    return false;
  }
}
