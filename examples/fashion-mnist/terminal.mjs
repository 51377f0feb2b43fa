/** What the output goes to: its width, its colours, whether it shows more than ASCII. */
import process from 'node:process';

const FALLBACK_COLUMNS = 80;

/**
 * `colours` is 'none', '256' or 'true'. NO_COLOR turns colours off; files and pipes have none.
 * @returns {{ columns: number, colours: 'none' | '256' | 'true', unicode: boolean }}
 */
export function describeTerminal(stream, env = process.env) {
  if (!stream.isTTY) return { columns: FALLBACK_COLUMNS, colours: 'none', unicode: false };
  const depth = env.NO_COLOR ? 1 : stream.getColorDepth(env);
  const colours = depth >= 24 ? 'true' : depth >= 8 ? '256' : 'none';
  return { columns: stream.columns || FALLBACK_COLUMNS, colours, unicode: isUtf8(env) && env.TERM !== 'dumb' };
}

/** If no locale is set, as in many containers, the terminal is most likely a modern one. */
function isUtf8(env) {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG;
  return !locale || /utf-?8/i.test(locale);
}
