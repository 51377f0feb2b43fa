/**
 * The generators: the matrices of every Winograd line give its convolution, and the statements written for it compute what
 * its matrices say. (gemm.test.ts runs the generated micro-kernels; .ci/run compares the files.)
 */
import { pathToFileURL } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { seededRandom } from './support.js';

interface Line {
  readonly name: string;
  readonly m: number;
  readonly r: number;
  readonly n: number;
  readonly pairs: readonly { readonly divisor: number }[];
  /** For a line with stride 2: how the even values are transformed; the odd ones are multiplied as they are. */
  readonly even?: Line;
}
type Matrix = readonly (readonly number[])[];
type Statements = readonly (string | Statements)[];
type Transform = (line: Line, load: (i: number) => string, store: (i: number, value: string) => string) => Statements;

const generators = (file: string): Promise<Record<string, unknown>> =>
  import(pathToFileURL(`scripts/generate/${file}.mjs`).href);
const { LINES } = (await generators('winogradSchemes')) as unknown as { LINES: readonly Line[] };
const { line: makeLine, matrices } = (await generators('winogradMatrices')) as unknown as {
  line: (description: object) => Line;
  matrices: (line: Line) => { input: Matrix; weight: Matrix; output: Matrix };
};
const { inputTransform, outputTransform } = (await generators('winogradStatements')) as unknown as Record<
  'inputTransform' | 'outputTransform',
  Transform
>;

const random = seededRandom(31);
const randoms = (count: number): number[] => Array.from({ length: count }, () => random() * 2 - 1);
const multiply = (matrix: Matrix, vector: readonly number[]): number[] =>
  matrix.map((row) => row.reduce((sum, value, i) => sum + value * vector[i]!, 0));
const every = (values: readonly number[], first: number): number[] => values.filter((_, i) => i % 2 === first);

/** A line's matrices applied in float64. */
function apply(line: Line, g: readonly number[], d: readonly number[]): number[] {
  if (line.even !== undefined) {
    const odd = every(d, 1).map((value) => value * g[1]!);
    return apply(line.even, [g[0]!, g[2]!], every(d, 0)).map((value, i) => value + odd[i]!);
  }
  const { input, weight, output } = matrices(line);
  const [transformed, kernel] = [multiply(input, d), multiply(weight, g)];
  return multiply(
    output,
    transformed.map((value, i) => value * kernel[i]!),
  );
}

/** Runs statements over numbers instead of vectors. */
function run(transform: Transform, line: Line, values: readonly number[], count: number): number[] {
  const statements = transform(
    line,
    (i) => `x[${i}]`,
    (i, value) => `out[${i}] = ${value};`,
  );
  const source = (statements as unknown[]).flat(Number.POSITIVE_INFINITY).join('\n').replaceAll('<f32>', '');
  const { fround } = Math;
  const f32x4 = {
    add: (a: number, b: number) => fround(a + b),
    sub: (a: number, b: number) => fround(a - b),
    mul: (a: number, b: number) => fround(a * b),
    splat: fround,
  };
  const out: number[] = Array(count).fill(Number.NaN);
  new Function('f32x4', 'x', 'out', source)(f32x4, values.map(fround), out);
  return out;
}

function closeTo(actual: readonly number[], expected: readonly number[], tolerance: number, what: string): void {
  assert.is(actual.length, expected.length, what);
  for (const [i, value] of expected.entries()) {
    assert.ok(Math.abs(actual[i]! - value) <= tolerance, `${what}, ${i}: ${actual[i]}, not ${value}`);
  }
}

for (const line of LINES) {
  const stride = line.even === undefined ? 1 : 2;

  test(`${line.name}: its matrices compute the convolution`, () => {
    for (let round = 0; round < 20; round++) {
      const [g, d] = [randoms(line.r), randoms(line.n)];
      const expected = Array.from({ length: line.m }, (_, i) =>
        g.reduce((sum, tap, k) => sum + tap * d[i * stride + k]!, 0),
      );
      closeTo(apply(line, g, d), expected, 1e-12, line.name);
    }
  });

  test(`${line.name}: its statements are its matrices`, () => {
    const whole = line.even ?? line;
    const { input, output } = matrices(whole);
    for (let round = 0; round < 20; round++) {
      const d = randoms(line.n);
      const even = line.even === undefined ? d : every(d, 0);
      const odd = line.even === undefined ? [] : every(d, 1);
      closeTo(run(inputTransform, line, d, line.n), [...multiply(input, even), ...odd], 1e-5, 'input');
      const products = randoms(line.n);
      const direct = products.slice(whole.n);
      const sums = multiply(output, products.slice(0, whole.n)).map((value, i) => value + (direct[i] ?? 0));
      closeTo(run(outputTransform, line, products, line.m), sums, 1e-5, 'output');
    }
  });
}

test('divisors are those of the literature: F(4, 3) on 0, 1, -1, 2, -2', () => {
  const line = makeLine({ name: 'F43', m: 4, r: 3, zero: true, squares: [1, 4], order: ['0', '±1', '±2', '∞'] });
  assert.equal(
    line.pairs.map(({ divisor }) => divisor),
    [-6, 24],
  );
  assert.equal(
    matrices(line).input[1]!.map((value) => value + 0),
    [0, -4, -4, 1, 1, 0],
  );
});

test('a line needs as many points as it has values', () => {
  assert.throws(() => makeLine({ name: 'F43', m: 4, r: 3, zero: false, squares: [1, 4], order: [] }), /needs 6 points/);
});

test.run();
