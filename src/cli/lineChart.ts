/** Lines over epochs or other numbers, in panels side by side. */
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
  /** At each value of the axis; what is not finite is left out. */
  readonly values: readonly number[];
}

export interface Panel {
  readonly title: string;
  /** Unit of the values, shown in the title. */
  readonly unit?: string;
  readonly lines: readonly Line[];
  /** A value of the axis to point out, and why. */
  readonly mark?: { readonly at: number; readonly name: string };
}

/** From left to right. */
export interface Axis {
  readonly name: string;
  /** Ascending. */
  readonly values: readonly number[];
}

const PLOT = { width: 380, height: 250 } as const;
const MARGIN = { left: 62, right: 22, top: 78, bottom: 50 } as const;
const HEAD = 34;
const TICKS = { across: 8, up: 5 } as const;
/** Up to this many values, each has a dot. */
const MAX_DOTS = 40;

export function lineChart(title: string, axis: Axis, panels: readonly Panel[]): string {
  const panelWidth = MARGIN.left + PLOT.width + MARGIN.right;
  const head = text(MARGIN.left, 28, title, { 'font-size': TITLE_SIZE + 2, 'font-weight': 'bold' });
  const drawn = panels.map((panel, i) =>
    element(
      'g',
      { transform: `translate(${i * panelWidth + MARGIN.left} ${HEAD + MARGIN.top})` },
      drawPanel(panel, axis),
    ),
  );
  const height = HEAD + MARGIN.top + PLOT.height + MARGIN.bottom;
  const width = Math.max(panels.length * panelWidth, 2 * MARGIN.left + widthOfText(title, TITLE_SIZE + 2, 'bold'));
  return picture(width, height, title, [head, ...drawn]);
}

function drawPanel(panel: Panel, axis: Axis): string[] {
  const across = wholeScale(axis.values[0]!, axis.values.at(-1)!, TICKS.across);
  const up = scaleOver(
    panel.lines.flatMap(({ values }) => values),
    TICKS.up,
  );
  const x = (value: number): number => across.at(value) * PLOT.width;
  const y = (value: number): number => (1 - up.at(value)) * PLOT.height;
  const unit = panel.unit === undefined ? '' : ` (${panel.unit})`;
  return [
    text(0, -44, panel.title + unit, { 'font-size': TITLE_SIZE, 'font-weight': 'bold' }),
    ...drawLegend(panel),
    ...drawAxes(across, up, axis.name, x, y),
    ...(panel.mark === undefined ? [] : drawMark(x(panel.mark.at))),
    ...panel.lines.flatMap((one, i) => drawLine(one, axis, LINE_COLOURS[i]!, x, y)),
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
    drawn.push(line(at + 4, -28, at + 4, -16, MARK), text(at + 12, -18, `${mark.name} (${mark.at})`));
  }
  return drawn;
}

const MARK = { stroke: MUTED, 'stroke-width': 1.5, 'stroke-dasharray': '3 3' } as const;

function drawMark(x: number): string[] {
  return [line(x, 0, x, PLOT.height, MARK)];
}

function drawAxes(
  across: Scale,
  up: Scale,
  name: string,
  x: (value: number) => number,
  y: (value: number) => number,
): string[] {
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
    text(width / 2, height + 41, name, { 'text-anchor': 'middle' }),
  ];
}

function drawLine(
  { values }: Line,
  axis: Axis,
  colour: string,
  x: (value: number) => number,
  y: (value: number) => number,
): string[] {
  const points = values.flatMap((value, i) =>
    Number.isFinite(value) ? [[x(axis.values[i]!), y(value)] as const] : [],
  );
  const places = points.map(([left, top]) => `${left.toFixed(1)},${top.toFixed(1)}`);
  const stroke = { fill: 'none', stroke: colour, 'stroke-width': 2, 'stroke-linejoin': 'round' };
  const dots =
    values.length > MAX_DOTS ? [] : points.map(([cx, cy]) => element('circle', { cx, cy, r: 2.75, fill: colour }));
  return [element('polyline', { points: places.join(' '), ...stroke }), ...dots];
}
