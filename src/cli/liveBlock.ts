/** Lines at the bottom of a terminal that are redrawn again and again, on stderr. Elsewhere nothing is drawn. */
import process from 'node:process';
import { describeTerminal, type Terminal } from './terminal.js';

/** Not more often than people can see. */
const MIN_MILLISECONDS = 80;
const FALLBACK_ROWS = 24;
const CLEAR_BELOW = '\u001b[J';

export class LiveBlock {
  readonly terminal: Terminal = describeTerminal(process.stderr);
  #height = 0;
  #drawn = Number.NEGATIVE_INFINITY;

  get isShown(): boolean {
    return this.terminal.isTTY && !this.terminal.isDumb;
  }

  /** Lines that can be seen at once. */
  get rows(): number {
    return process.stderr.rows || FALLBACK_ROWS;
  }

  /** @param lines called if it is time to draw; makes the lines, none wider than the terminal */
  draw(lines: () => readonly string[]): void {
    const now = performance.now();
    if (!this.isShown || now - this.#drawn < MIN_MILLISECONDS) return;
    this.#drawn = now;
    const drawn = lines();
    process.stderr.write(`${this.#toTop()}${drawn.map((line) => `${line}\n`).join('')}`);
    this.#height = drawn.length;
  }

  /** Removes the lines, so that others can be printed in their place. */
  clear(): void {
    if (this.#height > 0) process.stderr.write(this.#toTop());
    this.#height = 0;
    this.#drawn = Number.NEGATIVE_INFINITY;
  }

  #toTop(): string {
    return this.#height === 0 ? '' : `\u001b[${this.#height}A\r${CLEAR_BELOW}`;
  }
}
