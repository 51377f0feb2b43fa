// The mathematics of Winograd convolution along one axis, F(m, r): m outputs of a kernel of r taps (Lavin, Gray: Fast
// Algorithms for Convolutional Neural Networks, 2016). Along two axes: Y = A' [(G g G') * (B' d B)] A.
//
//   y = A' [(G g) * (B' d)]    n = m + r - 1 values d, multiplied at n points: 0 perhaps, pairs +-a, infinity
//
// For a point a: row a of B' has the coefficients of M_a(x), the product of (x - b) over the other finite points b; row a
// of G evaluates the kernel, a polynomial, at a and divides it by M_a(a); row i of A' has a^i. For infinity: B' has the
// product over all finite points, G the last tap, A' a one in the last row.
//
// A row of B' and the same row of G may trade a factor. Here G takes the kernel at 0 undivided, and divides that at -a by
// what it divides that at a by; B' takes over what that changes: M_0 gets the constant 1, and where 0 is no point, row -a
// the opposite sign.
//
// With s = a * a, the rows of a pair are (x + a) x^z Q(x^2) and (x - a) x^z Q(x^2), Q(s) being the product of (s - s_b)
// over the other pairs, and z = 1 where 0 is a point, else 0: lead + tail and lead - tail, with lead = x^(z+1) Q and
// tail = a x^z Q.
import { each } from './text.mjs';

/**
 * @param squares of the roots of the pairs; they are exact where roots are not
 * @param order in which products are added, as nested pairs of points ('0', '±1' for the first pair, '+1' and '-1' for its
 * points one by one, '∞'): a result keeps its bits
 * @param weightsOf another line, with more points, whose transformed weights this one reads: B' takes over the factors by
 * which they differ, and its products have the places of the same points there. Both have 0.
 */
export function line({ name, m, r, zero, squares, order, weightsOf }) {
  const z = zero ? 1 : 0;
  const n = m + r - 1;
  if (n !== z + 2 * squares.length + 1) throw new Error(`${name}: F(${m}, ${r}) needs ${n} points`);
  const all = product(squares);
  const pairs = squares.map((square, i) => {
    const others = product(squares.filter((_, j) => j !== i));
    const root = Math.sqrt(square);
    // M_a(a) = (a + a) a^z Q(s).
    const own = 2 * (zero ? square : root) * evaluate(others, square);
    const divisor = weightsOf?.pairs.find((pair) => pair.square === square).divisor ?? own;
    const scale = divisor / own;
    return {
      square,
      root,
      divisor,
      lead: { scale, terms: others.map((c, k) => ({ c, d: 2 * k + z + 1 })).reverse() },
      tail: { scale: scale * root, terms: others.map((c, k) => ({ c, d: 2 * k + z })).reverse() },
      isTurned: !zero,
    };
  });
  return {
    name,
    m,
    r,
    n,
    zero,
    pairs,
    order,
    places: placesAmong(weightsOf, squares) ?? each(n, (i) => i),
    atZero: zero ? fromOne(all.map((c, k) => ({ c: c / all[0], d: 2 * k }))) : [],
    atInfinity: fromOne(all.map((c, k) => ({ c, d: 2 * k + z }))),
  };
}

/** Places of 0, of pairs and of infinity among the points of a line with more of them. */
function placesAmong(whole, squares) {
  if (whole === undefined) return undefined;
  const ofPairs = whole.pairs.flatMap(({ square }, i) => (squares.includes(square) ? [2 * i + 1, 2 * i + 2] : []));
  return [0, ...ofPairs, whole.n - 1];
}

/** Coefficients in s, the constant first, of the product of (s - root). */
function product(roots) {
  let terms = [1];
  for (const root of roots) terms = each(terms.length + 1, (k) => (terms[k - 1] ?? 0) - root * (terms[k] ?? 0));
  return terms;
}

function evaluate(terms, s) {
  return terms.reduceRight((sum, c) => sum * s + c, 0);
}

/** Terms from an end whose factor is 1: so they are added. */
function fromOne(terms) {
  return terms[0].c === 1 ? terms : terms.reverse();
}

/** The three matrices of a line, for tests: { input: B', weight: G, output: A' }. */
export function matrices({ m, r, n, zero, pairs, atZero, atInfinity }) {
  const rowOf = (terms, scale = 1) =>
    each(n, (i) => terms.reduce((sum, { c, d }) => (d === i ? sum + c * scale : sum), 0));
  const input = zero ? [rowOf(atZero)] : [];
  const points = zero ? [{ point: 0, divisor: 1 }] : [];
  for (const { root, divisor, lead, tail, isTurned } of pairs) {
    const [leads, tails] = [rowOf(lead.terms, lead.scale), rowOf(tail.terms, tail.scale)];
    const sign = isTurned ? -1 : 1;
    input.push(
      leads.map((value, i) => value + tails[i]),
      leads.map((value, i) => sign * (value - tails[i])),
    );
    points.push({ point: root, divisor }, { point: -root, divisor });
  }
  input.push(rowOf(atInfinity));
  const weight = points.map(({ point, divisor }) => each(r, (k) => point ** k / divisor));
  weight.push(each(r, (k) => (k === r - 1 ? 1 : 0)));
  const output = each(m, (i) => [...points.map(({ point }) => point ** i), i === m - 1 ? 1 : 0]);
  return { input, weight, output };
}
