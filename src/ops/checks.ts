/** Checks that several operations share: of their nodes, and of the shapes of what comes. */
import { format, type Tensor } from '../tensor.js';
import { differ, type KnownDims } from './dims.js';
import type { NodeBase, Norm } from './node.js';
import type { Expect } from './operation.js';
import { fail, title } from './shapeErrors.js';

export function checkVector(expect: Expect, name: string, tensor: Tensor | undefined, size: number): void {
  expect(tensor === undefined || tensor.size === size, name, `of ${size} values`, tensor?.size);
}

export function checkNorm(expect: Expect, { gamma, beta, mean, variance }: Norm, size: number): void {
  for (const tensor of [gamma, beta, mean, variance]) checkVector(expect, 'a norm', tensor, size);
}

export function checkWholes(expect: Expect, name: string, numbers: readonly number[], least: number): void {
  const isRight = numbers.every((n) => Number.isSafeInteger(n) && n >= least);
  expect(isRight, name, `of whole numbers from ${least}`, numbers);
}

export function expectImage(node: NodeBase, input: KnownDims): void {
  if (input.length !== 4) fail(node, 'input', input, '4 dims [N, C, H, W]');
}

export function expectChannels(node: NodeBase, input: KnownDims, channels: number): void {
  if (!differ(input[1], channels)) return;
  const thing = node.layer === 'ACBlock' ? 'block' : 'layer';
  throw new RangeError(
    `${title(node)}: input has ${input[1]} channels, this ${thing} expects ${channels} (dims ${format(input)})`,
  );
}

/** A residual is added value by value. */
export function expectResidual(node: NodeBase, residual: KnownDims | undefined, output: KnownDims): void {
  if (residual === undefined) return;
  if (residual.length !== output.length || residual.some((dim, axis) => differ(dim, output[axis]))) {
    throw new RangeError(`${title(node)}: residual must have dims ${format(output)}, got ${format(residual)}`);
  }
}
