/** Axes of size 1 taken away or put in. */

import { differ, isNumeric, type KnownDims } from '../nodes/dims.js';
import type { FullNode } from '../nodes/node.js';
import { fail, title } from '../nodes/shapeErrors.js';
import { showDims } from '../shown.js';
import { frontAxes } from './axes.js';
import type { OperationRule } from './operation.js';

/** squeeze without axes: all of size 1. unsqueeze: axes of the output. */
export interface SqueezeNode extends FullNode {
  readonly op: 'squeeze' | 'unsqueeze';
  readonly axes: readonly number[] | undefined;
}

export const squeeze: OperationRule<SqueezeNode> = {
  dims: (node, [input]) => squeezeDims(node, input!),
  movesOnly: true,
  layout: () => 'view',
  flags: ({ axes }) => (axes === undefined ? [] : [`axes ${axes.join(',')}`]),
};

function squeezeDims(node: SqueezeNode, input: KnownDims): KnownDims | undefined {
  if (node.op === 'unsqueeze') return unsqueezeDims(node, input);
  if (node.axes === undefined) return isNumeric(input) ? input.filter((dim) => dim !== 1) : undefined;
  const axes = frontAxes(node, node.axes, input);
  const wide = axes.find((axis) => differ(input[axis], 1));
  if (wide !== undefined) fail(node, 'input', input, `size 1 in axis ${wide}`);
  return input.filter((_, axis) => !axes.includes(axis));
}

function unsqueezeDims(node: SqueezeNode, input: KnownDims): KnownDims {
  const added = node.axes ?? [];
  const rank = input.length + added.length;
  for (const axis of added) {
    if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
      throw new RangeError(
        `${title(node)}: axes must be whole numbers from ${-rank} to ${rank - 1}, got ${showDims(added)} for an input of ` +
          `dims ${showDims(input)}`,
      );
    }
  }
  const dims = new Array<number>(rank).fill(0);
  for (const axis of frontAxes(node, added, dims)) dims[axis] = 1;
  let from = 0;
  return dims.map((dim) => (dim === 1 ? 1 : input[from++]));
}
