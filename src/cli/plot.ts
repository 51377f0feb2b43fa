/**
 * Lines drawn with characters: in Braille, two by four dots a cell, or in ASCII.
 *
 *      loss
 *      2.0 ┤⡇
 *      1.0 ┤⠘⢄⣀
 *      0.0 ┤   ⠉⠒⠒⠤⠤⠤⣀⣀⣀
 */
import { scaleOver } from './scale.js';
import { paint, type Terminal } from './terminal.js';

export interface Plot {
  readonly title: string;
  /** [x from 0 to 1, value], x ascending; what is not finite is left out. */
  readonly points: readonly (readonly [number, number])[];
}

interface Dots {
  readonly across: number;
  readonly down: number;
}

const BRAILLE: Dots = { across: 2, down: 4 };
const ASCII: Dots = { across: 1, down: 1 };
const FIRST_BRAILLE = 0x2800;
/** Bits of the dots of a cell, by row and column. */
const BITS = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
] as const;

/** @returns `height` + 1 lines of `width` columns */
export function plotLines({ title, points }: Plot, width: number, height: number, terminal: Terminal): string[] {
  const shown = points.filter(([, value]) => Number.isFinite(value));
  const scale = scaleOver(
    shown.map(([, value]) => value),
    Math.max(1, Math.floor(height / 2)),
  );
  const labels = scale.ticks.map(scale.label);
  const labelWidth = Math.max(...labels.map((label) => label.length));
  const columns = Math.max(1, width - labelWidth - 2);
  const dots = terminal.unicode ? BRAILLE : ASCII;
  const cells = draw(
    shown.map(([x, value]) => [x, scale.at(value)]),
    columns * dots.across,
    height * dots.down,
  );
  const rows = Array.from({ length: height }, (_, row) => {
    const tick = scale.ticks.findIndex((one) => Math.round((1 - scale.at(one)) * (height - 1)) === row);
    const label = (tick < 0 ? '' : labels[tick]!).padStart(labelWidth);
    const axis = terminal.unicode ? (tick < 0 ? '\u2502' : '\u2524') : '|';
    const line = Array.from({ length: columns }, (_, column) => cell(cells, row, column, dots)).join('');
    return `${label} ${paint(axis, 'dim', terminal)}${paint(line, 'cyan', terminal)}`;
  });
  return [title.padEnd(width), ...rows];
}

/** Lines of one beside those of the other. */
export function beside(left: readonly string[], right: readonly string[], gap: number): string[] {
  return left.map((line, i) => `${line}${' '.repeat(gap)}${right[i] ?? ''}`);
}

/** Whether each dot is on, [down][across]. Between two points there is a line; in a column it has no gaps. */
function draw(points: readonly (readonly [number, number])[], across: number, down: number): boolean[][] {
  const grid = Array.from({ length: down }, () => new Array<boolean>(across).fill(false));
  const places = points.map(([x, y]) => [Math.round(x * (across - 1)), Math.round((1 - y) * (down - 1))] as const);
  for (const [i, [x, y]] of places.entries()) {
    const [fromX, fromY] = places[i - 1] ?? [x, y];
    let last = fromY;
    for (let column = fromX; column <= x; column++) {
      const share = x === fromX ? 1 : (column - fromX) / (x - fromX);
      const row = Math.round(fromY + share * (y - fromY));
      for (let at = Math.min(last, row); at <= Math.max(last, row); at++) grid[at]![column] = true;
      last = row;
    }
  }
  return grid;
}

function cell(grid: readonly boolean[][], row: number, column: number, dots: Dots): string {
  let bits = 0;
  for (let y = 0; y < dots.down; y++) {
    for (let x = 0; x < dots.across; x++) {
      if (grid[row * dots.down + y]![column * dots.across + x]) bits |= BITS[y]![x]!;
    }
  }
  if (bits === 0) return ' ';
  return dots === ASCII ? '*' : String.fromCodePoint(FIRST_BRAILLE + bits);
}
