/** `acnet train`: trains a network, keeps what it does in a folder, and merges the best of it. */
import type { Layer } from '../index.js';
import type { TrainerFactory } from '../train/trainOptions.js';
import { type Arguments, expectPositionals } from './arguments.js';
import type { Command, Output } from './command.js';
import { UsageError } from './errors.js';
import { Interrupted, interruptible } from './interrupt.js';
import { RunFolder } from './runFolder.js';
import { printable } from './terminal.js';
import { DEFAULTS, MAX_THREADS, readSettings, SETTING_OPTIONS, settingsOf } from './trainArguments.js';
import { dataFor, openSets } from './trainData.js';
import { ARCHITECTURES } from './trainModel.js';
import { runFolderOf, trainInFolder } from './trainRun.js';
import type { TrainSettings } from './trainSettings.js';

const HELP = `Usage: acnet train --arch NAME --data DIR --out DIR [OPTIONS]
       acnet train --resume DIR

Trains a network on the CPU, keeps the run in a folder, and at its end merges
the best epoch, proves that both forms are the same function, and writes it.

Network:
  --arch NAME         ${Object.keys(ARCHITECTURES).slice(0, 4).join(', ')},
                      ${Object.keys(ARCHITECTURES).slice(4).join(', ')}
  --form FORM         train (ACNet: three branches, the default), base (one), or
                      for an ablation vertical, horizontal (that branch alone
                      beside the square one), norm-after-sum (one BatchNorm)
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
      const { settings, folder, isResumed } = await openRun(args);
      return interruptible(async (signal) => {
        const sets = await openSets(settings.data, settings.size, signal);
        const data = dataFor(settings, sets);
        try {
          await trainInFolder({ createTrainer, settings, data, folder, isResumed, threads, signal, output });
        } catch (error) {
          if (error instanceof Interrupted && (await folder.isBegun())) tellHowToGoOn(folder, output);
          throw error;
        }
        return true;
      });
    },
  };
}

interface OpenedRun {
  readonly settings: TrainSettings;
  readonly folder: RunFolder;
  readonly isResumed: boolean;
}

async function openRun(args: Arguments): Promise<OpenedRun> {
  const resumed = args.text('resume');
  if (resumed === undefined) {
    const settings = settingsOf(args);
    const out = args.text('out');
    if (out === undefined) throw new UsageError('--out DIR is missing');
    const folder = runFolderOf(out, settings);
    await folder.assertEmpty();
    return { settings, folder, isResumed: false };
  }
  const given = [...Object.keys(SETTING_OPTIONS), 'out'].find((name) => args.text(name) !== undefined);
  if (given !== undefined) {
    throw new UsageError(`--${given} is in ${resumed}/config.json already; --resume takes --threads and --json alone`);
  }
  const config = new RunFolder(resumed, '').file('config');
  const settings = readSettings(new TextDecoder().decode(await new RunFolder(resumed, '').read('config')), config);
  return { settings, folder: runFolderOf(resumed, settings), isResumed: true };
}

function tellHowToGoOn({ folder }: RunFolder, output: Output): void {
  output.complain(printable(`saved in ${folder}; go on with: acnet train --resume ${folder}`));
}
