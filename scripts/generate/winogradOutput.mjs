// assembly/conv/winogradOutput.ts: the output transforms A' M A of whole tiles, and the loops that take them over a panel of
// output channels, for each scheme.
import { ahead, at, each, header, text, times } from './text.mjs';
import { SCHEMES } from './winogradSchemes.mjs';
import { outputTransform } from './winogradStatements.mjs';

/** Longer lines are looped over, not written out. */
const MAX_WRITTEN_OUT = 7;

const PARAMETERS = `rows: i32, toPtr: usize, row: usize, pixel: usize, addendPtr: usize, addendRow: usize,
  addendPixel: usize, bias: v128, lows: v128`;

export function winogradOutput() {
  return text(
    header('scripts/generate/winogradOutput.mjs'),
    `/**
     * The output transforms of Winograd convolution, y = A' m A, with bias, addend and lower bound. See winograd.ts.
     *
     * A tile's function does four channels. \`fromPtr\`: its products, \`step\` bytes apart; \`betweenPtr\`: room for the
     * intermediate vectors, [rows][BETWEEN_ROW]; \`rows\`: rows of results that count, with all their columns; \`row\`,
     * \`pixel\`: distances of rows and pixels of the output; \`addendRow\`, \`addendPixel\`: those of the addend. Nothing is
     * decided per pixel (16->16 @32: a quarter of this time less). Passes over up to ${MAX_WRITTEN_OUT} rows or columns are
     * unrolled, with constant addresses: the counters, checks and constants of loops took a third of the time. Lanes past
     * the last channel come out as zeros, because their weights and bias are zeros and no value overflows (see allBelow).
     */`,
    `import { ConvDescriptor } from './descriptor';`,
    `import { BETWEEN_ROW, Block, NARROW, PLACE_WORDS, PRODUCT_STRIDE, SHORT } from './winogradBlock';`,
    `import { finishPart, finishPixel, zerosPtr } from './winogradFinish';`,
    '',
    SCHEMES.map((scheme) => [scheme.half === undefined ? [] : halves(scheme), tile(scheme), panel(scheme)]),
  );
}

const suffixOf = ({ name }) => name.slice('winograd'.length);

/** Offset of a vector of what lies between the passes. */
const between = (row, column) =>
  [times('BETWEEN_ROW', row), column === 0 ? '' : String(column * 16)].filter((part) => part !== '').join(' + ');

/** Down a column of products at `fromPtr`, to a column of what lies between the passes. */
const down = (line, fromPtr, toPtr, column) =>
  outputTransform(
    line,
    (i) => `v128.load(${ahead(fromPtr, 'rowStep', line.places[i])})`,
    (i, value) => `v128.store(${at(`${toPtr}, ${value}`, between(i, column))});`,
  );

/** Along a row of it, and out. */
const along = (line, row, toPtr, addendPtr) =>
  outputTransform(
    line,
    (i) => `v128.load(${at('betweenPtr', between(row, line.places[i]))})`,
    (i, value) => finish(i, value, toPtr, addendPtr),
  );

/** Finishes pixel i of a row. */
const finish = (i, value, toPtr, addendPtr) =>
  `finishPixel(${ahead(toPtr, 'pixel', i)}, ${value}, bias, ${ahead(addendPtr, 'addendPixel', i)}, lows);`;

function tile(scheme) {
  return scheme.down === undefined ? tileOfRow(scheme) : tileOfRows(scheme);
}

function tileOfRow(scheme) {
  return text(
    `function tile${suffixOf(scheme)}(fromPtr: usize, step: usize, toPtr: usize, pixel: usize, addendPtr: usize,`,
    'addendPixel: usize, bias: v128, lows: v128): void {',
    outputTransform(
      scheme.along,
      (i) => `v128.load(${ahead('fromPtr', 'step', i)})`,
      (i, value) => finish(i, value, 'toPtr', 'addendPtr'),
    ),
    '}',
    '',
  );
}

function tileOfRows(scheme) {
  const isWrittenOut = scheme.along.n <= MAX_WRITTEN_OUT;
  const columns = isWrittenOut ? writtenDown(scheme) : loopedDown(scheme);
  const rows = isWrittenOut ? writtenAlong(scheme) : loopedAlong(scheme.along);
  const hasHalves = scheme.half !== undefined;
  return text(
    `function tile${suffixOf(scheme)}(fromPtr: usize, step: usize, betweenPtr: usize, ${hasHalves ? 'kind: i32,' : ''}`,
    `${PARAMETERS}): void {`,
    `const rowStep = step * ${scheme.along.n};`,
    hasHalves
      ? ['if ((kind & SHORT) !== 0) {', 'downHalf(fromPtr, step, betweenPtr);', '} else {', columns, '}']
      : columns,
    hasHalves
      ? [
          'if ((kind & NARROW) !== 0) {',
          'alongHalf(betweenPtr, rows, toPtr, row, pixel, addendPtr, addendRow, addendPixel, bias, lows);',
          'return;',
          '}',
        ]
      : [],
    rows,
    '}',
    '',
  );
}

