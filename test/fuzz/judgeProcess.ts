/** Single inputs against the rules, in another process, which may hang or die of them. */
import { mkdirSync } from 'node:fs';
import { Child, Lost } from './childProcess.js';
import type { Verdict } from './judge.js';
import { kindOf } from './kinds.js';
import type { Report } from './messages.js';
import { Random } from './random.js';

const FOLDER = 'build/fuzz';
const MAX_BYTES = 256 * 2 ** 20;

export type Answer = Pick<Verdict, 'broken' | 'outcome' | 'milliseconds'> & { readonly grown: number };

export class JudgeProcess {
  readonly #kind: string;
  #child: Child | undefined;

  constructor(kind: string) {
    this.#kind = kind;
  }

  async judge(bytes: Uint8Array): Promise<Answer> {
    try {
      if (this.#child === undefined) {
        mkdirSync(FOLDER, { recursive: true });
        this.#child = new Child(this.#kind, 0, `${FOLDER}/progress-${process.pid}-${this.#kind}`);
        await this.#child.wait(({ report }) => report === 'ready');
      }
      this.#child.send({ order: 'judge', bytes });
      const report = await this.#child.wait(({ report }) => report === 'judged');
      const { verdict, grown } = report as Report & { report: 'judged' };
      const { outcome, milliseconds, broken } = verdict;
      const large = { rule: 'memory', detail: `${Math.round(grown / 2 ** 20)} MiB, ${outcome}` };
      const found = broken ?? (grown > MAX_BYTES ? large : undefined);
      return { outcome, milliseconds, grown, ...(found && { broken: found }) };
    } catch (error) {
      if (!(error instanceof Lost)) throw error;
      this.#child = undefined;
      const { rule, message } = error;
      return { outcome: rule, milliseconds: Number.POSITIVE_INFINITY, grown: 0, broken: { rule, detail: message } };
    }
  }

  /** In a process that has only run one input before, to load the code. */
  async judgeOnce(bytes: Uint8Array): Promise<Answer> {
    this.end();
    await this.judge(kindOf(this.#kind).make(new Random(0, 0)));
    const answer = await this.judge(bytes);
    this.end();
    return answer;
  }

  end(): void {
    this.#child?.end();
    this.#child = undefined;
  }
}
