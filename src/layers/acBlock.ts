/**
 * The Asymmetric Convolution Block (Ding, Guo, Ding, Han: ACNet, ICCV 2019).
 *
 * Train form: y = BN_square(W_square * x) + BN_ver(W_ver * x) + BN_hor(W_hor * x)
 * Deploy form: one convolution with bias, the same function of x (section 3.3 of the paper)
 */

import type { GraphBuilder, PaddingMode, Window } from '../graph/graph.js';
import { mapNorm } from '../merge/affine.js';
import { type MergedBlock, mergeBlock } from '../merge/block.js';
import { centredWindow } from '../merge/window.js';
import type { Algorithm } from '../nodes/algorithm.js';
import { binary } from '../ops/binary.js';
import { conv2d } from '../ops/conv2d.js';
import { checkNames, finiteNumber, flag, oneOf, wholeNumber } from '../options.js';
import type { Runtime } from '../runtime/runtime.js';
import { show } from '../shown.js';
import { product, sizeOf } from '../sizes.js';
import { Tensor } from '../tensor.js';
import { addNorm, type CheckedNorm, checkNormOptions, type NormOptions, normOf, normSpecs } from './batchNorm2d.js';
import type { Conv2dOptions } from './conv2d.js';
import { Layer } from './layer.js';
import { checkAlgorithm, checkGroups, convWindow, paddingMode, pair, type Size } from './options.js';
import { type ParameterSpec, Parameters, parameterView, writeParameter } from './parameters.js';

export interface ACBlockOptions extends Omit<Conv2dOptions, 'bias'>, NormOptions {
  /** Lengths of the K x 1 and the 1 x K kernel; default: the kernel's height and width. */
  branchSize?: Size;
  /** `'train'`: three branches; `'deploy'`: one convolution. Default `'train'`. */
  form?: 'train' | 'deploy';
  /** Start value of all three gammas; default 1. */
  gammaInit?: number;
  /** Start all three gammas at 1/3, so that the block starts with the magnitude of a plain one; default false. */
  reduceGamma?: boolean;
}

const NAMES: readonly string[] = [
  'inChannels',
  'outChannels',
  'kernelSize',
  'stride',
  'padding',
  'dilation',
  'groups',
  'paddingMode',
  'branchSize',
  'affine',
  'eps',
  'momentum',
  'form',
  'algorithm',
  'gammaInit',
  'reduceGamma',
];

const BRANCHES = ['square', 'ver', 'hor'] as const;
type BranchName = (typeof BRANCHES)[number];

/** A branch, and the window that sees the same centres as the square one. */
interface Branch {
  readonly name: BranchName;
  readonly window: Window;
}

/** Options of a block, checked. */
export interface BlockSettings {
  readonly inPerGroup: number;
  readonly outChannels: number;
  readonly groups: number;
  readonly window: Window;
  readonly paddingMode: PaddingMode;
  readonly branches: readonly Branch[];
  readonly norm: CheckedNorm;
  readonly algorithm: Algorithm | undefined;
}

/**
 * Input [N, inChannels, H, W], output [N, outChannels, H', W'].
 *
 * State in train form, for each of `square`, `ver`, `hor`: `*_conv.weight`, `*_bn.weight`, `*_bn.bias`,
 * `*_bn.running_mean`, `*_bn.running_var`; in deploy form: `fused_conv.weight`, `fused_conv.bias`.
 * @example
 * const block = new ACBlock(runtime, { inChannels: 16, outChannels: 16, kernelSize: 3, padding: 1 }).eval();
 * const y = block.switchToDeploy().forward(x);
 */
export class ACBlock extends Layer {
  /** @internal */
  declare readonly options: ACBlockOptions;
  readonly #settings: BlockSettings;
  #form: 'train' | 'deploy';

