/**
 * Einsum of one or two inputs: what stands in one alone and not in the result is summed, the axes are put in the order
 * [both, own, summed] and [both, summed, own], which a matrix product multiplies, and then into that of the result.
 */
import type { NamedDims } from '../../../nodes/dims.js';
import { show } from '../../../shown.js';
import type { NodeContext } from './nodeContext.js';

/** A value and the letters of its axes. */
interface Term {
  readonly value: string;
  readonly letters: readonly string[];
}

export function lowerEinsum(node: NodeContext): string {
  const equation = node.string('equation', '').replace(/\s/g, '');
  const [left = '', right] = equation.split('->');
  const operands = left.split(',').map((letters) => [...letters]);
  const output = right === undefined ? implicitOutput(operands.flat()) : [...right];
  const all = [...operands, output];
  const isPlain = all.every((letters) => letters.every((one) => /[a-z]/i.test(one)) && areDistinct(letters));
  if (!isPlain || operands.length !== node.inputCount || operands.length > 2) {
    node.unsupported(`its equation is ${show(equation)}`);
  }
  const sizes = new Map<string, NamedDims[number]>();
  const terms = operands.map((letters, i): Term => {
    const dims = node.dims(i) ?? node.constant(i)?.dims;
    if (dims === undefined) node.open('it needs inputs of known rank');
    if (dims.length !== letters.length)
      node.broken(`its input ${i} has ${dims.length} axes, its equation is ${show(equation)}`);
    letters.forEach((letter, axis) => {
      if (dims[axis] !== 1 || !sizes.has(letter)) sizes.set(letter, dims[axis]!);
    });
    const others = new Set([...output, ...operands.filter((_, other) => other !== i).flat()]);
    return sumOver(node, { value: node.operand(i), letters }, (letter) => others.has(letter));
  });
  if (output.some((letter) => !sizes.has(letter))) node.broken(`its equation is ${show(equation)}`);
  const [a, b] = terms as [Term, Term?];
  const product = b === undefined ? a : multiply(node, a, b, output, sizes);
  const sorted = permute(node, product, output);
  return node.emit({ op: 'identity', inputs: [sorted.value] });
}

/** Letters that stand once, in alphabetical order. */
function implicitOutput(letters: readonly string[]): string[] {
  return letters.filter((one) => letters.indexOf(one) === letters.lastIndexOf(one)).sort();
}

function areDistinct(letters: readonly string[]): boolean {
  return new Set(letters).size === letters.length;
}

function sumOver(node: NodeContext, { value, letters }: Term, isKept: (letter: string) => boolean): Term {
  const axes = letters.flatMap((letter, axis) => (isKept(letter) ? [] : [axis]));
  if (axes.length === 0) return { value, letters };
  const sum = node.emit({ op: 'reduceSum', inputs: [value], axes, keepDims: false }, node.derive('sum'));
  return { value: sum, letters: letters.filter(isKept) };
}

function permute(node: NodeContext, { value, letters }: Term, order: readonly string[]): Term {
  const permutation = order.map((letter) => letters.indexOf(letter));
  if (permutation.every((axis, i) => axis === i)) return { value, letters };
  return {
    value: node.emit({ op: 'transpose', inputs: [value], permutation }, node.derive('permuted')),
    letters: order,
  };
}

function multiply(
  node: NodeContext,
  a: Term,
  b: Term,
  output: readonly string[],
  sizes: ReadonlyMap<string, NamedDims[number]>,
): Term {
  const both = a.letters.filter((letter) => b.letters.includes(letter) && output.includes(letter));
  const summed = a.letters.filter((letter) => b.letters.includes(letter) && !output.includes(letter));
  const [ownA, ownB] = [a, b].map(({ letters }) =>
    letters.filter((letter) => !both.includes(letter) && !summed.includes(letter)),
  ) as [string[], string[]];
  const matrix = (term: Term, groups: readonly (readonly string[])[]): string => {
    const { value } = permute(node, term, [...both, ...groups.flat()]);
    return reshape(node, value, [...both.map((letter) => [letter]), ...groups], sizes);
  };
  const inputs = [matrix(a, [ownA, summed]), matrix(b, [summed, ownB])];
  const product = node.emit({ op: 'matMul', inputs }, node.derive('product'));
  const letters = [...both, ...ownA, ...ownB];
  return {
    value: reshape(
      node,
      product,
      letters.map((letter) => [letter]),
      sizes,
    ),
    letters,
  };
}

/** Axes joined by groups; an empty one is an axis of size 1. */
function reshape(
  node: NodeContext,
  value: string,
  groups: readonly (readonly string[])[],
  sizes: ReadonlyMap<string, NamedDims[number]>,
): string {
  const target = groups.map((group) => {
    const dims = group.map((letter) => sizes.get(letter)!);
    if (dims.length === 1) return dims[0]!;
    return dims.reduce<number>((product, dim) => (typeof dim === 'number' && product >= 0 ? product * dim : -1), 1);
  });
  if (target.filter((size) => size === -1).length > 1) node.open('it joins axes whose sizes the file does not state');
  return node.emit({ op: 'reshape', inputs: [value], target, allowZero: true }, node.derive('matrix'));
}
