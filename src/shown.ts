/**
 * How messages show values, names, lists and dims, any of which may be as long as the file that they come from: no
 * message exceeds 1,000 characters, and a shortened list says how many items it leaves out.
 */

/** Characters shown of a value or a name. */
const MAX_VALUE = 80;
/** Characters shown of a list. */
const MAX_LIST = 200;
/** Characters quoted from another message. */
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
    // It is circular, or holds a bigint.
    return tagOf(value);
  }
}

/** A name, without quotes. */
export function showName(name: string): string {
  return cut(name, MAX_VALUE);
}

/**
 * As many items as fit, at least one, and the number of those left out.
 * @param room in characters
 * @param most items
 */
export function showList(items: readonly unknown[], room = MAX_LIST, most = items.length): string {
  let text = '';
  for (const [i, item] of items.entries()) {
    const next = cut(typeof item === 'string' ? item : show(item), MAX_LIST);
    if (i === most || (i > 0 && text.length + next.length + 2 > room))
      return `${text} and ${grouped(items.length - i)} more`;
    text += i === 0 ? next : `, ${next}`;
  }
  return text;
}

/** dims: `[1, 3, 32, 32]`. */
export function showDims(dims: readonly unknown[]): string {
  return `[${showList(dims)}]`;
}

/** The text of another message, the system's or an engine's. */
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
