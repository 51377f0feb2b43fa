/** A part of each axis. */
import { frontAxes } from './axes.js';
import { copyStep } from './copies.js';
import type { NodeBase } from './node.js';
import type { Dims, OperationRule } from './operation.js';
import { title } from './shapeErrors.js';

/** As ONNX's Slice: negative positions count from the end, those outside are clamped, steps may be negative. */
export interface SliceNode extends NodeBase {
  readonly op: 'slice';
  readonly axes: readonly number[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  readonly steps: readonly number[];
}

export const slice: OperationRule<SliceNode> = {
  dims: (node, [input]) => sliceRanges(node, input!).map(({ count }) => count),
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
interface Range {
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

/** The part of each axis that a slice takes. */
function sliceRanges(node: SliceNode, input: Dims): Range[] {
  const ranges: Range[] = input.map((count) => ({ start: 0, step: 1, count }));
  const axes = frontAxes(node, node.axes, input);
  if ([node.starts, node.ends, node.steps].some(({ length }) => length !== axes.length)) {
    throw new RangeError(
      `${title(node)}: starts, ends and steps must be as many as axes, got ${node.starts.length}, ${node.ends.length} ` +
        `and ${node.steps.length} for ${axes.length} axes`,
    );
  }
  axes.forEach((axis, i) => {
    ranges[axis] = sliceRange(node, input[axis]!, node.starts[i]!, node.ends[i]!, node.steps[i]!);
  });
  return ranges;
}

function sliceRange(node: SliceNode, size: number, start: number, end: number, step: number): Range {
  if (!Number.isInteger(step) || step === 0) {
    throw new RangeError(`${title(node)}: steps must be whole numbers other than 0, got ${step}`);
  }
  const [least, most] = step > 0 ? [0, size] : [-1, size - 1];
  const clamp = (at: number): number => Math.min(Math.max(at < 0 ? at + size : at, least), most);
  const first = step > 0 ? clamp(start) : Math.max(clamp(start), 0);
  if (!Number.isInteger(first)) throw new RangeError(`${title(node)}: starts must be whole numbers, got ${start}`);
  const count = Math.max(0, Math.ceil((clamp(end) - first) / step));
  // Backwards through an axis of size 0, the first position is its end too.
  return { start: first, step, count: Math.min(size, count) };
}
