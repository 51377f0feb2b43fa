/** What a run is made of, and the checks of its options. */
import { type StateDict, Tensor } from '../index.js';
import { checkNames, finiteNumber, wholeNumber } from '../options.js';
import { show } from '../shown.js';
import { type Augmentation, Batches, checkAugmentation } from './batches.js';
import { type Checkpoint, type RunIdentity, readTrainingCheckpoint } from './checkpoint.js';
import type { Dataset } from './dataset.js';
import type { Stateful } from './initialise.js';
import { checkNormalisation, type Normalisation, normalisationOf } from './normalisation.js';
import type { Schedule } from './schedules.js';

/** What the loop needs of a model; layers have it. */
export interface Trainable extends Stateful {
  train(): unknown;
  eval(): unknown;
  /** @returns [N, classes], which the caller disposes of */
  forward(input: Tensor): Tensor;
}

/** Of the optimizer, SGD as in PyTorch, and of the loss. */
export interface TrainerOptions {
  readonly lr: number;
  readonly momentum?: number;
  readonly weightDecay?: number;
  readonly nesterov?: boolean;
  readonly dampening?: number;
  readonly clipNorm?: number;
  readonly labelSmoothing?: number;
  /** Parameters whose names begin so stay as they are. */
  readonly freeze?: readonly string[];
}

/** What the loop needs of a Trainer. */
export interface Steps {
  lr: number;
  /** Forward, backward, update; returns the mean loss before the update. */
  step(input: Tensor, labels: ArrayLike<number>): number;
  /** The mean loss, and the number of images whose largest logit is that of their label. */
  evaluate(input: Tensor, labels: ArrayLike<number>): { loss: number; correct: number };
  /** The optimizer's own state. */
  stateDict(): StateDict;
  loadStateDict(state: StateDict): unknown;
  dispose(): void;
}

export type TrainerFactory<Model extends Trainable> = (model: Model, options: TrainerOptions) => Steps | Promise<Steps>;

/** A file, written as a whole or not at all, or what takes its bytes. */
export type Destination = string | ((bytes: Uint8Array) => void | Promise<void>);

export interface TrainOptions extends Omit<TrainerOptions, 'lr'>, Partial<Normalisation> {
  readonly epochs: number;
  /** Images of a step; those that do not fill a last one are left out of the epoch. */
  readonly batchSize: number;
  readonly schedule: Schedule;
  /** Of order and augmentation; a whole number from 0. The model's weights are the model's matter. */
  readonly seed: number;
  readonly augment?: Augmentation;
  /** Images to validate with after each epoch. */
  readonly validation?: Dataset;
  /** Where all that the run needs to go on is written after each epoch, and when the run is aborted. */
  readonly checkpoint?: Destination;
  /** Where the model's state is written after each epoch that is the best so far; takes validation. */
  readonly best?: Destination;
  /** A checkpoint to go on from. */
  readonly resume?: Uint8Array | ArrayBuffer;
  /** Epochs without a better accuracy after which the run ends; takes validation. */
  readonly patience?: number;
  /** Decay of an exponential moving average of the weights, which is then what is validated, and what the model ends as. */
  readonly ema?: number;
  /** Ends the run with the signal's reason, after a checkpoint. */
  readonly signal?: AbortSignal;
}

/** Options, checked, and what is made of them. */
export interface Settings {
  readonly options: TrainOptions;
  readonly identity: RunIdentity;
  readonly augmentation: Augmentation;
  readonly batches: Batches;
  readonly validation: Batches | undefined;
  readonly resumed: Checkpoint | undefined;
  /** Of all epochs. */
  readonly steps: number;
}

const OWNER = 'train';
const TRAINER_OPTIONS = [
  'momentum',
  'weightDecay',
  'nesterov',
  'dampening',
  'clipNorm',
  'labelSmoothing',
  'freeze',
] as const;
const OPTIONS = [
  ...['epochs', 'batchSize', 'schedule', 'seed', 'augment', 'mean', 'std', 'validation', 'checkpoint', 'best'],
  ...['resume', 'patience', 'ema', 'signal'],
  ...TRAINER_OPTIONS,
];

