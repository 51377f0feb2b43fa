/** `acnet train`: trains a network, keeps what it does in a folder, and merges the best of it. */
import { version } from '../../package.json';
import { createRuntime, type Layer } from '../index.js';
import { readTrainingCheckpoint } from '../train/checkpoint.js';
import { trainWith } from '../train/train.js';
import type { TrainerFactory, TrainOptions } from '../train/trainOptions.js';
import { type Arguments, expectPositionals } from './arguments.js';
import type { Command, Output } from './command.js';
import { CommandError, UsageError } from './errors.js';
import { Interrupted, interruptible } from './interrupt.js';
import { RunFolder, type TimedEvent } from './runFolder.js';
import { plural } from './table.js';
import { paint, printable } from './terminal.js';
import { DEFAULTS, readSettings, SETTING_OPTIONS, scheduleOf, settingsOf, writeSettings } from './trainArguments.js';
import { openData, type TrainData } from './trainData.js';
import { finish } from './trainFinish.js';
import { ARCHITECTURES, createModel } from './trainModel.js';
import { TrainReport } from './trainReport.js';
import type { TrainSettings } from './trainSettings.js';

const MAX_THREADS = 64;

const HELP = `Usage: acnet train --arch NAME --data DIR --out DIR [OPTIONS]
       acnet train --resume DIR

Trains a network on the CPU, keeps the run in a folder, and at its end merges
the best epoch, proves that both forms are the same function, and writes it.

Network:
  --arch NAME         ${Object.keys(ARCHITECTURES).slice(0, 4).join(', ')},
                      ${Object.keys(ARCHITECTURES).slice(4).join(', ')}
  --form FORM         train (ACNet: three branches) or base (default ${DEFAULTS.form})
  --channels N,...    Channels of its convolutions or stages
  --blocks N          Blocks of each stage, where it has stages
  --init FILE         Begin with the weights of a checkpoint (.pth, .safetensors)
  --freeze PREFIX     Leave parameters whose names begin so as they are
                      (repeatable)

Images:
  --data DIR          MNIST and the like (IDX files), CIFAR-10 or -100 (binary
                      files), or PNG and JPEG files in DIR/CLASS, or in
                      DIR/train/CLASS and DIR/test/CLASS
  --size HxW          Size that files become, if they are not all alike
  --hold-out N        Validate with N training images, and keep the test set for
                      the end; without, the test set is what validates
  --crop N            Cut out at random after N black pixels have been put around
  --flip              Mirror half of the images

Optimisation (SGD as in PyTorch):
  --epochs N          Default ${DEFAULTS.epochs}
  --batch-size N      Default ${DEFAULTS.batchSize}
  --seed N            Of weights, order and augmentation (default ${DEFAULTS.seed}); the
                      same seed gives the same bits, however often and wherever
  --lr X              Learning rate (default ${DEFAULTS.lr})
  --schedule KIND     constant, cosine, step:EPOCHS[:GAMMA] or
                      multistep:EPOCH,EPOCH,...[:GAMMA] (default ${DEFAULTS.schedule})
  --warm-up N         Epochs in which the rate rises (default ${DEFAULTS.warmUp})
  --momentum X        Default ${DEFAULTS.momentum}; --nesterov for Nesterov's
  --weight-decay X    Default ${DEFAULTS.weightDecay}
  --clip-norm X       Largest norm of all gradients together
  --label-smoothing X Default ${DEFAULTS.labelSmoothing}
  --ema X             Decay of a moving average of the weights, which is then
                      what is validated and kept
  --patience N        Stop after N epochs without a better accuracy

Run:
  -o, --out DIR       Where the run is kept: config.json, events.jsonl, results.csv,
                      curves.svg, confusion.svg, last.safetensors (to go on),
                      best.safetensors, deploy.safetensors and deploy.onnx
  --resume DIR        Go on with the run in DIR
  --threads N         Threads (default 1); the result does not depend on it
  --json              Print events as JSON, one a line
  --help              Print this

Ctrl-C saves, and says how to go on. Exits 1 when the loss is no number any
more; the last checkpoint stays.
`;

