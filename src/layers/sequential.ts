/** Layers one after the other, as torch.nn.Sequential. */
import type { Runtime } from '../runtime/runtime.js';
import { Composite } from './composite.js';
import type { Layer } from './layer.js';

/**
 * Runs its layers in order, as one plan. State keys carry the layers' names: those of the record, or 0, 1, 2, ... of
 * the array. It owns its layers: `dispose` disposes of them.
 * @example
 * const net = new Sequential(runtime, { conv: new Conv2d(runtime, { inChannels: 3, outChannels: 8, kernelSize: 3 }), relu: new ReLU(runtime) });
 */
export class Sequential extends Composite {
  /** @throws TypeError when an entry is not a layer, RangeError when one is of another runtime */
  constructor(runtime: Runtime, layers: readonly Layer[] | Readonly<Record<string, Layer>>) {
    const names = Object.keys(layers ?? {});
    super(runtime, layers as Record<string, Layer>, (input, apply) =>
      names.reduce((value, name) => apply(name, value), input),
    );
  }

  /** @internal */
  override get kind(): string {
    return 'Sequential';
  }

  /** @internal */
  override copyWith(children: readonly (readonly [string, Layer])[]): Layer {
    return this.giveStateTo(new Sequential(this.runtime, Object.fromEntries(children)));
  }
}