  /** @throws TypeError, RangeError naming the option */
  constructor(runtime: Runtime, options: ACBlockOptions) {
    const settings = checkBlockOptions(options);
    const form = oneOf('ACBlock', 'form', options.form ?? 'train', ['train', 'deploy'] as const);
    const gamma = startGamma(options, settings.norm.affine);
    super(runtime, form === 'train' ? trainSpecs(settings) : deploySpecs(settings), options);
    this.#settings = settings;
    this.#form = form;
    if (form === 'train' && gamma !== 1) this.initGamma(gamma);
  }

  /** `'train'`: three branches; `'deploy'`: one convolution. */
  get form(): 'train' | 'deploy' {
    return this.#form;
  }

  /** @internal */
  override get kind(): string {
    return 'ACBlock';
  }

  /** @internal */
  override describe(graph: GraphBuilder, [image]: readonly [string], path: string): string {
    const { window, groups, norm, algorithm } = this.#settings;
    const common = { path, layer: this.kind };
    if (this.#form === 'deploy') {
      const parameters = ['weight', 'bias'].map((name) => this.store(graph, path, `fused_conv.${name}`));
      const inputs = [image, ...(parameters as [string, string])] as const;
      const { paddingMode } = this.#settings;
      return graph.add({ op: 'conv2d', ...common, inputs, window, paddingMode, groups, algorithm }, conv2d);
    }
    const outputs = this.#settings.branches.map((branch) => {
      const product = graph.add(
        {
          op: 'conv2d',
          ...common,
          inputs: [image, this.store(graph, path, `${branch.name}_conv.weight`)],
          window: branch.window,
          paddingMode: this.#settings.paddingMode,
          groups,
          algorithm: branch.name === 'square' ? algorithm : undefined,
        },
        conv2d,
      );
      return addNorm(graph, common, product, norm, this.training, (name) =>
        this.storeOptional(graph, path, `${branch.name}_bn.${name}`),
      );
    });
    return outputs.reduce((sum, output) => graph.add({ op: 'add', ...common, inputs: [sum, output] }, binary));
  }

  /** @internal */
  override copyWith(): Layer {
    return this.giveStateTo(new ACBlock(this.runtime, { ...this.options, form: this.#form }));
  }

  /**
   * The single convolution that equals the block in evaluation mode, folded and merged in float64: weight
   * [outChannels, inChannels / groups, height, width] and bias [outChannels].
   */
  equivalentKernelBias(): { weight: Tensor; bias: Tensor } {
    this.assertUsable('equivalentKernelBias');
    if (this.#form === 'train') {
      const [weight, bias] = deploySpecs(this.#settings).map(
        ({ dims }) => new Tensor('float32', new Float32Array(sizeOf(dims)), dims),
      ) as [Tensor, Tensor];
      this.#mergeInto({ weight: weight.data, bias: bias.data });
      return { weight, bias };
    }
    const { 'fused_conv.weight': weight, 'fused_conv.bias': bias } = this.stateDict();
    return { weight: weight!, bias: bias! };
  }

  /** @internal */
  protected override prepareDeploy(): (() => void)[] {
    if (this.#form === 'deploy') return [];
    const fused = new Parameters(this.runtime, deploySpecs(this.#settings));
    const [weight, bias] = [fused.get('fused_conv.weight'), fused.get('fused_conv.bias')];
    this.#mergeInto({ weight: parameterView(weight), bias: parameterView(bias) });
    const merge = (): void => {
      this.replaceParameters(fused);
      this.#form = 'deploy';
    };
    return [merge];
  }

  #mergeInto(target: MergedBlock): void {
    const { branches, outChannels, inPerGroup, groups, window, norm } = this.#settings;
    const folded = branches.map(({ name, window: ofBranch }) => ({
      kernel: parameterView(this.parameters.get(`${name}_conv.weight`)),
      window: ofBranch,
      norm: mapNorm(normOf(this.parameters, `${name}_bn.`, norm.eps), parameterView),
    }));
    mergeBlock(folded, { outChannels, inChannels: product(inPerGroup, groups), groups, window }, target);
  }

  /** Sets the gammas of all three BatchNorms. */
  initGamma(value: number): this {
    return this.#setGammas('initGamma', finiteNumber('ACBlock.initGamma', 'value', value), BRANCHES);
  }

  /** Starts as the square branch alone: its gamma 1, the others' 0. */
  initSingle(): this {
    this.#setGammas('initSingle', 0, ['ver', 'hor']);
    return this.#setGammas('initSingle', 1, ['square']);
  }

  #setGammas(method: string, value: number, branches: readonly BranchName[]): this {
    this.assertUsable(method);
    for (const branch of branches) {
      const gamma = this.parameters.find(`${branch}_bn.weight`);
      if (gamma === undefined) {
        const why = this.#form === 'deploy' ? 'is in deploy form' : 'has affine: false';
        throw new TypeError(`ACBlock.${method}: this block ${why} and so has no gammas`);
      }
      writeParameter(gamma, new Float32Array(gamma.size).fill(value));
    }
    return this;
  }
}

/** @throws TypeError, RangeError naming the option */
export function checkBlockOptions(options: ACBlockOptions): BlockSettings {
  const owner = 'ACBlock';
  checkNames(owner, options, NAMES);
  const inChannels = wholeNumber(owner, 'inChannels', options.inChannels, 1);
  const outChannels = wholeNumber(owner, 'outChannels', options.outChannels, 1);
  const groups = wholeNumber(owner, 'groups', options.groups ?? 1, 1);
  checkGroups(owner, inChannels, outChannels, groups);
  const window = convWindow(owner, options);
  return {
    inPerGroup: inChannels / groups,
    outChannels,
    groups,
    window,
    paddingMode: paddingMode(owner, options.paddingMode ?? 'zeros'),
    branches: placeBranches(window, options.branchSize),
    norm: checkNormOptions(owner, options),
    algorithm: checkAlgorithm(owner, options.algorithm),
  };
}

function placeBranches(window: Window, branchSize: Size | undefined): readonly Branch[] {
  const { kernel } = window;
  const lengths = pair('ACBlock', 'branchSize', branchSize ?? kernel, 1);
  if (lengths[0] > kernel[0] || lengths[1] > kernel[1]) {
    throw new RangeError(`ACBlock: branchSize must be at most kernelSize ${show(kernel)}, got ${show(branchSize)}`);
  }
  return [
    { name: 'square', window },
    { name: 'ver', window: centredWindow(window, [lengths[0], 1]) },
    { name: 'hor', window: centredWindow(window, [1, lengths[1]]) },
  ];
}

function startGamma(options: ACBlockOptions, affine: boolean): number {
  const reduce = flag('ACBlock', 'reduceGamma', options.reduceGamma ?? false);
  if (options.gammaInit === undefined && !reduce) return 1;
  if (options.gammaInit !== undefined && reduce) {
    throw new RangeError('ACBlock: at most one of gammaInit and reduceGamma must be given, got both');
  }
  if (!affine) {
    throw new RangeError(
      'ACBlock: gammaInit and reduceGamma set gammas, which a block with affine: false does not have',
    );
  }
  return reduce ? 1 / 3 : finiteNumber('ACBlock', 'gammaInit', options.gammaInit);
}

function trainSpecs({ branches, outChannels, inPerGroup, norm }: BlockSettings): ParameterSpec[] {
  return branches.flatMap(({ name, window: { kernel } }) => [
    {
      name: `${name}_conv.weight`,
      dims: [outChannels, inPerGroup, ...kernel],
      initial: { fanIn: inPerGroup * sizeOf(kernel) },
    },
    ...normSpecs(`${name}_bn.`, outChannels, norm.affine),
  ]);
}

export function deploySpecs({ outChannels, inPerGroup, window }: BlockSettings): ParameterSpec[] {
  const initial = { fanIn: inPerGroup * sizeOf(window.kernel) };
  return [
    { name: 'fused_conv.weight', dims: [outChannels, inPerGroup, ...window.kernel], initial },
    { name: 'fused_conv.bias', dims: [outChannels], initial },
  ];
}
