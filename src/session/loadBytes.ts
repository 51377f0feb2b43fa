/** The bytes of a model from where it lies: a URL, or a file where there are files (Node, Deno, Bun, Electron). */
import type { Progress } from './progress.js';

/** What is used of node:fs and node:fs/promises, whose types a web page's compiler does not have. */
interface FileSystem {
  createReadStream(path: string | URL, options: { signal?: AbortSignal }): AsyncIterable<Uint8Array>;
  readonly promises: { stat(path: string | URL): Promise<{ size: number }> };
}

/**
 * @param location a URL; as a string also one relative to the page, or a path where there are files
 * @throws Error that names the location; the signal's reason
 */
export async function loadBytes(location: string | URL, progress: Progress): Promise<Uint8Array> {
  progress.throwIfAborted();
  try {
    const url = location instanceof URL ? location : asUrl(location);
    if (url?.protocol === 'file:' && hasFiles()) return await readFile(url, progress);
    if (url === undefined && hasFiles()) return await readFile(location, progress);
    return await download(String(location), progress);
  } catch (error) {
    // Streams and fetch tell of an abort in errors of their own.
    progress.throwIfAborted();
    throw error;
  }
}

/** Undefined for what is relative; a single letter is a drive (`C:\model.onnx`). */
function asUrl(location: string): URL | undefined {
  return /^[a-z][a-z0-9+.-]+:/i.test(location) && URL.canParse(location) ? new URL(location) : undefined;
}

/** Whether there are files; a page of Electron's has both, and a path there is relative to the page. */
function hasFiles(): boolean {
  const { process, document } = globalThis as { process?: { versions?: { node?: string } }; document?: unknown };
  return process?.versions?.node !== undefined && document === undefined;
}

async function readFile(path: string | URL, progress: Progress): Promise<Uint8Array> {
  // A name that bundlers do not follow.
  const name = 'node:fs';
  const fs = (await import(/* @vite-ignore */ name)) as FileSystem;
  const { size } = await fs.promises.stat(path);
  const options = progress.signal === undefined ? {} : { signal: progress.signal };
  return collect(fs.createReadStream(path, options), size, progress);
}

async function download(url: string, progress: Progress): Promise<Uint8Array> {
  const shown = url.slice(0, 200);
  let response: Response;
  try {
    response = await fetch(url, progress.signal === undefined ? {} : { signal: progress.signal });
  } catch (cause) {
    progress.throwIfAborted();
    throw new Error(`InferenceSession.create: ${shown} cannot be loaded: ${messageOf(cause)}`, { cause });
  }
  if (!response.ok) {
    await response.body?.cancel();
    const status = `${response.status} ${response.statusText}`.trimEnd();
    throw new Error(`InferenceSession.create: ${shown} cannot be loaded: HTTP status ${status}`);
  }
  return collect(chunksOf(response), announcedBytes(response), progress);
}

/** `fetch failed` says nothing; its cause does. */
function messageOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { message?: string } };
  return [message ?? String(error), ...(cause?.message ? [cause.message] : [])].join(': ');
}

/** Undefined where the length is not told, or is that of a compressed body. */
function announcedBytes({ headers }: Response): number | undefined {
  const length = Number(headers.get('content-length') ?? Number.NaN);
  return headers.has('content-encoding') || !Number.isSafeInteger(length) ? undefined : length;
}

async function* chunksOf({ body }: Response): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  const reader = body.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } finally {
    await reader.cancel();
  }
}

/** @param total as announced, which is not relied upon */
async function collect(
  chunks: AsyncIterable<Uint8Array>,
  total: number | undefined,
  progress: Progress,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let loaded = 0;
  progress.report('load', 0, total);
  for await (const chunk of chunks) {
    progress.throwIfAborted();
    parts.push(chunk);
    loaded += chunk.length;
    progress.report('load', loaded, total === undefined ? undefined : Math.max(total, loaded));
  }
  const bytes = new Uint8Array(loaded);
  let position = 0;
  for (const part of parts) {
    bytes.set(part, position);
    position += part.length;
  }
  return bytes;
}
