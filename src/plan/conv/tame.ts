/**
 * Whether values may go through the transforms of Winograd: a tile with an infinity, NaN or a very large value in it would
 * come out as NaN where a direct sum does not.
 */
import { extentOf } from '../../sizes.js';
import { cutKernel } from '../steps/cut.js';
import { type Addresses, finder, type StepContext, writeTable } from '../steps/step.js';

/** Far below the largest float32, far above any activation or weight. */
export const LARGEST_TRANSFORMED = 1e30;
/** What looking at a float takes, in operations of a product. */
const LOOK_FLOPS = 4;

/** Looks at channels-last values in a run. */
export function tameness(values: readonly string[], context: StepContext): (at: Addresses) => boolean {
  const { runtime } = context;
  const foundPtr = writeTable(context, new Int32Array(1));
  const looks = values.map((value) => {
    const count = extentOf(context.dims(value)).bytes / 4;
    const cut = { units: count, multiple: 16, flops: count * LOOK_FLOPS };
    return { find: finder(value, context), look: cutKernel(runtime, runtime.kernels, 'findLarge', cut) };
  });
  return (at) => {
    const found = runtime.heap.words(foundPtr, 1);
    found[0] = 0;
    for (const { find, look } of looks) look(find(at), LARGEST_TRANSFORMED, foundPtr);
    return found[0] === 0;
  };
}
