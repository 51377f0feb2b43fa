/** How commands fail: each of these is one line on stderr and an exit code. */
import { showText } from '../shown.js';

/** The command was not given what it needs: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What was asked for could not be done: exit code 1. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/** Length of a message, which may name all that a file holds. */
const MAX_CHARACTERS = 1000;

/** Functions of the library at the beginning of a message, which mean nothing to people who never called them. */
const FUNCTION =
  /^(readOnnx|loadOnnx|readCheckpoint|readSafetensors|decodeImage|train|idxDataset|cifarDataset|imageFolder): /;

/** What happened, for one line. Errors of the system say which file and what is wrong with it, nothing else. */
export function messageOf(error: unknown): string {
  return showText(fullMessageOf(error), MAX_CHARACTERS);
}

function fullMessageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, path } = error as NodeJS.ErrnoException;
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error.message.replace(FUNCTION, '');
  const text = /^E[A-Z0-9]+: (.*?)(?:, \w+(?: '.*')?)?$/s.exec(error.message)?.[1] ?? error.message;
  return path === undefined ? text : `${path}: ${text}`;
}
