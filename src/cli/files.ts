/** Files in and out: what is no file is not read, and a file is there as a whole or not at all. */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { type FileHandle, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { CommandError } from './errors.js';

/** Bytes at a time, so that Ctrl-C gets its turn while a large file is written. */
const CHUNK = 2 ** 24;

let unfinished: string | undefined;

/** Reads a whole file; `-` is standard input. */
export async function readWhole(file: string): Promise<Uint8Array> {
  if (file === '-') return readStandardInput();
  const status = await stat(file);
  if (status.isDirectory()) throw new CommandError(`${file}: is a directory, expected a file`);
  if (!status.isFile() && !status.isFIFO()) throw new CommandError(`${file}: is neither a file nor a pipe`);
  return readFile(file);
}

/**
 * Writes beside `file` and renames, so that a failure leaves what was there, and nothing half-written. What exists and
 * is no regular file, such as a device, is written to as it is.
 */
export async function writeWhole(file: string, bytes: Uint8Array): Promise<void> {
  const target = await realpath(file).catch(() => file);
  const existing = await stat(target).catch(() => undefined);
  if (existing?.isDirectory()) throw new CommandError(`${file}: is a directory, expected a file to write`);
  if (existing !== undefined && !existing.isFile()) return writeAll(await open(target, 'w'), bytes, false);
  const temporary = path.join(path.dirname(target), `.${path.basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
  unfinished = temporary;
  try {
    await writeAll(await open(temporary, 'wx', existing?.mode), bytes, true);
    await rename(temporary, target);
  } catch (error) {
    // Where it could not even be made, it cannot be removed.
    await rm(temporary, { force: true }).catch(() => {});
    // Under the name that the user knows.
    throw error instanceof Error && 'code' in error ? Object.assign(error, { path: file }) : error;
  } finally {
    unfinished = undefined;
  }
}

/** Takes away what is half-written, when the process has to end. */
export function removeUnfinished(): void {
  if (unfinished !== undefined) rmSync(unfinished, { force: true });
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
