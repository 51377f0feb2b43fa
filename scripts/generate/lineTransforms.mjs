// assembly/train/lineTransforms.ts: the transforms of convolutions with kernels of one row or column. See
// assembly/train/lineConv.ts.
import { ahead, header, text } from './text.mjs';
import { F2K3, F2K5, F4K3, F4K5 } from './winogradSchemes.mjs';
import { inputTransform, outputTransform } from './winogradStatements.mjs';

export function lineTransforms() {
  return text(
    header('scripts/generate/lineTransforms.mjs'),
    `/**
     * The transforms of Winograd convolution along one axis. Numbers are those of the points, \`step\` bytes apart, and of
     * the outputs.
     */`,
    `import { TILE_STRIDE } from '../tuning';`,
    '',
    '/** Of a tile: the distance of its first output, and how many outputs it has. */',
    'export const PLACE_BYTES: usize = 8;',
    '',
    [F2K3, F4K3, F4K5].map(seen),
    [F2K3, F2K5, F4K3, F4K5].map((line) => [out(line, false), out(line, true)]),
  );
}

/** F(2, 5) and F(4, 3) have the same points, and so the same B'. */
function seen(line) {
  return text(
    `/** v = B' d of a tile, for \`bytes\` bytes of lanes. The values d are \`distance\` bytes apart. */`,
    `export function lineSeen${line.n}(fromPtr: usize, distance: usize, bytes: usize, toPtr: usize, step: usize): void {`,
    'for (const endPtr = fromPtr + bytes; fromPtr < endPtr; fromPtr += 16) {',
    inputTransform(
      line,
      (i) => `v128.load(${ahead('fromPtr', 'distance', i)})`,
      (i, value) => `v128.store(${ahead('toPtr', 'step', i)}, ${value});`,
    ),
    'toPtr += 16;',
    '}',
    '}',
    '',
  );
}

/** A loop over tiles, since a call for each would take a third of the time. */
function out(line, hasAddend) {
  return text(
    `/**
     * y = A' m of whole tiles, four channels, ${hasAddend ? 'added to what is at their places from `addendPtr` on, ' : ''}until one is not whole. Outputs are
     * \`distance\` bytes apart. Returns the place of that tile, or \`endPtr\`.
     */`,
    `export function line${hasAddend ? 'Add' : 'Out'}${line.n}to${line.m}(fromPtr: usize, step: usize, placePtr: usize,`,
    `endPtr: usize, outPtr: usize, distance: usize${hasAddend ? ', addendPtr: usize' : ''}): usize {`,
    'for (; placePtr < endPtr; placePtr += PLACE_BYTES) {',
    `if (load<i32>(placePtr, 4) < ${line.m}) break;`,
    'const place = load<usize>(placePtr);',
    'const toPtr = outPtr + place;',
    hasAddend ? 'const addPtr = addendPtr + place;' : '',
    outputTransform(
      line,
      (i) => `v128.load(${ahead('fromPtr', 'step', i)})`,
      (i, value) => {
        const sum = hasAddend ? `f32x4.add(${value}, v128.load(${ahead('addPtr', 'distance', i)}))` : value;
        return `v128.store(${ahead('toPtr', 'distance', i)}, ${sum});`;
      },
    ),
    'fromPtr += TILE_STRIDE;',
    '}',
    'return placePtr;',
    '}',
    '',
  );
}
