/**
 * The Asymmetric Convolution Block (Ding, Guo, Ding, Han: ACNet, ICCV 2019).
 *
 * Train form: y = BN_square(W_square * x) + BN_ver(W_ver * x) + BN_hor(W_hor * x)
 * Deploy form: one convolution with bias, the same function of x (section 3.3 of the paper)
 */
import type { GraphBuilder, PaddingMode, Pads, Pair, Window } from '../graph/graph.js';
import { batchNorm } from '../ops/batchNorm.js';
import { binary } from '../ops/binary.js';
import { conv2d } from '../ops/conv/conv2d.js';
import { checkNames, finiteNumber, flag, oneOf, wholeNumber } from '../options.js';
import type { Algorithm } from '../plan/algorithm.js';
import { foldNorm, withStaging } from '../plan/weights.js';
import type { Runtime } from '../runtime/runtime.js';
import { show } from '../shown.js';
import { product, sizeOf } from '../sizes.js';
import { Tensor } from '../tensor.js';
import { type CheckedNorm, checkNormOptions, type NormOptions, normOf, normSpecs } from './batchNorm2d.js';
import type { Conv2dOptions } from './conv2d.js';
import { Layer, writeParameter } from './layer.js';
import { checkAlgorithm, checkGroups, convWindow, paddingMode, pair, type Size } from './options.js';
import { type ParameterSpec, Parameters } from './parameters.js';

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

/** A branch's kernel and its place in the square one's window. */
interface Branch {
  readonly name: BranchName;
  readonly size: Pair;
  readonly row: number;
  readonly column: number;
}

interface Settings {
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
  readonly #settings: Settings;
  #form: 'train' | 'deploy';

