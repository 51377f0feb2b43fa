/** Layers one after the other, as torch.nn.Sequential. */
import type { GraphBuilder } from '../graph/graph.js';
import { show } from '../options.js';
import type { Runtime } from '../runtime/runtime.js';
import { Layer } from './layer.js';

/**
 * Runs its layers in order, as one plan. State keys carry the layers' names: those of the record, or 0, 1, 2, ... of
 * the array. It owns its layers: `dispose` disposes of them.
 * @example
 * const net = new Sequential(runtime, { conv: new Conv2d(runtime, { inChannels: 3, outChannels: 8, kernelSize: 3 }), relu: new ReLU(runtime) });
 */
export class Sequential extends Layer {
  readonly #layers: readonly (readonly [string, Layer])[];

  /** @throws TypeError when something in it is no layer, RangeError when one is of another runtime */
  constructor(runtime: Runtime, layers: readonly Layer[] | Readonly<Record<string, Layer>>) {
    if (typeof layers !== 'object' || layers === null) {
      throw new TypeError(`Sequential: layers must be an array or a record of layers, got ${show(layers)}`);
    }
    const entries = Object.entries(layers as Record<string, Layer>);
    if (entries.length === 0) throw new RangeError('Sequential: layers must hold at least one layer, got none');
    for (const [name, layer] of entries) {
      if (!(layer instanceof Layer)) throw new TypeError(`Sequential: ${name} must be a layer, got ${show(layer)}`);
      if (layer.runtime !== runtime) throw new RangeError(`Sequential: ${name} belongs to another runtime`);
    }
    super(runtime);
    this.#layers = entries;
  }

  /** @internal */
  override get kind(): string {
    return 'Sequential';
  }

  /** @internal */
  override children(): readonly (readonly [string, Layer])[] {
    return this.#layers;
  }

  /** @internal */
  override copyWith(children: readonly (readonly [string, Layer])[]): Layer {
    return this.giveStateTo(new Sequential(this.runtime, Object.fromEntries(children)));
  }

  /** @internal */
  override describe(graph: GraphBuilder, inputs: readonly string[], path: string): string {
    let values = inputs;
    for (const [name, layer] of this.#layers) {
      values = [layer.addTo(graph, values, path === '' ? name : `${path}.${name}`)];
    }
    return values[0]!;
  }
}
