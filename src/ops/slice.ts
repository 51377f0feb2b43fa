/** A part of each axis. */

import type { Dims, KnownDims } from '../nodes/dims.js';
import type { FullNode } from '../nodes/node.js';
import { title } from '../nodes/shapeErrors.js';
import { frontAxes } from './axes.js';
import { copyStep } from './copies.js';
import type { OperationRule } from './operation.js';

/** As ONNX's Slice: negative positions count from the end, those outside are clamped, steps may be negative. */
export interface SliceNode extends FullNode {
  readonly op: 'slice';
  readonly axes: readonly number[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  readonly steps: readonly number[];
}

export const slice: OperationRule<SliceNode> = {
  dims: (node, [input]) => sliceDims(node, input!),
  movesOnly: true,
  layout: () => 'any',
  prefers: () => 'sameAsOutput',
  step: (node, context) =>
    copyStep(node, context, (from, to) =>
      sliceRanges(node, context.dims(node.inputs[0]!)).map(({ start, step, count }, axis) => ({
        size: count,
        from: from[axis]! * step,
        to: to[axis]!,
        fromStart: from[axis]! * start,
      })),
    ),
  flags: ({ axes, starts, ends, steps }) => axes.map((axis, i) => `${axis}[${starts[i]}:${ends[i]}:${steps[i]}]`),
};

/** Which positions of an axis a slice takes. */
interface AxisRange {
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

/** The part of each axis that a slice takes. */
function sliceRanges(node: SliceNode, input: Dims): AxisRange[] {
  const ranges: AxisRange[] = input.map((count) => ({ start: 0, step: 1, count }));
  checkedAxes(node, input).forEach((axis, i) => {
    ranges[axis] = sliceRange(node, i, input[axis]!);
  });
  return ranges;
}

function sliceDims(node: SliceNode, input: KnownDims): KnownDims {
  const dims = [...input];
  checkedAxes(node, input).forEach((axis, i) => {
    const size = input[axis];
    const isWhole = node.starts[i] === 0 && node.ends[i]! >= Number.MAX_SAFE_INTEGER && node.steps[i] === 1;
    if (typeof size === 'number') dims[axis] = sliceRange(node, i, size).count;
    else if (!isWhole) dims[axis] = undefined;
  });
  return dims;
}

/** Axes counted from the front, of which positions and steps are in order. */
function checkedAxes(node: SliceNode, input: KnownDims): number[] {
  const axes = frontAxes(node, node.axes, input);
  if ([node.starts, node.ends, node.steps].some(({ length }) => length !== axes.length)) {
    throw new RangeError(
      `${title(node)}: starts, ends and steps must be as many as axes, got ${node.starts.length}, ${node.ends.length} ` +
        `and ${node.steps.length} for ${axes.length} axes`,
    );
  }
  const step = node.steps.find((one) => !Number.isInteger(one) || one === 0);
  if (step !== undefined) throw new RangeError(`${title(node)}: steps must be whole numbers other than 0, got ${step}`);
  return axes;
}

function sliceRange({ starts, ends, steps, ...node }: SliceNode, i: number, size: number): AxisRange {
  const range = rangeOf(size, starts[i]!, ends[i]!, steps[i]!);
  if (Number.isInteger(range.start)) return range;
  throw new RangeError(`${title(node)}: starts must be whole numbers, got ${starts[i]}`);
}

/** What ONNX's Slice takes of an axis. */
export function rangeOf(size: number, start: number, end: number, step: number): AxisRange {
  const [least, most] = step > 0 ? [0, size] : [-1, size - 1];
  const clamp = (at: number): number => Math.min(Math.max(at < 0 ? at + size : at, least), most);
  const first = step > 0 ? clamp(start) : Math.max(clamp(start), 0);
  const count = Math.max(0, Math.ceil((clamp(end) - first) / step));
  // Backwards through an axis of size 0, the first position is its end too.
  return { start: first, step, count: Math.min(size, count) };
}
