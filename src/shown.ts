/**
 * What messages show of values, names, lists and dims, any of which may be as long as the file that they come from: no
 * message is longer than 1,000 characters, and a list that is cut says how many it has left out.
 */

/** Characters of a value, or of a name. */
const MAX_VALUE = 80;
/** Characters of a list. */
const MAX_LIST = 200;

/** A value, as it would be written in a program. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(showName(value));
  if (typeof value === 'bigint') return `${value}n`;
  if (Array.isArray(value)) return `[${showList(value.slice(0, MAX_LIST).map(show), MAX_VALUE, value.length)}]`;
  if (ArrayBuffer.isView(value)) return Object.prototype.toString.call(value);
  if (typeof value !== 'object' || value === null) return cut(String(value), MAX_VALUE);
  try {
    return cut(JSON.stringify(value, withoutBytes) ?? tagOf(value), MAX_VALUE);
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
 * @param count of the whole list, where `items` is but its beginning
 */
export function showList(items: readonly unknown[], room = MAX_LIST, count = items.length): string {
  let text = '';
  for (const [i, item] of items.entries()) {
    const next = cut(typeof item === 'string' ? item : String(item), MAX_LIST);
    if (i > 0 && text.length + next.length + 2 > room) return `${text} and ${grouped(count - i)} more`;
    text += i === 0 ? next : `, ${next}`;
  }
  return count > items.length ? `${text} and ${grouped(count - items.length)} more` : text;
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}...` : text;
}

/** 9,980 */
function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

function withoutBytes(_key: string, value: unknown): unknown {
  return ArrayBuffer.isView(value) ? tagOf(value) : value;
}

function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value);
}
