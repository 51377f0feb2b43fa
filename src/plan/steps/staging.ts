/** Memory of a runtime for a while: values copied in, room for work. */
import type { Allocation } from '../../runtime/heap.js';
import type { Runtime } from '../../runtime/runtime.js';
import type { Parameter } from './parameter.js';

export interface Staging {
  /** Address of a parameter's values in row-major order; 0 for none. */
  parameter(parameter: Parameter | undefined): number;
  /** Address of a copy. */
  floats(values: Float32Array): number;
  /** Address of uninitialised memory. */
  allocate(bytes: number): number;
}

/** All that `work` takes is freed at its end. */
export function withStaging<T>(runtime: Runtime, work: (stage: Staging) => T): T {
  const allocations: Allocation[] = [];
  const allocate = (bytes: number): number => {
    const allocation = runtime.heap.allocate(bytes);
    allocations.push(allocation);
    return allocation.ptr;
  };
  const floats = (values: Float32Array): number => {
    const ptr = allocate(values.byteLength);
    runtime.heap.floats(ptr, values.length).set(values);
    return ptr;
  };
  const parameter = (one: Parameter | undefined): number =>
    one === undefined ? 0 : (one.address() ?? floats(one.values()));
  try {
    return work({ parameter, floats, allocate });
  } finally {
    for (const allocation of allocations) allocation.free();
  }
}
