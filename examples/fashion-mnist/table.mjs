/** A table as text: the first column to the left, the others to the right. */

const GAP = '   ';

/** A row that is this is a line across the table. */
export const RULE = Symbol('rule');

/**
 * @param {(string[] | typeof RULE)[]} rows cells; a row may end early with its last cell at the table's right edge
 * @returns {string[]} lines of the same width
 */
export function formatTable(rows, { unicode }) {
  const full = rows.filter((row) => row !== RULE);
  const columns = Math.max(...full.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, i) =>
    Math.max(...full.filter((row) => row.length === columns || i === 0).map((row) => row[i].length)),
  );
  const width = widths.reduce((sum, each) => sum + each + GAP.length, -GAP.length);
  return rows.map((row) => {
    if (row === RULE) return (unicode ? '\u2500' : '-').repeat(width);
    if (row.length < columns) return row[0].padEnd(width - row[1].length) + row[1];
    return row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(GAP);
  });
}
