/** What the fuzzer's two processes tell each other. */
import type { Verdict } from './judge.js';

export type Order =
  /** Make and judge inputs from this one on, until the clock shows `until` or there were `count`. */
  | { readonly order: 'run'; readonly from: number; readonly count: number; readonly until: number }
  | { readonly order: 'judge'; readonly bytes: Uint8Array };

export type Report =
  | { readonly report: 'ready' }
  | { readonly report: 'broken'; readonly index: number; readonly verdict: Verdict }
  /** An input after which the process had much more memory than before. */
  | { readonly report: 'large'; readonly index: number }
  | { readonly report: 'progress'; readonly tally: Tally }
  /** The next input is `next`; with `again` in a new process, as this one has grown. */
  | { readonly report: 'done'; readonly next: number; readonly again: boolean }
  /** Bytes by which the process's peak memory has grown. */
  | { readonly report: 'judged'; readonly verdict: Verdict; readonly grown: number };

/** Since the last such report. */
export interface Tally {
  readonly counts: Record<string, number>;
  readonly slowest: readonly Slow[];
  readonly peak: number;
}

export interface Slow {
  readonly index: number;
  readonly milliseconds: number;
  readonly outcome: string;
}