const writtenDown = (scheme) =>
  each(scheme.along.n, (column) => [
    '{',
    `const columnPtr = ${ahead('fromPtr', 'step', column)};`,
    down(scheme.down, 'columnPtr', 'betweenPtr', column),
    '}',
  ]);

const writtenAlong = (scheme) =>
  each(scheme.down.m, (row) => [
    row === 0 ? [] : `if (rows < ${row + 1}) return;`,
    '{',
    `const rowPtr = ${ahead('toPtr', 'row', row)};`,
    `const addendRowPtr = ${ahead('addendPtr', 'addendRow', row)};`,
    along(scheme.along, row, 'rowPtr', 'addendRowPtr'),
    '}',
  ]);

const loopedDown = (scheme) => [
  'let columnPtr = betweenPtr;',
  `for (let i = 0; i < ${scheme.along.n}; ++i) {`,
  down(scheme.down, 'fromPtr', 'columnPtr', 0),
  'fromPtr += step;',
  'columnPtr += 16;',
  '}',
];

const loopedAlong = (line) => [
  'for (let i = 0; i < rows; ++i) {',
  along(line, 0, 'toPtr', 'addendPtr'),
  'betweenPtr += BETWEEN_ROW;',
  'toPtr += row;',
  'addendPtr += addendRow;',
  '}',
];

/** Tiles half as high and half as wide. */
function halves({ along: whole, half }) {
  return text(
    '/** Down all columns of a tile half as high; nothing reads those that a narrow tile lacks. */',
    'function downHalf(fromPtr: usize, step: usize, betweenPtr: usize): void {',
    `const rowStep = step * ${whole.n};`,
    `for (let i = 0; i < ${whole.n}; ++i) {`,
    down(half, 'fromPtr', 'betweenPtr', 0),
    'fromPtr += step;',
    'betweenPtr += 16;',
    '}',
    '}',
    '',
    '/** Along the rows of a tile half as wide. */',
    `function alongHalf(betweenPtr: usize, ${PARAMETERS}): void {`,
    loopedAlong(half),
    '}',
    '',
  );
}

/** All tiles of a block and one panel of output channels. */
function panel(scheme) {
  const { down, half } = scheme;
  const [hasRows, hasKinds] = [down !== undefined, half !== undefined];
  return text(
    '/** The outputs of all tiles for one panel of output channels, starting at `firstChannel`. */',
    `export function panel${suffixOf(scheme)}(d: ConvDescriptor, b: Block, outPtr: usize, residualPtr: usize, panel: i32,`,
    'firstChannel: i32): void {',
    `const pixel = d.outPixelStride;
    const row = <usize>d.outWidth * pixel;
    const hasAddend = residualPtr !== 0;
    const addendPixel: usize = hasAddend ? pixel : 0;
    const addendRow: usize = hasAddend ? row : 0;
    const lows = f32x4.splat(d.low);
    const lastChannel = min(firstChannel + 8, d.outChannels);
    const step = b.productStep;
    const betweenPtr = b.betweenPtr;
    let productPtr = b.productPtr + <usize>(panel * b.tiles) * PRODUCT_STRIDE;
    let placePtr = b.placePtr;
    for (let t = 0; t < b.tiles; ++t) {
      const distance = <usize>load<i32>(placePtr) * pixel;
      const rows = load<i32>(placePtr, 4);
      const columns = load<i32>(placePtr, 8);`,
    hasKinds ? 'const kind = load<i32>(placePtr, 12);' : '',
    '// A tile that reaches beyond the right edge is first written to scratch as it is.',
    `const isWhole = columns === ${hasKinds ? '((kind & NARROW) === 0 ? b.tileWidth : 2)' : 'b.tileWidth'};`,
    `let fromPtr = productPtr;
      for (let channel = firstChannel; channel < lastChannel; channel += 4) {
        const place = distance + ((<usize>channel) << 2);
        const addendPtr = hasAddend ? residualPtr + place : zerosPtr;
        const bias = v128.load(d.biasPtr + ((<usize>channel) << 2));
        tile${suffixOf(scheme)}(fromPtr, step, ${hasRows ? 'betweenPtr, ' : ''}${hasKinds ? 'kind, ' : ''}${hasRows ? 'rows, ' : ''}
          isWhole ? outPtr + place : betweenPtr,
          ${hasRows ? 'isWhole ? row : BETWEEN_ROW,' : ''}
          isWhole ? pixel : 16,
          isWhole ? addendPtr : zerosPtr,
          ${hasRows ? 'isWhole ? addendRow : 0,' : ''}
          isWhole ? addendPixel : 0,
          isWhole ? bias : f32x4.splat(0),
          isWhole ? lows : f32x4.splat(-Infinity),
        );
        if (!isWhole) {
          const toPtr = outPtr + place;
          finishPart(betweenPtr, rows, columns, toPtr, row, pixel, addendPtr, addendRow, addendPixel, bias, lows);
        }
        fromPtr += 16;
      }
      productPtr += PRODUCT_STRIDE;
      placePtr += PLACE_WORDS * 4;
    }
    }`,
    '',
  );
}
