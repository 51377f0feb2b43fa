/**
 * Tables as text: columns as wide as their widest cell. If the terminal is narrower, names are cut in the middle, then
 * columns are left out, then names are cut further.
 *
 *      name                  op      output            parameters      MACs
 *      conv1.acb.squ…_conv   conv2d  [1, 8, 32, 32]           600   614,400
 *      ─────────────────────────────────────────────────────────────────────
 *      12 nodes                                             4,820   614,400
 */

import { showList } from '../shown.js';
import { paint, shorten, type Terminal, widthOf } from './terminal.js';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** May be cut down to this width and, as a last resort, to SHORTEST. */
  readonly least?: number;
  /** Left out if cutting alone does not make the table fit; the last one goes first. */
  readonly isOptional?: boolean;
}

const GAP = 2;
const INDENT = 2;
const SHORTEST = 8;

/**
 * Lines of a table with its titles; `totals` are rows below a rule; those that have lost their figures are left out.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  totals: readonly (readonly string[])[],
  terminal: Terminal,
): string[] {
  const widths = fit(columns, [...rows, ...totals], terminal.columns);
  const dropped = widths === undefined ? columns.map(({ isOptional }) => isOptional === true).lastIndexOf(true) : -1;
  if (dropped >= 0) {
    const without = <T>(cells: readonly T[]): T[] => cells.filter((_, i) => i !== dropped);
    return formatTable(without(columns), rows.map(without), totals.map(without), terminal);
  }
  return layOut(columns, rows, totals, widths ?? narrowest(columns, [...rows, ...totals], terminal.columns), terminal);
}

/** The last resort; if not even that fits, the widest. */
function narrowest(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  available: number,
): readonly number[] {
  const cut = columns.map((column) => (column.least === undefined ? column : { ...column, least: SHORTEST }));
  return fit(cut, rows, available) ?? widest(columns, rows);
}

function layOut(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  totals: readonly (readonly string[])[],
  widths: readonly number[],
  terminal: Terminal,
): string[] {
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, i) => pad(shorten(cell, widths[i]!, terminal), widths[i]!, columns[i]!.align));
    return ' '.repeat(INDENT) + padded.join(' '.repeat(GAP)).trimEnd();
  };
  const titles = paint(line(columns.map(({ title }) => title)), 'bold', terminal);
  const lines = [titles, ...rows.map(line)];
  const sums = totals.filter(([, ...cells]) => cells.some((cell) => cell !== ''));
  if (sums.length === 0) return lines;
  const length = widths.reduce((sum, width) => sum + width + GAP, -GAP);
  const rule = ' '.repeat(INDENT) + (terminal.unicode ? '\u2500' : '-').repeat(length);
  return [...lines, paint(rule, 'dim', terminal), ...sums.map((cells) => paint(line(cells), 'bold', terminal))];
}

function widest(columns: readonly Column[], rows: readonly (readonly string[])[]): number[] {
  return columns.map(({ title }, i) =>
    rows.reduce((width, row) => Math.max(width, widthOf(row[i] ?? '')), widthOf(title)),
  );
}

/** Widths with which a line fits; undefined if there are none. */
function fit(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  available: number,
): number[] | undefined {
  const widths = widest(columns, rows);
  let excess = widths.reduce((sum, width) => sum + width + GAP, INDENT - GAP) - available;
  for (; excess > 0; excess--) {
    // The widest of those that can shrink loses one character at a time, so that two long ones end up alike.
    const giving = columns.map(({ least = Number.POSITIVE_INFINITY }, i) => (widths[i]! > least ? widths[i]! : 0));
    const most = Math.max(...giving);
    if (most === 0) return undefined;
    widths[giving.indexOf(most)]!--;
  }
  return widths;
}

function pad(cell: string, width: number, align: 'left' | 'right' = 'left'): string {
  const blanks = ' '.repeat(Math.max(0, width - widthOf(cell)));
  return align === 'right' ? blanks + cell : cell + blanks;
}

/** 1234567 as 1,234,567. */
export function count(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 0 });
}

/** `one` block, 2 `blocks`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

export function showDims(dims: readonly (number | string)[]): string {
  return `[${showList(dims)}]`;
}

/** As many digits as mean something when times scatter by a percent. */
export function milliseconds(value: number): string {
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3);
}

/** Three significant digits; small numbers in powers of ten. */
export function significant(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  return Math.abs(value) >= 0.01 ? String(Number(value.toPrecision(3))) : value.toExponential(1).replace('.0e', 'e');
}
