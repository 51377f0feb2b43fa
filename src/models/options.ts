/** Options of the networks: names, defaults, and the one check of them all. */
import { checkNames, oneOf, wholeNumber } from '../options.js';
import { show } from '../shown.js';

/** `'train'`: ACBlocks of three branches; `'deploy'`: merged ones; `'base'`: plain convolution and BatchNorm. */
export type Form = 'train' | 'base' | 'deploy';

export interface ModelOptions {
  /** `'train'`, `'base'` (plain convolution and BatchNorm) or `'deploy'`; default `'train'`. */
  form?: Form;
  /** Default 10, or 1000 for networks made for ImageNet. */
  numClasses?: number;
  /** Channels of the images. */
  inChannels?: number;
  /** Output channels of the convolutions, or of the stages. */
  channels?: readonly number[];
}

export interface StagedModelOptions extends ModelOptions {
  /** Blocks per stage: one number for all, or one for each. */
  blocksPerStage?: number | readonly number[];
}

export interface DenseModelOptions extends StagedModelOptions {
  /** Channels that each layer adds. */
  growth?: number;
}

interface Defaults<Channels extends readonly number[]> {
  readonly numClasses: number;
  readonly inChannels: number;
  readonly channels: Channels;
}

interface Checked<Channels extends readonly number[]> {
  readonly form: Form;
  readonly numClasses: number;
  readonly inChannels: number;
  readonly channels: { readonly [I in keyof Channels]: number };
}

/**
 * @param further names of the network's other options
 * @throws TypeError, RangeError naming the option
 */
export function checkModelOptions<const Channels extends readonly number[]>(
  owner: string,
  options: ModelOptions,
  defaults: Defaults<Channels>,
  further: readonly string[] = [],
): Checked<Channels> {
  checkNames(owner, options, ['form', 'numClasses', 'inChannels', 'channels', ...further]);
  const channels = options.channels ?? defaults.channels;
  return {
    form: oneOf(owner, 'form', options.form ?? 'train', ['train', 'base', 'deploy'] as const),
    numClasses: wholeNumber(owner, 'numClasses', options.numClasses ?? defaults.numClasses, 1),
    inChannels: wholeNumber(owner, 'inChannels', options.inChannels ?? defaults.inChannels, 1),
    channels: counts(owner, 'channels', channels, defaults.channels.length) as Checked<Channels>['channels'],
  };
}

/** Number of blocks of each of the network's stages. */
export function checkBlocksPerStage(owner: string, value: number | readonly number[], stages: number): number[] {
  if (Array.isArray(value)) return counts(owner, 'blocksPerStage', value, stages);
  return new Array<number>(stages).fill(wholeNumber(owner, 'blocksPerStage', value, 1));
}

function counts(owner: string, name: string, value: unknown, length: number): number[] {
  if (!Array.isArray(value)) throw new TypeError(`${owner}: ${name} must be an array of numbers, got ${show(value)}`);
  if (value.length !== length) {
    throw new RangeError(`${owner}: ${name} must hold ${length} number${length > 1 ? 's' : ''}, got ${show(value)}`);
  }
  return Array.from(value, (count, i) => wholeNumber(owner, `${name}[${i}]`, count, 1));
}
