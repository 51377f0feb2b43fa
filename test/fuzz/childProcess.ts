/** A child process and what it says, as promises; a child that hangs is ended. */
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Order, Report } from './messages.js';

/** An input may take a second, on a busy machine several; the rules are checked in the child, this is for hangs. */
const HANG_MILLISECONDS = 60_000;
const LOOK_MILLISECONDS = 250;
/** Bundled beside whatever this is bundled into. */
const CHILD = new URL('./childMain.mjs', import.meta.url);

/** How a child ended that was not told to. */
export class Lost extends Error {
  readonly rule: 'hang' | 'crash';
  /** The last input that it began. */
  readonly index: number;

  constructor(rule: 'hang' | 'crash', index: number, detail: string) {
    super(detail);
    this.rule = rule;
    this.index = index;
  }
}

export class Child {
  readonly #process: ChildProcess;
  readonly #progressPath: string;
  #errors = '';

  constructor(kind: string, seed: number, progressPath: string) {
    this.#progressPath = progressPath;
    this.#process = fork(CHILD, [kind, `${seed}`, progressPath], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#process.stderr!.on('data', (chunk) => {
      this.#errors = `${this.#errors}${chunk}`.slice(-4000);
    });
  }

  /** Resolves with the report that `isLast` takes. @throws Lost */
  wait(isLast: (report: Report) => boolean, hears: (report: Report) => void = () => {}): Promise<Report> {
    return new Promise((resolve, reject) => {
      let [seen, since] = [this.#begun(), performance.now()];
      const settle = (settled: () => void): void => {
        clearInterval(timer);
        this.#process.off('message', onMessage);
        this.#process.off('exit', onExit);
        settled();
      };
      const timer = setInterval(() => {
        const now = this.#begun();
        if (now !== seen) [seen, since] = [now, performance.now()];
        else if (performance.now() - since > HANG_MILLISECONDS) {
          this.end();
          settle(() => reject(new Lost('hang', now, `no end within ${HANG_MILLISECONDS} ms`)));
        }
      }, LOOK_MILLISECONDS);
      const onMessage = (report: Report): void => {
        since = performance.now();
        hears(report);
        if (isLast(report)) settle(() => resolve(report));
      };
      const onExit = (code: number | null, signal: string | null): void => {
        settle(() => reject(new Lost('crash', this.#begun(), `exit ${code ?? signal}: ${this.#errors}`)));
      };
      this.#process.on('message', onMessage);
      this.#process.on('exit', onExit);
    });
  }

  send(order: Order): void {
    this.#process.send(order);
  }

  end(): void {
    this.#process.removeAllListeners('exit');
    this.#process.kill('SIGKILL');
  }

  #begun(): number {
    try {
      const bytes = readFileSync(this.#progressPath);
      return bytes.length === 8 ? bytes.readDoubleLE(0) : -1;
    } catch {
      return -1;
    }
  }
}
