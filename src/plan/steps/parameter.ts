/** What packed weights and coefficients are made of: stored values, and values that nodes give. */

import { residentPtr } from '../../residentTensor.js';
import type { Runtime } from '../../runtime/runtime.js';
import { sizeOf } from '../../sizes.js';
import type { Tensor } from '../../tensor.js';

export interface Parameter {
  readonly dims: readonly number[];
  /** Where it is stored; undefined: a node gives it. */
  readonly tensor: Tensor | undefined;
  /** Address of its values in row-major order; undefined if they are not in the runtime's memory. */
  address(): number | undefined;
  /** Its values in row-major order, until the next allocation. */
  values(): Float32Array;
}

export function storedParameter(runtime: Runtime, tensor: Tensor): Parameter {
  const address = (): number | undefined => residentPtr(tensor, runtime, 'planar');
  const values = (): Float32Array => {
    const ptr = address();
    return ptr === undefined ? tensor.data : runtime.heap.floats(ptr, tensor.size);
  };
  return { dims: tensor.dims, tensor, address, values };
}

/** @param find its address in the run at hand */
export function computedParameter(runtime: Runtime, dims: readonly number[], find: () => number): Parameter {
  return { dims, tensor: undefined, address: find, values: () => runtime.heap.floats(find(), sizeOf(dims)) };
}
