/** The networks that `acnet train` builds, and their initial weights. */
import {
  alexnet,
  cifarQuick,
  densenet,
  densenet121,
  type Layer,
  lenet5bn,
  type Runtime,
  resnet18,
  resnetCifar,
  type StagedModelOptions,
  vgg16,
  wideResnet,
} from '../index.js';
import type { Dataset } from '../train/dataset.js';
import { initialise } from '../train/initialise.js';
import { ablate } from '../train.js';
import { CommandError, messageOf } from './errors.js';
import { readModelFile } from './model.js';
import type { TrainSettings } from './trainSettings.js';

interface Architecture {
  readonly create: (runtime: Runtime, options: StagedModelOptions) => Layer;
  /** Whether the number of blocks in its stages can be chosen. */
  readonly hasBlocks: boolean;
}

export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  'lenet5-bn': { create: lenet5bn, hasBlocks: false },
  'cifar-quick': { create: cifarQuick, hasBlocks: false },
  vgg16: { create: vgg16, hasBlocks: false },
  'resnet-cifar': { create: resnetCifar, hasBlocks: true },
  'wide-resnet': { create: wideResnet, hasBlocks: true },
  densenet: { create: densenet, hasBlocks: true },
  alexnet: { create: alexnet, hasBlocks: false },
  resnet18: { create: resnet18, hasBlocks: true },
  densenet121: { create: densenet121, hasBlocks: true },
};

export function isArchitecture(name: string): boolean {
  return Object.hasOwn(ARCHITECTURES, name);
}

/** A network for these images, with weights from the seed or from a file. */
export async function createModel(runtime: Runtime, settings: TrainSettings, data: Dataset): Promise<Layer> {
  const { init, seed } = settings;
  const model = buildModel(runtime, settings, data);
  try {
    if (init === undefined) initialise(model, seed);
    else await load(model, init);
  } catch (error) {
    model.dispose();
    throw error;
  }
  return model;
}

/** The network of a run. */
export function buildModel(
  runtime: Runtime,
  { arch, form, channels, blocks }: TrainSettings,
  { classes, dims }: Dataset,
): Layer {
  const build = (ofForm: 'train' | 'base'): Layer =>
    ARCHITECTURES[arch]!.create(runtime, {
      form: ofForm,
      numClasses: classes.length,
      inChannels: dims[0],
      ...(channels && { channels }),
      ...(blocks && { blocksPerStage: blocks }),
    });
  if (form === 'train' || form === 'base') return build(form);
  const whole = build('train');
  try {
    return ablate(whole, form);
  } finally {
    whole.dispose();
  }
}

async function load(model: Layer, file: string): Promise<void> {
  const read = await readModelFile(file);
  if (read.kind === 'onnx') throw new CommandError(`${file}: is an ONNX file, expected a checkpoint to begin with`);
  try {
    model.loadStateDict(read.state);
  } catch (error) {
    throw new CommandError(`${file}: ${messageOf(error)}`);
  }
}
