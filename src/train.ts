/** acnet-wasm/train: gradients of layers, SGD, and the loop around it with datasets, schedules and checkpoints. */
import type { Layer } from './index.js';
import { Trainer } from './train/model/trainer.js';
import { trainWith } from './train/train.js';

export { ABLATIONS, type Ablation, ablate } from './train/ablation.js';
export type { Augmentation } from './train/batches.js';
export { type Checkpoint, isTrainingCheckpoint, readTrainingCheckpoint } from './train/checkpoint.js';
export { cifarDataset } from './train/cifar.js';
export { type ArrayDatasetOptions, arrayDataset, type Dataset, split, subset } from './train/dataset.js';
export type { FolderOptions } from './train/folderOptions.js';
export { idxDataset, readIdx } from './train/idx.js';
export { type ImageFolderOptions, imageFolder } from './train/imageFolder.js';
export { initialise } from './train/initialise.js';
export { backward, type Gradients } from './train/model/backward.js';
export { Trainer } from './train/model/trainer.js';
export { type Normalisation, normalisationOf } from './train/normalisation.js';
export {
  type CheckpointEvent,
  DivergenceError,
  type DoneEvent,
  type EpochEvent,
  type Score,
  type StepEvent,
  type TrainEvent,
} from './train/run.js';
export {
  type CosineOptions,
  constant,
  cosine,
  type MultiStepOptions,
  multiStep,
  type Schedule,
  type StepOptions,
  step,
  type WarmUpOptions,
} from './train/schedules.js';
export type { Destination, TrainerOptions, TrainOptions } from './train/trainOptions.js';

/**
 * Trains a layer: epochs of shuffled batches, a learning rate for each step, validation, checkpoints. The same seed
 * gives the same bits, however often the run is stopped and resumed. A step that fails because a worker thread died is
 * repeated.
 * @example
 * for await (const event of train(model, data, { epochs: 3, batchSize: 64, schedule: cosine(0.05), seed: 1 })) {
 *   if (event.type === 'epoch') console.log(event.loss);
 * }
 */
export const train = trainWith<Layer>((model, options) => new Trainer(model, options));
