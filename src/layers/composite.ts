/** Layers wired by a function: skip connections, dense blocks, anything that is not a chain. */
import type { GraphBuilder } from '../graph/graph.js';
import type { Runtime } from '../runtime/runtime.js';
import { show } from '../shown.js';
import { Layer } from './layer.js';

/** Applies the inner layer of this name to values; returns the name of its output. */
export type Apply = (layer: string, ...values: string[]) => string;

/** From the input to the output of a composite; both are names of values, as `apply` takes and returns them. */
export type Wiring = (input: string, apply: Apply) => string;

/**
 * One input, one output, and the wiring in between. State keys carry the layers' names. It owns its layers: `dispose`
 * disposes of them. A layer may be applied more than once.
 * @example
 * const block = new ACBlock(runtime, { inChannels: 8, outChannels: 8, kernelSize: 3, padding: 1 });
 * const residual = new Composite(runtime, { block, add: new Add(runtime), relu: new ReLU(runtime) }, (x, apply) =>
 *   apply('relu', apply('add', apply('block', x), x)),
 * );
 */
export class Composite extends Layer {
  readonly #layers: readonly (readonly [string, Layer])[];
  readonly #wiring: Wiring;

  /**
   * @param wiring called when a network first runs or has changed; must make the same calls each time
   * @throws TypeError when an entry is not a layer, RangeError when one is of another runtime
   */
  constructor(runtime: Runtime, layers: Readonly<Record<string, Layer>>, wiring: Wiring) {
    super(runtime);
    const { kind } = this;
    if (typeof layers !== 'object' || layers === null) {
      throw new TypeError(`${kind}: layers must be an array or a record of layers, got ${show(layers)}`);
    }
    this.#layers = Object.entries(layers);
    if (this.#layers.length === 0) throw new RangeError(`${kind}: layers must hold at least one layer, got none`);
    for (const [name, layer] of this.#layers) {
      if (!(layer instanceof Layer)) throw new TypeError(`${kind}: ${name} must be a layer, got ${show(layer)}`);
      if (layer.runtime !== runtime) throw new RangeError(`${kind}: ${name} belongs to another runtime`);
    }
    if (typeof wiring !== 'function') throw new TypeError(`${kind}: wiring must be a function, got ${show(wiring)}`);
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
    const values = new Set([input]);
    const checked = (value: string): string => {
      if (values.has(value)) return value;
      throw new RangeError(
        `${this.kind}.forward: wiring must use its input and what apply returns, got ${show(value)}`,
      );
    };
    const output = this.#wiring(input, (name, ...inputs) => {
      const layer = layers.get(name);
      if (layer === undefined) {
        throw new RangeError(`${this.kind}.forward: wiring must apply one of its layers, got ${show(name)}`);
      }
      const value = layer.addTo(graph, inputs.map(checked), path === '' ? name : `${path}.${name}`);
      values.add(value);
      return value;
    });
    return checked(output);
  }
}
