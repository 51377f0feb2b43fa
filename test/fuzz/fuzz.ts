/** The fuzzer: runs inputs in a process of their own; tries again what breaks a rule, makes it small and keeps it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { Child, Lost } from './childProcess.js';
import type { Verdict } from './judge.js';
import { JudgeProcess } from './judgeProcess.js';
import { kindOf } from './kinds.js';
import type { Order, Report, Slow, Tally } from './messages.js';
import { Random } from './random.js';
import { shrink, shrinkBytes } from './shrink.js';

const FOLDER = 'build/fuzz/kept';
const MAX_SLOWEST = 5;
/** Findings that are made small; large inputs that are investigated. */
const MAX_SHRUNK = 12;
const MAX_LARGE = 30;
const EFFORT = { tries: 1500, milliseconds: 20_000 };

export interface FuzzOptions {
  readonly seconds: number;
  readonly seed: number;
  /** The most inputs to run. */
  readonly count?: number;
  /** Number of the first input. */
  readonly from?: number;
}

export interface Finding {
  readonly rule: string;
  readonly detail: string;
  /** Number of the first input that showed it, and how many did. */
  readonly index: number;
  inputs: number;
  /** The small input, and its length. */
  file?: string;
  bytes?: number;
}

export interface Summary {
  readonly kind: string;
  readonly seed: number;
  readonly inputs: number;
  readonly seconds: number;
  /** Counts of outcomes, and of what else the kind counts. */
  readonly counts: Readonly<Record<string, number>>;
  readonly slowest: readonly Slow[];
  /** Most memory of a process that many inputs ran in, in bytes. */
  readonly peak: number;
  readonly findings: readonly Finding[];
}

export async function fuzz(kind: string, options: FuzzOptions): Promise<Summary> {
  return new Fuzzer(kind, options).run();
}

/** One file against the rules. */
export async function replay(kind: string, bytes: Uint8Array): Promise<Verdict['broken']> {
  return new Fuzzer(kind, { seconds: 0, seed: 0 }).judgeAlone(bytes);
}

class Fuzzer {
  readonly #kind: string;
  readonly #options: FuzzOptions;
  readonly #progressPath: string;
  readonly #counts: Record<string, number> = {};
  readonly #findings = new Map<string, Finding>();
  readonly #large: number[] = [];
  readonly #judge: JudgeProcess;
  #slowest: Slow[] = [];
  #peak = 0;

  constructor(kind: string, options: FuzzOptions) {
    kindOf(kind);
    this.#kind = kind;
    this.#judge = new JudgeProcess(kind);
    this.#options = options;
    mkdirSync(FOLDER, { recursive: true });
    this.#progressPath = `build/fuzz/progress-${process.pid}`;
  }

  async run(): Promise<Summary> {
    const { seconds, seed, count = Number.POSITIVE_INFINITY, from = 0 } = this.#options;
    const start = Date.now();
    const until = start + seconds * 1000;
    let next = from;
    while (Date.now() < until && next < from + count) {
      next = await this.#runFrom({ order: 'run', from: next, count: from + count - next, until });
    }
    const elapsed = (Date.now() - start) / 1000;
    await this.#checkLarge();
    await this.#shrinkFindings();
    this.#judge.end();
    return {
      kind: this.#kind,
      seed,
      inputs: next - from,
      seconds: elapsed,
      counts: this.#counts,
      slowest: this.#slowest,
      peak: this.#peak,
      findings: [...this.#findings.values()],
    };
  }

  async judgeAlone(bytes: Uint8Array): Promise<Verdict['broken']> {
    return (await this.#judge.judgeOnce(bytes)).broken;
  }

  /** One process, as far as it comes. @returns the number of the input to go on with */
  async #runFrom(order: Order & { order: 'run' }): Promise<number> {
    const child = new Child(this.#kind, this.#options.seed, this.#progressPath);
    try {
      await child.wait(({ report }) => report === 'ready');
      child.send(order);
      const last = await child.wait(
        ({ report }) => report === 'done',
        (report) => this.#hear(report),
      );
      return (last as Report & { report: 'done' }).next;
    } catch (error) {
      if (!(error instanceof Lost) || error.index < order.from) throw error;
      this.#add(error.index, { rule: error.rule, detail: error.message });
      return error.index + 1;
    } finally {
      child.end();
    }
  }

  #hear(report: Report): void {
    if (report.report === 'broken') this.#add(report.index, report.verdict.broken!);
    else if (report.report === 'large') this.#large.push(report.index);
    else if (report.report === 'progress') this.#tally(report.tally);
  }

  #tally({ counts, slowest, peak }: Tally): void {
    for (const [name, count] of Object.entries(counts)) this.#counts[name] = (this.#counts[name] ?? 0) + count;
    this.#slowest = [...this.#slowest, ...slowest].sort((a, b) => b.milliseconds - a.milliseconds);
    this.#slowest.length = Math.min(this.#slowest.length, MAX_SLOWEST);
    this.#peak = Math.max(this.#peak, peak);
  }

  #add(index: number, broken: Verdict['broken'] & {}): void {
    const key = keyOf(broken);
    const known = this.#findings.get(key);
    if (known !== undefined) known.inputs++;
    else this.#findings.set(key, { ...broken, index, inputs: 1 });
  }

  #make(index: number): Uint8Array {
    return kindOf(this.#kind).make(new Random(this.#options.seed, index));
  }

  async #checkLarge(): Promise<void> {
    for (const index of this.#large.slice(0, MAX_LARGE)) {
      const broken = await this.judgeAlone(this.#make(index));
      if (broken?.rule === 'memory') this.#add(index, broken);
    }
  }

  async #shrinkFindings(): Promise<void> {
    for (const [key, finding] of [...this.#findings].slice(0, MAX_SHRUNK)) {
      const made = this.#make(finding.index);
      const smaller = kindOf(this.#kind).shrink ?? shrinkBytes;
      // How much memory a process takes shows only in a new one.
      const judge = (bytes: Uint8Array) =>
        finding.rule === 'memory' ? this.judgeAlone(bytes) : this.#judge.judge(bytes).then(({ broken }) => broken);
      const isSame = async (bytes: Uint8Array) => {
        const broken = await judge(bytes);
        return broken !== undefined && keyOf(broken) === key;
      };
      const small = (await isSame(made)) ? await shrink(made, smaller, isSame, EFFORT) : made;
      this.#keep(finding, small);
    }
  }

  #keep(finding: Finding, small: Uint8Array): void {
    const name = `${FOLDER}/${this.#kind}-${this.#options.seed}-${finding.index}`;
    finding.file = `${name}.${kindOf(this.#kind).extension}`;
    finding.bytes = small.length;
    writeFileSync(finding.file, small);
    writeFileSync(`${name}.txt`, `${finding.rule}\n${finding.detail}\n`);
  }
}

/** What findings of one cause have in common: the rule, the message without numbers and names, and the place. */
function keyOf({ rule, detail }: Verdict['broken'] & {}): string {
  if (rule === 'slow' || rule === 'hang' || rule === 'memory') return rule;
  const [message = '', place = ''] = detail.split('\n');
  return `${rule} ${message
    .replace(/"[^"]*"|'[^']*'/g, '')
    .replace(/[\d.e+-]+/g, '#')
    .slice(0, 100)} ${place.trim()}`;
}
