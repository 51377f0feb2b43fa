/** A child process and its messages, as promises; a child that hangs is killed. */
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import type { Order, Report } from './messages.js';

/**
 * An input may take a second, which the child itself checks; this is for those that never end. Counts the child's
 * processor time if the system reports it, as the machine may be busy, otherwise wall-clock time.
 */
const HANG_MILLISECONDS = 20_000;
const HANG_MILLISECONDS_ON_THE_WALL = 300_000;
const MILLISECONDS_OF_A_TICK = 10;
const LOOK_MILLISECONDS = 250;
/** Bundled beside whatever this is bundled into. */
const CHILD = new URL('./childMain.mjs', import.meta.url);

/** A child ended without being told to. */
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
      let [seen, since, own] = [this.#begun(), performance.now(), this.#ownTime()];
      const settle = (settled: () => void): void => {
        clearInterval(timer);
        this.#process.off('message', onMessage);
        this.#process.off('exit', onExit);
        settled();
      };
      const timer = setInterval(() => {
        const now = this.#begun();
        if (now !== seen) [seen, since, own] = [now, performance.now(), this.#ownTime()];
        const hangs = performance.now() - since > HANG_MILLISECONDS_ON_THE_WALL;
        if (hangs || this.#ownTime() - own > HANG_MILLISECONDS) {
          this.end();
          settle(() => reject(new Lost('hang', now, `no end within ${HANG_MILLISECONDS} ms`)));
        }
      }, LOOK_MILLISECONDS);
      const onMessage = (report: Report): void => {
        [since, own] = [performance.now(), this.#ownTime()];
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
    rmSync(this.#progressPath, { force: true });
  }

  /** Milliseconds that the child has computed for; 0 where that is not known. */
  #ownTime(): number {
    try {
      // The 12th and 13th fields after the name, which is in brackets: time in the program and in the system.
      const fields = readFileSync(`/proc/${this.#process.pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
      return (Number(fields[11]) + Number(fields[12])) * MILLISECONDS_OF_A_TICK;
    } catch {
      return 0;
    }
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
