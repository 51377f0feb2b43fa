// Draws the picture of the README, docs/block.svg: a block of ACNet as it learns and as it runs, with the figures of a
// 3 x 3 block, 64 to 64 channels, at 32 x 32. To write another file: node scripts/picture.mjs FILE
//
// Its colours follow the reader's colour scheme, light or dark.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const CHANNELS = 64;
const SIZE = 32;
/** Milliseconds from bench/RESULTS.md (VGG-16 3x3 64->64 @32), and for the same shape with its three branches. */
const TIME = { learns: 1.6, runs: 0.59 };

const CONDITIONS = `${CHANNELS} to ${CHANNELS} channels, ${SIZE} × ${SIZE} pixels, one thread of an AMD EPYC, Node 20`;

const WIDTH = 880;
const HEIGHT = 444;
const LEFT = { x: 4, width: 478 };
const RIGHT = { x: 552, width: 324 };
const PANEL = { top: 4, bottom: 408 };
const FIGURES_TOP = 328;
const MIDDLE = 180;
const CELL = 17;
const LARGE_CELL = 28;

const SQUARE = { name: 'square', rows: [0, 1, 2], columns: [0, 1, 2] };
const VERTICAL = { name: 'ver', rows: [0, 1, 2], columns: [1] };
const HORIZONTAL = { name: 'hor', rows: [1], columns: [0, 1, 2] };
const BRANCHES = [SQUARE, VERTICAL, HORIZONTAL];

