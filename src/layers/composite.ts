/** Layers wired by a function: skip connections, dense blocks, whatever is no chain. */
import type { GraphBuilder } from '../graph/graph.js';
import type { Runtime } from '../runtime/runtime.js';
import { Layer } from './layer.js';

/** Adds the inner layer of this name to the graph; returns the name of its output. */
export type Apply = (layer: string, ...inputs: string[]) => string;

/** From the name of the input to that of the output. */
export type Wiring = (input: string, apply: Apply) => string;

/** One input, one output, and in between what the wiring says. It owns its layers, as Sequential does. */
export class Composite extends Layer {
  readonly #layers: readonly (readonly [string, Layer])[];
  readonly #wiring: Wiring;

  constructor(runtime: Runtime, layers: Readonly<Record<string, Layer>>, wiring: Wiring) {
    super(runtime);
    this.#layers = Object.entries(layers);
    this.#wiring = wiring;
  }

  /** @internal */
  override get kind(): string {
    return 'Composite';
  }

  /** @internal */
  override children(): readonly (readonly [string, Layer])[] {
    return this.#layers;
  }

  /** @internal */
  override copyWith(children: readonly (readonly [string, Layer])[]): Layer {
    return this.giveStateTo(new Composite(this.runtime, Object.fromEntries(children), this.#wiring));
  }

  /** @internal */
  override describe(graph: GraphBuilder, [input]: readonly [string], path: string): string {
    const layers = new Map(this.#layers);
    return this.#wiring(input, (name, ...inputs) =>
      layers.get(name)!.addTo(graph, inputs, path === '' ? name : `${path}.${name}`),
    );
  }
}
