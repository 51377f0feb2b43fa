/**
 * A run: epochs of batches, a learning rate for each step, validation, checkpoints, and an end.
 *
 * What it does depends on its arguments alone. A checkpoint has the model, the optimizer's state, the average, and how far
 * the run is; order and augmentation of a batch follow from seed, epoch and place. So a run that was stopped or killed
 * goes on with the same bits.
 */
import { ThreadError } from '../index.js';
import { showName } from '../shown.js';
import type { Batches } from './batches.js';
import { breathe } from './breathe.js';
import { type Best, type Progress, writeCheckpoint, writeState } from './checkpoint.js';
import { writeAtomically } from './files.js';
import { MovingAverage } from './movingAverage.js';
import type { Destination, Settings, Steps, Trainable } from './trainOptions.js';

export interface Score {
  readonly loss: number;
  /** Share of the images, from 0 to 1. */
  readonly accuracy: number;
}

export interface StepEvent {
  readonly type: 'step';
  /** From 1, as the step; both count from the beginning of the run. */
  readonly epoch: number;
  readonly step: number;
  readonly steps: number;
  /** Number of images in the batch. */
  readonly images: number;
  readonly loss: number;
  readonly lr: number;
}

export interface EpochEvent {
  readonly type: 'epoch';
  readonly epoch: number;
  readonly epochs: number;
  readonly step: number;
  /** Mean over the epoch's steps. */
  readonly loss: number;
  /** Of the last step. */
  readonly lr: number;
  readonly validation?: Score;
  readonly isBest?: boolean;
}

/** A checkpoint has been written, after so many epochs and steps. */
export interface CheckpointEvent {
  readonly type: 'checkpoint';
  readonly epoch: number;
  readonly step: number;
}

export interface DoneEvent {
  readonly type: 'done';
  readonly reason: 'epochs' | 'patience';
  readonly epoch: number;
  readonly step: number;
  readonly best?: Best;
}

export type TrainEvent = StepEvent | EpochEvent | CheckpointEvent | DoneEvent;

/** The loss or the weights are no numbers any more. What was saved before is as it was. */
export class DivergenceError extends Error {
  override readonly name = 'DivergenceError';
  readonly epoch: number;
  readonly step: number;

  constructor(message: string, epoch: number, step: number) {
    super(message);
    this.epoch = epoch;
    this.step = step;
  }
}

const OWNER = 'train';

export class Run {
  readonly #model: Trainable;
  readonly #trainer: Steps;
  readonly #batches: Batches;
  readonly #settings: Settings;
  readonly #average: MovingAverage | undefined;
  #progress: Progress;
  /** Whether there is a checkpoint. */
  #isSaved: boolean;

  constructor(model: Trainable, trainer: Steps, settings: Settings) {
    const { resumed, options } = settings;
    this.#model = model;
    this.#trainer = trainer;
    this.#batches = settings.batches;
    this.#settings = settings;
    this.#progress = resumed?.progress ?? { epoch: 0, batch: 0, lossSum: 0, best: undefined };
    this.#isSaved = resumed !== undefined;
    if (resumed !== undefined) {
      model.loadStateDict(resumed.model);
      trainer.loadStateDict(resumed.optimizer);
    }
    if (options.ema !== undefined) {
      this.#average = new MovingAverage(options.ema, resumed?.average ?? model.stateDict());
    }
  }

  async *events(): AsyncGenerator<TrainEvent, void, undefined> {
    const { signal } = this.#settings.options;
    try {
      yield* this.#epochs();
    } catch (error) {
      if (signal?.aborted && error === signal.reason) {
        this.#assertFinite();
        yield* this.#save();
      }
      throw error;
    }
  }

  async *#epochs(): AsyncGenerator<TrainEvent> {
    const { epochs } = this.#settings.options;
    let isPatient = this.#isPatient();
    while (isPatient && this.#progress.epoch < epochs) {
      yield* this.#trainEpoch();
      const ended = this.#endEpoch(await this.#validate());
      yield ended;
      if (ended.isBest) await this.#saveBest();
      yield* this.#save();
      isPatient = this.#isPatient();
    }
    if (this.#average !== undefined) this.#model.loadStateDict(this.#average.stateDict());
    const { epoch, best } = this.#progress;
    const reason = isPatient ? 'epochs' : 'patience';
    yield { type: 'done', reason, epoch, step: this.#step, ...(best !== undefined && { best }) };
  }

  /** Steps that are done. */
  get #step(): number {
    return this.#progress.epoch * this.#batches.perEpoch + this.#progress.batch;
  }

