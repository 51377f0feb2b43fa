/**
 * Asymmetric Convolution Blocks with parts left out, for the ablation of the ACNet paper (section 4.3): one of the two
 * one-dimensional branches, or the three BatchNorms, for which one behind the sum stands in:
 *
 *     vertical           BN(W_square * x) + BN(W_ver * x)
 *     horizontal         BN(W_square * x) + BN(W_hor * x)
 *     norm-after-sum     BN(W_square * x + W_ver * x + W_hor * x)
 *
 * Keys are those of ACBlock; the BatchNorm behind the sum is `bn`. Each merges into one convolution as a block does.
 */
import type { GraphBuilder } from '../graph/graph.js';
import { ACBlock, Layer, type Runtime } from '../index.js';
import { type ACBlockOptions, type BlockSettings, checkBlockOptions, deploySpecs } from '../layers/acBlock.js';
import { addNorm, normOf, normSpecs } from '../layers/batchNorm2d.js';
import { type ParameterSpec, Parameters, parameterView } from '../layers/parameters.js';
import { mapNorm, type NormValues } from '../merge/affine.js';
import { mergeBlock } from '../merge/block.js';
import { binary } from '../ops/binary.js';
import { conv2d } from '../ops/conv2d.js';
import { oneOf } from '../options.js';
import { show } from '../shown.js';
import { product, sizeOf } from '../sizes.js';

export const ABLATIONS = ['vertical', 'horizontal', 'norm-after-sum'] as const;
export type Ablation = (typeof ABLATIONS)[number];

const BRANCHES: Readonly<Record<Ablation, readonly string[]>> = {
  vertical: ['square', 'ver'],
  horizontal: ['square', 'hor'],
  'norm-after-sum': ['square', 'ver', 'hor'],
};

/**
 * A new network, in training mode, that has such blocks where the given one has ACBlocks in train form. All other layers
 * are copied with their state. Each network is disposed of by itself.
 * @throws TypeError, RangeError naming the argument; OutOfMemoryError. No memory is in use then that was not before.
 * @example
 * const vertical = ablate(lenet5bn(runtime), 'vertical');
 */
export function ablate(layer: Layer, ablation: Ablation): Layer {
  const owner = 'ablate';
  if (!(layer instanceof Layer)) throw new TypeError(`${owner}: layer must be a layer, got ${show(layer)}`);
  oneOf(owner, 'ablation', ablation, ABLATIONS);
  layer.assertUsable(owner);
  const convert = (one: Layer): Layer =>
    one instanceof ACBlock && one.form === 'train'
      ? new AblatedBlock(one.runtime, one.options, ablation)
      : one.copyWith(one.children().map(([name, child]) => [name, convert(child)]));
  return layer.runtime.heap.undoOnError(() => convert(layer));
}

class AblatedBlock extends Layer {
  declare readonly options: ACBlockOptions;
  readonly #ablation: Ablation;
  readonly #settings: BlockSettings;
  #isDeployed = false;

  constructor(runtime: Runtime, options: ACBlockOptions, ablation: Ablation) {
    const checked = checkBlockOptions(options);
    const branches = checked.branches.filter(({ name }) => BRANCHES[ablation].includes(name));
    const settings = { ...checked, branches };
    super(runtime, trainSpecs(settings, ablation), options);
    this.#ablation = ablation;
    this.#settings = settings;
  }

  override get kind(): string {
    return 'AblatedBlock';
  }

  override describe(graph: GraphBuilder, [image]: readonly [string], path: string): string {
    const { window, paddingMode, groups, norm, branches } = this.#settings;
    const common = { path, layer: this.kind };
    const convolved = (name: string, of: typeof window, bias?: string): string => {
      const weight = this.store(graph, path, `${name}_conv.weight`);
      const inputs = bias === undefined ? ([image, weight] as const) : ([image, weight, bias] as const);
      return graph.add(
        { op: 'conv2d', ...common, inputs, window: of, paddingMode, groups, algorithm: undefined },
        conv2d,
      );
    };
    if (this.#isDeployed) return convolved('fused', window, this.store(graph, path, 'fused_conv.bias'));
    const normed = (value: string, prefix: string): string =>
      addNorm(graph, common, value, norm, this.training, (name) => this.storeOptional(graph, path, prefix + name));
    const outputs = branches.map((branch) => {
      const value = convolved(branch.name, branch.window);
      return hasNorm(this.#ablation) ? normed(value, `${branch.name}_bn.`) : value;
    });
    const sum = outputs.reduce((one, other) => graph.add({ op: 'add', ...common, inputs: [one, other] }, binary));
    return hasNorm(this.#ablation) ? sum : normed(sum, 'bn.');
  }

  override copyWith(): Layer {
    const copy = new AblatedBlock(this.runtime, this.options, this.#ablation);
    return this.giveStateTo(this.#isDeployed ? copy.switchToDeploy() : copy);
  }

  protected override prepareDeploy(): (() => void)[] {
    if (this.#isDeployed) return [];
    const { outChannels, inPerGroup, groups, window, branches } = this.#settings;
    const fused = new Parameters(this.runtime, deploySpecs(this.#settings));
    const merged = branches.map(({ name, window: ofBranch }, i) => ({
      kernel: parameterView(this.parameters.get(`${name}_conv.weight`)),
      window: ofBranch,
      norm: this.#normOf(name, i === 0),
    }));
    const [weight, bias] = ['weight', 'bias'].map((name) => parameterView(fused.get(`fused_conv.${name}`)));
    const shape = { outChannels, inChannels: product(inPerGroup, groups), groups, window };
    mergeBlock(merged, shape, { weight: weight!, bias: bias! });
    const merge = (): void => {
      this.replaceParameters(fused);
      this.#isDeployed = true;
    };
    return [merge];
  }

  /** Of a branch; of a BatchNorm behind the sum, all branches have the scale and the first has what is added. */
  #normOf(branch: string, isFirst: boolean): NormValues {
    const { eps } = this.#settings.norm;
    const read = (prefix: string): NormValues => mapNorm(normOf(this.parameters, prefix, eps), parameterView);
    if (hasNorm(this.#ablation)) return read(`${branch}_bn.`);
    const norm = read('bn.');
    return isFirst ? norm : { ...norm, beta: undefined, mean: new Float32Array(norm.mean.length) };
  }
}

/** Whether each branch has a BatchNorm. */
function hasNorm(ablation: Ablation): boolean {
  return ablation !== 'norm-after-sum';
}

function trainSpecs({ branches, outChannels, inPerGroup, norm }: BlockSettings, ablation: Ablation): ParameterSpec[] {
  const specs = branches.flatMap(({ name, window: { kernel } }) => [
    {
      name: `${name}_conv.weight`,
      dims: [outChannels, inPerGroup, ...kernel],
      initial: { fanIn: inPerGroup * sizeOf(kernel) },
    },
    ...(hasNorm(ablation) ? normSpecs(`${name}_bn.`, outChannels, norm.affine) : []),
  ]);
  return hasNorm(ablation) ? specs : [...specs, ...normSpecs('bn.', outChannels, norm.affine)];
}
