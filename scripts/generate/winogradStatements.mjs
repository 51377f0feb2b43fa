// A line's transforms as statements of AssemblyScript, four channels at a time. Values are float32, so the order in which
// terms are added is part of what a line is: from an end whose factor is 1, pair by pair.
import { each, literal } from './text.mjs';

/** c * value. */
function scaled(c, value) {
  if (c === 1) return value;
  const constant = literal(c);
  return `f32x4.mul(f32x4.splat(${constant.startsWith('Math') ? '<f32>' : ''}${constant}), ${value})`;
}

/** Of { sign, value }, either of which may be missing; a difference where one sign is negative. */
function add(a, b) {
  if (a === undefined || b === undefined) return a ?? b;
  if (a.sign < 0 && b.sign > 0) return add(b, a);
  return { sign: a.sign, value: `f32x4.${a.sign === b.sign ? 'add' : 'sub'}(${a.value}, ${b.value})` };
}

function addPairs(list) {
  if (list.length < 2) return list[0];
  return addPairs(each(Math.ceil(list.length / 2), (i) => add(list[2 * i], list[2 * i + 1])));
}

/** The sum of terms c * d. Two with opposite factors are subtracted and multiplied once. */
function sum(terms) {
  const left = [...terms];
  const parts = [];
  while (left.length > 0) {
    const { c, d } = left.shift();
    const opposite = left.findIndex((term) => term.c === -c);
    if (opposite < 0) {
      parts.push({ sign: Math.sign(c), value: scaled(Math.abs(c), `d${d}`) });
    } else {
      const [{ d: other }] = left.splice(opposite, 1);
      const difference = c > 0 ? `f32x4.sub(d${d}, d${other})` : `f32x4.sub(d${other}, d${d})`;
      parts.push({ sign: 1, value: scaled(Math.abs(c), difference) });
    }
  }
  return addPairs(parts).value;
}

/**
 * v = B' d.
 * @param load expression of the i-th value
 * @param store statement that stores an expression at the i-th point
 */
export function inputTransform(line, load, store) {
  if (line.even !== undefined) {
    return [
      inputTransform(line.even, (i) => load(2 * i), store),
      each(line.n - line.even.n, (i) => store(line.even.n + i, load(2 * i + 1))),
    ];
  }
  const { n, zero, pairs, atZero, atInfinity } = line;
  return [
    each(n, (i) => `const d${i} = ${load(i)};`),
    zero ? store(0, sum(atZero)) : [],
    pairs.map(({ lead, tail, isTurned }, i) => {
      const place = 2 * i + (zero ? 1 : 0);
      const [first, second] = [named(`lead${i + 1}`, lead), named(`tail${i + 1}`, tail)];
      return [
        first.statement,
        second.statement,
        store(place, `f32x4.add(${first.name}, ${second.name})`),
        store(
          place + 1,
          `f32x4.sub(${(isTurned ? [second, first] : [first, second]).map(({ name }) => name).join(', ')})`,
        ),
      ];
    }),
    store(n - 1, sum(atInfinity)),
  ];
}

/** Half of a pair's rows, by a name, or by that of the only value in it. */
function named(name, { scale, terms }) {
  const value = scaled(scale, sum(terms));
  return /^d\d$/.test(value) ? { name: value, statement: [] } : { name, statement: `const ${name} = ${value};` };
}

/**
 * y = A' m.
 * @param load expression of the i-th product
 * @param store statement that stores an expression as the i-th output
 */
export function outputTransform(line, load, store) {
  const { m, n, zero, pairs, order } = line.even ?? line;
  const first = zero ? 1 : 0;
  // Pairs whose points are added one by one have neither half.
  const halves = pairs.flatMap(({ root }, i) => {
    if (!isNamed(order, `±${i + 1}`)) return [];
    const [plus, minus] = [`m${first + 2 * i}`, `m${first + 2 * i + 1}`];
    return [
      `const even${i + 1} = f32x4.add(${plus}, ${minus});`,
      `const odd${i + 1} = ${scaled(root, `f32x4.sub(${plus}, ${minus})`)};`,
    ];
  });
  const outputs = each(m, (i) => {
    const power = (square) => square ** (i >> 1);
    const leaf = (name) => {
      if (name === '0') return i === 0 ? { sign: 1, value: 'm0' } : undefined;
      if (name === '∞') return i === m - 1 ? { sign: 1, value: `m${n - 1}` } : undefined;
      const pair = Number(name.slice(1)) - 1;
      const { root, square } = pairs[pair];
      if (name[0] === '±')
        return { sign: 1, value: scaled(power(square), `${i % 2 === 0 ? 'even' : 'odd'}${pair + 1}`) };
      const isMinus = name[0] === '-';
      return {
        sign: isMinus && i % 2 === 1 ? -1 : 1,
        value: scaled(root ** i, `m${first + 2 * pair + Number(isMinus)}`),
      };
    };
    const tree = (node) => (typeof node === 'string' ? leaf(node) : node.map(tree).reduce(add));
    const { value } = tree(order);
    return line.even === undefined ? value : `f32x4.add(${value}, ${load(n + i)})`;
  });
  return [
    each(n, (i) => `const m${i} = ${load(i)};`),
    halves,
    outputs.map((value, i) => `const y${i} = ${value};`),
    outputs.map((_, i) => store(i, `y${i}`)),
  ];
}

function isNamed(order, name) {
  return typeof order === 'string' ? order === name : order.some((node) => isNamed(node, name));
}