function picture() {
  const learns = { taps: sum(BRANCHES.map(taps)), norms: BRANCHES.length * 4 * CHANNELS, time: TIME.learns };
  // One bias for each channel.
  const runs = { taps: taps(SQUARE), norms: CHANNELS, time: TIME.runs };
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">
<title>An Asymmetric Convolution Block: three branches while it learns, one convolution when it runs</title>
${STYLE}
${panel(LEFT, 'while it learns')}
${threeBranches()}
${figures(LEFT, learns)}
${panel(RIGHT, 'when it runs')}
${oneConvolution()}
${figures(RIGHT, runs)}
${bridge()}
${text(WIDTH / 2, HEIGHT - 10, CONDITIONS, 'note middle')}
</svg>
`;
}

const STYLE = `<style>
text { font: 14px system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif; fill: #24292f; }
.title { font-size: 17px; font-weight: 600; }
.note { font-size: 12.5px; fill: #57606a; }
.figure { font-size: 17.5px; font-weight: 600; }
.middle { text-anchor: middle; }
.panel { fill: #f6f8fa; stroke: #d0d7de; }
.line { fill: none; stroke: #8c959f; stroke-width: 1.6; }
.head { fill: #8c959f; }
.empty { fill: #fff; stroke: #d0d7de; }
.pill { fill: #fff; stroke: #afb8c1; }
.square { fill: #0969da; } .ver { fill: #e36209; } .hor { fill: #1a7f37; }
.rule { stroke: #d0d7de; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note { fill: #9198a1; }
  .panel { fill: #151b23; stroke: #3d444d; }
  .line { stroke: #767e88; }
  .head { fill: #767e88; }
  .empty { fill: #0d1117; stroke: #3d444d; }
  .pill { fill: #0d1117; stroke: #656c76; }
  .square { fill: #4493f8; } .ver { fill: #f0883e; } .hor { fill: #3fb950; }
  .rule { stroke: #3d444d; }
}
</style>`;

const target = process.argv[2] ?? fileURLToPath(new URL('../docs/block.svg', import.meta.url));
writeFileSync(target, picture());

function panel({ x, width }, title) {
  const height = PANEL.bottom - PANEL.top;
  return `<rect class="panel" x="${x}.5" y="${PANEL.top}.5" width="${width}" height="${height}" rx="12"/>
${text(x + width / 2, PANEL.top + 32, title, 'title middle')}`;
}

/** Image, kernels, BatchNorms, sum. */
function threeBranches() {
  const [from, kernel, norm, plus, to] = [46, 168, 234, 386, 448];
  const labels = ['3 × 3', '3 × 1', '1 × 3'];
  const rows = BRANCHES.map((branch, i) => {
    const y = MIDDLE + (i - 1) * 84;
    return [
      curve(from + 22, MIDDLE, kernel - 34, y),
      grid(kernel, y, CELL, (row, column) => (has(branch, row, column) ? [branch.name] : [])),
      text(kernel, y + 2.4 * CELL, labels[i], 'note middle'),
      arrow(kernel + 30, y, norm - 2, y),
      `<rect class="pill" x="${norm}" y="${y - 15}" width="92" height="30" rx="15"/>`,
      text(norm + 46, y + 5, 'BatchNorm', 'middle'),
      curve(norm + 92, y, plus - 15, MIDDLE),
    ];
  });
  const sign = `M ${plus - 6} ${MIDDLE} h 12 M ${plus} ${MIDDLE - 6} v 12`;
  return [
    image(from, MIDDLE, 'x'),
    ...rows.flat(),
    `<circle class="pill" cx="${plus}" cy="${MIDDLE}" r="14"/><path class="line" d="${sign}"/>`,
    arrow(plus + 14, MIDDLE, to - 20, MIDDLE),
    image(to, MIDDLE, 'y'),
  ].join('\n');
}

/** Each tap in the colours of the branches that it is the sum of. */
function oneConvolution() {
  const centre = RIGHT.x + RIGHT.width / 2;
  const names = (row, column) => BRANCHES.filter((branch) => has(branch, row, column)).map(({ name }) => name);
  const [from, to] = [centre - 116, centre + 124];
  return [
    image(from, MIDDLE, 'x'),
    arrow(from + 22, MIDDLE, centre - 46, MIDDLE),
    grid(centre, MIDDLE, LARGE_CELL, names),
    text(centre, MIDDLE + 1.5 * LARGE_CELL + 22, '3 × 3 + bias', 'note middle'),
    arrow(centre + 44, MIDDLE, to - 20, MIDDLE),
    image(to, MIDDLE, 'y'),
  ].join('\n');
}

/** Between the panels: what leads from one to the other. */
function bridge() {
  const [from, to] = [LEFT.x + LEFT.width, RIGHT.x];
  const centre = (from + to) / 2;
  return [
    arrow(from + 8, MIDDLE, to - 6, MIDDLE),
    text(centre, MIDDLE - 12, 'merge', 'note middle'),
    text(centre, MIDDLE + 22, 'exact', 'note middle'),
  ].join('\n');
}

function figures({ x, width }, { taps: count, norms, time }) {
  const multiplyAdds = count * CHANNELS * CHANNELS * SIZE * SIZE;
  const entries = [
    [String(count), 'taps'],
    [(count * CHANNELS * CHANNELS + norms).toLocaleString('en-US'), 'parameters'],
    [`${(multiplyAdds / 1e6).toFixed(0)} M`, 'MACs'],
    [`${time} ms`, 'time'],
  ];
  const shares = [0.1, 0.35, 0.61, 0.85];
  return [
    `<line class="rule" x1="${x + 20}" x2="${x + width - 20}" y1="${FIGURES_TOP}.5" y2="${FIGURES_TOP}.5"/>`,
    ...entries.map(([value, name], i) => {
      const centre = x + width * shares[i];
      const above = text(centre, FIGURES_TOP + 38, value, 'figure middle');
      return `${above}\n${text(centre, FIGURES_TOP + 60, name, 'note middle')}`;
    }),
  ].join('\n');
}

/** A window of 3 x 3 taps; one that has several colours shows them side by side. */
function grid(x, y, cell, coloursOf) {
  const cells = [];
  for (let row = 0; row < 3; row++) {
    for (let column = 0; column < 3; column++) {
      const [left, top] = [x + (column - 1.5) * cell + 1, y + (row - 1.5) * cell + 1];
      const colours = coloursOf(row, column);
      const size = cell - 2;
      if (colours.length === 0) cells.push(rect('empty', left + 0.5, top + 0.5, size - 1, size - 1));
      for (const [i, colour] of colours.entries()) {
        cells.push(rect(colour, left + (i * size) / colours.length, top, size / colours.length, size));
      }
    }
  }
  return cells.join('\n');
}

/** An image of several channels. */
function image(x, y, name) {
  const sheets = [8, 4, 0].map((shift) => rect('pill', x - 14 + shift - 4, y - 18 - shift + 4, 28, 36));
  return `${sheets.join('\n')}\n${text(x - 4, y + 9, name, 'middle')}`;
}

function arrow(x1, y1, x2, y2) {
  return `<path class="line" d="M ${x1} ${y1} H ${x2 - 5}"/>${head(x2, y2)}`;
}

function curve(x1, y1, x2, y2) {
  const middle = (x1 + x2) / 2;
  return `<path class="line" d="M ${x1} ${y1} C ${middle} ${y1} ${middle} ${y2} ${x2 - 5} ${y2}"/>${head(x2, y2)}`;
}

function head(x, y) {
  return `<path class="head" d="M ${x} ${y} l -8 -4.5 v 9 z"/>`;
}

function rect(name, x, y, width, height) {
  const place = [x, y, width, height].map((value) => Number(value.toFixed(2)));
  return `<rect class="${name}" x="${place[0]}" y="${place[1]}" width="${place[2]}" height="${place[3]}" rx="1.5"/>`;
}

function text(x, y, content, name) {
  return `<text x="${Number(x.toFixed(1))}" y="${y}" class="${name}">${content}</text>`;
}

function has({ rows, columns }, row, column) {
  return rows.includes(row) && columns.includes(column);
}

function taps({ rows, columns }) {
  return rows.length * columns.length;
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
