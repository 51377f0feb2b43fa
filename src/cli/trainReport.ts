/**
 * What a person sees of a run: a line for each epoch and, in a terminal, its progress below.
 *
 *      epoch    loss  validation  accuracy        lr  images/s
 *          1  0.7412      0.5231   81.20 %    0.0500     2,310  best
 *          2  0.4713      0.4512   84.11 %    0.0495     2,298  best
 *
 *      loss                            accuracy
 *      ...                             ...
 *      epoch 3 of 15  ██████████░░░░░░░░░  234 of 468  loss 0.4120  2,310 images/s  1:12 left
 */
import type { StepEvent } from '../train/run.js';
import type { Output } from './command.js';
import { LiveBlock } from './liveBlock.js';
import { beside, plotLines } from './plot.js';
import type { EpochRecord, TimedEvent } from './runFolder.js';
import { count } from './table.js';
import { paint, type Terminal, widthOf } from './terminal.js';

const PLOT_HEIGHT = 8;
const WIDEST_PLOT = 60;
const GAP = 3;
/** In narrower terminals there is one plot. */
const MIN_COLUMNS_FOR_TWO = 64;
const WIDEST_BAR = 24;
/** Points of the plot, each the mean loss over a part of the run's steps. */
const MAX_POINTS = 200;
/** Seconds that the speed is averaged over. */
const WINDOW = 20;

export class TrainReport {
  readonly #output: Output;
  readonly #live = new LiveBlock();
  readonly #stepsPerEpoch: number;
  /** Sums of losses over parts of the run, and their numbers of steps. */
  readonly #losses = new Float64Array(MAX_POINTS);
  readonly #counts = new Uint32Array(MAX_POINTS);
  readonly #epochs: EpochRecord[];
  /** How many images had been seen at which time. */
  #times: { readonly seconds: number; readonly images: number }[] = [];
  #images = 0;
  #hasTitles = false;

  /** @param epochs that are done already */
  constructor(output: Output, stepsPerEpoch: number, epochs: readonly EpochRecord[]) {
    this.#output = output;
    this.#stepsPerEpoch = stepsPerEpoch;
    this.#epochs = [...epochs];
  }

  add(event: TimedEvent): void {
    if (event.type === 'step') this.#addStep(event, event.seconds);
    if (event.type === 'epoch') this.#addEpoch(event);
    if (event.type === 'done') this.#live.clear();
  }

  clear(): void {
    this.#live.clear();
  }

  #addStep(event: StepEvent, seconds: number): void {
    const part = Math.min(MAX_POINTS - 1, Math.floor(((event.step - 1) / event.steps) * MAX_POINTS));
    this.#losses[part]! += event.loss;
    this.#counts[part]!++;
    this.#images += event.images;
    this.#times.push({ seconds, images: this.#images });
    while (this.#times.length > 2 && this.#times[0]!.seconds < seconds - WINDOW) this.#times.shift();
    this.#live.draw(() => this.#liveLines(event));
  }

  #addEpoch(record: EpochRecord): void {
    this.#live.clear();
    this.#epochs.push(record);
    const lines = this.#hasTitles ? [] : [paint(TITLES, 'bold', this.#output.terminal)];
    this.#hasTitles = true;
    this.#output.lines([...lines, epochLine(record, this.#speed(), this.#output.terminal)]);
  }

  #speed(): number {
    const first = this.#times[0];
    const last = this.#times.at(-1);
    if (first === undefined || last === undefined || last.seconds === first.seconds) return Number.NaN;
    return (last.images - first.images) / (last.seconds - first.seconds);
  }

  #liveLines(event: StepEvent): string[] {
    const { terminal, rows } = this.#live;
    const bar = this.#bar(event, terminal);
    // Lines that scroll out of sight cannot be removed again.
    if (rows < PLOT_HEIGHT + 6) return [bar];
    const available = Math.min(terminal.columns - 1, 2 * WIDEST_PLOT + GAP);
    const loss = { title: 'loss', points: this.#lossPoints() };
    const accuracy = { title: 'accuracy of validation (%)', points: this.#accuracyPoints(event) };
    const hasTwo = available >= MIN_COLUMNS_FOR_TWO && accuracy.points.length > 0;
    const width = hasTwo ? Math.floor((available - GAP) / 2) : Math.min(available, WIDEST_PLOT);
    const left = plotLines(loss, width, PLOT_HEIGHT, terminal);
    const plots = hasTwo ? beside(left, plotLines(accuracy, width, PLOT_HEIGHT, terminal), GAP) : left;
    return ['', ...plots, '', bar];
  }

  #lossPoints(): (readonly [number, number])[] {
    return Array.from(this.#losses, (sum, i) => [i / (MAX_POINTS - 1), sum / this.#counts[i]!] as const);
  }

  #accuracyPoints({ steps }: StepEvent): (readonly [number, number])[] {
    return this.#epochs.flatMap(({ step, validation }) =>
      validation === undefined ? [] : [[step / steps, 100 * validation.accuracy] as const],
    );
  }

  #bar(event: StepEvent, terminal: Terminal): string {
    const done = event.step - (event.epoch - 1) * this.#stepsPerEpoch;
    const speed = this.#speed();
    const left = ((event.steps - event.step) * event.images) / speed;
    const before = `epoch ${event.epoch} of ${event.steps / this.#stepsPerEpoch}  `;
    const parts = [
      `${done} of ${this.#stepsPerEpoch}`,
      `loss ${event.loss.toFixed(4)}`,
      ...(Number.isFinite(speed) ? [`${count(speed)} images/s`, `${duration(left)} left`] : []),
    ];
    // Parts that do not fit are left out, the last first except the time.
    while (parts.length > 1 && widthOf(before + parts.join('  ')) + 8 > terminal.columns) parts.splice(-2, 1);
    const after = `  ${parts.join('  ')}`;
    const width = Math.max(4, Math.min(WIDEST_BAR, terminal.columns - 1 - widthOf(before + after)));
    const full = Math.round((width * done) / this.#stepsPerEpoch);
    const [on, off] = terminal.unicode ? ['\u2588', '\u2591'] : ['#', '.'];
    return `${before}${on.repeat(full)}${off.repeat(width - full)}${after}`;
  }
}

const TITLES = '  epoch    loss  validation  accuracy        lr  images/s';

function epochLine({ epoch, loss, lr, validation, isBest }: EpochRecord, speed: number, terminal: Terminal): string {
  const cells = [
    String(epoch).padStart(5),
    loss.toFixed(4).padStart(6),
    (validation?.loss.toFixed(4) ?? '').padStart(10),
    (validation === undefined ? '' : `${(100 * validation.accuracy).toFixed(2)} %`).padStart(8),
    rateText(lr).padStart(8),
    (Number.isFinite(speed) ? count(speed) : '').padStart(8),
  ];
  return `  ${cells.join('  ')}${isBest ? `  ${paint('best', 'green', terminal)}` : ''}`;
}

/** Four digits; a cosine ends at very small ones. */
function rateText(lr: number): string {
  return lr === 0 || lr >= 0.0001 ? lr.toFixed(4) : lr.toExponential(1);
}

/** 12 s, 3:04, 1:02:03 */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number): string => String(value).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