/** @throws TypeError, RangeError naming the option; FormatError when `resume` cannot be read */
export function checkOptions(data: Dataset, options: TrainOptions): Settings {
  checkNames(OWNER, options, OPTIONS);
  const { validation, schedule, signal } = options;
  const epochs = wholeNumber(OWNER, 'epochs', options.epochs, 1);
  const batchSize = wholeNumber(OWNER, 'batchSize', options.batchSize, 1);
  const seed = wholeNumber(OWNER, 'seed', options.seed, 0);
  if (batchSize > data.size) {
    throw new RangeError(`${OWNER}: batchSize must be at most ${data.size}, the number of images, got ${batchSize}`);
  }
  if (typeof schedule !== 'function')
    throw new TypeError(`${OWNER}: schedule must be a function, got ${show(schedule)}`);
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`${OWNER}: signal must be an AbortSignal, got ${show(signal)}`);
  }
  checkDestination('checkpoint', options.checkpoint);
  checkDestination('best', options.best);
  if (options.patience !== undefined) wholeNumber(OWNER, 'patience', options.patience, 1);
  if (options.ema !== undefined && finiteNumber(OWNER, 'ema', options.ema, 0) >= 1) {
    throw new RangeError(`${OWNER}: ema must be below 1, got ${options.ema}`);
  }
  for (const name of ['patience', 'best'] as const) {
    if (options[name] !== undefined && validation === undefined) {
      throw new TypeError(`${OWNER}: ${name} takes validation, got none`);
    }
  }
  if (validation !== undefined) checkValidation(data, validation);
  const normalisation = normalisationFrom(data, options);
  const batches = new Batches(data, batchSize, normalisation);
  const { classes, dims, size } = data;
  const identity = { seed, batchSize, images: size, classes, dims, ...normalisation };
  return {
    options,
    identity,
    augmentation: checkAugmentation(OWNER, options.augment),
    batches,
    validation: validation && new Batches(validation, batchSize, normalisation),
    resumed: options.resume && readResumed(options.resume, identity, options.ema !== undefined),
    steps: epochs * batches.perEpoch,
  };
}

/** Those that are a Trainer's. */
export function trainerOptions(options: TrainOptions): Omit<TrainerOptions, 'lr'> {
  const given = TRAINER_OPTIONS.filter((name) => options[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, options[name]]));
}

/**
 * Runs one black image through the model.
 * @throws RangeError when it does not take the images, or has fewer outputs than there are classes
 */
export function checkOutputs(model: Trainable, { dims, classes }: Dataset): void {
  model.eval();
  const image = new Tensor('float32', new Float32Array(dims[0] * dims[1] * dims[2]), [1, ...dims]);
  const outputDims = outputDimsFor(model, image);
  if (outputDims.length !== 2 || outputDims[1]! < classes.length) {
    throw new RangeError(
      `${OWNER}: the model must have an output for each of the ${classes.length} classes, got outputs of ` +
        `dims ${show(outputDims)}`,
    );
  }
}

function outputDimsFor(model: Trainable, image: Tensor): readonly number[] {
  try {
    const output = model.forward(image);
    output.dispose();
    return output.dims;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const dims = show(image.dims.slice(1));
    throw new RangeError(`${OWNER}: the model does not take images of dims ${dims}: ${error.message}`, {
      cause: error,
    });
  }
}

function normalisationFrom(data: Dataset, { mean, std }: TrainOptions): Normalisation {
  if (mean === undefined && std === undefined) return normalisationOf(data);
  if (mean === undefined || std === undefined) {
    throw new TypeError(
      `${OWNER}: mean and std must be given together, got ${mean === undefined ? 'std' : 'mean'} alone`,
    );
  }
  return checkNormalisation(OWNER, { mean, std }, data.dims[0]);
}

function checkDestination(name: string, value: unknown): void {
  if (value === undefined || typeof value === 'string' || typeof value === 'function') return;
  throw new TypeError(`${OWNER}: ${name} must be a path or a function, got ${show(value)}`);
}

function checkValidation(data: Dataset, validation: Dataset): void {
  for (const name of ['dims', 'classes'] as const) {
    if (JSON.stringify(data[name]) === JSON.stringify(validation[name])) continue;
    throw new RangeError(
      `${OWNER}: ${name} of validation must be those of data, ${show(data[name])}, got ${show(validation[name])}`,
    );
  }
}

/** @throws RangeError naming what is not as it was */
function readResumed(bytes: Uint8Array | ArrayBuffer, identity: RunIdentity, averages: boolean): Checkpoint {
  const checkpoint = readTrainingCheckpoint(bytes);
  for (const name of Object.keys(identity) as (keyof RunIdentity)[]) {
    const [was, is] = [JSON.stringify(checkpoint.identity[name]), JSON.stringify(identity[name])];
    if (was !== is) throw new RangeError(`${OWNER}: ${name} must be that of the checkpoint, ${was}, got ${is}`);
  }
  if (averages !== (checkpoint.average !== undefined)) {
    throw new RangeError(`${OWNER}: ema must be ${averages ? 'left out' : 'given'}, as it was for the checkpoint`);
  }
  return checkpoint;
}
