/** Layers without parameters or options: ReLU, GlobalAvgPool2d, Flatten, Softmax, Add, Concat. */
import type { GraphBuilder } from '../graph/graph.js';
import { Layer } from './layer.js';

/** A layer that is one node of one input. */
abstract class OneNode extends Layer {
  /** @internal */
  protected abstract readonly op: 'relu' | 'globalAvgPool2d';

  /** @internal */
  override describe(graph: GraphBuilder, inputs: readonly string[], path: string): string {
    return graph.add({ op: this.op, path, layer: this.kind, inputs });
  }
}

/** max(x, 0) of any shape; NaN stays NaN. */
export class ReLU extends OneNode {
  /** @internal */
  protected override readonly op = 'relu';

  /** @internal */
  override get kind(): string {
    return 'ReLU';
  }
}

/** [N, C, H, W] to [N, C, 1, 1]: the mean of each channel. */
export class GlobalAvgPool2d extends OneNode {
  /** @internal */
  protected override readonly op = 'globalAvgPool2d';

  /** @internal */
  override get kind(): string {
    return 'GlobalAvgPool2d';
  }
}

/** [N, ...] to [N, features], in row-major order. */
export class Flatten extends Layer {
  /** @internal */
  override get kind(): string {
    return 'Flatten';
  }

  /** @internal */
  override describe(graph: GraphBuilder, inputs: readonly string[], path: string): string {
    return graph.add({ op: 'flatten', path, layer: this.kind, inputs, axis: 1 });
  }
}

/** Softmax over axis 1. */
export class Softmax extends Layer {
  /** @internal */
  override get kind(): string {
    return 'Softmax';
  }

  /** @internal */
  override describe(graph: GraphBuilder, inputs: readonly string[], path: string): string {
    return graph.add({ op: 'softmax', path, layer: this.kind, inputs, axis: 1 });
  }
}

/** Sum of two or more tensors, broadcast by numpy's rules. */
export class Add extends Layer {
  /** @internal */
  override get kind(): string {
    return 'Add';
  }

  /** @internal */
  override get inputCounts(): readonly [number, number] {
    return [2, Number.POSITIVE_INFINITY];
  }

  /** @internal */
  override describe(graph: GraphBuilder, inputs: readonly string[], path: string): string {
    return inputs.reduce((sum, input) => graph.add({ op: 'add', path, layer: this.kind, inputs: [sum, input] }));
  }
}

/** Tensors that differ only in axis 1, one behind the other along that axis. */
export class Concat extends Layer {
  /** @internal */
  override get kind(): string {
    return 'Concat';
  }

  /** @internal */
  override get inputCounts(): readonly [number, number] {
    return [1, Number.POSITIVE_INFINITY];
  }

  /** @internal */
  override describe(graph: GraphBuilder, inputs: readonly string[], path: string): string {
    return graph.add({ op: 'concat', path, layer: this.kind, inputs, axis: 1 });
  }
}
