/**
 * What messages show of values, names, lists and dims, any of which may be as long as the file that they come from: no
 * message is longer than 1,000 characters, and a list that is cut says how many it has left out.
 */

/** Characters of a value, or of a name. */
const MAX_VALUE = 80;
/** Characters of a list. */
const MAX_LIST = 200;
/** Characters of another message. */
const MAX_TEXT = 300;

/** A value, as it would be written in a program. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(showName(value));
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value !== 'object' || value === null) return cut(String(value), MAX_VALUE);
  if (Array.isArray(value) && value.every(isFlat)) return `[${showList(value.map(show), MAX_VALUE)}]`;
  try {
    return cut(
      ArrayBuffer.isView(value) ? tagOf(value) : (JSON.stringify(value, withoutBytes) ?? tagOf(value)),
      MAX_VALUE,
    );
  } catch {
    // It holds itself, or a bigint.
    return tagOf(value);
  }
}

/** A name, without quotes. */
export function showName(name: string): string {
  return cut(name, MAX_VALUE);
}

/**
 * Items one after the other: as many as there is room for, at least one, and how many more there are.
 * @param room in characters
 */
export function showList(items: readonly unknown[], room = MAX_LIST): string {
  let text = '';
  for (const [i, item] of items.entries()) {
    const next = cut(typeof item === 'string' ? item : show(item), MAX_LIST);
    if (i > 0 && text.length + next.length + 2 > room) return `${text} and ${grouped(items.length - i)} more`;
    text += i === 0 ? next : `, ${next}`;
  }
  return text;
}

/** dims: `[1, 3, 32, 32]`. */
export function showDims(dims: readonly unknown[]): string {
  return `[${showList(dims)}]`;
}

/** What another message says, the system's or an engine's. */
export function showText(text: string, length = MAX_TEXT): string {
  return cut(text, length);
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}...` : text;
}

/** 9,980 */
function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

function isFlat(value: unknown): boolean {
  return typeof value !== 'object' || value === null;
}

function withoutBytes(_key: string, value: unknown): unknown {
  return ArrayBuffer.isView(value) ? tagOf(value) : value;
}

function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value);
}
