/** Where bytes come from: a URL, a Blob, or a file where there are files (Node, Deno, Bun, Electron). */
import { importNodeModule } from '../runtime/nodeModule.js';
import { showText } from '../shown.js';
import type { Progress } from './progress.js';

/** The parts of node:fs and node:url used here: compilers for web pages lack their types. */
interface FileSystem {
  createReadStream(
    path: string | URL,
    options: { start: number; end: number; signal?: AbortSignal },
  ): AsyncIterable<Uint8Array>;
  readonly promises: {
    stat(path: string | URL): Promise<{ size: number; isFile(): boolean }>;
    realpath(path: string | URL): Promise<string>;
  };
}
interface Paths {
  pathToFileURL(path: string): URL;
}

/** Bytes as they arrive. */
export interface Stream {
  /** Offset in the source of the first byte. */
  readonly position: number;
  readonly chunks: AsyncIterable<Uint8Array>;
}

export interface Source {
  /** Undefined if only reading can tell. */
  readonly size: number | undefined;
  /** The bytes from `begin` to `end`, with more on either side if the source cannot be read in parts. */
  open(begin: number, end: number): Promise<Stream>;
}

/**
 * @param location a URL; as a string also one relative to the page, or a path where there are files
 * @param owner the function that was called, for messages
 * @throws Error that names the location; the signal's reason
 */
export async function loadBytes(location: string | URL, progress: Progress, owner: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  const source = await sourceAt(location, progress, owner);
  const { chunks } = await source.open(0, Number.POSITIVE_INFINITY);
  for await (const chunk of chunks) {
    parts.push(chunk);
    length += chunk.length;
  }
  return join(parts, 0, 0, length);
}

/** Bytes `begin` to `end` of a source, of which these are the parts from `position` on. */
export function join(parts: readonly Uint8Array[], position: number, begin: number, end: number): Uint8Array {
  const bytes = new Uint8Array(end - begin);
  let at = position;
  for (const part of parts) {
    if (at < end && at + part.length > begin) {
      bytes.set(part.subarray(Math.max(0, begin - at), end - at), Math.max(0, at - begin));
    }
    at += part.length;
  }
  return bytes;
}

/** As `loadBytes`, to be read in parts. */
export async function sourceAt(location: string | URL, progress: Progress, owner: string): Promise<Source> {
  progress.throwIfAborted();
  const file = fileAt(location);
  if (file === undefined) {
    const url = String(location);
    return { size: undefined, open: (begin, end) => download(url, begin, end, progress, owner) };
  }
  const fs = await importNodeModule<FileSystem>('node:fs');
  const status = await fs.promises.stat(file);
  // The size of a folder or pipe says nothing.
  const size = status.isFile() ? status.size : 0;
  const signal = progress.signal && { signal: progress.signal };
  return {
    size,
    open: async (begin, end) => ({
      position: begin,
      chunks: reported(
        // `end` is inclusive here, so an empty range needs a case of its own.
        end === begin ? none() : fs.createReadStream(file, { start: begin, end: end - 1, ...signal }),
        Math.max(0, Math.min(size, end) - begin),
        progress,
      ),
    }),
  };
}

export function sourceOfBlob(blob: Blob, progress: Progress): Source {
  return {
    size: blob.size,
    open: async (begin, end) => ({
      position: begin,
      chunks: reported(chunksOf(blob.slice(begin, end).stream()), end - begin, progress),
    }),
  };
}

/**
 * The location of a file beside another one.
 * @param path without . and .., / between its parts
 * @throws RangeError when a link leads out of the folder
 */
