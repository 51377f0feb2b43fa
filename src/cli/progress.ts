/**
 * A progress bar on stderr. It appears only in a terminal, and disappears when its work is done or the process ends.
 *
 *     measuring  ██████████████░░░░░░░░░░░░  17 of 30
 */
import process from 'node:process';
import { describeTerminal } from './terminal.js';

const WIDEST = 30;
/** Not more often than people can see. */
const MIN_MILLISECONDS = 40;
const CLEAR_LINE = '\r\u001b[K';

let isShown = false;

/**
 * Runs `work` with a function to report progress to, from 0 up to `total`, or to another total that turns out; between
 * steps, Ctrl-C gets its turn.
 */
export async function withProgress<T>(
  title: string,
  total: number,
  work: (step: (done: number, total?: number) => Promise<void>) => Promise<T>,
): Promise<T> {
  let drawn = 0;
  const step = async (done: number, of = total): Promise<void> => {
    const now = performance.now();
    if (drawn === 0 || now - drawn > MIN_MILLISECONDS) {
      drawn = now;
      draw(title, done, of);
    }
    await breathe();
  };
  try {
    await step(0);
    return await work(step);
  } finally {
    clearProgress();
  }
}

/** Lets the process see signals and errors of its pipes. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Removes the bar, if there is one. */
export function clearProgress(): void {
  if (isShown) process.stderr.write(CLEAR_LINE);
  isShown = false;
}

function draw(title: string, done: number, total: number): void {
  const { isTTY, isDumb, columns, unicode } = describeTerminal(process.stderr);
  if (!isTTY || isDumb) return;
  const text = `${done} of ${total}`;
  const width = Math.min(WIDEST, columns - title.length - text.length - 5);
  if (width < 4) return;
  const full = Math.round((width * Math.min(done, total)) / total);
  const [on, off] = unicode ? ['\u2588', '\u2591'] : ['#', '.'];
  process.stderr.write(`${CLEAR_LINE}${title}  ${on.repeat(full)}${off.repeat(width - full)}  ${text}`);
  isShown = true;
}
