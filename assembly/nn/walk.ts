/**
 * A walk over up to three tensors at once, each with strides of its own, run by run. A table tells how: a Walk, and behind it
 * a WalkAxis for each outer axis, the innermost first. src/plan/strided.ts writes tables. A stride may be 0 (broadcasting) or
 * negative (reversal).
 */

export class Walk {
  /** Outer axes. */
  axes: i32;
  /** Values of a run, which is the innermost axis. */
  length: i32;
  /** Bytes from one value of a run to the next, of each tensor. */
  stride0: i32;
  stride1: i32;
  stride2: i32;
  /** Where the walk stands, in each tensor. */
  ptr0: usize;
  ptr1: usize;
  ptr2: usize;
}

export class WalkAxis {
  size: i32;
  /** How often it was stepped along. */
  taken: i32;
  /** Bytes of a step, in each tensor. */
  stride0: i32;
  stride1: i32;
  stride2: i32;
}

const FIRST_AXIS: usize = offsetof<Walk>();
const AXIS_BYTES: usize = offsetof<WalkAxis>();

export function runLength(tablePtr: usize): i32 {
  return load<i32>(tablePtr, offsetof<Walk>('length'));
}

/** Bytes from one value of a run to the next, of the first, second or third tensor. */
export function runStride(tablePtr: usize, tensor: usize): i32 {
  return load<i32>(tablePtr + (tensor << 2), offsetof<Walk>('stride0'));
}

/** Address of the present run in the first, second or third tensor. */
export function runPtr(tablePtr: usize, tensor: usize): usize {
  return load<usize>(tablePtr + (tensor << 2), offsetof<Walk>('ptr0'));
}

/** Puts the walk at its start. */
export function startWalk(tablePtr: usize, firstPtr: usize, secondPtr: usize, thirdPtr: usize): void {
  const walk = changetype<Walk>(tablePtr);
  walk.ptr0 = firstPtr;
  walk.ptr1 = secondPtr;
  walk.ptr2 = thirdPtr;
  const axes = walk.axes;
  let axisPtr = tablePtr + FIRST_AXIS;
  for (let i = 0; i < axes; ++i) {
    changetype<WalkAxis>(axisPtr).taken = 0;
    axisPtr += AXIS_BYTES;
  }
}

/** Goes to the next run; false behind the last one. */
export function nextRun(tablePtr: usize): bool {
  return stepFrom(tablePtr, 0);
}

/** Runs along the innermost of the outer axes: a loop over them needs no `nextRun` (12 ns each), but `nextRow` after it. */
export function runsOfRow(tablePtr: usize): i32 {
  return changetype<Walk>(tablePtr).axes === 0 ? 1 : changetype<WalkAxis>(tablePtr + FIRST_AXIS).size;
}

/** Bytes from one run of a row to the next, of the first, second or third tensor. */
export function rowStride(tablePtr: usize, tensor: usize): i32 {
  return load<i32>(tablePtr + FIRST_AXIS + (tensor << 2), offsetof<WalkAxis>('stride0'));
}

/** Goes to the first run of the next row, from the first one of the present row; false behind the last row. */
export function nextRow(tablePtr: usize): bool {
  return stepFrom(tablePtr, 1);
}

/** A step along the first of the axes from `first` on that is not at its end. */
function stepFrom(tablePtr: usize, first: i32): bool {
  const walk = changetype<Walk>(tablePtr);
  const axes = walk.axes;
  let axisPtr = tablePtr + FIRST_AXIS + <usize>first * AXIS_BYTES;
  for (let i = first; i < axes; ++i) {
    const axis = changetype<WalkAxis>(axisPtr);
    const taken = axis.taken + 1;
    const isInside = taken < axis.size;
    const steps = isInside ? 1 : 1 - axis.size;
    axis.taken = isInside ? taken : 0;
    walk.ptr0 += steps * axis.stride0;
    walk.ptr1 += steps * axis.stride1;
    walk.ptr2 += steps * axis.stride2;
    if (isInside) return true;
    axisPtr += AXIS_BYTES;
  }
  return false;
}
