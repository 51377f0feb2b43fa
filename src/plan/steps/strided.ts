/**
 * How kernels walk over tensors with strides: for each axis its size and the bytes of a step along it, written as the
 * tables of assembly/nn/walk.ts. Axes are merged where they can be, and the one that makes the best loop is the run.
 */
import { extentOf, type Layout, rowMajorStrides, wordsOf } from '../../sizes.js';
import { WALK, WALK_AXIS } from './records.js';
import { type StepContext, writeTable } from './step.js';

/** An axis of up to three tensors that are walked over together; strides in bytes, 0 repeats, negative reverses. */
export interface WalkAxis {
  readonly size: number;
  readonly strides: readonly [number, number, number];
}

/** Bytes from one value to the next along each axis. `lanes`: of a pixel, if more than its channels need. */
export function stridesOf(dims: readonly number[], layout: Layout, lanes = extentOf(dims).lanes): number[] {
  if (layout === 'planar' || dims.length < 2) return rowMajorStrides(dims, 4);
  const [batch, ...others] = rowMajorStrides(
    dims.filter((_, axis) => axis !== 1),
    lanes * 4,
  );
  return [batch!, 4, ...others];
}

/** Writes the table of a walk over these axes, in any order; the address of it. */
export function writeWalk(context: StepContext, axes: readonly WalkAxis[]): number {
  if (axes.some(({ size }) => size === 0)) return writeTable(context, new Int32Array(Object.keys(WALK).length));
  const merged = mergeAxes(axes.filter(({ size }) => size !== 1));
  const run = merged.reduce((best, axis) => (runCost(axis) < runCost(best) ? axis : best), merged[0] ?? ONE_VALUE);
  const outer = merged.filter((axis) => axis !== run);
  const start = { axes: outer.length, length: run.size, ptr0: 0, ptr1: 0, ptr2: 0 };
  const words = inOrder(WALK, { ...start, ...named(run) });
  for (const axis of outer) words.push(...inOrder(WALK_AXIS, { size: axis.size, taken: 0, ...named(axis) }));
  return writeTable(context, wordsOf('plan', words));
}

const named = ({ strides: [stride0, stride1, stride2] }: WalkAxis) => ({ stride0, stride1, stride2 });

function inOrder<Layout extends object>(layout: Layout, values: Readonly<Record<keyof Layout, number>>): number[] {
  return (Object.keys(layout) as (keyof Layout)[]).map((name) => values[name]);
}

const ONE_VALUE: WalkAxis = { size: 1, strides: [4, 4, 4] };

/** Innermost first; two axes become one where a step along the outer is as far as all steps along the inner. */
function mergeAxes(axes: readonly WalkAxis[]): WalkAxis[] {
  const reach = ({ strides }: WalkAxis): number => strides.reduce((sum, stride) => sum + Math.abs(stride), 0);
  const merged: WalkAxis[] = [];
  for (const axis of [...axes].sort((a, b) => reach(a) - reach(b))) {
    const inner = merged.at(-1);
    if (inner?.strides.every((stride, tensor) => axis.strides[tensor] === stride * inner.size)) {
      merged[merged.length - 1] = { size: inner.size * axis.size, strides: inner.strides };
    } else {
      merged.push(axis);
    }
  }
  return merged;
}

/** Going to the next run takes as long as some values of one. */
const COST_OF_NEXT_RUN = 12;

/**
 * Time per value with this axis as the run; values that lie side by side, or stay the same, are handled four at a time.
 */
function runCost({ size, strides }: WalkAxis): number {
  const isVector = size >= 4 && strides.every((stride) => stride === 0 || stride === 4);
  return COST_OF_NEXT_RUN / size + (isVector ? 1 / 4 : 1);
}
