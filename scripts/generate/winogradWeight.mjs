// assembly/conv/winogradWeight.ts: G g along one axis of the kernel, for each line.
import { ahead, each, header, literal, text } from './text.mjs';
import { F2K3, F2K5, F3K5, F4K3, F4K3S2, F4K5 } from './winogradSchemes.mjs';

export function winogradWeight() {
  const lines = [F2K3, F4K3, F2K5, F3K5, F4K5, F4K3S2];
  return text(
    header('scripts/generate/winogradWeight.mjs'),
    `/**
     * The weight transforms of Winograd convolution along one axis, in float64, two kernels at a time: the polynomial
     * with the coefficients g at each point, divided by the product of the point's distances to the others. See
     * winograd.ts.
     */`,
    '',
    evaluatePair(),
    lines.map(weightTransform),
    choice(lines),
  );
}

/** Both points from the same even and odd half. */
function evaluatePair() {
  return text(
    '/** At `root` and at -`root`. */',
    'function evaluatePair(g0: v128, g1: v128, g2: v128, g3: v128, g4: v128, root: f64, divisor: f64, toPtr: usize,',
    'toStride: usize): void {',
    `const square = f64x2.splat(root * root);
    const even = f64x2.add(g0, f64x2.mul(square, f64x2.add(g2, f64x2.mul(square, g4))));
    const odd = f64x2.mul(f64x2.splat(root), f64x2.add(g1, f64x2.mul(square, g3)));
    const factor = f64x2.splat(1 / divisor);
    v128.store(toPtr, f64x2.mul(factor, f64x2.add(even, odd)));
    v128.store(toPtr + toStride, f64x2.mul(factor, f64x2.sub(even, odd)));
    }`,
    '',
  );
}

function weightTransform(line) {
  const { r, n, zero, pairs } = line.even ?? line;
  // With stride 2 the even values meet every other tap.
  const tap = (i) => (line.even === undefined ? i : 2 * i);
  const coefficients = each(5, (i) => (i < r ? `g${i}` : 'none'));
  const first = zero ? 1 : 0;
  return text(
    `function weight${line.name}(fromPtr: usize, fromStride: usize, toPtr: usize, toStride: usize): void {`,
    each(r, (i) => `const g${i} = v128.load(${ahead('fromPtr', 'fromStride', tap(i))});`),
    r < 5 ? 'const none = f64x2.splat(0);' : '',
    zero ? 'v128.store(toPtr, g0);' : '',
    pairs.map(
      ({ root, divisor }, i) =>
        `evaluatePair(${coefficients.join(', ')}, ${literal(root)}, ${divisor}, ${ahead('toPtr', 'toStride', first + 2 * i)}, toStride);`,
    ),
    `v128.store(${ahead('toPtr', 'toStride', n - 1)}, g${r - 1});`,
    line.even === undefined ? '' : `v128.store(${ahead('toPtr', 'toStride', n)}, v128.load(fromPtr + fromStride));`,
    '}',
    '',
  );
}

function choice(lines) {
  const last = lines.length - 1;
  return text(
    '/** G times a vector of r values, `fromStride` apart, to n points. */',
    'export function weightTransform(r: i32, n: i32, fromPtr: usize, fromStride: usize, toPtr: usize, toStride: usize): void {',
    lines.map(({ name, r, n }, i) => {
      const call = `weight${name}(fromPtr, fromStride, toPtr, toStride);`;
      return `${i > 0 ? 'else ' : ''}${i < last ? `if (n === ${n} && r === ${r}) ` : ''}${call}`;
    }),
    '}',
    '',
  );
}
