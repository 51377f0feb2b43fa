/** Reads and writes files: reads only regular files and standard input, and writes a file as a whole or not at all. */
import { randomBytes } from 'node:crypto';
import { rmSync, type Stats } from 'node:fs';
import { type FileHandle, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { CommandError } from './errors.js';

/** Bytes at a time, so that Ctrl-C gets its turn while a large file is written. */
const CHUNK = 2 ** 24;

const unfinished = new Set<string>();

/** Reads a whole file; `-` is standard input. */
export async function readWhole(file: string): Promise<Uint8Array> {
  if (file === '-') return readStandardInput();
  await checkFile(file);
  return readFile(file);
}

/** The first bytes of a file, and how many it has. */
export async function readHead(file: string, length: number): Promise<{ head: Uint8Array; bytes: number }> {
  const { size } = await checkFile(file);
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, 0);
    return { head: buffer.subarray(0, bytesRead), bytes: size };
  } finally {
    await handle.close();
  }
}

async function checkFile(file: string): Promise<Stats> {
  const status = await stat(file);
  if (status.isDirectory()) throw new CommandError(`${file}: must be a file, got a directory`);
  // A pipe or a terminal may never end, and one that waits to be opened cannot be interrupted.
  if (!status.isFile()) throw new CommandError(`${file}: is no regular file; - reads standard input`);
  return status;
}

export interface WholeFile {
  readonly file: string;
  readonly bytes: Uint8Array;
}

/**
 * Writes beside each file and renames when all are written, so that a failure leaves what was there, and nothing
 * half-written. A device is written to as it is.
 */
export async function writeWhole(files: readonly WholeFile[]): Promise<void> {
  const renames: (() => Promise<void>)[] = [];
  try {
    for (const { file, bytes } of files) renames.push(await prepare(file, bytes));
    for (const rename of renames) await rename();
  } finally {
    // One that could not even be created cannot be removed.
    for (const temporary of unfinished) await rm(temporary, { force: true }).catch(() => {});
    unfinished.clear();
  }
}

/** Writes under a temporary name; returns what gives it the final one. */
async function prepare(file: string, bytes: Uint8Array): Promise<() => Promise<void>> {
  const target = await realpath(file).catch(() => file);
  const existing = await stat(target).catch(() => undefined);
  if (existing?.isDirectory()) throw new CommandError(`${file}: must be a file to write, got a directory`);
  if (existing?.isCharacterDevice()) {
    await writeAll(await open(target, 'w'), bytes, false);
    return async () => {};
  }
  if (existing !== undefined && !existing.isFile()) throw new CommandError(`${file}: is no regular file`);
  const temporary = path.join(path.dirname(target), `.${path.basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
  unfinished.add(temporary);
  // Errors name the file that the user knows.
  return underName(file, async () => {
    await writeAll(await open(temporary, 'wx', existing?.mode), bytes, true);
    return () => underName(file, () => rename(temporary, target));
  });
}

/** Makes system errors in `work` name this file: some, such as that of a full disk, name none. */
export async function underName<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof Error && 'code' in error ? Object.assign(error, { path: file }) : error;
  }
}

/** Removes half-written files when the process has to end. */
export function removeUnfinished(): void {
  for (const temporary of unfinished) rmSync(temporary, { force: true });
}

async function readStandardInput(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, synchronise: boolean): Promise<void> {
  try {
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await handle.write(bytes, at, Math.min(CHUNK, bytes.length - at));
      at += bytesWritten;
    }
    // A full disk may show only now. Pipes and devices cannot be synchronised.
    if (synchronise) await handle.sync();
  } finally {
    await handle.close();
  }
}
