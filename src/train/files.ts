/** Files of Node, Deno and Bun, for datasets and checkpoints. Errors of the system name the file. */
import { importNodeModule } from '../runtime/nodeModule.js';
import { showText } from '../shown.js';

/** What is used of node:fs, node:zlib and node:path, whose types a web page's compiler does not have. */
interface FileHandle {
  write(bytes: Uint8Array, offset: number, length: number): Promise<{ bytesWritten: number }>;
  sync(): Promise<void>;
  close(): Promise<void>;
}
interface FileSystem {
  readonly promises: {
    readFile(path: string): Promise<Uint8Array>;
    readdir(path: string, options: { withFileTypes: true }): Promise<Entry[]>;
    stat(path: string): Promise<{ isDirectory(): boolean; isFile(): boolean }>;
    realpath(path: string): Promise<string>;
    open(path: string, flags: string): Promise<FileHandle>;
    rename(from: string, to: string): Promise<void>;
    rm(path: string, options: { force: boolean }): Promise<void>;
  };
}
interface Compression {
  gunzipSync(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
}

interface Entry {
  readonly name: string;
  isDirectory(): boolean;
}

/** Of a file without its compression: the largest of these sets, 60,000 images of 32 x 32, with room. */
export const MAX_FILE_BYTES = 2 ** 30;
/** Bytes written at a time, so that others get their turn. */
const CHUNK = 2 ** 24;

export async function readBytes(file: string): Promise<Uint8Array> {
  const { promises } = await importNodeModule<FileSystem>('node:fs');
  return promises.readFile(file);
}

/** A file without its compression, where it has one. */
export async function readUnpacked(file: string): Promise<Uint8Array> {
  const bytes = await readBytes(file);
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const { gunzipSync } = await importNodeModule<Compression>('node:zlib');
  try {
    return gunzipSync(bytes, { maxOutputLength: MAX_FILE_BYTES });
  } catch (error) {
    throw new Error(`${file}: cannot be unpacked: ${showText((error as Error).message)}`, { cause: error });
  }
}

/** Lines of a text that are not empty. */
export async function readNames(file: string): Promise<string[]> {
  const text = new TextDecoder().decode(await readBytes(file));
  return text.split(/\r?\n/).filter((line) => line.trim() !== '');
}

/** Names of what is in a folder, in the order of their characters' codes, which no locale changes. */
export async function listFolder(folder: string): Promise<{ readonly folders: string[]; readonly files: string[] }> {
  const { promises } = await importNodeModule<FileSystem>('node:fs');
  const entries = await promises.readdir(folder, { withFileTypes: true });
  // A link to a folder is one to whoever put it there.
  const isFolder = await Promise.all(
    entries.map((entry) => entry.isDirectory() || isFolderAt(`${folder}/${entry.name}`)),
  );
  const namesOf = (wanted: boolean): string[] =>
    entries
      .filter((_, i) => isFolder[i] === wanted)
      .map(({ name }) => name)
      .sort();
  return { folders: namesOf(true), files: namesOf(false) };
}

async function isFolderAt(place: string): Promise<boolean> {
  const { promises } = await importNodeModule<FileSystem>('node:fs');
  return promises.stat(place).then(
    (status) => status.isDirectory(),
    () => false,
  );
}

/** The first of the names, or the same with .gz behind it, that is in a folder; undefined where none is. */
export function findFile(names: readonly string[], files: readonly string[]): string | undefined {
  return names.flatMap((name) => [name, `${name}.gz`]).find((name) => files.includes(name));
}

/**
 * Writes beside a file, then takes its name: whenever this ends, and however, the old bytes are there or the new ones. The
 * file that a link leads to is replaced, not the link.
 * @throws Error naming the file, what is there otherwise, and what went wrong
 */
export async function writeAtomically(file: string, bytes: Uint8Array): Promise<void> {
  const { promises } = await importNodeModule<FileSystem>('node:fs');
  const target = await promises.realpath(file).catch(() => file);
  const existing = await promises.stat(target).catch(() => undefined);
  if (existing !== undefined && !existing.isFile())
    throw new Error(`${file}: cannot be written: it is no regular file`);
  const temporary = `${target}.tmp`;
  try {
    await writeSynchronised(temporary, bytes);
    await promises.rename(temporary, target);
  } catch (error) {
    await promises.rm(temporary, { force: true }).catch(() => {});
    throw new Error(`${file}: cannot be written: ${showText((error as Error).message)}`, { cause: error });
  }
}

async function writeSynchronised(file: string, bytes: Uint8Array): Promise<void> {
  const { promises } = await importNodeModule<FileSystem>('node:fs');
  const handle = await promises.open(file, 'w');
  try {
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await handle.write(bytes, at, Math.min(CHUNK, bytes.length - at));
      at += bytesWritten;
    }
    // A full disk may show only now, and a name must not reach the disk before its bytes.
    await handle.sync();
  } finally {
    await handle.close();
  }
}
