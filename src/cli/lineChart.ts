/** Lines over epochs, in panels side by side: how a run went. */
import { type Scale, scaleOver, wholeScale } from './scale.js';
import {
  element,
  FAINT,
  FONT_SIZE,
  INK,
  LINE_COLOURS,
  line,
  MUTED,
  picture,
  TITLE_SIZE,
  text,
  widthOfText,
} from './svg.js';

export interface Line {
  readonly name: string;
  /** At each epoch; what is not finite is left out. */
  readonly values: readonly number[];
}

export interface Panel {
  readonly title: string;
  /** Of the values, in the title. */
  readonly unit?: string;
  readonly lines: readonly Line[];
  /** An epoch to point out, from 1, and why. */
  readonly mark?: { readonly epoch: number; readonly name: string };
}

const PLOT = { width: 380, height: 250 } as const;
const MARGIN = { left: 62, right: 22, top: 78, bottom: 50 } as const;
const HEAD = 34;
const TICKS = { across: 8, up: 5 } as const;
/** Up to as many epochs, each has a dot. */
const MOST_DOTS = 40;

/** @param epochs of the axis, at least 1 */
export function lineChart(title: string, epochs: number, panels: readonly Panel[]): string {
  const panelWidth = MARGIN.left + PLOT.width + MARGIN.right;
  const head = text(MARGIN.left, 28, title, { 'font-size': TITLE_SIZE + 2, 'font-weight': 'bold' });
  const drawn = panels.map((panel, i) =>
    element(
      'g',
      { transform: `translate(${i * panelWidth + MARGIN.left} ${HEAD + MARGIN.top})` },
      drawPanel(panel, epochs),
    ),
  );
  const height = HEAD + MARGIN.top + PLOT.height + MARGIN.bottom;
  return picture(panels.length * panelWidth, height, title, [head, ...drawn]);
}

function drawPanel(panel: Panel, epochs: number): string[] {
  const across = wholeScale(1, epochs, TICKS.across);
  const up = scaleOver(
    panel.lines.flatMap(({ values }) => values),
    TICKS.up,
  );
  const x = (epoch: number): number => across.at(epoch) * PLOT.width;
  const y = (value: number): number => (1 - up.at(value)) * PLOT.height;
  const unit = panel.unit === undefined ? '' : ` (${panel.unit})`;
  return [
    text(0, -44, panel.title + unit, { 'font-size': TITLE_SIZE, 'font-weight': 'bold' }),
    ...drawLegend(panel),
    ...drawAxes(across, up, x, y),
    ...(panel.mark === undefined ? [] : drawMark(x(panel.mark.epoch))),
    ...panel.lines.flatMap((one, i) => drawLine(one, LINE_COLOURS[i]!, x, y)),
  ];
}

function drawLegend({ lines, mark }: Panel): string[] {
  const drawn: string[] = [];
  let at = 0;
  for (const [i, { name }] of lines.entries()) {
    drawn.push(
      line(at, -22, at + 22, -22, { stroke: LINE_COLOURS[i]!, 'stroke-width': 2.5 }),
      text(at + 28, -18, name),
    );
    at += 28 + widthOfText(name) + 18;
  }
  if (mark !== undefined) {
    drawn.push(line(at + 4, -28, at + 4, -16, MARK), text(at + 12, -18, `${mark.name} (${mark.epoch})`));
  }
  return drawn;
}

const MARK = { stroke: MUTED, 'stroke-width': 1.5, 'stroke-dasharray': '3 3' } as const;

function drawMark(x: number): string[] {
  return [line(x, 0, x, PLOT.height, MARK)];
}

function drawAxes(across: Scale, up: Scale, x: (value: number) => number, y: (value: number) => number): string[] {
  const { width, height } = PLOT;
  return [
    ...up.ticks.flatMap((tick) => [
      line(0, y(tick), width, y(tick), { stroke: FAINT }),
      text(-8, y(tick) + 4.5, up.label(tick), { 'text-anchor': 'end' }),
    ]),
    ...across.ticks.flatMap((tick) => [
      line(x(tick), height, x(tick), height + 5, { stroke: INK }),
      text(x(tick), height + 5 + FONT_SIZE + 2, across.label(tick), { 'text-anchor': 'middle' }),
    ]),
    line(0, height, width, height, { stroke: INK }),
    line(0, 0, 0, height, { stroke: INK }),
    text(width / 2, height + 41, 'epoch', { 'text-anchor': 'middle' }),
  ];
}

function drawLine(
  { values }: Line,
  colour: string,
  x: (epoch: number) => number,
  y: (value: number) => number,
): string[] {
  const points = values.flatMap((value, i) => (Number.isFinite(value) ? [[x(i + 1), y(value)] as const] : []));
  const places = points.map(([left, top]) => `${left.toFixed(1)},${top.toFixed(1)}`);
  const stroke = { fill: 'none', stroke: colour, 'stroke-width': 2, 'stroke-linejoin': 'round' };
  const dots =
    values.length > MOST_DOTS ? [] : points.map(([cx, cy]) => element('circle', { cx, cy, r: 2.75, fill: colour }));
  return [element('polyline', { points: places.join(' '), ...stroke }), ...dots];
}
