/** A layer as a graph whose parameters are known by their keys in the state dict. */
import { type Graph, GraphBuilder } from '../graph/graph.js';
import { inferShapes } from '../graph/shapes.js';
import { Layer, Tensor } from '../index.js';
import type { Dims } from '../nodes/dims.js';
import { show } from '../shown.js';
import { runtimeOf } from '../tensor.js';

export interface LayerGraph {
  readonly graph: Graph;
  /** Dims of all values. */
  readonly shapes: Map<string, Dims>;
  /** Names of the graph's inputs, of its output, and of the parameters that an optimiser may change. */
  readonly inputs: readonly string[];
  readonly output: string;
  readonly trainable: readonly string[];
}

/** @throws RangeError where the dims do not fit the layer */
export function describeLayer(layer: Layer, inputDims: readonly Dims[]): LayerGraph {
  const builder = new GraphBuilder();
  const inputs = inputDims.map((_, i) => `input${i}`);
  const output = layer.addTo(builder, inputs, '');
  const graph = builder.finish(inputs, [output]);
  const trainable = [...graph.values!].flatMap(([name, { role }]) => (role === 'trainable' ? [name] : []));
  return { graph, shapes: inferShapes(graph, inputDims), inputs, output, trainable };
}

/** @throws TypeError, RangeError naming the argument */
export function checkLayer(owner: string, name: string, layer: unknown): asserts layer is Layer {
  if (!(layer instanceof Layer)) throw new TypeError(`${owner}: ${name} must be a layer, got ${show(layer)}`);
  layer.assertUsable(owner);
}

/** @throws TypeError, RangeError where it is no tensor that the layer may read */
export function checkTensor(owner: string, name: string, tensor: unknown, layer: Layer): asserts tensor is Tensor {
  if (!(tensor instanceof Tensor)) throw new TypeError(`${owner}: ${name} must be a Tensor, got ${show(tensor)}`);
  if (Tensor.isDisposed(tensor)) throw new TypeError(`${owner}: ${name} is a disposed tensor`);
  const home = runtimeOf(tensor);
  if (home !== undefined && home !== layer.runtime) {
    throw new RangeError(`${owner}: ${name} is resident in another runtime than this layer's`);
  }
}
