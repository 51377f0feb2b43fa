/**
 * The process that inputs run in. It writes the number of each input to a file before it begins, so that the other
 * process, which watches it, knows which one it hangs or dies on.
 */
import { openSync, writeSync } from 'node:fs';
import { Host } from './host.js';
import { judge } from './judge.js';
import type { Kind } from './kind.js';
import type { Order, Report, Slow, Tally } from './messages.js';
import { Random } from './random.js';

/** Inputs between checks of the memory, and the time of one after which it is checked: checking is slow. */
const LOOK_INPUTS = 64;
const LOOK_MILLISECONDS = 10;
/** Between reports, and turns of the event loop that let them go. */
const REPORT_MILLISECONDS = 200;
const MAX_SLOWEST = 5;
/** Growth by a single input that is investigated. */
const LARGE_BYTES = 64 * 2 ** 20;
/** Growth by many small ones after which a new process starts, to show again what a single one takes. */
const MAX_GROWTH = 192 * 2 ** 20;

export async function serve(kind: Kind, seed: number, progressPath: string): Promise<void> {
  const progress = openSync(progressPath, 'w');
  const number = new Float64Array(1);
  letTimersGo();
  let host = await Host.create();
  const first = peakBytes();

  async function run({ from, count, until }: Order & { order: 'run' }): Promise<void> {
    let tally = emptyTally();
    let reported = performance.now();
    let [peak, index] = [peakBytes(), from];
    for (; index < from + count && Date.now() < until && peak - first < MAX_GROWTH; index++) {
      number[0] = index;
      writeSync(progress, number, 0, 8, 0);
      const bytes = kind.make(new Random(seed, index));
      const verdict = await judge(kind, bytes, host);
      add(tally, index, verdict.outcome, verdict.facts, verdict.milliseconds);
      if (verdict.broken !== undefined) {
        send({ report: 'broken', index, verdict });
        host.dispose();
        host = await Host.create();
      }
      if (verdict.milliseconds > LOOK_MILLISECONDS || index % LOOK_INPUTS === 0) {
        const now = peakBytes();
        if (now - peak > LARGE_BYTES) send({ report: 'large', index });
        peak = now;
      }
      if (performance.now() - reported > REPORT_MILLISECONDS) {
        send({ report: 'progress', tally: { ...tally, peak } });
        tally = emptyTally();
        await new Promise(setImmediate);
        reported = performance.now();
      }
    }
    send({ report: 'progress', tally: { ...tally, peak } });
    send({ report: 'done', next: index, again: peak - first >= MAX_GROWTH });
  }

  async function judgeAlone({ bytes }: Order & { order: 'judge' }): Promise<void> {
    const before = peakBytes();
    const verdict = await judge(kind, bytes, host);
    send({ report: 'judged', verdict, grown: peakBytes() - before });
    if (verdict.broken === undefined) return;
    host.dispose();
    host = await Host.create();
  }

  process.on('message', (order: Order) => {
    void (order.order === 'run' ? run(order) : judgeAlone(order));
  });
  process.on('disconnect', () => process.exit());
  send({ report: 'ready' });
}

/** A session waits for another turn of the event loop, so that a page can be drawn; a timer takes a millisecond for it. */
function letTimersGo(): void {
  const { setTimeout } = globalThis;
  const quick = (work: () => void, milliseconds?: number) =>
    milliseconds === 0 ? setImmediate(work) : setTimeout(work, milliseconds);
  globalThis.setTimeout = quick as unknown as typeof setTimeout;
}

function send(report: Report): void {
  process.send!(report);
}

function emptyTally(): Omit<Tally, 'peak'> & { slowest: Slow[] } {
  return { counts: {}, slowest: [] };
}

function add(
  { counts, slowest }: ReturnType<typeof emptyTally>,
  index: number,
  outcome: string,
  facts: readonly string[],
  milliseconds: number,
): void {
  for (const name of [outcome, ...facts]) counts[name] = (counts[name] ?? 0) + 1;
  if (slowest.length === MAX_SLOWEST && milliseconds <= slowest.at(-1)!.milliseconds) return;
  slowest.push({ index, milliseconds, outcome });
  slowest.sort((a, b) => b.milliseconds - a.milliseconds);
  slowest.length = Math.min(slowest.length, MAX_SLOWEST);
}

function peakBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}
