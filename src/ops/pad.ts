/** Values before and behind those of each axis, or fewer of them. */

import { type Dim, type Dims, type KnownDims, plus } from '../nodes/dims.js';
import type { FullNode } from '../nodes/node.js';
import { title } from '../nodes/shapeErrors.js';
import { floatCount, laneCleaner, ports, type Step, type StepContext } from '../plan/steps/step.js';
import { showDims } from '../shown.js';
import { countOf } from '../sizes.js';
import { makeCopy, strides } from './copies.js';
import type { OperationRule } from './operation.js';

/** Values before and after, for each axis; negative ones crop. */
export interface PadNode extends FullNode {
  readonly op: 'pad';
  /** All of the beginnings, then all of the ends. */
  readonly pads: readonly number[];
  readonly mode: 'constant' | 'reflect' | 'edge' | 'wrap';
  readonly value: number;
}

export const pad: OperationRule<PadNode> = {
  dims: (node, [input]) => padDims(node, input!),
  movesOnly: true,
  layout: () => 'any',
  prefers: () => 'sameAsOutput',
  step,
  flags: ({ mode, pads, value }) => [`${mode} ${pads.join(',')}`, ...(value === 0 ? [] : [`value ${value}`])],
};

/** What padding does to an axis: the part of the input that stays, and where in the output it begins. */
interface PaddedAxis {
  readonly inStart: number;
  readonly outStart: number;
  readonly count: number;
  readonly outSize: number;
}

function padDims(node: PadNode, input: KnownDims): KnownDims {
  checkPads(node, input);
  return input.map((size, axis): Dim => {
    const [before, after] = [node.pads[axis]!, node.pads[axis + input.length]!];
    return typeof size === 'number' ? paddedAxis(node, input, axis).outSize : plus(size, before + after);
  });
}

function paddedAxes(node: PadNode, input: Dims): PaddedAxis[] {
  checkPads(node, input);
  return input.map((_, axis) => paddedAxis(node, input, axis));
}

function checkPads(node: PadNode, input: KnownDims): void {
  const rank = input.length;
  if (node.pads.length !== 2 * rank || !node.pads.every(Number.isSafeInteger)) {
    throw new RangeError(
      `${title(node)}: pads must be ${2 * rank} whole numbers for an input of dims ${showDims(input)}, got ` +
        showDims(node.pads),
    );
  }
  for (const pad of node.pads) countOf(title(node), 'each of pads', Math.abs(pad));
}

/** @param axis one whose size is known */
function paddedAxis(node: PadNode, input: KnownDims, axis: number): PaddedAxis {
  const size = input[axis] as number;
  const [before, after] = [node.pads[axis]!, node.pads[axis + input.length]!];
  const inStart = Math.max(0, -before);
  const count = Math.max(0, Math.min(size, size + after) - inStart);
  const outSize = size + before + after;
  const isPadded = before > 0 || after > 0;
  const least = !isPadded || node.mode === 'constant' ? 0 : node.mode === 'reflect' ? Math.max(before, after) + 1 : 1;
  if (outSize < 0 || count < least) {
    throw new RangeError(
      `${title(node)}: pads ${before} and ${after} do not fit axis ${axis} of size ${size} in mode '${node.mode}' ` +
        `(dims ${showDims(input)})`,
    );
  }
  return { inStart, outStart: Math.max(0, before), count, outSize };
}

/** The input at its place; around it a constant, or, axis by axis, what the output already holds. */
function step(node: PadNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const padded = paddedAxes(node, context.dims(node.inputs[0]!));
  const from = strides(node.inputs[0]!, context);
  const to = strides(node.outputs[0], context);
  const isEmpty = padded.some(({ count }) => count === 0);
  const middle = padded.map(({ inStart, outStart, count }, axis) => ({
    size: count,
    from: from[axis]!,
    to: to[axis]!,
    fromStart: inStart * from[axis]!,
    toStart: outStart * to[axis]!,
  }));
  const copyInput = isEmpty ? () => {} : makeCopy(context, middle);
  const borders = node.mode === 'constant' ? [] : borderCopies(node.mode, padded, to, context);
  const count = floatCount(node.outputs[0], context);
  const isFilled = node.mode === 'constant' && (isEmpty || padded.some((axis) => axis.count < axis.outSize));
  const clearLanes = laneCleaner(node.outputs[0], context);
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    if (isFilled) kernels.fill(outPtr, count, node.value);
    copyInput(inPtr, outPtr);
    for (const copy of borders) copy(outPtr, outPtr);
    clearLanes?.(outPtr);
  };
}

/** Part of an axis of the output that repeats another part of it. */
interface Segment {
  readonly toStart: number;
  readonly fromStart: number;
  readonly size: number;
  /** 1: in the same order, -1: backwards, 0: always the first. */
  readonly step: number;
}

/** Copies within the output: the borders of an axis over all of the axes before it, and the middle of those behind. */
function borderCopies(
  mode: 'reflect' | 'edge' | 'wrap',
  padded: readonly PaddedAxis[],
  to: readonly number[],
  context: StepContext,
): ((fromPtr: number, toPtr: number) => void)[] {
  return padded.flatMap((axis, at) =>
    borderSegments(mode, axis).map((segment) =>
      makeCopy(
        context,
        padded.map(({ outStart, count, outSize }, other) => {
          const stride = to[other]!;
          if (other < at) return { size: outSize, from: stride, to: stride };
          const start = outStart * stride;
          if (other > at) return { size: count, from: stride, to: stride, fromStart: start, toStart: start };
          const { size, step, fromStart, toStart } = segment;
          return { size, from: stride * step, to: stride, fromStart: fromStart * stride, toStart: toStart * stride };
        }),
      ),
    ),
  );
}

function borderSegments(mode: 'reflect' | 'edge' | 'wrap', { outStart, count, outSize }: PaddedAxis): Segment[] {
  const end = outStart + count;
  const before = outStart;
  const after = outSize - end;
  if (mode === 'wrap') return [...wrapBefore(outStart, count), ...wrapAfter(end, count, after)];
  const step = mode === 'reflect' ? -1 : 0;
  const [first, last] = mode === 'reflect' ? [2 * outStart, end - 2] : [outStart, end - 1];
  return [
    { toStart: 0, fromStart: first, size: before, step },
    { toStart: end, fromStart: last, size: after, step },
  ].filter(({ size }) => size > 0);
}

/** Whole periods, each time as many as are there already. */
function wrapAfter(end: number, count: number, after: number): Segment[] {
  const segments: Segment[] = [];
  for (let done = 0; done < after; ) {
    const there = count + done;
    const size = Math.min(there, after - done);
    segments.push({ toStart: end + done, fromStart: end + done - there, size, step: 1 });
    done += size;
  }
  return segments;
}

function wrapBefore(before: number, count: number): Segment[] {
  const segments: Segment[] = [];
  for (let done = 0; done < before; ) {
    const there = count + done;
    const size = Math.min(there, before - done);
    segments.push({ toStart: before - done - size, fromStart: before - done - size + there, size, step: 1 });
    done += size;
  }
  return segments;
}
