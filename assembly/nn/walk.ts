/**
 * A walk over up to three tensors at once, each with its own strides, run by run. Its table is a Walk, followed by a
 * WalkAxis for each outer axis, innermost first; src/plan/steps/strided.ts writes it. A stride may be 0 (broadcasting)
 * or negative (reversal).
 */

export class Walk {
  /** Number of outer axes. */
  axes: i32;
  /** Values in a run, the innermost axis. */
  length: i32;
  /** Bytes between the values of a run, in each tensor. */
  stride0: i32;
  stride1: i32;
  stride2: i32;
  /** Current address, in each tensor. */
  ptr0: usize;
  ptr1: usize;
  ptr2: usize;
}

export class WalkAxis {
  size: i32;
  /** Steps taken so far. */
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

/** Bytes between the values of a run, in the first, second or third tensor. */
export function runStride(tablePtr: usize, tensor: usize): i32 {
  return load<i32>(tablePtr + (tensor << 2), offsetof<Walk>('stride0'));
}

/** Address of the current run, in the first, second or third tensor. */
export function runPtr(tablePtr: usize, tensor: usize): usize {
  return load<usize>(tablePtr + (tensor << 2), offsetof<Walk>('ptr0'));
}

/** Starts a walk. */
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

/** Moves to the next run; false after the last one. */
export function nextRun(tablePtr: usize): bool {
  return stepFrom(tablePtr, 0);
}

/** Runs along the innermost outer axis. A loop over them saves `nextRun` (12 ns each) and ends with one `nextRow`. */
export function runsOfRow(tablePtr: usize): i32 {
  return changetype<Walk>(tablePtr).axes === 0 ? 1 : changetype<WalkAxis>(tablePtr + FIRST_AXIS).size;
}

/** Bytes between the runs of a row, in the first, second or third tensor. */
export function rowStride(tablePtr: usize, tensor: usize): i32 {
  return load<i32>(tablePtr + FIRST_AXIS + (tensor << 2), offsetof<WalkAxis>('stride0'));
}

/** Moves from the first run of a row to that of the next row; false after the last row. */
export function nextRow(tablePtr: usize): bool {
  return stepFrom(tablePtr, 1);
}

/** Steps along the first axis, from axis `first` on, that is not at its end. */
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
