/** Layers without parameters or options: ReLU, GlobalAvgPool2d, Flatten, Softmax, Add, Concat. */
import type { GraphBuilder } from '../graph/graph.js';
import { binary } from '../ops/binary.js';
import { concat } from '../ops/concat.js';
import { flatten } from '../ops/flatten.js';
import { globalPool } from '../ops/globalPool.js';
import { softmax } from '../ops/softmax.js';
import { unary } from '../ops/unary.js';
import { Layer } from './layer.js';

/** max(x, 0) of any shape; NaN stays NaN. */
export class ReLU extends Layer {
  /** @internal */
  override get kind(): string {
    return 'ReLU';
  }

  /** @internal */
  override describe(graph: GraphBuilder, inputs: readonly string[], path: string): string {
    return graph.add({ op: 'relu', path, layer: this.kind, inputs }, unary);
  }
}

/** [N, C, H, W] to [N, C, 1, 1]: the mean of each channel. */
export class GlobalAvgPool2d extends Layer {
  /** @internal */
  override get kind(): string {
    return 'GlobalAvgPool2d';
  }

  /** @internal */
  override describe(graph: GraphBuilder, inputs: readonly string[], path: string): string {
    return graph.add({ op: 'globalAvgPool2d', path, layer: this.kind, inputs }, globalPool);
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
    return graph.add({ op: 'flatten', path, layer: this.kind, inputs, axis: 1 }, flatten);
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
    return graph.add({ op: 'softmax', path, layer: this.kind, inputs, axis: 1 }, softmax);
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
    return inputs.reduce((sum, input) =>
      graph.add({ op: 'add', path, layer: this.kind, inputs: [sum, input] }, binary),
    );
  }
}

/** Joins tensors along axis 1; they may differ only in that axis. */
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
    return graph.add({ op: 'concat', path, layer: this.kind, inputs, axis: 1 }, concat);
  }
}