  /** @throws TypeError, RangeError naming the option */
  constructor(runtime: Runtime, options: ACBlockOptions) {
    const settings = checkOptions(options);
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
  override describe(graph: GraphBuilder, inputs: readonly string[], path: string): string {
    const { window, groups, norm, algorithm } = this.#settings;
    const common = { path, layer: this.kind };
    if (this.#form === 'deploy') {
      const [weight, bias] = [this.parameters.get('fused_conv.weight'), this.parameters.get('fused_conv.bias')];
      const { paddingMode } = this.#settings;
      return graph.add(
        {
          op: 'conv2d',
          ...common,
          inputs,
          weight,
          bias,
          window,
          paddingMode,
          groups,
          algorithm,
        },
        conv2d,
      );
    }
    const momentum = this.training ? norm.momentum : undefined;
    const outputs = this.#settings.branches.map((branch) => {
      const product = graph.add(
        {
          op: 'conv2d',
          ...common,
          inputs,
          weight: this.parameters.get(`${branch.name}_conv.weight`),
          bias: undefined,
          window: branchWindow(window, branch),
          paddingMode: this.#settings.paddingMode,
          groups,
          algorithm: branch.name === 'square' ? algorithm : undefined,
        },
        conv2d,
      );
      const branchNorm = normOf(this.parameters, `${branch.name}_bn.`, norm.eps);
      return graph.add({ op: 'batchNorm', ...common, inputs: [product], norm: branchNorm, momentum }, batchNorm);
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
    if (this.#form === 'train') return mergeBranches(this.runtime, this.parameters, this.#settings);
    const { 'fused_conv.weight': weight, 'fused_conv.bias': bias } = this.stateDict();
    return { weight: weight!, bias: bias! };
  }

  /** @internal */
  protected override prepareDeploy(): (() => void)[] {
    if (this.#form === 'deploy') return [];
    const { weight, bias } = this.equivalentKernelBias();
    const fused = new Parameters(this.runtime, deploySpecs(this.#settings));
    writeParameter(this.runtime, fused.get('fused_conv.weight'), weight.data);
    writeParameter(this.runtime, fused.get('fused_conv.bias'), bias.data);
    const merge = (): void => {
      this.replaceParameters(fused);
      this.#form = 'deploy';
    };
    return [merge];
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
      writeParameter(this.runtime, gamma, new Float32Array(gamma.size).fill(value));
    }
    this.touch();
    return this;
  }
}

function checkOptions(options: ACBlockOptions): Settings {
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
    branches: placeBranches(window.kernel, options.branchSize),
    norm: checkNormOptions(owner, options),
    algorithm: checkAlgorithm(owner, options.algorithm),
  };
}

/** A branch of length a on an axis of length K starts at floor(K / 2) - floor(a / 2). */
function placeBranches(kernel: Pair, branchSize: Size | undefined): readonly Branch[] {
  const lengths = pair('ACBlock', 'branchSize', branchSize ?? kernel, 1);
  if (lengths[0] > kernel[0] || lengths[1] > kernel[1]) {
    throw new RangeError(`ACBlock: branchSize must be at most kernelSize ${show(kernel)}, got ${show(branchSize)}`);
  }
  const start = (size: number, length: number): number => Math.floor(size / 2) - Math.floor(length / 2);
  const place = (name: BranchName, size: Pair): Branch => ({
    name,
    size,
    row: start(kernel[0], size[0]),
    column: start(kernel[1], size[1]),
  });
  return [
    { name: 'square', size: kernel, row: 0, column: 0 },
    place('ver', [lengths[0], 1]),
    place('hor', [1, lengths[1]]),
  ];
}

/** The window that sees the same centres through a smaller kernel: less padding, or cropping where that is negative. */
function branchWindow(window: Window, { size, row, column }: Branch): Window {
  const { kernel, dilation, pads } = window;
  const branchPads: Pads = [
    pads[0] - dilation[0] * row,
    pads[1] - dilation[1] * column,
    pads[2] - dilation[0] * (kernel[0] - size[0] - row),
    pads[3] - dilation[1] * (kernel[1] - size[1] - column),
  ];
  return { ...window, kernel: size, pads: branchPads };
}

function startGamma(options: ACBlockOptions, affine: boolean): number {
  const reduce = flag('ACBlock', 'reduceGamma', options.reduceGamma ?? false);
  if (options.gammaInit === undefined && !reduce) return 1;
  if (options.gammaInit !== undefined && reduce) {
    throw new RangeError('ACBlock: gammaInit and reduceGamma both set the gammas, expected at most one of them');
  }
  if (!affine) {
    throw new RangeError(
      'ACBlock: gammaInit and reduceGamma set gammas, which a block with affine: false does not have',
    );
  }
  return reduce ? 1 / 3 : finiteNumber('ACBlock', 'gammaInit', options.gammaInit);
}

function trainSpecs({ branches, outChannels, inPerGroup, norm }: Settings): ParameterSpec[] {
  return branches.flatMap(({ name, size }) => [
    {
      name: `${name}_conv.weight`,
      dims: [outChannels, inPerGroup, ...size],
      initial: { fanIn: inPerGroup * sizeOf(size) },
    },
    ...normSpecs(`${name}_bn.`, outChannels, norm.affine),
  ]);
}

function deploySpecs({ outChannels, inPerGroup, window }: Settings): ParameterSpec[] {
  const initial = { fanIn: inPerGroup * sizeOf(window.kernel) };
  return [
    { name: 'fused_conv.weight', dims: [outChannels, inPerGroup, ...window.kernel], initial },
    { name: 'fused_conv.bias', dims: [outChannels], initial },
  ];
}

function mergeBranches(
  runtime: Runtime,
  parameters: Parameters,
  { branches, outChannels, inPerGroup, window, norm }: Settings,
): { weight: Tensor; bias: Tensor } {
  const { heap, kernels } = runtime;
  const [height, width] = window.kernel;
  const count = product(outChannels, inPerGroup, height, width);
  return withStaging(runtime, (stage) => {
    const [kernelPtr, shiftPtr] = [stage.allocate(count * 8), stage.allocate(outChannels * 8)];
    kernels.clear(kernelPtr, count * 8);
    kernels.clear(shiftPtr, outChannels * 8);
    for (const { name, size, row, column } of branches) {
      const folded = foldNorm(runtime, normOf(parameters, `${name}_bn.`, norm.eps), outChannels, stage);
      const branchPtr = stage.parameter(parameters.get(`${name}_conv.weight`));
      const filters = [outChannels, inPerGroup, ...size, height, width, row, column] as const;
      kernels.addBranch(branchPtr, folded.scalePtr, kernelPtr, ...filters);
      kernels.addDoubles(folded.shiftPtr, shiftPtr, outChannels);
    }
    const rounded = (ptr: number, size: number): Float32Array => {
      const toPtr = stage.allocate(size * 4);
      kernels.roundDoubles(ptr, toPtr, size);
      return heap.floats(toPtr, size).slice();
    };
    return {
      weight: new Tensor('float32', rounded(kernelPtr, count), [outChannels, inPerGroup, height, width]),
      bias: new Tensor('float32', rounded(shiftPtr, outChannels), [outChannels]),
    };
  });
}
