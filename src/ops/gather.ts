/** Values of one axis by their positions, as ONNX's Gather and GatherElements. */

import { differ, type KnownDims } from '../nodes/dims.js';
import type { FullNode } from '../nodes/node.js';
import { fail } from '../nodes/shapeErrors.js';
import { finder, laneCleaner, type Step, type StepContext } from '../plan/steps/step.js';
import { type WalkAxis, writeWalk } from '../plan/steps/strided.js';
import { frontAxis } from './axes.js';
import { strides } from './copies.js';
import type { OperationRule } from './operation.js';

/**
 * Positions are whole numbers; negative ones count from the end, those outside are clamped.
 *   gather           the axis becomes those of the positions
 *   gatherElements   positions have as many axes as the values; each is replaced by what is there at its place
 */
export interface GatherNode extends FullNode {
  readonly op: 'gather' | 'gatherElements';
  readonly inputs: readonly [values: string, positions: string];
  readonly axis: number;
}

export const gather: OperationRule<GatherNode> = {
  dims: (node, [values, positions]) => gatherDims(node, values!, positions!),
  layout: () => 'any',
  step,
  flags: ({ axis }) => [`axis ${axis}`],
};

function gatherDims(node: GatherNode, values: KnownDims, positions: KnownDims): KnownDims {
  const axis = frontAxis(node, node.axis, values);
  if (node.op === 'gather') return [...values.slice(0, axis), ...positions, ...values.slice(axis + 1)];
  const isWithin = positions.every(
    (dim, i) => i === axis || typeof dim !== 'number' || !differ(dim, values[i]) || dim < (values[i] as number),
  );
  if (positions.length !== values.length || !isWithin) {
    fail(node, 'positions', positions, 'the dims of the values, or smaller ones');
  }
  return positions;
}

function step(node: GatherNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const [values, positions] = node.inputs;
  const output = node.outputs[0];
  const dims = context.dims(values);
  const axis = frontAxis(node, node.axis, dims);
  const [from, at, to] = [values, positions, output].map((name) => strides(name, context)) as [
    number[],
    number[],
    number[],
  ];
  const ofPositions = context.dims(positions);
  const axes =
    node.op === 'gather'
      ? context.dims(output).map((size, i): WalkAxis => {
          const place = i - axis;
          if (place < 0) return { size, strides: [from[i]!, 0, to[i]!] };
          if (place < at.length) return { size, strides: [0, at[place]!, to[i]!] };
          return { size, strides: [from[i - at.length + 1]!, 0, to[i]!] };
        })
      : ofPositions.map((size, i): WalkAxis => ({ size, strides: [i === axis ? 0 : from[i]!, at[i]!, to[i]!] }));
  const table = writeWalk(context, axes);
  const [findValues, findPositions, findOutput] = [values, positions, output].map((name) => finder(name, context)) as [
    ReturnType<typeof finder>,
    ReturnType<typeof finder>,
    ReturnType<typeof finder>,
  ];
  const clearLanes = laneCleaner(output, context);
  return (addresses) => {
    const outPtr = findOutput(addresses);
    kernels.gather(table, findValues(addresses), findPositions(addresses), outPtr, from[axis]!, dims[axis]!);
    clearLanes?.(outPtr);
  };
}
