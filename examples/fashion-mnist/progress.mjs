/**
 * A progress bar on stderr. It appears only in a terminal, and disappears when its work is done; the cursor returns
 * then and after Ctrl-C.
 */
import process from 'node:process';
import cliProgress from 'cli-progress';
import { describeTerminal } from './terminal.mjs';

let current;

/** Runs `work` with a function to report progress to, from 0 up to `total`. */
export async function withProgress(title, total, visible, work) {
  if (!visible || !process.stderr.isTTY || process.env.TERM === 'dumb') return work(() => {});
  const { columns, unicode } = describeTerminal(process.stderr);
  current = new cliProgress.SingleBar({
    format: `${title} {bar} {value} of ${total}`,
    barsize: Math.max(4, Math.min(40, columns - title.length - 2 * String(total).length - 7)),
    barCompleteChar: unicode ? '\u2588' : '#',
    barIncompleteChar: unicode ? '\u2591' : '.',
    hideCursor: true,
    clearOnComplete: true,
  });
  current.start(total, 0);
  try {
    return await work((value) => current?.update(value));
  } finally {
    stopProgress();
  }
}

/** Removes the bar, if there is one, and shows the cursor. */
export function stopProgress() {
  current?.stop();
  current = undefined;
}
