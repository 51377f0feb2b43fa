/** Checks that several operations share: of their nodes, and of the shapes of what comes. */

import { type Dim, differ, isNumeric, type KnownDims } from '../nodes/dims.js';
import type { NodeBase } from '../nodes/node.js';
import { fail, title } from '../nodes/shapeErrors.js';
import { showDims } from '../shown.js';
import { sizeOf } from '../sizes.js';
import type { Tensor } from '../tensor.js';
import type { Expect, InputDims } from './operation.js';

export function checkVector(expect: Expect, name: string, tensor: Tensor | undefined, size: number): void {
  expect(tensor === undefined || tensor.size === size, name, `of ${size} values`, tensor?.size);
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
    `${title(node)}: input has ${input[1]} channels, this ${thing} expects ${channels} (dims ${showDims(input)})`,
  );
}

/** An addend is added value by value. */
export function expectAddend(node: NodeBase, addend: InputDims, output: KnownDims): void {
  if (addend === undefined) return;
  if (addend.length !== output.length || addend.some((dim, axis) => differ(dim, output[axis]))) {
    throw new RangeError(`${title(node)}: addend must have dims ${showDims(output)}, got ${showDims(addend)}`);
  }
}

/** A parameter with one value for each channel. */
export function expectVector(node: NodeBase, name: string, dims: InputDims, size: Dim): void {
  if (dims === undefined || typeof size !== 'number' || !isNumeric(dims)) return;
  if (sizeOf(dims) !== size) fail(node, name, dims, `${size} values`);
}