export async function besideOf(location: string | URL, path: string): Promise<string | URL> {
  const encoded = path.split('/').map(encodeURIComponent).join('/');
  const file = fileAt(location);
  // Without the name and the query, which may contain slashes.
  if (file === undefined)
    return String(location)
      .replace(/[?#].*$/s, '')
      .replace(/[^/]*$/, encoded);

  const { promises } = await importNodeModule<FileSystem>('node:fs');
  const { pathToFileURL } = await importNodeModule<Paths>('node:url');
  const real = async (at: URL): Promise<URL> => pathToFileURL(await promises.realpath(at));
  const model = typeof file === 'string' ? pathToFileURL(file) : file;
  const beside = await real(new URL(encoded, model));
  // A model that is a link itself, as in download caches, has its data beside the link's target.
  const folder = await real(new URL('.', model));
  const folders = [new URL(folder.href.replace(/\/*$/, '/')), new URL('.', await real(model))];
  if (folders.some(({ href }) => beside.href.startsWith(href))) return beside;
  throw new RangeError(`it is a link to ${beside.pathname}, outside of the model's folder`);
}

/** The file at a location; undefined if it must be fetched. */
function fileAt(location: string | URL): string | URL | undefined {
  const url = location instanceof URL ? location : asUrl(location);
  return hasFiles() && (url === undefined || url.protocol === 'file:') ? (url ?? location) : undefined;
}

/** Undefined if it is relative; a single letter is a drive (`C:\model.onnx`). */
function asUrl(location: string): URL | undefined {
  if (!/^[a-z][a-z0-9+.-]+:/i.test(location)) return undefined;
  try {
    return new URL(location);
  } catch {
    return undefined;
  }
}

/** Whether there are files; a page of Electron's has both, and a path there is relative to the page. */
function hasFiles(): boolean {
  const { process, document } = globalThis as { process?: { versions?: { node?: string } }; document?: unknown };
  return process?.versions?.node !== undefined && document === undefined;
}

async function download(url: string, begin: number, end: number, progress: Progress, owner: string): Promise<Stream> {
  const shown = url.slice(0, 200);
  let response: Response;
  try {
    response = await fetch(url, {
      ...(progress.signal && { signal: progress.signal }),
      ...(begin > 0 && { headers: { range: `bytes=${begin}-${end - 1}` } }),
    });
  } catch (cause) {
    progress.throwIfAborted();
    throw new Error(`${owner}: ${shown} cannot be loaded: ${messageOf(cause)}`, { cause });
  }
  if (!response.ok) {
    await response.body?.cancel();
    const status = `${response.status} ${response.statusText}`.trimEnd();
    throw new Error(`${owner}: ${shown} cannot be loaded: HTTP status ${status}`);
  }
  const { body, status } = response;
  return {
    position: status === 206 ? begin : 0,
    chunks: reported(body === null ? none() : chunksOf(body), announcedBytes(response), progress),
  };
}

/** `fetch failed` says nothing; its cause does. */
function messageOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { message?: string } };
  return [message ?? String(error), ...(cause?.message ? [cause.message] : [])]
    .map((text) => showText(text))
    .join(': ');
}

/** Undefined if there is no length, or if it is that of a compressed body. */
function announcedBytes({ headers }: Response): number | undefined {
  const length = Number(headers.get('content-length') ?? Number.NaN);
  return headers.has('content-encoding') || !Number.isSafeInteger(length) ? undefined : length;
}

async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } finally {
    await reader.cancel();
  }
}

async function* none(): AsyncGenerator<Uint8Array> {}

/** @param total as announced; not trusted */
async function* reported(
  chunks: AsyncIterable<Uint8Array>,
  total: number | undefined,
  progress: Progress,
): AsyncGenerator<Uint8Array> {
  let loaded = 0;
  progress.report('load', 0, total);
  try {
    for await (const chunk of chunks) {
      progress.throwIfAborted();
      loaded += chunk.length;
      progress.report('load', loaded, total === undefined ? undefined : Math.max(total, loaded));
      yield chunk;
    }
  } catch (error) {
    // Streams and fetch report an abort by errors of their own.
    progress.throwIfAborted();
    throw error;
  }
}
