// assembly/gemm/registerTiles.ts: the GEMM micro-kernels, one function for each size of the register tile.
//
// A tile is { rows, vectors } of four columns each. Three kinds come from the same lines: a single tile, whose sum starts
// from memory; a batch, up to BATCH tiles in one call, whose sums start with their first product; and a streamed tile,
// which takes its weights from several places in turn. assembly/gemm/micro.ts says why the loops look as they do.
import { at, each, header, text } from './text.mjs';

const MAX_ROWS = 6;
const MAX_STREAM_ROWS = 4;
const BATCH = 4;
const BATCH_ROWS = [4, 5, 6];
const ROW_BYTES = 32;
/** Where a step reads A and B. */
const POINTERS = ['aPtr', 'bPtr'];
const INNER_POINTERS = ['rowPtr', 'weightsPtr'];

export function registerTiles() {
  const wide = each(MAX_ROWS, (r) => ({ rows: r + 1, vectors: 2 }));
  const narrow = each(MAX_ROWS, (r) => ({ rows: r + 1, vectors: 1 }));
  const streamed = each(MAX_STREAM_ROWS, (r) => ({ rows: r + 1, vectors: 2 }));
  return text(
    header('scripts/generate/registerTiles.mjs'),
    `/**
     * The micro-kernels of every register tile, see gemm/micro.ts. Preconditions: 1 <= depth <= DEPTH_CHUNK; a streamed
     * tile takes a whole chunk of each stream.
     */`,
    `import { multiplyAdd } from '../simd';`,
    `import { DEPTH_CHUNK, STREAM_RUN, TILE_ROWS } from '../tuning';`,
    '',
    `/** Tiles of a batch, at most. */`,
    `export const BATCH_TILES: i32 = ${BATCH};`,
    `/** Rows of the highest tile that comes in batches. */`,
    `export const MAX_BATCH_ROWS: i32 = ${Math.max(...BATCH_ROWS)};`,
    `/** Rows of the highest tile of any build. */`,
    `export const MAX_TILE_ROWS: i32 = ${MAX_ROWS};`,
    '',
    [...wide, ...narrow].map(single),
    BATCH_ROWS.map((rows) => batch({ rows, vectors: 2 })),
    streamed.map(stream),
    choice('microWide', wide, '', 'A tile of m <= TILE_ROWS rows and 8 columns.'),
    choice('microNarrow', narrow, '', 'A tile of m <= TILE_ROWS rows and 4 columns.'),
    choice('microStreamed', streamed, 'streams, ', 'A streamed tile of m <= STREAM_ROWS rows and 8 columns.'),
  );
}

const nameOf = (kind, { rows, vectors }) => `${kind}${rows}x${vectors * 4}`;

/** tile = start + A B. */
function single(tile) {
  return text(
    `export function ${nameOf('micro', tile)}(aPtr: usize, bPtr: usize, depth: i32, startPtr: usize, tilePtr: usize): void {`,
    loadSums(tile),
    `const endPtr = aPtr + ((<usize>depth) << 2);`,
    sumUp(tile, 'add'),
    storeSums(tile, 0),
    '}',
    '',
  );
}

/** Tiles one behind the other. The first product of each is its start: adding it to zeros takes 5 % more time. */
function batch(tile) {
  const tiles = each(BATCH, (n) => [
    n > 0 ? `if (count < ${n + 1}) return;` : '',
    n === 2 ? 'aPtr += aPairStep;\nbPtr += bPairStep;' : '',
    '{',
    `let rowPtr = aPtr${n % 2 === 1 ? ' + aStep' : ''};`,
    `let weightsPtr = bPtr${n % 2 === 1 ? ' + bStep' : ''};`,
    `const endPtr = rowPtr + ((<usize>depth) << 2);`,
    sumUp(tile, 'start', INNER_POINTERS),
    storeSums(tile, n * tile.rows * ROW_BYTES),
    '}',
  ]);
  return text(
    `/** One to ${BATCH} tiles of ${tile.rows} rows, see gemmMicroBatch. */`,
    `export function ${nameOf('microBatch', tile)}(`,
    'count: i32, aPtr: usize, aStep: usize, aPairStep: usize, bPtr: usize, bStep: usize, bPairStep: usize, depth: i32,',
    'tilePtr: usize): void {',
    tile.rows === MAX_ROWS
      ? `// Builds with lower tiles have no use for it.\nif (TILE_ROWS < ${MAX_ROWS}) return;`
      : '',
    tiles,
    '}',
    '',
  );
}

