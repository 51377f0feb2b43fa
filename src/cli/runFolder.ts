/**
 * A run's folder:
 *
 *     config.json          what was asked for
 *     events.jsonl         all events, one a line
 *     results.csv          a line for each epoch
 *     curves.svg           the same, drawn
 *     confusion.svg        of the test images, or those of validation
 *     last.safetensors     all that the run needs to go on
 *     best.safetensors     the model of the best epoch
 *     deploy.safetensors, deploy.onnx      the same, merged
 */
import { appendFile, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { showList } from '../shown.js';
import type { EpochEvent, TrainEvent } from '../train/run.js';
import { CommandError, messageOf } from './errors.js';
import { underName, writeWhole } from './files.js';
import { lineChart, type Panel } from './lineChart.js';

/** The record of an epoch, with the seconds that the run had taken by then. */
export interface EpochRecord extends EpochEvent {
  readonly seconds: number;
}

export type TimedEvent = TrainEvent & { readonly seconds: number };

const FILES = {
  config: 'config.json',
  events: 'events.jsonl',
  results: 'results.csv',
  curves: 'curves.svg',
  confusion: 'confusion.svg',
  last: 'last.safetensors',
  best: 'best.safetensors',
  deploy: 'deploy.safetensors',
  onnx: 'deploy.onnx',
} as const;
/** Names of files that `writeWhole`, or the run, has not finished. */
const TEMPORARY = /^(\.[a-z]+\.[a-z]+\.[0-9a-f]{12}|[a-z]+\.[a-z]+)\.tmp$/;
const COLUMNS = ['epoch', 'step', 'seconds', 'lr', 'loss', 'validation_loss', 'validation_accuracy', 'is_best'];

export class RunFolder {
  readonly folder: string;
  readonly title: string;
  readonly epochs: EpochRecord[] = [];

  /** @param title of its pictures */
  constructor(folder: string, title: string) {
    this.folder = folder;
    this.title = title;
  }

  file(name: keyof typeof FILES): string {
    return path.join(this.folder, FILES[name]);
  }

  /**
   * What a run left that did not get as far as a checkpoint does not count.
   * @throws {CommandError} when there is anything else in it
   */
  async assertEmpty(): Promise<void> {
    const there: string[] = await readdir(this.folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    if (there.includes(FILES.last)) {
      throw new CommandError(`${this.folder}: holds a run; --resume ${this.folder} goes on with it`);
    }
    const own: readonly string[] = Object.values(FILES);
    const foreign = there.filter((name) => !own.includes(name) && !TEMPORARY.test(name));
    if (foreign.length === 0) return;
    throw new CommandError(`${this.folder}: must be an empty folder or none, got one with ${showList(foreign)}`);
  }

  /** Whether it holds a checkpoint to resume from. */
  isBegun(): Promise<boolean> {
    return this.#has('last');
  }

  /** Whether the merged network, which is written last, is there. */
  isFinished(): Promise<boolean> {
    return this.#has('onnx');
  }

  async #has(name: keyof typeof FILES): Promise<boolean> {
    return (await stat(this.file(name)).catch(() => undefined)) !== undefined;
  }

  async create(config: string): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    await this.#sweep();
    await this.write('config', config);
    await this.write('events', '');
  }

  /**
   * Keeps the events up to a step; those after it will happen again.
   * @returns the seconds that they took
   */
  async takeUp(step: number): Promise<number> {
    await this.#sweep();
    const file = this.file('events');
    const kept: string[] = [];
    let seconds = 0;
    for (const line of (await readFile(file, 'utf8')).split('\n')) {
      const event = parseEvent(line);
      // A line that a kill has cut in half is after the last checkpoint. A finished run will finish again.
      if (event === undefined || event.step > step || event.type === 'done') break;
      kept.push(`${line}\n`);
      seconds = event.seconds;
      if (event.type === 'epoch') this.epochs.push(event);
    }
    await this.write('events', kept.join(''));
    return seconds;
  }

  /** Removes what a kill has left half-written. */
  async #sweep(): Promise<void> {
    for (const name of await readdir(this.folder)) {
      if (TEMPORARY.test(name)) await rm(path.join(this.folder, name), { force: true });
    }
  }

  async add(event: TimedEvent): Promise<void> {
    const events = this.file('events');
    await underName(events, () => appendFile(events, `${JSON.stringify(event)}\n`));
    if (event.type !== 'epoch') return;
    this.epochs.push(event);
    await this.write(
      'results',
      `${[COLUMNS, ...this.epochs.map(cellsOf)].map((cells) => cells.join(',')).join('\n')}\n`,
    );
    await this.write('curves', curves(this.title, this.epochs));
  }

  async write(name: keyof typeof FILES, content: string | Uint8Array): Promise<void> {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    await writeWhole([{ file: this.file(name), bytes }]);
  }

  async read(name: keyof typeof FILES): Promise<Uint8Array> {
    try {
      return await readFile(this.file(name));
    } catch (error) {
      throw new CommandError(`${this.folder}: holds no run to go on with: ${messageOf(error)}`);
    }
  }
}

function parseEvent(line: string): TimedEvent | undefined {
  try {
    return JSON.parse(line) as TimedEvent;
  } catch {
    return undefined;
  }
}

function cellsOf({ epoch, step, seconds, lr, loss, validation, isBest }: EpochRecord): (string | number)[] {
  const best = isBest === undefined ? '' : Number(isBest);
  return [epoch, step, seconds.toFixed(1), lr, loss, validation?.loss ?? '', validation?.accuracy ?? '', best];
}

function curves(title: string, epochs: readonly EpochRecord[]): string {
  const at = (value: (record: EpochRecord) => number | undefined): number[] =>
    epochs.map((record) => value(record) ?? Number.NaN);
  const best = epochs.filter(({ isBest }) => isBest).at(-1);
  const mark = best && { at: best.epoch, name: 'best epoch' };
  const training = { name: 'training', values: at(({ loss }) => loss) };
  const hasValidation = epochs.some(({ validation }) => validation !== undefined);
  const panels: Panel[] = hasValidation
    ? [
        { title: 'loss', lines: [training, { name: 'validation', values: at(({ validation }) => validation?.loss) }] },
        {
          title: 'accuracy',
          unit: '%',
          lines: [{ name: 'validation', values: at(({ validation }) => validation && 100 * validation.accuracy) }],
          ...(mark && { mark }),
        },
      ]
    : [{ title: 'loss', lines: [training] }];
  return lineChart(title, { name: 'epoch', values: at(({ epoch }) => epoch) }, panels);
}