/** @param createTrainer where steps are made */
export function trainCommand(createTrainer: TrainerFactory<Layer>): Command {
  return {
    name: 'train',
    summary: 'Train a network, and merge it',
    help: HELP,
    options: {
      ...SETTING_OPTIONS,
      out: { type: 'string', short: 'o' },
      resume: { type: 'string' },
      threads: { type: 'string' },
    },
    async run(args, output) {
      expectPositionals(args, []);
      const threads = args.whole('threads', 1, MAX_THREADS) ?? 1;
      const { settings, folder, resume } = await openRun(args);
      return interruptible(async (signal) => {
        const data = await openData(settings, signal);
        const runtime = await createRuntime({ threads });
        try {
          const model = await createModel(runtime, settings, data.training);
          checkFreeze(model, settings);
          await work({ createTrainer, model, settings, data, folder, resume, signal, output });
          return true;
        } finally {
          runtime.dispose();
        }
      });
    },
  };
}

interface Work {
  readonly createTrainer: TrainerFactory<Layer>;
  readonly model: Layer;
  readonly settings: TrainSettings;
  readonly data: TrainData;
  readonly folder: RunFolder;
  readonly resume: Uint8Array | undefined;
  readonly signal: AbortSignal;
  readonly output: Output;
}

interface OpenedRun {
  readonly settings: TrainSettings;
  readonly folder: RunFolder;
  /** A checkpoint to go on from. */
  readonly resume: Uint8Array | undefined;
}

async function openRun(args: Arguments): Promise<OpenedRun> {
  const resumed = args.text('resume');
  if (resumed === undefined) {
    const settings = settingsOf(args);
    const out = args.text('out');
    if (out === undefined) throw new UsageError('--out DIR is missing');
    const folder = new RunFolder(out, titleOf(settings));
    await folder.assertEmpty();
    return { settings, folder, resume: undefined };
  }
  const given = [...Object.keys(SETTING_OPTIONS), 'out'].find((name) => args.text(name) !== undefined);
  if (given !== undefined) {
    throw new UsageError(`--${given} is in ${resumed}/config.json already; --resume takes --threads and --json alone`);
  }
  const config = new RunFolder(resumed, '').file('config');
  const settings = readSettings(new TextDecoder().decode(await new RunFolder(resumed, '').read('config')), config);
  const folder = new RunFolder(resumed, titleOf(settings));
  return { settings, folder, resume: await folder.read('last') };
}

async function work(run: Work): Promise<void> {
  const { createTrainer, model, settings, data, folder, resume, signal, output } = run;
  const stepsPerEpoch = Math.floor(data.training.size / settings.batchSize);
  let before = 0;
  if (resume !== undefined) {
    const { progress } = readTrainingCheckpoint(resume);
    before = await folder.takeUp(progress.epoch * stepsPerEpoch + progress.batch);
  }
  announce(run);
  const report = new TrainReport(output, stepsPerEpoch, folder.epochs);
  const start = performance.now();
  let isCreated = resume !== undefined;
  try {
    for await (const event of trainWith(createTrainer)(model, data.training, optionsOf(run, stepsPerEpoch))) {
      // Not before it is known that the run can begin.
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
    if (error instanceof Interrupted && isCreated) tellHowToGoOn(folder, output);
    throw error;
  }
}

function optionsOf({ settings, data, folder, resume, signal }: Work, stepsPerEpoch: number): TrainOptions {
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

function announce({ settings, data, folder, resume, output }: Work): void {
  const { training, validation, test } = data;
  const sets = [
    `${plural(training.size, 'image')} to train`,
    ...(validation === undefined ? [] : [`${plural(validation.size, 'image')} to validate`]),
    ...(test === undefined || test === validation ? [] : [`${plural(test.size, 'image')} to test`]),
  ];
  const { terminal } = output;
  output.lines([
    `${paint(printable(folder.title), 'cyan', terminal)}  ${sets.join(', ')}, ${plural(training.classes.length, 'class', 'classes')}`,
    `${resume === undefined ? 'Run' : 'Going on'} in ${printable(folder.folder)}, seed ${settings.seed}`,
    '',
  ]);
}

function tellHowToGoOn({ folder }: RunFolder, output: Output): void {
  output.complain(printable(`saved in ${folder}; go on with: acnet train --resume ${folder}`));
}

function checkFreeze(model: Layer, { freeze }: TrainSettings): void {
  const keys = Object.keys(model.stateDict());
  const without = freeze.find((prefix) => !keys.some((key) => key.startsWith(prefix)));
  if (without === undefined) return;
  throw new CommandError(
    `--freeze is '${without}', but no parameter begins so; there are ${keys.slice(0, 4).join(', ')}, ...`,
  );
}

function titleOf({ arch, form, data }: TrainSettings): string {
  return `${arch}, ${form} form, ${data}`;
}
