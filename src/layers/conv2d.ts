/** Convolution, as torch.nn.Conv2d. */

import type { GraphBuilder, PaddingMode, Window } from '../graph/graph.js';
import type { Algorithm } from '../nodes/algorithm.js';
import { conv2d } from '../ops/conv2d.js';
import { checkNames, flag, wholeNumber } from '../options.js';
import type { Runtime } from '../runtime/runtime.js';
import { Layer } from './layer.js';
import { checkAlgorithm, checkGroups, convWindow, paddingMode, type Size } from './options.js';

export interface Conv2dOptions {
  inChannels: number;
  outChannels: number;
  /** A number, or [height, width], as are stride, padding and dilation. */
  kernelSize: Size;
  /** Default 1. */
  stride?: Size;
  /** Pixels on each side, `'same'` or `'valid'`; default 0. */
  padding?: Size | 'same' | 'valid';
  /** Default 1. */
  dilation?: Size;
  /** Default 1. */
  groups?: number;
  /** Default `'zeros'`. */
  paddingMode?: PaddingMode;
  /** Default true. */
  bias?: boolean;
  /** Forces the kernels, for tests and measurements; by default the fastest are chosen for each input shape. */
  algorithm?: Algorithm;
}

const NAMES = [
  'inChannels',
  'outChannels',
  'kernelSize',
  'stride',
  'padding',
  'dilation',
  'groups',
  'paddingMode',
  'algorithm',
];

/**
 * Input [N, inChannels, H, W], output [N, outChannels, H', W']. State: `weight` [outChannels, inChannels / groups,
 * height, width] and `bias` [outChannels].
 */
export class Conv2d extends Layer {
  /** @internal */
  declare readonly options: Conv2dOptions;
  readonly #window: Window;
  readonly #paddingMode: PaddingMode;
  readonly #groups: number;
  readonly #algorithm: Algorithm | undefined;

  /** @throws TypeError, RangeError naming the option */
  constructor(runtime: Runtime, options: Conv2dOptions) {
    const owner = 'Conv2d';
    checkNames(owner, options, [...NAMES, 'bias']);
    const inChannels = wholeNumber(owner, 'inChannels', options.inChannels, 1);
    const outChannels = wholeNumber(owner, 'outChannels', options.outChannels, 1);
    const groups = wholeNumber(owner, 'groups', options.groups ?? 1, 1);
    checkGroups(owner, inChannels, outChannels, groups);
    const window = convWindow(owner, options);
    const mode = paddingMode(owner, options.paddingMode ?? 'zeros');
    const algorithm = checkAlgorithm(owner, options.algorithm);
    const dims = [outChannels, inChannels / groups, ...window.kernel];
    const initial = { fanIn: dims[1]! * window.kernel[0] * window.kernel[1] };
    const hasBias = flag(owner, 'bias', options.bias ?? true);
    const specs = [
      { name: 'weight', dims, initial },
      ...(hasBias ? [{ name: 'bias', dims: [outChannels], initial }] : []),
    ];
    super(runtime, specs, options);
    this.#window = window;
    this.#paddingMode = mode;
    this.#groups = groups;
    this.#algorithm = algorithm;
  }

  /** @internal */
  override get kind(): string {
    return 'Conv2d';
  }

  /** @internal */
  override describe(graph: GraphBuilder, [image]: readonly [string], path: string): string {
    return graph.add(
      {
        op: 'conv2d',
        path,
        layer: this.kind,
        inputs: [image, this.store(graph, path, 'weight'), this.storeOptional(graph, path, 'bias')],
        window: this.#window,
        paddingMode: this.#paddingMode,
        groups: this.#groups,
        algorithm: this.#algorithm,
      },
      conv2d,
    );
  }
}
