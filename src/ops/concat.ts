/** Values one behind the other along an axis. */

import { type Dim, differ, type KnownDims, plus } from '../nodes/dims.js';
import type { FullNode } from '../nodes/node.js';
import { title } from '../nodes/shapeErrors.js';
import { finder, laneCleaner, type Step, type StepContext } from '../plan/steps/step.js';
import { showDims } from '../shown.js';
import { frontAxis, isOverChannels } from './axes.js';
import { makeCopy, strides } from './copies.js';
import type { OperationRule } from './operation.js';

/** Along one axis; negative ones count from the end. */
export interface ConcatNode extends FullNode {
  readonly op: 'concat';
  readonly axis: number;
}

export const concat: OperationRule<ConcatNode> = {
  dims: concatDims,
  movesOnly: true,
  layout: () => 'any',
  prefers: () => 'sameAsOutput',
  writesAmong: (node, output) => isOverChannels(node.axis, output),
  step,
  flags: ({ axis }) => [`axis ${axis}`],
};

function concatDims(node: ConcatNode, inputs: readonly KnownDims[]): KnownDims {
  const [first, ...others] = inputs as [KnownDims, ...KnownDims[]];
  const joined = frontAxis(node, node.axis, first);
  for (const other of others) {
    if (other.length !== first.length || other.some((dim, axis) => axis !== joined && differ(dim, first[axis]))) {
      throw new RangeError(
        `${title(node)}: inputs must have the same dims but for axis ${joined}, got ${showDims(first)} and ${showDims(other)}`,
      );
    }
  }
  return first.map((dim, axis) => {
    if (axis === joined) return inputs.reduce<Dim>((sum, dims) => plus(sum, dims[axis]), 0);
    return inputs.find((dims) => typeof dims[axis] === 'number')?.[axis] ?? dim;
  });
}

/** What was made at its place is there already. */
function step(node: ConcatNode, context: StepContext): Step {
  const joined = frontAxis(node, node.axis, context.dims(node.outputs[0]));
  const to = strides(node.outputs[0], context);
  let position = 0;
  const parts = node.inputs.flatMap((name) => {
    const dims = context.dims(name);
    const from = strides(name, context);
    const toStart = position * to[joined]!;
    position += dims[joined]!;
    if (context.among(name) !== undefined) return [];
    const axes = dims.map((size, axis) => ({ size, from: from[axis]!, to: to[axis]! }));
    const copy = makeCopy(context, [...axes, { size: 1, from: 0, to: 0, toStart }]);
    return [{ find: finder(name, context), copy }];
  });
  const findOutput = finder(node.outputs[0], context);
  const clearLanes = laneCleaner(node.outputs[0], context);
  return (at) => {
    const outPtr = findOutput(at);
    for (const { find, copy } of parts) copy(find(at), outPtr);
    clearLanes?.(outPtr);
  };
}
