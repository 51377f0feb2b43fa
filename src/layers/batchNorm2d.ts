/** Batch normalisation, as torch.nn.BatchNorm2d. */
import type { BatchNormNode, GraphBuilder, Role } from '../graph/graph.js';
import type { NormOf } from '../merge/affine.js';
import { batchNorm } from '../ops/batchNorm.js';
import { checkNames, finiteNumber, flag, wholeNumber } from '../options.js';
import type { Runtime } from '../runtime/runtime.js';
import type { Tensor } from '../tensor.js';
import { Layer } from './layer.js';
import type { ParameterSpec, Parameters } from './parameters.js';

export interface NormOptions {
  /** Whether there are `weight` and `bias`; default true. */
  affine?: boolean;
  /** Added to the variance; default 1e-5. */
  eps?: number;
  /** Share of the batch's statistics in the updated running ones; default 0.1. */
  momentum?: number;
}

export interface BatchNorm2dOptions extends NormOptions {
  numFeatures: number;
}

export interface CheckedNorm {
  readonly affine: boolean;
  readonly eps: number;
  readonly momentum: number;
}

/** @throws TypeError, RangeError naming the option */
export function checkNormOptions(owner: string, options: NormOptions): CheckedNorm {
  return {
    affine: flag(owner, 'affine', options.affine ?? true),
    eps: finiteNumber(owner, 'eps', options.eps ?? 1e-5, 0),
    momentum: finiteNumber(owner, 'momentum', options.momentum ?? 0.1, 0),
  };
}

/** Parameters and statistics of a BatchNorm, their names behind `prefix`. */
export function normSpecs(prefix: string, channels: number, affine: boolean): ParameterSpec[] {
  const spec = (name: string, initial: number, role: Role): ParameterSpec => {
    return { name: prefix + name, dims: [channels], initial, role };
  };
  const statistics = [spec('running_mean', 0, 'statistic'), spec('running_var', 1, 'statistic')];
  return affine ? [spec('weight', 1, 'trainable'), spec('bias', 0, 'trainable'), ...statistics] : statistics;
}

/** The parameters and statistics of a BatchNorm by their roles. */
export function normOf(parameters: Parameters, prefix: string, eps: number): NormOf<Tensor> {
  return {
    gamma: parameters.find(`${prefix}weight`),
    beta: parameters.find(`${prefix}bias`),
    mean: parameters.get(`${prefix}running_mean`),
    variance: parameters.get(`${prefix}running_var`),
    eps,
  };
}

/** Adds the node of a BatchNorm to a graph; returns the name of its output. */
export function addNorm(
  graph: GraphBuilder,
  owner: Pick<BatchNormNode, 'path' | 'layer'>,
  image: string,
  { eps, momentum }: CheckedNorm,
  training: boolean,
  store: (name: string) => string | undefined,
): string {
  const [mean, variance] = [store('running_mean')!, store('running_var')!];
  const inputs = [image, store('weight'), store('bias'), mean, variance] as const;
  const mode = training ? { momentum, updates: [mean, variance] } : { momentum: undefined };
  return graph.add({ op: 'batchNorm', ...owner, inputs, eps, ...mode }, batchNorm);
}

/**
 * Input and output [N, numFeatures, H, W]. State: `weight`, `bias`, `running_mean`, `running_var`, [numFeatures] each.
 * In training mode the biased variance of the batch normalises and the unbiased one updates `running_var`.
 */
export class BatchNorm2d extends Layer {
  /** @internal */
  declare readonly options: BatchNorm2dOptions;
  readonly #options: CheckedNorm;

  /** @throws TypeError, RangeError naming the option */
  constructor(runtime: Runtime, options: BatchNorm2dOptions) {
    const owner = 'BatchNorm2d';
    checkNames(owner, options, ['numFeatures', 'affine', 'eps', 'momentum']);
    const channels = wholeNumber(owner, 'numFeatures', options.numFeatures, 1);
    const checked = checkNormOptions(owner, options);
    super(runtime, normSpecs('', channels, checked.affine), options);
    this.#options = checked;
  }

  /** @internal */
  override get kind(): string {
    return 'BatchNorm2d';
  }

  /** @internal */
  override describe(graph: GraphBuilder, [image]: readonly [string], path: string): string {
    const store = (name: string): string | undefined => this.storeOptional(graph, path, name);
    return addNorm(graph, { path, layer: this.kind }, image, this.#options, this.training, store);
  }
}
