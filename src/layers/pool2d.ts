/** Pooling over windows, as torch.nn.MaxPool2d and torch.nn.AvgPool2d. */
import type { GraphBuilder, Window } from '../graph/graph.js';
import { pool } from '../ops/pool.js';
import { checkNames, flag } from '../options.js';
import type { Runtime } from '../runtime/runtime.js';
import { show } from '../shown.js';
import { Layer } from './layer.js';
import { pair, type Size } from './options.js';

export interface MaxPool2dOptions {
  /** A number, or [height, width], as are stride, padding and dilation. */
  kernelSize: Size;
  /** Default: the kernel's size. */
  stride?: Size;
  /** At most half of the kernel's size; default 0. */
  padding?: Size;
  /** Default 1. */
  dilation?: Size;
  /** Whether a last window may hang over the edge; default false. */
  ceilMode?: boolean;
}

export interface AvgPool2dOptions extends Omit<MaxPool2dOptions, 'dilation'> {
  /** Whether zeros of the padding count in the mean; default true. */
  countIncludePad?: boolean;
}

function poolWindow(owner: string, options: MaxPool2dOptions): Window {
  const kernel = pair(owner, 'kernelSize', options.kernelSize, 1);
  const stride = pair(owner, 'stride', options.stride ?? options.kernelSize, 1);
  const dilation = pair(owner, 'dilation', options.dilation ?? 1, 1);
  const [height, width] = pair(owner, 'padding', options.padding ?? 0, 0);
  if (height * 2 > kernel[0] || width * 2 > kernel[1]) {
    throw new RangeError(
      `${owner}: padding must be at most half of kernelSize ${show(kernel)}, got ${show([height, width])}`,
    );
  }
  return { kernel, stride, dilation, pads: [height, width, height, width] };
}

/** Input [N, C, H, W], output [N, C, H', W']: the largest value of each window; NaN wins. */
export class MaxPool2d extends Layer {
  readonly #window: Window;
  readonly #ceilMode: boolean;

  /** @throws TypeError, RangeError naming the option */
  constructor(runtime: Runtime, options: MaxPool2dOptions) {
    const owner = 'MaxPool2d';
    checkNames(owner, options, ['kernelSize', 'stride', 'padding', 'dilation', 'ceilMode']);
    const window = poolWindow(owner, options);
    const ceilMode = flag(owner, 'ceilMode', options.ceilMode ?? false);
    super(runtime, [], options);
    this.#window = window;
    this.#ceilMode = ceilMode;
  }

  /** @internal */
  override get kind(): string {
    return 'MaxPool2d';
  }

  /** @internal */
  override describe(graph: GraphBuilder, inputs: readonly string[], path: string): string {
    const [window, ceilMode] = [this.#window, this.#ceilMode];
    return graph.add(
      {
        op: 'maxPool2d',
        path,
        layer: this.kind,
        inputs,
        window,
        ceilMode,
        countIncludePad: false,
      },
      pool,
    );
  }
}

/** Input [N, C, H, W], output [N, C, H', W']: the mean of each window. */
export class AvgPool2d extends Layer {
  readonly #window: Window;
  readonly #ceilMode: boolean;
  readonly #countIncludePad: boolean;

  /** @throws TypeError, RangeError naming the option */
  constructor(runtime: Runtime, options: AvgPool2dOptions) {
    const owner = 'AvgPool2d';
    checkNames(owner, options, ['kernelSize', 'stride', 'padding', 'ceilMode', 'countIncludePad']);
    const window = poolWindow(owner, options);
    const ceilMode = flag(owner, 'ceilMode', options.ceilMode ?? false);
    const countIncludePad = flag(owner, 'countIncludePad', options.countIncludePad ?? true);
    super(runtime, [], options);
    this.#window = window;
    this.#ceilMode = ceilMode;
    this.#countIncludePad = countIncludePad;
  }

  /** @internal */
  override get kind(): string {
    return 'AvgPool2d';
  }

  /** @internal */
  override describe(graph: GraphBuilder, inputs: readonly string[], path: string): string {
    const [window, ceilMode, countIncludePad] = [this.#window, this.#ceilMode, this.#countIncludePad];
    return graph.add({ op: 'avgPool2d', path, layer: this.kind, inputs, window, ceilMode, countIncludePad }, pool);
  }
}