  async *#trainEpoch(): AsyncGenerator<TrainEvent> {
    const { options, augmentation, steps } = this.#settings;
    const { epoch, batch } = this.#progress;
    this.#model.train();
    for (const { input, labels } of this.#batches.training(options.seed, epoch, augmentation, batch)) {
      options.signal?.throwIfAborted();
      const lr = options.schedule(this.#step, steps);
      this.#trainer.lr = lr;
      const loss = await againOnThreadError(() => this.#trainer.step(input, labels));
      if (!Number.isFinite(loss)) throw this.#divergence(`the loss is ${loss}, at a learning rate of ${lr},`);
      this.#average?.update(this.#model.stateDict(), this.#step);
      const { batch, lossSum } = this.#progress;
      this.#progress = { ...this.#progress, batch: batch + 1, lossSum: lossSum + loss };
      yield { type: 'step', epoch: epoch + 1, step: this.#step, steps, images: labels.length, loss, lr };
      await breathe();
    }
    this.#assertFinite();
  }

  #endEpoch(validation: Score | undefined): EpochEvent {
    const { options, steps } = this.#settings;
    const { batch, lossSum, best } = this.#progress;
    const epoch = this.#progress.epoch + 1;
    const isBest = validation !== undefined && isBetter(validation, best);
    this.#progress = { epoch, batch: 0, lossSum: 0, best: isBest ? { epoch, ...validation } : best };
    const step = this.#step;
    return {
      type: 'epoch',
      epoch,
      epochs: options.epochs,
      step,
      loss: lossSum / batch,
      lr: options.schedule(step - 1, steps),
      ...(validation !== undefined && { validation, isBest }),
    };
  }

  async #validate(): Promise<Score | undefined> {
    const { validation, options } = this.#settings;
    if (validation === undefined) return undefined;
    return this.#withAverage(async () => {
      this.#model.eval();
      let loss = 0;
      let correct = 0;
      for (const { input, labels } of validation.inOrder()) {
        options.signal?.throwIfAborted();
        const score = await againOnThreadError(() => this.#trainer.evaluate(input, labels));
        loss += score.loss * labels.length;
        correct += score.correct;
        await breathe();
      }
      return { loss: loss / validation.data.size, accuracy: correct / validation.data.size };
    });
  }

  /** Runs `work` while the model has the averaged state, if there is one. */
  async #withAverage<T>(work: () => Promise<T>): Promise<T> {
    if (this.#average === undefined) return work();
    const state = this.#model.stateDict();
    this.#model.loadStateDict(this.#average.stateDict());
    try {
      return await work();
    } finally {
      this.#model.loadStateDict(state);
    }
  }

  async *#save(): AsyncGenerator<TrainEvent> {
    const { options, identity } = this.#settings;
    if (options.checkpoint === undefined) return;
    const model = this.#model.stateDict();
    const optimizer = this.#trainer.stateDict();
    const average = this.#average?.stateDict();
    const bytes = writeCheckpoint({ identity, progress: this.#progress, model, optimizer, average });
    await write(options.checkpoint, bytes);
    this.#isSaved = true;
    yield { type: 'checkpoint', epoch: this.#progress.epoch, step: this.#step };
  }

  async #saveBest(): Promise<void> {
    const { options, identity } = this.#settings;
    if (options.best === undefined) return;
    const state = this.#average?.stateDict() ?? this.#model.stateDict();
    await write(options.best, writeState(state, identity));
  }

  /** Weights may be broken by a step whose loss was still a number. */
  #assertFinite(): void {
    const state = this.#model.stateDict();
    const broken = Object.keys(state).find((key) => !state[key]!.data.every(Number.isFinite));
    if (broken !== undefined) throw this.#divergence(`${showName(broken)} is not finite`);
  }

  #isPatient(): boolean {
    const { patience } = this.#settings.options;
    const { epoch, best } = this.#progress;
    return patience === undefined || epoch - (best?.epoch ?? 0) < patience;
  }

  #divergence(what: string): DivergenceError {
    const epoch = this.#progress.epoch + 1;
    const step = this.#step;
    const rest = this.#isSaved ? '; the last checkpoint is as it was' : '';
    return new DivergenceError(`${OWNER}: ${what} after step ${step} (epoch ${epoch})${rest}`, epoch, step);
  }
}

/** A worker that stops breaks off what it computes, and nothing has changed then: it is computed once more. */
async function againOnThreadError<T>(compute: () => T): Promise<T> {
  try {
    return compute();
  } catch (error) {
    if (!(error instanceof ThreadError)) throw error;
    await breathe();
    return compute();
  }
}

function isBetter({ accuracy, loss }: Score, best: Best | undefined): boolean {
  if (!Number.isFinite(loss)) return false;
  return best === undefined || accuracy > best.accuracy || (accuracy === best.accuracy && loss < best.loss);
}

async function write(destination: Destination, bytes: Uint8Array): Promise<void> {
  if (typeof destination === 'string') await writeAtomically(destination, bytes);
  else await destination(bytes);
}
