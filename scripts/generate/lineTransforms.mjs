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

function out(line, hasAddend) {
  const comment = `y = A' m of a tile, ${hasAddend ? 'added to what is at `addendPtr`, ' : ''}four channels of outputs`;
  return text(
    `/** ${comment} that are \`distance\` bytes apart. */`,
    `export function line${hasAddend ? 'Add' : 'Out'}${line.n}to${line.m}(fromPtr: usize, step: usize, toPtr: usize, distance: usize`,
    hasAddend ? ', addendPtr: usize): void {' : '): void {',
    outputTransform(
      line,
      (i) => `v128.load(${ahead('fromPtr', 'step', i)})`,
      (i, value) => {
        const sum = hasAddend ? `f32x4.add(${value}, v128.load(${ahead('addendPtr', 'distance', i)}))` : value;
        return `v128.store(${ahead('toPtr', 'distance', i)}, ${sum});`;
      },
    ),
    '}',
    '',
  );
}
