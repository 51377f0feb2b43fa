// assembly/train/outerTiles.ts: the micro-kernels of weight gradients, one function for each size of the register tile.
//
// A tile is { rows, vectors } of four columns each: the sum over pixels of an outer product of `rows` gradients and
// `vectors` vectors of what the pixel sees. assembly/train/outer.ts says why the loop looks as it does.
import { at, each, header, text } from './text.mjs';

const MAX_ROWS = 4;
const ROW_BYTES = 32;

export function outerTiles() {
  const wide = each(MAX_ROWS, (r) => ({ rows: r + 1, vectors: 2 }));
  const narrow = each(MAX_ROWS, (r) => ({ rows: r + 1, vectors: 1 }));
  return text(
    header('scripts/generate/outerTiles.mjs'),
    '/** The micro-kernels of weight gradients, of every register tile. See train/outer.ts. */',
    `import { multiplyAdd } from '../simd';`,
    '',
    [...wide, ...narrow].map(tileOf),
    choice('outerWide', wide, 'A tile of m <= 4 rows and 8 columns.'),
    choice('outerNarrow', narrow, 'A tile of m <= 4 rows and 4 columns.'),
  );
}

const nameOf = ({ rows, vectors }) => `outer${rows}x${vectors * 4}`;
const sums = ({ rows, vectors }) =>
  each(rows * vectors, (i) => ({ row: Math.floor(i / vectors), vector: i % vectors })).map(({ row, vector }) => ({
    row,
    vector,
    name: `acc${row}x${vector}`,
    place: row * ROW_BYTES + vector * 16,
  }));

function tileOf(tile) {
  return text(
    `function ${nameOf(tile)}(`,
    'gradPtr: usize, gradRow: usize, gradEnd: usize, seenPtr: usize, seenStep: usize, seenGap: usize, tilePtr: usize):',
    'void {',
    sums(tile).map(({ name }) => `let ${name} = f32x4.splat(0);`),
    'do {',
    'const rowEnd = gradPtr + gradRow;',
    step(tile, 'let '),
    'while (gradPtr < rowEnd) {',
    step(tile, ''),
    '}',
    'seenPtr += seenGap;',
    '} while (gradPtr < gradEnd);',
    sums(tile).map(({ name, place }) => `v128.store(${at(`tilePtr, ${name}`, place)});`),
    '}',
    '',
  );
}

/** One pixel. `declare`: what goes before the first use of a variable. */
function step(tile, declare) {
  return text(
    each(tile.vectors, (v) => `${declare}x${v} = v128.load(${at('seenPtr', v * 16)});`),
    each(tile.rows, (row) => [
      `${row === 0 ? declare : ''}d = v128.load32_splat(${at('gradPtr', row * 4)});`,
      ...sums(tile)
        .filter((sum) => sum.row === row)
        .map(({ name, vector }) => `${name} = multiplyAdd(d, x${vector}, ${name});`),
    ]),
    'seenPtr += seenStep;',
    'gradPtr += 16;',
  );
}

function choice(name, tiles, comment) {
  const call = (tile) => `${nameOf(tile)}(gradPtr, gradRow, gradEnd, seenPtr, seenStep, seenGap, tilePtr);`;
  return text(
    `/** ${comment} */`,
    `export function ${name}(m: i32, gradPtr: usize, gradRow: usize, gradEnd: usize, seenPtr: usize, seenStep: usize,`,
    'seenGap: usize, tilePtr: usize): void {',
    // The whole tile first: it is the usual one.
    [...tiles]
      .reverse()
      .map((tile, i) => `${i > 0 ? 'else ' : ''}${tile.rows > 1 ? `if (m === ${tile.rows}) ` : ''}${call(tile)}`),
    '}',
    '',
  );
}
