/** A run of `acnet train`: a network, its images and a folder, from the first step or a checkpoint to the merged files. */
import { version } from '../../package.json';
import { createRuntime, type Layer } from '../index.js';
import { readTrainingCheckpoint } from '../train/checkpoint.js';
import { trainWith } from '../train/train.js';
import type { TrainerFactory, TrainOptions } from '../train/trainOptions.js';
import type { Output } from './command.js';
import { CommandError } from './errors.js';
import { RunFolder, type TimedEvent } from './runFolder.js';
import { plural } from './table.js';
import { paint, printable } from './terminal.js';
import { scheduleOf, writeSettings } from './trainArguments.js';
import type { TrainData } from './trainData.js';
import { finish } from './trainFinish.js';
import { createModel } from './trainModel.js';
import { TrainReport } from './trainReport.js';
import type { TrainSettings } from './trainSettings.js';

export interface TrainRun {
  readonly createTrainer: TrainerFactory<Layer>;
  readonly settings: TrainSettings;
  readonly data: TrainData;
  readonly folder: RunFolder;
  /** Whether it resumes from the folder's checkpoint. */
  readonly isResumed: boolean;
  readonly threads: number;
  readonly signal: AbortSignal;
  readonly output: Output;
}

export async function trainInFolder(run: TrainRun): Promise<void> {
  const { settings, data, threads } = run;
  const runtime = await createRuntime({ threads });
  try {
    const model = await createModel(runtime, settings, data.training);
    checkFreeze(model, settings);
    await work(run, model);
  } finally {
    runtime.dispose();
  }
}

export function runFolderOf(folder: string, { arch, form, data }: TrainSettings): RunFolder {
  return new RunFolder(folder, `${arch}, ${form} form, ${data}`);
}

async function work(run: TrainRun, model: Layer): Promise<void> {
  const { createTrainer, settings, data, folder, isResumed, signal, output } = run;
  const stepsPerEpoch = Math.floor(data.training.size / settings.batchSize);
  const resume = isResumed ? await folder.read('last') : undefined;
  let before = 0;
  if (resume !== undefined) {
    const { progress } = readTrainingCheckpoint(resume);
    before = await folder.takeUp(progress.epoch * stepsPerEpoch + progress.batch);
  }
  announce(run);
  const report = new TrainReport(output, stepsPerEpoch, folder.epochs);
  const start = performance.now();
  let isCreated = isResumed;
  try {
    for await (const event of trainWith(createTrainer)(model, data.training, optionsOf(run, resume, stepsPerEpoch))) {
      // Only once it is known that the run can begin.
      if (!isCreated) await folder.create(writeSettings(settings, version));
      isCreated = true;
      const timed: TimedEvent = { ...event, seconds: before + (performance.now() - start) / 1000 };
      await folder.add(timed);
      report.add(timed);
      output.jsonLine(timed);
    }
    await finish(model, data, settings, folder, signal, output);
  } catch (error) {
    report.clear();
    throw error;
  }
}

function optionsOf(
  { settings, data, folder, signal }: TrainRun,
  resume: Uint8Array | undefined,
  stepsPerEpoch: number,
): TrainOptions {
  const { epochs, batchSize, seed, crop, flip, freeze, patience, ema, clipNorm } = settings;
  const { momentum, nesterov, weightDecay, labelSmoothing } = settings;
  const { validation } = data;
  if (patience !== undefined && validation === undefined) {
    throw new CommandError('--patience takes images to validate with; say --hold-out N');
  }
  return {
    ...{ epochs, batchSize, seed, signal, momentum, nesterov, weightDecay, labelSmoothing },
    schedule: scheduleOf(settings, Math.max(1, stepsPerEpoch)),
    augment: { crop, flip },
    checkpoint: folder.file('last'),
    ...(validation && { validation, best: folder.file('best') }),
    ...(resume && { resume }),
    ...(freeze.length > 0 && { freeze }),
    ...(patience !== undefined && { patience }),
    ...(ema !== undefined && { ema }),
    ...(clipNorm !== undefined && { clipNorm }),
  };
}

function announce({ settings, data, folder, isResumed, output }: TrainRun): void {
  const { training, validation, test } = data;
  const sets = [
    `${plural(training.size, 'image')} to train`,
    ...(validation === undefined ? [] : [`${plural(validation.size, 'image')} to validate`]),
    ...(test === undefined || test === validation ? [] : [`${plural(test.size, 'image')} to test`]),
  ];
  const { terminal } = output;
  output.lines([
    `${paint(printable(folder.title), 'cyan', terminal)}  ${sets.join(', ')}, ${plural(training.classes.length, 'class', 'classes')}`,
    `${isResumed ? 'Going on' : 'Run'} in ${printable(folder.folder)}, seed ${settings.seed}`,
    '',
  ]);
}

function checkFreeze(model: Layer, { freeze }: TrainSettings): void {
  const keys = Object.keys(model.stateDict());
  const without = freeze.find((prefix) => !keys.some((key) => key.startsWith(prefix)));
  if (without === undefined) return;
  throw new CommandError(
    `--freeze is '${without}', but no parameter begins so; there are ${keys.slice(0, 4).join(', ')}, ...`,
  );
}
