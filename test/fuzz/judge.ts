/** One input against the rules: a result or a documented error, in time, with nothing else on the runtime changed. */
import type { Host } from './host.js';
import { Broken, type Kind } from './kind.js';

export const MAX_MILLISECONDS = 1000;
const MAX_CHARACTERS = 1000;
/** Further tries of an input that took too long: the machine may have been busy. */
const TRIES = 3;

const DOCUMENTED = ['TypeError', 'RangeError', 'FormatError', 'UnsupportedError', 'OutOfMemoryError'];

/** Messages of engines' own errors, which come from missing checks. */
const UNCHECKED = new RegExp(
  'Cannot (read|set) propert|Cannot (convert|mix|destructure|access|create|assign|perform)|Invalid (typed )?array' +
    '|Invalid (count|string|code|date|time)|Maximum call stack|Array ?buffer alloc|Object prototype may|Division by zero' +
    '|Do not know how to|Unexpected (token|end|number|string|non)|JSON at|valid JSON|[Oo]ffset is out|Start offset|Source is too' +
    '|cannot be converted|out of bounds|memory access|unreachable|empty array|too many arguments' +
    '|must be an instance of|ERR_|The (value|argument) |^\\S+ is (undefined|not (a function|iterable|a constructor|defined))',
);

export interface Verdict {
  /** 'result', or the name of the error. */
  readonly outcome: string;
  readonly facts: readonly string[];
  readonly milliseconds: number;
  /** The rule that is broken, and how. */
  readonly broken?: { readonly rule: string; readonly detail: string };
}

export async function judge(kind: Kind, bytes: Uint8Array, host: Host): Promise<Verdict> {
  let verdict = await tryOnce(kind, bytes, host, false);
  for (let i = 0; i < TRIES && verdict.broken === undefined && verdict.milliseconds > MAX_MILLISECONDS; i++) {
    const again = await tryOnce(kind, bytes, host, true);
    if (again.broken !== undefined || again.milliseconds < verdict.milliseconds) verdict = again;
  }
  if (verdict.broken === undefined && verdict.milliseconds > MAX_MILLISECONDS) {
    const detail = `${verdict.milliseconds.toFixed(0)} ms, ${verdict.outcome}`;
    return { ...verdict, broken: { rule: 'slow', detail } };
  }
  return verdict;
}

/** @param exactly whether to exclude what else the machine does, which is slow to measure */
async function tryOnce(kind: Kind, bytes: Uint8Array, host: Host, exactly: boolean): Promise<Verdict> {
  const before = bytes.slice();
  const start = performance.now();
  const cpu = exactly ? process.cpuUsage() : undefined;
  let outcome = 'result';
  let facts: readonly string[] = [];
  let broken: Verdict['broken'];
  try {
    facts = await kind.run(bytes, host);
  } catch (error) {
    outcome = error instanceof Error ? error.name : typeof error;
    broken = wrongOf(error);
  }
  let milliseconds = performance.now() - start;
  if (cpu !== undefined) {
    const { user, system } = process.cpuUsage(cpu);
    milliseconds = Math.min(milliseconds, (user + system) / 1000);
  }
  try {
    if (kind.onRuntime) host.check();
    if (Buffer.compare(before, bytes) !== 0) throw new Broken('the input has changed');
  } catch (error) {
    broken ??= { rule: 'bystander', detail: `${(error as Error).message} (after ${outcome})` };
  }
  return { outcome, facts, milliseconds, ...(broken && { broken }) };
}

function wrongOf(error: unknown): Verdict['broken'] {
  if (!(error instanceof Error)) return { rule: 'error', detail: `${error}` };
  const { name, message, stack } = error;
  if (error instanceof Broken) return { rule: 'broken', detail: message };
  if (!DOCUMENTED.includes(name)) return { rule: 'error', detail: `${name}: ${stack}` };
  if (UNCHECKED.test(message)) return { rule: 'engine message', detail: `${stack}` };
  if (message.length > MAX_CHARACTERS) {
    return { rule: 'long message', detail: `${message.length} characters: ${message.slice(0, 200)}` };
  }
  return undefined;
}
