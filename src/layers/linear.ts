/** Fully connected layer, as torch.nn.Linear. */
import type { GraphBuilder } from '../graph/graph.js';
import { linear } from '../ops/linear.js';
import { checkNames, flag, wholeNumber } from '../options.js';
import type { Runtime } from '../runtime/runtime.js';
import { Layer } from './layer.js';

export interface LinearOptions {
  inFeatures: number;
  outFeatures: number;
  /** Default true. */
  bias?: boolean;
}

/**
 * Input [N, inFeatures], output [N, outFeatures]. State: `weight` [outFeatures, inFeatures] and `bias` [outFeatures].
 */
export class Linear extends Layer {
  /** @throws TypeError, RangeError naming the option */
  constructor(runtime: Runtime, options: LinearOptions) {
    const owner = 'Linear';
    checkNames(owner, options, ['inFeatures', 'outFeatures', 'bias']);
    const inFeatures = wholeNumber(owner, 'inFeatures', options.inFeatures, 1);
    const outFeatures = wholeNumber(owner, 'outFeatures', options.outFeatures, 1);
    const initial = { fanIn: inFeatures };
    const hasBias = flag(owner, 'bias', options.bias ?? true);
    const specs = [
      { name: 'weight', dims: [outFeatures, inFeatures], initial },
      ...(hasBias ? [{ name: 'bias', dims: [outFeatures], initial }] : []),
    ];
    super(runtime, specs, options);
  }

  /** @internal */
  override get kind(): string {
    return 'Linear';
  }

  /** @internal */
  override describe(graph: GraphBuilder, [matrix]: readonly [string], path: string): string {
    const weight = this.store(graph, path, 'weight');
    const bias = this.storeOptional(graph, path, 'bias');
    return graph.add({ op: 'linear', path, layer: this.kind, inputs: [matrix, weight, bias] }, linear);
  }
}
