/** Arguments of commands: node:util's parseArgs, with values checked, and errors of one line. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { UsageError } from './errors.js';

export type OptionSpecs = NonNullable<ParseArgsConfig['options']>;

export interface Arguments {
  readonly positionals: readonly string[];
  text(name: string): string | undefined;
  texts(name: string): readonly string[];
  flag(name: string): boolean;
  /** A number from `least` on. */
  number(name: string, least: number): number | undefined;
  /** A whole number of these bounds. */
  whole(name: string, least: number, most?: number): number | undefined;
}

const LARGEST_WHOLE = 2 ** 31 - 1;
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** @throws {UsageError} */
export function parseArguments(args: readonly string[], options: OptionSpecs): Arguments {
  const { values, positionals } = parse(args, options);
  const text = (name: string): string | undefined => values[name] as string | undefined;
  const number = (name: string, least: number): number | undefined => {
    const value = text(name);
    if (value === undefined) return undefined;
    const parsed = parseNumber(value);
    if (parsed === undefined || parsed < least) {
      throw new UsageError(`--${name} must be a number from ${least}, got '${value}'`);
    }
    return parsed;
  };
  return {
    positionals,
    text,
    texts: (name) => (values[name] as string[] | undefined) ?? [],
    flag: (name) => values[name] === true,
    number,
    whole: (name, least, most = LARGEST_WHOLE) => {
      const value = text(name);
      if (value === undefined) return undefined;
      const parsed = /^\d+$/.test(value) ? Number(value) : Number.NaN;
      if (!(parsed >= least && parsed <= most)) {
        const bounds = most === LARGEST_WHOLE ? `from ${least}` : `from ${least} to ${most}`;
        throw new UsageError(`--${name} must be a whole number ${bounds}, got '${value}'`);
      }
      return parsed;
    },
  };
}

/** Decimal and finite; undefined for anything else. */
export function parseNumber(text: string): number | undefined {
  const trimmed = text.trim();
  const value = DECIMAL.test(trimmed) ? Number(trimmed) : Number.NaN;
  return Number.isFinite(value) ? value : undefined;
}

/** @throws {UsageError} when there are not as many as `names`; a last name that ends in ... takes one or more */
export function expectPositionals({ positionals }: Arguments, names: readonly string[]): readonly string[] {
  const missing = names[positionals.length];
  if (missing !== undefined) throw new UsageError(`${missing.replace(/\.\.\.$/, '')} is missing`);
  if (positionals.length > names.length && !names.at(-1)?.endsWith('...')) {
    throw new UsageError(`unexpected argument '${positionals[names.length]}'`);
  }
  return positionals;
}

/** Of an option given twice the last one counts, as everywhere. */
function parse(args: readonly string[], options: OptionSpecs) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    // The first sentence says what is wrong, except for values that begin with a dash: there the last says what to do.
    const lines = (error as Error).message.split('\n');
    throw new UsageError(lines.length > 1 ? `${lines[0]} ${lines.at(-1)}` : lines[0]!.replace(/\. To specify .*/s, ''));
  }
}
