/** A value repeated along axes of size 1. */
import { broadcast, type DimOf, type KnownDims } from '../nodes/dims.js';
import type { FullNode } from '../nodes/node.js';
import { title } from '../nodes/shapeErrors.js';
import { showDims } from '../shown.js';
import { copyStep } from './copies.js';
import type { DimOfValue, OperationRule } from './operation.js';

/** To dims that the target and the input broadcast to. */
export interface ExpandNode extends FullNode {
  readonly op: 'expand';
  readonly target: readonly (number | DimOf)[];
}

export const expand: OperationRule<ExpandNode> = {
  dims: (node, [input], dimOf) => expandDims(node, input!, dimOf),
  movesOnly: true,
  layout: () => 'any',
  prefers: () => 'sameAsOutput',
  step: (node, context) => {
    const dims = context.dims(node.outputs[0]);
    const own = context.dims(node.inputs[0]!);
    const missing = dims.length - own.length;
    return copyStep(node, context, (from, to) =>
      dims.map((size, axis) => ({
        size,
        from: own[axis - missing] === size ? from[axis - missing]! : 0,
        to: to[axis]!,
      })),
    );
  },
  flags: ({ target }) => [
    `to ${target.map((size) => (typeof size === 'number' ? size : `${size.value}.${size.axis}`)).join(',')}`,
  ],
};

function expandDims({ target, ...node }: ExpandNode, input: KnownDims, dimOf: DimOfValue): KnownDims {
  const given = target.map((size) => (typeof size === 'number' ? size : dimOf(size.value, size.axis)));
  const dims = given.some((size) => typeof size === 'number' && !(size >= 0)) ? undefined : broadcast(input, given);
  if (dims !== undefined) return dims;
  throw new RangeError(`${title(node)}: cannot expand ${showDims(input)} to ${showDims(given)}`);
}
