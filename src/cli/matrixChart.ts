/** Matrices as coloured cells with their values, side by side: how classes are confused, where kernels are strong. */
import { element, FAINT, INK, MUTED, picture, TITLE_SIZE, text, widthOfText } from './svg.js';

export interface Matrix {
  readonly title?: string;
  /** A line below. */
  readonly caption?: string;
  /** [row][column], from 0 to 1: the colour. */
  readonly shares: readonly (readonly number[])[];
  /** What is written in the cells. */
  readonly texts: readonly (readonly string[])[];
  readonly rowNames: readonly string[];
  readonly columnNames: readonly string[];
}

export interface MatrixChartOptions {
  readonly title: string;
  readonly note?: string;
  /** What rows and columns are. */
  readonly rows?: string;
  readonly columns?: string;
  readonly matrices: readonly Matrix[];
}

const MAX_CELL = 58;
const MIN_CELL = 9;
/** Side of a matrix with many cells. */
const SIDE = 640;
const GAP = 44;
const HEAD = 54;
const PADDING = 24;
/** A smaller cell has no room for a value. */
const MIN_CELL_WITH_TEXT = 24;
/** From white to a blue on which white can be read. */
const DARKEST = [8, 48, 107] as const;

export function matrixChart({ title, note, rows, columns, matrices }: MatrixChartOptions): string {
  const most = Math.max(...matrices.flatMap(({ shares }) => [shares.length, shares[0]!.length]));
  const cell = Math.max(MIN_CELL, Math.min(MAX_CELL, Math.floor(SIDE / most)));
  const labelSize = Math.max(7, Math.min(13, cell - 2));
  const widest = (names: readonly string[]): number =>
    Math.max(0, ...names.map((name) => widthOfText(name, labelSize)));
  const left = PADDING + (rows === undefined ? 0 : 26) + widest(matrices.flatMap(({ rowNames }) => rowNames)) + 8;
  const top = HEAD + (note === undefined ? 0 : 16) + (matrices.some(({ title }) => title !== undefined) ? 28 : 0);
  const drawn: string[] = [];
  let x = left;
  for (const matrix of matrices) {
    drawn.push(element('g', { transform: `translate(${x} ${top})` }, drawMatrix(matrix, cell, labelSize)));
    x +=
      Math.max(
        matrix.shares[0]!.length * cell,
        widthOfText(matrix.title ?? '', TITLE_SIZE),
        widthOfText(matrix.caption ?? ''),
      ) + GAP;
  }
  const body = Math.max(...matrices.map(({ shares }) => shares.length)) * cell;
  const names = matrices.flatMap(({ columnNames }) => columnNames);
  const isSlanted = widest(names) > cell - 4;
  const hasCaption = matrices.some(({ caption }) => caption !== undefined);
  const below =
    (hasCaption ? 20 : 0) + (isSlanted ? widest(names) * Math.SQRT1_2 : 0) + (names.length > 0 ? labelSize + 12 : 0);
  const bottom = top + body + below;
  // A slanted last name ends left of its cell.
  const width = Math.max(
    x - GAP + PADDING,
    left + widthOfText(title, TITLE_SIZE + 2, 'bold') + PADDING,
    left + widthOfText(note ?? '') + PADDING,
  );
  const axes = [
    ...(rows === undefined ? [] : [turned(PADDING + 8, top + body / 2, rows)]),
    ...(columns === undefined
      ? []
      : [text(left + (x - GAP - left) / 2, bottom + 16, columns, { 'text-anchor': 'middle' })]),
  ];
  return picture(width, bottom + (columns === undefined ? 0 : 20) + PADDING, title, [
    text(left, 32, title, { 'font-size': TITLE_SIZE + 2, 'font-weight': 'bold' }),
    ...(note === undefined ? [] : [text(left, 54, note, { fill: MUTED })]),
    ...drawn,
    ...axes,
  ]);
}

function drawMatrix(
  { title, caption, shares, texts, rowNames, columnNames }: Matrix,
  cell: number,
  labelSize: number,
): string[] {
  const width = shares[0]!.length * cell;
  const height = shares.length * cell;
  const middle = labelSize * 0.36;
  const isSlanted = columnNames.some((name) => widthOfText(name, labelSize) > cell - 4);
  return [
    ...(caption === undefined ? [] : [text(0, height + 20, caption)]),
    ...(title === undefined ? [] : [text(0, -10, title, { 'font-size': TITLE_SIZE })]),
    ...shares.flatMap((row, i) => row.flatMap((share, j) => drawCell(j * cell, i * cell, cell, share, texts[i]![j]!))),
    element('rect', { width, height, fill: 'none', stroke: INK }),
    ...rowNames.map((name, i) =>
      text(-8, (i + 0.5) * cell + middle, name, { 'text-anchor': 'end', 'font-size': labelSize }),
    ),
    ...columnNames.map((name, j) => {
      const [at, under] = [(j + 0.5) * cell, height + labelSize + 6];
      if (!isSlanted) return text(at, under, name, { 'text-anchor': 'middle', 'font-size': labelSize });
      const turn = { transform: `rotate(-45 ${at + middle} ${under - 4})` };
      return text(at + middle, under - 4, name, { 'text-anchor': 'end', 'font-size': labelSize, ...turn });
    }),
  ];
}

function drawCell(x: number, y: number, size: number, share: number, content: string): string[] {
  const strength = strengthOf(share);
  const colour = colourOf(share);
  const border = size < MIN_CELL_WITH_TEXT ? {} : { stroke: FAINT, 'stroke-width': 0.5 };
  const square = element('rect', { x, y, width: size, height: size, fill: `rgb(${colour.join(' ')})`, ...border });
  if (size < MIN_CELL_WITH_TEXT || content === '') return [square];
  const fontSize = Math.min(14, (size - 6) / Math.max(2, content.length * 0.56));
  const fill = strength > 0.5 ? '#ffffff' : INK;
  const place = { 'text-anchor': 'middle', 'font-size': fontSize, fill };
  return [square, text(x + size / 2, y + size / 2 + fontSize * 0.36, content, place)];
}

/** Red, green and blue, from 0 to 255. */
export function colourOf(share: number): readonly [number, number, number] {
  const strength = strengthOf(share);
  const [red, green, blue] = DARKEST;
  const mixed = (dark: number): number => Math.round(255 + (dark - 255) * strength);
  return [mixed(red), mixed(green), mixed(blue)];
}

function strengthOf(share: number): number {
  return Math.max(0, Math.min(1, share));
}

function turned(x: number, y: number, content: string): string {
  return text(x, y, content, { 'text-anchor': 'middle', transform: `rotate(-90 ${x} ${y})` });
}