/** A chunk of each stream, STREAM_RUN steps at a time; the next stream is `aStep` and `bStep` bytes ahead. */
function stream(tile) {
  return text(
    `function ${nameOf('microStreamed', tile)}(`,
    'streams: i32, aPtr: usize, aStep: usize, bPtr: usize, bStep: usize, startPtr: usize, tilePtr: usize): void {',
    loadSums(tile),
    'const chunkEndPtr = aPtr + DEPTH_CHUNK * 4;',
    'while (aPtr < chunkEndPtr) {',
    'const nextPtr = aPtr + STREAM_RUN * 4;',
    `const nextWeightsPtr = bPtr + STREAM_RUN * ${tile.vectors * 16};`,
    'const lastPtr = aPtr + <usize>streams * aStep;',
    'do {',
    'let rowPtr = aPtr;',
    'let weightsPtr = bPtr;',
    'const endPtr = aPtr + STREAM_RUN * 4;',
    'do {',
    step(tile, 'add', INNER_POINTERS, 'let '),
    '} while (rowPtr < endPtr);',
    'aPtr += aStep;',
    'bPtr += bStep;',
    '} while (aPtr < lastPtr);',
    'aPtr = nextPtr;',
    'bPtr = nextWeightsPtr;',
    '}',
    storeSums(tile, 0),
    '}',
    '',
  );
}

/** The tile of m rows among these. Tiles higher than TILE_ROWS are left out of a build. */
function choice(name, tiles, streams, comment) {
  const isStreamed = streams !== '';
  const parameters = isStreamed
    ? 'streams: i32, aPtr: usize, aStep: usize, bPtr: usize, bStep: usize'
    : 'aPtr: usize, bPtr: usize, depth: i32';
  const call = (tile) =>
    `${nameOf(isStreamed ? 'microStreamed' : 'micro', tile)}(${streams}aPtr, ${isStreamed ? 'aStep, bPtr, bStep' : 'bPtr, depth'}, startPtr, tilePtr);`;
  const cases = tiles.slice(0, -1).map((tile) => `case ${tile.rows}:\n${call(tile)}\nbreak;`);
  const last = tiles.at(-1);
  return text(
    `/** ${comment} */`,
    `export function ${name}(m: i32, ${parameters}, startPtr: usize, tilePtr: usize): void {`,
    'switch (m) {',
    cases,
    'default:',
    last.rows === MAX_ROWS ? `if (TILE_ROWS === ${MAX_ROWS}) ` : '',
    call(last),
    '}',
    '}',
    '',
  );
}

const sums = ({ rows, vectors }) =>
  each(rows * vectors, (i) => ({ row: Math.floor(i / vectors), vector: i % vectors })).map(({ row, vector }) => ({
    row,
    vector,
    name: `acc${row}x${vector}`,
    place: row * ROW_BYTES + vector * 16,
  }));

function loadSums(tile) {
  return sums(tile).map(({ name, place }) => `let ${name} = v128.load(${at('startPtr', place)});`);
}

function storeSums(tile, offset) {
  return sums(tile).map(
    ({ name, place }) => `v128.store(tilePtr, ${name}${offset + place > 0 ? `, ${offset + place}` : ''});`,
  );
}

/** All steps of k, the first before the loop. `startsWith`: what the first does with the sums, see `step`. */
function sumUp(tile, startsWith, pointers = POINTERS) {
  const [aPtr] = pointers;
  return text(
    step(tile, startsWith, pointers, 'let '),
    `while (${aPtr} < endPtr) {`,
    step(tile, 'add', pointers, ''),
    '}',
  );
}

/** One step of k. `does`: 'add' to the sums, or 'start' them. `declare`: what goes before the first use of a variable. */
function step(tile, does, [aPtr, bPtr], declare) {
  const rowOf = (row) => (row === 0 ? aPtr : `${aPtr}, ${row} * DEPTH_CHUNK * 4`);
  const product = ({ name, vector }) =>
    does === 'start' ? `let ${name} = f32x4.mul(a, b${vector});` : `${name} = multiplyAdd(a, b${vector}, ${name});`;
  return text(
    each(tile.vectors, (v) => `${declare}b${v} = v128.load(${at(bPtr, v * 16)});`),
    each(tile.rows, (row) => [
      `${row === 0 ? declare : ''}a = v128.load32_splat(${rowOf(row)});`,
      ...sums(tile)
        .filter((sum) => sum.row === row)
        .map(product),
    ]),
    `${aPtr} += 4;`,
    `${bPtr} += ${tile.vectors * 16};`,
  );
}
