/** `train`: the loop as a function. */
import type { Dataset } from './dataset.js';
import { Run, type TrainEvent } from './run.js';
import {
  checkOptions,
  checkOutputs,
  type Trainable,
  type TrainerFactory,
  type TrainOptions,
  trainerOptions,
} from './trainOptions.js';

export type Train<Model extends Trainable> = (
  model: Model,
  data: Dataset,
  options: TrainOptions,
) => AsyncGenerator<TrainEvent, void, undefined>;

/** `train` with Trainers of this making. */
export function trainWith<Model extends Trainable>(createTrainer: TrainerFactory<Model>): Train<Model> {
  return async function* train(model, data, options) {
    const settings = checkOptions(data, options);
    checkOutputs(model, data);
    const trainer = await createTrainer(model, { ...trainerOptions(options), lr: options.schedule(0, settings.steps) });
    try {
      yield* new Run(model, trainer, settings).events();
    } finally {
      trainer.dispose();
    }
  };
}
