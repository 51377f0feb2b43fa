/** A layer as a graph whose parameters are known by their keys in the state dict. */

import { type Graph, GraphBuilder, type Role } from '../../graph/graph.js';
import { inferShapes } from '../../graph/shapes.js';
import { Layer, Tensor } from '../../index.js';
import type { Dims } from '../../nodes/dims.js';
import { runtimeOf } from '../../residentTensor.js';
import { show } from '../../shown.js';

export interface LayerGraph {
  readonly graph: Graph;
  /** Dims of all values. */
  readonly shapes: Map<string, Dims>;
  /** Names of the graph's inputs and of its output. */
  readonly inputs: readonly string[];
  readonly output: string;
}

/** @throws RangeError where the dims do not fit the layer */
export function describeLayer(layer: Layer, inputDims: readonly Dims[]): LayerGraph {
  const builder = new GraphBuilder();
  const inputs = inputDims.map((_, i) => `input${i}`);
  const output = layer.addTo(builder, inputs, '');
  const graph = builder.finish(inputs, [output]);
  return { graph, shapes: inferShapes(graph, inputDims), inputs, output };
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

/** A parameter or statistic of a layer, or of one in it. */
export interface LayerParameter {
  /** In the state dict. */
  readonly key: string;
  readonly tensor: Tensor;
  readonly role: Role;
}

/** Those of a layer and of all in it, each once. */
export function parametersOf(layer: Layer): LayerParameter[] {
  const found = new Map<Tensor, LayerParameter>();
  const visit = (one: Layer, prefix: string): void => {
    for (const name of one.parameters.names()) {
      const tensor = one.parameters.get(name);
      if (!found.has(tensor)) found.set(tensor, { key: prefix + name, tensor, role: one.parameters.role(name) });
    }
    for (const [name, child] of one.children()) visit(child, `${prefix}${name}.`);
  };
  visit(layer, '');
  return [...found.values()];
}

/** What the graph of a layer depends on: the mode and the form of the layer and of all in it. */
export class LayerModes {
  readonly #layers: readonly { readonly layer: Layer; readonly parameters: object; readonly training: boolean }[];

  constructor(layer: Layer, layers = [layer, ...innerLayers(layer)], inEvaluation = false) {
    this.#layers = layers.map((one) => {
      return { layer: one, parameters: one.parameters, training: one.training && !inEvaluation };
    });
  }

  /** The same with all in evaluation mode. */
  inEvaluation(): LayerModes {
    const layers = this.#layers.map(({ layer }) => layer);
    return new LayerModes(layers[0]!, layers, true);
  }

  areSame(other: LayerModes): boolean {
    return (
      this.#layers.length === other.#layers.length &&
      this.#layers.every(({ layer, parameters, training }, i) => {
        const one = other.#layers[i]!;
        return layer === one.layer && parameters === one.parameters && training === one.training;
      })
    );
  }

  /** Brings every layer back into its mode. */
  restore(): void {
    // A mode is that of all layers inside, too, which come behind.
    for (const { layer, training } of this.#layers) training ? layer.train() : layer.eval();
  }
}

function innerLayers(layer: Layer): Layer[] {
  return layer.children().flatMap(([, child]) => [child, ...innerLayers(child)]);
}
