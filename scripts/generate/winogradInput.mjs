// assembly/conv/winogradInput.ts: the input transforms V = B' d B, first down the columns of a run of tiles, then along the
// rows of each.
import { ahead, at, each, header, text, times } from './text.mjs';
import { F2K3, F2K3_HALF, F3K5, F4K3, F4K3S2, F4K5 } from './winogradSchemes.mjs';
import { inputTransform } from './winogradStatements.mjs';

export function winogradInput() {
  return text(
    header('scripts/generate/winogradInput.mjs'),
    `/**
     * The input transforms of Winograd convolution along one axis, four channels at a time, see winograd.ts. Those down a
     * tile write rows of vectors, BETWEEN_ROW apart; those along it read such rows, and their results are \`toStep\` apart.
     * \`seenPtr\`: addresses of pixels, row by row, SEEN_ROW apart.
     */`,
    `import { BETWEEN_ROW, RUN_COLUMNS } from './winogradBlock';`,
    '',
    '/** Bytes of a row of addresses. */',
    'const SEEN_ROW: usize = (<usize>RUN_COLUMNS) << 2;',
    '',
    [F4K3, F2K3_HALF, F2K3].map(downColumns),
    downInside(F4K3),
    downColumn(F4K3S2),
    [F4K3, F2K3].map(alongTile),
    alongMixed(F4K3, F2K3_HALF),
    alongRows(F2K3_HALF, F4K3),
    [F3K5, F4K3S2].map(alongRow),
    alongPixels(F4K5),
  );
}

const storeBetween = (line) => (i, value) =>
  `v128.store(${at(`toPtr, ${value}`, times('BETWEEN_ROW', line.places[i]))});`;
const vector = (i) => `v128.load(${at('fromPtr', i * 16)})`;
const seenPixel = (i) => `v128.load(load<usize>(${at('seenPtr', times('SEEN_ROW', i))}) + channelBytes)`;

function downColumns(line) {
  return text(
    '/** Down `columns` columns. */',
    `export function down${line.name}(seenPtr: usize, channelBytes: usize, columns: i32, toPtr: usize): void {`,
    'for (let i = 0; i < columns; ++i) {',
    inputTransform(line, seenPixel, storeBetween(line)),
    'seenPtr += 4;',
    'toPtr += 16;',
    '}',
    '}',
    '',
  );
}

function downColumn(line) {
  return text(
    '/** Down one column. */',
    `export function down${line.name}(seenPtr: usize, channelBytes: usize, toPtr: usize): void {`,
    inputTransform(line, seenPixel, storeBetween(line)),
    '}',
    '',
  );
}

function downInside(line) {
  return text(
    `/**
     * Down \`columns\` columns of which all rows are in the image, \`rowStride\` apart, from that at \`fromPtr\` on;
     * \`columnsPtr\`: distances of the columns, -1 where they are zeros.
     */`,
    `export function downInside${line.name}(fromPtr: usize, rowStride: usize, columnsPtr: usize, columns: i32, toPtr: usize):`,
    'void {',
    'for (let i = 0; i < columns; ++i) {',
    'const column = load<i32>(columnsPtr + ((<usize>i) << 2));',
    'if (column < 0) {',
    'const zeros = f32x4.splat(0);',
    each(line.n, (i) => storeBetween(line)(i, 'zeros')),
    '} else {',
    'const pixelPtr = fromPtr + <usize>column;',
    inputTransform(line, (i) => `v128.load(${ahead('pixelPtr', 'rowStride', i)})`, storeBetween(line)),
    '}',
    'toPtr += 16;',
    '}',
    '}',
    '',
  );
}

const storeAhead = (line) => (i, value) => `v128.store(${ahead('toPtr', 'toStep', line.places[i])}, ${value});`;

function alongTile(line) {
  return text(
    '/** Along all rows of a tile. */',
    `export function along${line.name}(fromPtr: usize, toPtr: usize, toStep: usize): void {`,
    `for (let i = 0; i < ${line.n}; ++i) {`,
    inputTransform(line, vector, storeAhead(line)),
    'fromPtr += BETWEEN_ROW;',
    `toPtr += toStep * ${line.n};`,
    '}',
    '}',
    '',
  );
}

/** `whole`: the line whose places the results take. */
function alongRows(line, whole) {
  return text(
    '/** Along some rows of a tile. */',
    `export function along${line.name}(fromPtr: usize, rows: i32, toPtr: usize, toStep: usize): void {`,
    'for (let i = 0; i < rows; ++i) {',
    inputTransform(line, vector, storeAhead(line)),
    'fromPtr += BETWEEN_ROW;',
    `toPtr += toStep * ${whole.n};`,
    '}',
    '}',
    '',
  );
}

/** Points that half a tile does not have are somewhere else. */
function alongMixed(line, half) {
  const outer = line.places.filter((place) => !half.places.includes(place));
  const store = (i, value) =>
    outer.includes(i)
      ? `v128.store(${ahead('outerPtr', 'toStep', i - outer[0])}, ${value});`
      : `v128.store(${ahead('toPtr', 'toStep', i)}, ${value});`;
  return text(
    '/** Along some rows of a tile; results go to `toPtr`, those of points that half tiles lack to `outerPtr`. */',
    `export function alongMixed${line.name}(fromPtr: usize, rows: i32, toPtr: usize, outerPtr: usize, toStep: usize): void {`,
    `outerPtr += toStep * ${outer[0]};`,
    'for (let i = 0; i < rows; ++i) {',
    inputTransform(line, vector, store),
    'fromPtr += BETWEEN_ROW;',
    `toPtr += toStep * ${line.n};`,
    `outerPtr += toStep * ${line.n};`,
    '}',
    '}',
    '',
  );
}

const storeNext = (i, value) => [i === 0 ? [] : 'toPtr += toStep;', `v128.store(toPtr, ${value});`];

function alongRow(line) {
  return text(
    '/** Along one row. */',
    `export function along${line.name}(fromPtr: usize, toPtr: usize, toStep: usize): void {`,
    inputTransform(line, vector, storeNext),
    '}',
    '',
  );
}

function alongPixels(line) {
  return text(
    '/** Along one row of the image; `seenPtr`: addresses of its pixels. */',
    `export function along${line.name}(seenPtr: usize, channelBytes: usize, toPtr: usize, toStep: usize): void {`,
    inputTransform(line, (i) => `v128.load(load<usize>(${at('seenPtr', i * 4)}) + channelBytes)`, storeNext),
    '}',
    '',
  );
}
