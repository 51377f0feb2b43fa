/** What the output goes to: its width, its colours, whether it shows more than ASCII. */
import { variable } from './environment.js';

export interface Terminal {
  readonly isTTY: boolean;
  /** Supports no escape sequences, not even the one that clears a line. */
  readonly isDumb: boolean;
  /** Infinity if lines may have any length: in files and pipes, unless COLUMNS says otherwise. */
  readonly columns: number;
  readonly colour: boolean;
  readonly unicode: boolean;
}

type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'cyan';

const FALLBACK_COLUMNS = 80;
const MIN_COLUMNS = 20;
const SGR: Record<Style, readonly [on: number, off: number]> = {
  bold: [1, 22],
  dim: [2, 22],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};
/** Control characters, and those that turn the direction of writing: names in files must not control a terminal. */
const CONTROLS = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

export function describeTerminal(stream: NodeJS.WriteStream): Terminal {
  const isTTY = stream.isTTY === true;
  const isDumb = variable('TERM') === 'dumb';
  const columns =
    Number(variable('COLUMNS')) || (isTTY ? stream.columns || FALLBACK_COLUMNS : Number.POSITIVE_INFINITY);
  return {
    isTTY,
    isDumb,
    columns: Math.max(MIN_COLUMNS, columns),
    colour: isForced() ?? (isTTY && !isDumb && !variable('NO_COLOR')),
    unicode: isTTY && !isDumb && isUtf8(),
  };
}

/** FORCE_COLOR overrides NO_COLOR (https://no-color.org), as in Node; 0 and false turn colours off. */
function isForced(): boolean | undefined {
  const value = variable('FORCE_COLOR');
  return value === undefined || value === '' ? undefined : value !== '0' && value !== 'false';
}

/** If no locale is set, as in many containers, the terminal is most likely a modern one. */
function isUtf8(): boolean {
  const locale = variable('LC_ALL') || variable('LC_CTYPE') || variable('LANG');
  return !locale || /utf-?8/i.test(locale);
}

export function paint(text: string, style: Style, terminal: Terminal): string {
  if (!terminal.colour || text === '') return text;
  const [on, off] = SGR[style];
  return `\u001b[${on}m${text}\u001b[${off}m`;
}

/** A name out of a file, safe to print on one line. */
export function printable(text: string): string {
  return text.replace(CONTROLS, (character) => {
    const code = character.charCodeAt(0).toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u${code}`;
  });
}

/** Without the sequences of `paint`. */
function unpainted(text: string): string {
  return text.replace(/\p{Cc}\[\d+m/gu, '');
}

/** Breaks a line that is too long for the terminal at blanks; the rest is indented two columns more than the line. */
export function wrap(text: string, { columns }: Terminal): string[] {
  const [indent] = /^ */.exec(text)!;
  const lines: string[] = [];
  let line = '';
  // A gap between columns of a table is part of what follows it.
  for (const word of text.match(/ *[^ ]+/g) ?? []) {
    if (line !== '' && widthOf(unpainted(line + word)) > columns) {
      lines.push(line);
      line = `${indent}  ${word.trimStart()}`;
    } else line += word;
  }
  return [...lines, line];
}

/** Columns that a text takes: East Asian characters and emoji two, combining marks none. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/[\p{M}\u200d]/u.test(character)) continue;
    width += isWide(character.codePointAt(0)!) ? 2 : 1;
  }
  return width;
}

function isWide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  );
}

/** Cut in the middle, since names of nodes differ at both ends. */
export function shorten(text: string, width: number, { unicode }: Terminal): string {
  if (widthOf(text) <= width) return text;
  const mark = unicode ? '\u2026' : '..';
  const characters = [...text];
  const keep = Math.max(0, width - mark.length);
  let head = '';
  let tail = '';
  // Characters of two columns may leave one over.
  for (let used = 0, left = 0, right = characters.length - 1; left <= right; ) {
    const takeTail = widthOf(tail) <= widthOf(head);
    const next = takeTail ? characters[right]! : characters[left]!;
    used += widthOf(next);
    if (used > keep) break;
    if (takeTail) {
      tail = next + tail;
      right--;
    } else {
      head += next;
      left++;
    }
  }
  return head + mark + tail;
}
