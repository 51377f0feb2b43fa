/**
 * Values of several runs, in groups side by side: their mean as a bar from zero or, if they are too close together for
 * that, as a mark on an axis of their own; their standard deviation as a whisker; each of them as a dot.
 */
import { scaleOver } from './scale.js';
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

export interface Series {
  readonly name: string;
  /** For each group: its values, and their mean and standard deviation, NaN where there is none. */
  readonly groups: readonly { readonly values: readonly number[]; readonly mean: number; readonly deviation: number }[];
}

export interface SpreadChartOptions {
  readonly title: string;
  readonly note: string;
  /** Unit of the values. */
  readonly unit: string;
  readonly groups: readonly string[];
  readonly series: readonly Series[];
  /** Whether bars begin at zero; otherwise the axis shows only the range of the values. */
  readonly isFromZero: boolean;
}

const PLOT_HEIGHT = 260;
const LEFT = 62;
const RIGHT = 24;
const TOP = { withLegend: 108, plain: 80 } as const;
const BOTTOM = 44;
const TICKS = 5;
const BAR = { least: 22, most: 46, gap: 6 } as const;
const GROUP_GAP = 30;
const MIN_WIDTH = 360;

type Groups = Series['groups'];

export function spreadChart({ title, note, unit, groups, series, isFromZero }: SpreadChartOptions): string {
  const bar = series.length > 2 ? BAR.least : BAR.most;
  const labels = groups.map((name) => widthOfText(name) + 12);
  const groupWidth = Math.max(series.length * (bar + BAR.gap) + GROUP_GAP, MIN_WIDTH / groups.length, ...labels);
  const width = groups.length * groupWidth;
  const shown = series.flatMap((one) => one.groups.flatMap(extent));
  const up = scaleOver(isFromZero ? [0, ...shown] : shown, TICKS);
  const y = (value: number): number => (1 - up.at(value)) * PLOT_HEIGHT;
  const marks = groups.flatMap((_, g) =>
    series.flatMap((one, i) => {
      const begin = g * groupWidth + (groupWidth - series.length * (bar + BAR.gap) + BAR.gap) / 2 + i * (bar + BAR.gap);
      return drawSpread(one.groups[g]!, begin, bar, LINE_COLOURS[i % LINE_COLOURS.length]!, isFromZero, y);
    }),
  );
  const axes = [
    ...up.ticks.flatMap((tick) => [
      line(0, y(tick), width, y(tick), { stroke: FAINT }),
      text(-8, y(tick) + 4.5, up.label(tick), { 'text-anchor': 'end' }),
    ]),
    line(0, 0, 0, PLOT_HEIGHT, { stroke: INK }),
    line(0, PLOT_HEIGHT, width, PLOT_HEIGHT, { stroke: INK }),
    ...groups.map((name, g) =>
      text((g + 0.5) * groupWidth, PLOT_HEIGHT + FONT_SIZE + 9, name, { 'text-anchor': 'middle' }),
    ),
  ];
  const top = series.length === 1 ? TOP.plain : TOP.withLegend;
  const heading = `${title} (${unit})`;
  const legend = drawLegend(series);
  const widest = Math.max(width, widthOfText(heading, TITLE_SIZE + 2, 'bold'), widthOfText(note), legend.width);
  return picture(LEFT + widest + RIGHT, top + PLOT_HEIGHT + BOTTOM, title, [
    text(LEFT, 30, heading, { 'font-size': TITLE_SIZE + 2, 'font-weight': 'bold' }),
    text(LEFT, 52, note, { fill: MUTED }),
    element('g', { transform: `translate(${LEFT} 80)` }, legend.drawn),
    element('g', { transform: `translate(${LEFT} ${top})` }, [...axes, ...marks]),
  ]);
}

function extent({ values, mean, deviation }: Groups[number]): number[] {
  return [...values, mean, ...(Number.isFinite(deviation) ? [mean - deviation, mean + deviation] : [])];
}

function drawSpread(
  { values, mean, deviation }: Groups[number],
  x: number,
  width: number,
  colour: string,
  isFromZero: boolean,
  y: (value: number) => number,
): string[] {
  if (!Number.isFinite(mean)) return [];
  const middle = x + width / 2;
  const body = isFromZero
    ? element('rect', { x, y: y(mean), width, height: y(0) - y(mean), fill: colour, 'fill-opacity': 0.75 })
    : line(x, y(mean), x + width, y(mean), { stroke: colour, 'stroke-width': 4 });
  const ink = { stroke: INK, 'stroke-width': 1.5 };
  const [low, high] = [y(mean - deviation), y(mean + deviation)];
  const whisker = Number.isFinite(deviation)
    ? [
        line(middle, low, middle, high, ink),
        line(middle - 5, low, middle + 5, low, ink),
        line(middle - 5, high, middle + 5, high, ink),
      ]
    : [];
  const dot = { r: 2.5, fill: '#ffffff', stroke: isFromZero ? INK : colour };
  return [body, ...whisker, ...values.map((value) => element('circle', { cx: middle, cy: y(value), ...dot }))];
}

/** A single series needs none: the title names it. */
function drawLegend(series: readonly Series[]): { readonly drawn: string[]; readonly width: number } {
  if (series.length === 1) return { drawn: [], width: 0 };
  const drawn: string[] = [];
  let at = 0;
  for (const [i, { name }] of series.entries()) {
    const fill = LINE_COLOURS[i % LINE_COLOURS.length]!;
    drawn.push(element('rect', { x: at, y: -11, width: 14, height: 12, fill }), text(at + 20, 0, name));
    at += 20 + widthOfText(name) + 20;
  }
  return { drawn, width: at };
}
