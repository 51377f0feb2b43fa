/** The tensors that a session is given, checked against the names of its inputs. */

import type { Graph } from '../graph/graph.js';
import { copyToHost, runtimeOf } from '../residentTensor.js';
import type { Runtime } from '../runtime/runtime.js';
import { show, showList, showName } from '../shown.js';
import { sizeOf } from '../sizes.js';
import { Tensor } from '../tensor.js';
import type { TensorMetadata } from './metadata.js';

export type Feeds = Readonly<Record<string, Tensor>>;

/** @throws TypeError, RangeError when a feed is missing, surplus, no tensor, disposed or of another runtime */
export function checkFeeds(feeds: Feeds, inputNames: readonly string[], runtime: Runtime): void {
  if (typeof feeds !== 'object' || feeds === null) {
    throw new TypeError(`InferenceSession.run: feeds must be an object of tensors, got ${show(feeds)}`);
  }
  if (feeds instanceof Tensor) {
    const names = showList(inputNames.map((name) => `${show(name)}: tensor`));
    throw new TypeError(`InferenceSession.run: feeds must be tensors by name, got a Tensor: run({ ${names} })`);
  }
  const expected = showList(inputNames) || 'none';
  const known = new Set(inputNames);
  const unknown = Object.keys(feeds).filter((name) => !known.has(name));
  if (unknown.length > 0) {
    throw new RangeError(`InferenceSession.run: there is no input ${showList(unknown)}; the inputs are ${expected}`);
  }
  const missing = inputNames.filter((name) => !Object.hasOwn(feeds, name));
  if (missing.length > 0) {
    throw new RangeError(`InferenceSession.run: feeds lack ${showList(missing)}; the inputs are ${expected}`);
  }
  for (const name of inputNames) checkFeed(name, feeds[name], runtime);
}

function checkFeed(name: string, tensor: Tensor | undefined, runtime: Runtime): void {
  if (!(tensor instanceof Tensor)) {
    throw new TypeError(`InferenceSession.run: feed ${showName(name)} must be a Tensor, got ${show(tensor)}`);
  }
  if (Tensor.isDisposed(tensor))
    throw new TypeError(`InferenceSession.run: feed ${showName(name)} is a disposed tensor`);
  const home = runtimeOf(tensor);
  if (home !== undefined && home !== runtime) {
    throw new RangeError(
      `InferenceSession.run: feed ${showName(name)} is resident in another runtime than the session's`,
    );
  }
}

/**
 * The error to throw when a model does not run with dims that it does not declare. The difference alone is no error:
 * many models run with other sizes than they were exported with.
 */
export function explainDims(error: RangeError, feeds: Feeds, inputs: readonly TensorMetadata[]): RangeError {
  for (const { name, shape } of inputs) {
    const { dims } = feeds[name]!;
    const fits =
      dims.length === shape.length && shape.every((dim, axis) => typeof dim === 'string' || dim === dims[axis]);
    if (fits || shape.length === 0) continue;
    return new RangeError(
      `InferenceSession.run: feed ${show(name)} must have dims [${showList(shape)}], got ` +
        `[${showList(dims)}]: ${error.message}`,
      { cause: error },
    );
  }
  return error;
}

/** Copies in memory that nothing else refers to. */
export function copyFeeds(feeds: Feeds): Feeds {
  return Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, copyToHost(tensor)]));
}

/** Some write -1 for a size that is open. */
function isSize(size: number | string): boolean {
  return typeof size === 'number' && size >= 0;
}

/** What a graph declares of its inputs' dims, a batch of any size as 1; undefined if more is left open. */
export function declaredDims(graph: Graph): number[][] | undefined {
  const dims = graph.inputs.map((name) =>
    graph.inputDims?.get(name)?.map((size, axis) => (axis === 0 && !isSize(size) ? 1 : size)),
  );
  return dims.every((of) => of?.every(isSize)) ? (dims as number[][]) : undefined;
}

/** Whether every dim of every input is declared. */
export function hasFixedDims(graph: Graph): boolean {
  return graph.inputs.every((name) => graph.inputDims?.get(name)?.every(isSize));
}

/** Zeros of those dims. */
export function zeroFeeds(graph: Graph, dims: readonly (readonly number[])[]): Record<string, Tensor> {
  const zeros = (of: readonly number[]): Tensor => new Tensor('float32', new Float32Array(sizeOf(of)), of);
  return Object.fromEntries(graph.inputs.map((name, i) => [name, zeros(dims[i]!)]));
}
