/**
 * A walk over up to three tensors at once, each with strides of its own, run by run. A table tells how:
 *
 *   word 0      outer axes
 *   word 1      values of a run, which is the innermost axis
 *   words 2-4   bytes from one value of a run to the next, of each tensor
 *   words 5-7   where the walk stands: an address of each tensor
 *   words 8-    for each outer axis, the innermost first: its size, how often it was stepped along, and the bytes of a
 *               step in each tensor
 *
 * src/plan/strided.ts writes tables. A stride may be 0 (broadcasting) or negative (reversal).
 */

const FIRST_AXIS: usize = 32;
const AXIS_BYTES: usize = 20;

export function runLength(tablePtr: usize): i32 {
  return load<i32>(tablePtr, 4);
}

/** Bytes from one value of a run to the next, of the first, second or third tensor. */
export function runStride(tablePtr: usize, tensor: usize): i32 {
  return load<i32>(tablePtr + (tensor << 2), 8);
}

/** Address of the present run in the first, second or third tensor. */
export function runPtr(tablePtr: usize, tensor: usize): usize {
  return load<usize>(tablePtr + (tensor << 2), 20);
}

/** Puts the walk at its start. */
export function startWalk(tablePtr: usize, firstPtr: usize, secondPtr: usize, thirdPtr: usize): void {
  store<usize>(tablePtr, firstPtr, 20);
  store<usize>(tablePtr, secondPtr, 24);
  store<usize>(tablePtr, thirdPtr, 28);
  const axes = load<i32>(tablePtr);
  let axisPtr = tablePtr + FIRST_AXIS;
  for (let i = 0; i < axes; ++i) {
    store<i32>(axisPtr, 0, 4);
    axisPtr += AXIS_BYTES;
  }
}

/** Goes to the next run; false behind the last one. */
export function nextRun(tablePtr: usize): bool {
  return stepFrom(tablePtr, 0);
}

/** Runs along the innermost of the outer axes: a loop over them needs no `nextRun` (12 ns each), but `nextRow` after it. */
export function runsOfRow(tablePtr: usize): i32 {
  return load<i32>(tablePtr) === 0 ? 1 : load<i32>(tablePtr + FIRST_AXIS);
}

/** Bytes from one run of a row to the next, of the first, second or third tensor. */
export function rowStride(tablePtr: usize, tensor: usize): i32 {
  return load<i32>(tablePtr + FIRST_AXIS + (tensor << 2), 8);
}

/** Goes to the first run of the next row, from the first one of the present row; false behind the last row. */
export function nextRow(tablePtr: usize): bool {
  return stepFrom(tablePtr, 1);
}

/** A step along the first of the axes from `first` on that is not at its end. */
function stepFrom(tablePtr: usize, first: i32): bool {
  const axes = load<i32>(tablePtr);
  let axisPtr = tablePtr + FIRST_AXIS + <usize>first * AXIS_BYTES;
  for (let i = first; i < axes; ++i) {
    const size = load<i32>(axisPtr);
    const count = load<i32>(axisPtr, 4) + 1;
    const isInside = count < size;
    const steps = isInside ? 1 : 1 - size;
    store<i32>(axisPtr, isInside ? count : 0, 4);
    store<i32>(tablePtr, load<i32>(tablePtr, 20) + steps * load<i32>(axisPtr, 8), 20);
    store<i32>(tablePtr, load<i32>(tablePtr, 24) + steps * load<i32>(axisPtr, 12), 24);
    store<i32>(tablePtr, load<i32>(tablePtr, 28) + steps * load<i32>(axisPtr, 16), 28);
    if (isInside) return true;
    axisPtr += AXIS_BYTES;
  }
  return false;
}
