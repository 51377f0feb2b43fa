/** Steps of operations that treat tensors as arrays: moving values about, reducing axes, multiplying matrices. */
import { broadcast, frontAxis, paddedAxes, permutationOf, reducedAxes, sliceRanges } from '../graph/arrayShapes.js';
import type { AxisNode, PadNode, ReduceNode, SimpleNode, SliceNode, TransposeNode } from '../graph/graph.js';
import { rowMajorStrides, sizeOf } from '../sizes.js';
import { finder, floatCount, laneCleaner, ports, type Step, type StepContext } from './step.js';
import { stridesOf, type WalkAxis, writeWalk } from './strided.js';

/** A part of a copy's axis: bytes from one value to the next, and where it begins, on both sides. */
interface CopyAxis {
  readonly size: number;
  readonly from: number;
  readonly to: number;
  readonly fromStart?: number;
  readonly toStart?: number;
}

/** A strided copy, to be called with the addresses of both tensors. */
function makeCopy(context: StepContext, axes: readonly CopyAxis[]): (fromPtr: number, toPtr: number) => void {
  const table = writeWalk(
    context,
    axes.map(({ size, from, to }) => ({ size, strides: [from, to, 0] })),
  );
  const fromStart = axes.reduce((sum, axis) => sum + (axis.fromStart ?? 0), 0);
  const toStart = axes.reduce((sum, axis) => sum + (axis.toStart ?? 0), 0);
  const { kernels } = context.runtime;
  return (fromPtr, toPtr) => kernels.copyStrided(table, fromPtr + fromStart, toPtr + toStart);
}

function strides(value: string, context: StepContext): number[] {
  return stridesOf(context.dims(value), context.layout(value), context.among(value)?.lanes);
}

/** Copies between the one input and the output, then zeros behind the channels. */
function copyStep(
  node: TransposeNode | SliceNode,
  context: StepContext,
  axes: (from: readonly number[], to: readonly number[]) => readonly CopyAxis[],
): Step {
  const copy = makeCopy(context, axes(strides(node.inputs[0]!, context), strides(node.output, context)));
  const clearLanes = laneCleaner(node.output, context);
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    copy(inPtr, outPtr);
    clearLanes?.(outPtr);
  };
}

export function transpose(node: TransposeNode, context: StepContext): Step {
  const dims = context.dims(node.inputs[0]!);
  return copyStep(node, context, (from, to) =>
    permutationOf(node, dims).map((axis, i) => ({ size: dims[axis]!, from: from[axis]!, to: to[i]! })),
  );
}

export function slice(node: SliceNode, context: StepContext): Step {
  return copyStep(node, context, (from, to) =>
    sliceRanges(node, context.dims(node.inputs[0]!)).map(({ start, step, count }, axis) => ({
      size: count,
      from: from[axis]! * step,
      to: to[axis]!,
      fromStart: from[axis]! * start,
    })),
  );
}

/** What was made at its place is there already. */
export function concat(node: AxisNode, context: StepContext): Step {
  const joined = frontAxis(node, node.axis, context.dims(node.output));
  const to = strides(node.output, context);
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
  const findOutput = finder(node.output, context);
  const clearLanes = laneCleaner(node.output, context);
  return (at) => {
    const outPtr = findOutput(at);
    for (const { find, copy } of parts) copy(find(at), outPtr);
    clearLanes?.(outPtr);
  };
}

/** The input at its place; around it a constant, or, axis by axis, what the output already holds. */
export function pad(node: PadNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const padded = paddedAxes(node, context.dims(node.inputs[0]!));
  const from = strides(node.inputs[0]!, context);
  const to = strides(node.output, context);
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
  const count = floatCount(node.output, context);
  const isFilled = node.mode === 'constant' && (isEmpty || padded.some((axis) => axis.count < axis.outSize));
  const clearLanes = laneCleaner(node.output, context);
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

type PaddedAxes = ReturnType<typeof paddedAxes>;

/** Copies within the output: the borders of an axis over all of the axes before it, and the middle of those behind. */
function borderCopies(
  mode: 'reflect' | 'edge' | 'wrap',
  padded: PaddedAxes,
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

function borderSegments(
  mode: 'reflect' | 'edge' | 'wrap',
  { outStart, count, outSize }: PaddedAxes[number],
): Segment[] {
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

export function reduceMean(node: ReduceNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const dims = context.dims(node.inputs[0]!);
  const from = strides(node.inputs[0]!, context);
  const to = strides(node.output, context);
  const reduced = reducedAxes(node, dims);
  const gone: WalkAxis[] = reduced.map((axis) => ({ size: dims[axis]!, strides: [from[axis]!, 0, 0] }));
  const kept: WalkAxis[] = [];
  dims.forEach((size, axis) => {
    if (reduced.includes(axis)) return;
    const outAxis = node.keepDims ? axis : kept.length;
    kept.push({ size, strides: [from[axis]!, to[outAxis]!, 0] });
  });
  const [keptTable, goneTable] = [writeWalk(context, kept), writeWalk(context, gone)];
  const count = sizeOf(reduced.map((axis) => dims[axis]!));
  const clearLanes = laneCleaner(node.output, context);
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    kernels.reduceMean(keptTable, goneTable, inPtr, outPtr, count);
    clearLanes?.(outPtr);
  };
}

/** Row-major matrices, one product for each of the batch; a matrix for all of it takes all rows as one product. */
export function matMul(node: SimpleNode, context: StepContext): Step {
  const { kernels, scratchPtr } = context.runtime;
  const [a, b] = node.inputs.map((name) => context.dims(name)) as [readonly number[], readonly number[]];
  const depth = a.at(-1)!;
  const rows = a.length === 1 ? 1 : a.at(-2)!;
  const columns = b.length === 1 ? 1 : b.at(-1)!;
  const batch = broadcast(a.slice(0, -2), b.slice(0, -2))!;
  const isShared = sizeOf(b.slice(0, -2)) === 1 && sizeOf(a.slice(0, -2)) === sizeOf(batch);
  const products = isShared ? 1 : sizeOf(batch);
  const m = isShared ? rows * sizeOf(batch) : rows;
  const [aSteps, bSteps] = [matrixSteps(a, batch.length), matrixSteps(b, batch.length)];
  const [aBytes, bBytes, outBytes] = [rows * depth * 4, depth * columns * 4, rows * columns * 4];
  const [aSlot, bSlot] = node.inputs.map((name) => context.slot(name)) as [number, number];
  const outSlot = context.slot(node.output);
  return (at) => {
    for (let product = 0; product < products; product++) {
      let [aMatrix, bMatrix] = [0, 0];
      for (let axis = batch.length - 1, rest = product; axis >= 0; axis--) {
        const index = rest % batch[axis]!;
        rest = (rest - index) / batch[axis]!;
        aMatrix += index * aSteps[axis]!;
        bMatrix += index * bSteps[axis]!;
      }
      const [aPtr, bPtr] = [at[aSlot]! + aMatrix * aBytes, at[bSlot]! + bMatrix * bBytes];
      kernels.matMul(aPtr, bPtr, at[outSlot]! + product * outBytes, m, depth, columns, scratchPtr);
    }
  };
}

/** Matrices from one to the next along each of `rank` axes of the batch; none along axes that it has not, or of size 1. */
function matrixSteps(dims: readonly number[], rank: number): number[] {
  const own = dims.slice(0, -2);
  const steps = rowMajorStrides(own).map((step, axis) => (own[axis] === 1 ? 0 : step));
  return [...new Array<number>(rank - own.length).fill(0), ...steps];
}
