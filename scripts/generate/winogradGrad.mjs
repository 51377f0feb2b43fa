// assembly/train/winogradTransforms.ts: the transforms of Winograd weight gradients. See assembly/train/winogradGrad.ts.
//
// dW_i = sum over k of dy_k x_(i+k) is F(r, 4) where forward is F(4, r): the same points, and so the same B' for x. G, of
// four values of dy, is written without the divisors of the points; they are in A', which is applied once for each weight.
import { ahead, at, each, header, literal, text, times } from './text.mjs';
import { line as lineOf } from './winogradMatrices.mjs';
import { F4K3, F4K5 } from './winogradSchemes.mjs';
import { inputTransform } from './winogradStatements.mjs';

/** Values of dy in a tile, along an axis. */
const TILE = 4;
/** The line of the gradient that has the points of one of the forward convolution. */
const gradLine = ({ name, r, zero, pairs }) =>
  lineOf({ name: `${name}Grad`, m: r, r: TILE, zero, squares: pairs.map(({ square }) => square) });
export const GRAD_LINES = [F4K3, F4K5].map(gradLine);

export function winogradTransforms() {
  return text(
    header('scripts/generate/winogradGrad.mjs'),
    `/**
     * The transforms of Winograd weight gradients along one axis, see winogradGrad.ts: \`seen\` of what the taps see,
     * \`grad\` of dy, four channels at a time, and \`weight\` of sums of products, in float64. Those down a tile write rows
     * of vectors, BETWEEN_ROW apart; those along it read such rows, and write the points. \`seenPtr\`: addresses of
     * pixels, row by row, SEEN_ROW apart. The number is that of the points.
     */`,
    `import { GRAD_STEP, RUN_COLUMNS, SEEN_STEP6, SEEN_STEP8 } from './tuning';`,
    '',
    '/** Bytes of a row of addresses. */',
    'export const SEEN_ROW: usize = (<usize>RUN_COLUMNS) << 2;',
    '/** Bytes of a row of vectors between the two passes. */',
    'export const BETWEEN_ROW: usize = <usize>RUN_COLUMNS * 16;',
    '',
    GRAD_LINES.map((gradient) => [
      down('seen', gradient, inputTransform),
      along('seen', gradient, inputTransform),
      down('grad', gradient, gradTransform),
      along('grad', gradient, gradTransform),
      line('seen', gradient, inputTransform),
      line('grad', gradient, gradTransform),
      weight(gradient),
    ]),
  );
}

function down(what, gradient, transform) {
  return text(
    '/** Down `columns` columns. */',
    `export function ${what}Down${gradient.n}(seenPtr: usize, channelBytes: usize, columns: i32, toPtr: usize): void {`,
    'for (let i = 0; i < columns; ++i) {',
    transform(
      gradient,
      (i) => `v128.load(load<usize>(${at('seenPtr', times('SEEN_ROW', i))}) + channelBytes)`,
      (i, value) => `v128.store(${at(`toPtr, ${value}`, times('BETWEEN_ROW', i))});`,
    ),
    'seenPtr += 4;',
    'toPtr += 16;',
    '}',
    '}',
    '',
  );
}

function along(what, gradient, transform) {
  const step = what === 'seen' ? `SEEN_STEP${gradient.n}` : 'GRAD_STEP';
  return text(
    '/** Along all rows of a tile. */',
    `export function ${what}Along${gradient.n}(fromPtr: usize, toPtr: usize): void {`,
    `for (let i = 0; i < ${gradient.n}; ++i) {`,
    transform(
      gradient,
      (i) => `v128.load(${at('fromPtr', i * 16)})`,
      (i, value) => `v128.store(${at(`toPtr, ${value}`, times(step, i))});`,
    ),
    'fromPtr += BETWEEN_ROW;',
    `toPtr += ${step} * ${gradient.n};`,
    '}',
    '}',
    '',
  );
}

/** Along one axis only: from pixels to points. */
function line(what, gradient, transform) {
  const step = what === 'seen' ? `SEEN_STEP${gradient.n}` : 'GRAD_STEP';
  return text(
    '/** `tiles` tiles of one column, of kernels with one column. Tiles are `tileStep` apart. */',
    `export function ${what}Line${gradient.n}(seenPtr: usize, channelBytes: usize, tiles: i32, toPtr: usize, tileStep: usize):`,
    'void {',
    'for (let i = 0; i < tiles; ++i) {',
    transform(
      gradient,
      (i) => `v128.load(load<usize>(${at('seenPtr', times('SEEN_ROW', i))}) + channelBytes)`,
      (i, value) => `v128.store(${at(`toPtr, ${value}`, times(step, i))});`,
    ),
    'seenPtr += 4;',
    'toPtr += tileStep;',
    '}',
    '}',
    '',
  );
}

/** The polynomial with the four coefficients d at each point, the last one for infinity. */
export function gradTransform({ n, pairs }, load, store) {
  const times4 = (c, value) => (c === 1 ? value : `f32x4.mul(f32x4.splat(${constant(c)}), ${value})`);
  return [
    each(TILE, (i) => `const d${i} = ${load(i)};`),
    store(0, 'd0'),
    pairs.map(({ root, square }, i) => [
      `const even${i + 1} = f32x4.add(d0, ${times4(square, 'd2')});`,
      `const odd${i + 1} = ${times4(root, `f32x4.add(d1, ${times4(square, 'd3')})`)};`,
      store(2 * i + 1, `f32x4.add(even${i + 1}, odd${i + 1})`),
      store(2 * i + 2, `f32x4.sub(even${i + 1}, odd${i + 1})`),
    ]),
    store(n - 1, 'd3'),
  ];
}

function constant(value) {
  const name = literal(value);
  return name.startsWith('Math') ? `<f32>${name}` : name;
}

/** A' with the divisors of the points, from n values to as many as the kernel has taps, two channels at a time. */
function weight({ m, n, pairs }) {
  const halves = pairs.map(({ divisor }, i) => [
    `const plus${i + 1} = v128.load(${ahead('fromPtr', 'fromStep', 2 * i + 1)});`,
    `const minus${i + 1} = v128.load(${ahead('fromPtr', 'fromStep', 2 * i + 2)});`,
    `const even${i + 1} = f64x2.mul(f64x2.splat(1 / ${divisor}), f64x2.add(plus${i + 1}, minus${i + 1}));`,
    `const odd${i + 1} = f64x2.mul(f64x2.splat(1 / ${divisor}), f64x2.sub(plus${i + 1}, minus${i + 1}));`,
  ]);
  const outputs = each(m, (i) => {
    const terms = pairs.map(({ root, square }, k) => {
      const half = i % 2 === 0 ? `even${k + 1}` : `odd${k + 1}`;
      const power = square ** Math.floor(i / 2);
      const factor = i % 2 === 0 ? literal(power) : power === 1 ? literal(root) : `${literal(root)} * ${power}`;
      return factor === '1' ? half : `f64x2.mul(f64x2.splat(${factor}), ${half})`;
    });
    if (i === 0) terms.unshift('v128.load(fromPtr)');
    if (i === m - 1) terms.push(`v128.load(${ahead('fromPtr', 'fromStep', n - 1)})`);
    const sum = terms.reduce((left, right) => `f64x2.add(${left}, ${right})`);
    return `v128.store(${ahead('toPtr', 'toStep', i)}, ${sum});`;
  });
  return text(
    `export function weightOf${n}(fromPtr: usize, fromStep: usize, toPtr: usize, toStep: usize): void {`,
    halves,
    outputs,
    '}',
    '',
  );
}
