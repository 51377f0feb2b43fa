/**
 * The loop around a trainer, checkpoints and averages: the same bits after any interruption, and errors lose nothing.
 * The trainer is a small one (test/fakeTrainer.ts).
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FormatError, readSafetensors, Tensor, ThreadError, writeSafetensors } from '../src/index.js';
import { readTrainingCheckpoint } from '../src/train/checkpoint.js';
import { arrayDataset } from '../src/train/dataset.js';
import { writeAtomically } from '../src/train/files.js';
import { initialise } from '../src/train/initialise.js';
import { MovingAverage } from '../src/train/movingAverage.js';
import { DivergenceError, type EpochEvent, type StepEvent, type TrainEvent } from '../src/train/run.js';
import { constant, cosine } from '../src/train/schedules.js';
import { trainWith } from '../src/train/train.js';
import type { TrainOptions } from '../src/train/trainOptions.js';
import { FakeModel, FakeTrainer } from './fakeTrainer.js';
import { sameBits, seededRandom } from './support.js';

const SIDE = 4;
const CLASSES = ['left', 'right', 'none'];

/** Images that are bright on the left, on the right, or nowhere. */
function images(size: number, seed: number) {
  const random = seededRandom(seed);
  const labels = Array.from({ length: size }, (_, i) => i % 3);
  const pixels = Uint8Array.from({ length: size * SIDE * SIDE }, (_, i) => {
    const column = i % SIDE;
    const label = labels[Math.floor(i / (SIDE * SIDE))]!;
    const bright = (label === 0 && column < 2) || (label === 1 && column >= 2);
    return (bright ? 120 : 0) + 130 * random();
  });
  return arrayDataset({ pixels, labels, dims: [1, SIDE, SIDE], classes: CLASSES });
}

const DATA = images(60, 1);
const VALIDATION = images(20, 2);
const OPTIONS: TrainOptions = {
  epochs: 4,
  batchSize: 8,
  schedule: cosine(0.1, { warmUp: 5 }),
  seed: 3,
  momentum: 0.9,
  augment: { crop: 1 },
  validation: VALIDATION,
};
const STEPS_PER_EPOCH = 7;

interface Setting {
  readonly model: FakeModel;
  readonly trainers: FakeTrainer[];
  readonly events: TrainEvent[];
  readonly error: Error | undefined;
}

/** Trains a new model until `onEvent` says that it is enough. */
async function run(
  options: Partial<TrainOptions> = {},
  onEvent: (event: TrainEvent) => 'enough' | undefined = () => undefined,
  onCall: () => void = () => undefined,
): Promise<Setting> {
  const model = new FakeModel(SIDE * SIDE, CLASSES.length);
  initialise(model, 5);
  const trainers: FakeTrainer[] = [];
  const train = trainWith((of: FakeModel, settings) => {
    const trainer = new FakeTrainer(of, settings);
    trainer.onCall = onCall;
    trainers.push(trainer);
    return trainer;
  });
  const events: TrainEvent[] = [];
  let error: Error | undefined;
  try {
    for await (const event of train(model, DATA, { ...OPTIONS, ...options })) {
      events.push(event);
      if (onEvent(event) === 'enough') break;
    }
  } catch (reason) {
    error = reason as Error;
  }
  return { model, trainers, events, error };
}

const ofType = <Type extends TrainEvent['type']>(events: readonly TrainEvent[], type: Type) =>
  events.filter((event): event is Extract<TrainEvent, { type: Type }> => event.type === type);

async function withFolder(
  body: (file: (name: string) => string, names: () => string[]) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'acnet-train-'));
  try {
    await body(
      (name) => path.join(folder, name),
      () => readdirSync(folder).sort(),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('a run tells of steps, epochs and its end, and learns', async () => {
  const { model, events, error, trainers } = await run();
  assert.is(error, undefined);
  const steps = ofType(events, 'step');
  assert.is(steps.length, 4 * STEPS_PER_EPOCH);
  for (const [i, event] of steps.entries()) {
    assert.is(event.step, i + 1);
    assert.is(event.epoch, Math.floor(i / STEPS_PER_EPOCH) + 1);
    assert.equal([event.steps, event.images], [28, 8]);
    assert.is(event.lr, OPTIONS.schedule(i, 28));
    assert.is(trainers[0]!.rates[i], event.lr);
  }
  const epochs = ofType(events, 'epoch');
  assert.equal(
    epochs.map(({ epoch, step }) => [epoch, step]),
    [
      [1, 7],
      [2, 14],
      [3, 21],
      [4, 28],
    ],
  );
  for (const [i, { loss }] of epochs.entries()) {
    const sum = steps.slice(7 * i, 7 * i + 7).reduce((total, event) => total + event.loss, 0);
    assert.is(loss, sum / 7);
  }
  assert.ok(epochs[3]!.loss < 0.9 * epochs[0]!.loss, epochs.map(({ loss }) => loss).join());
  assert.ok(epochs[3]!.validation!.accuracy > 0.8, JSON.stringify(epochs[3]));
  const done = events.at(-1)!;
  assert.ok(done.type === 'done' && done.reason === 'epochs' && done.epoch === 4 && done.step === 28);
  assert.ok(trainers[0]!.isDisposed);
  assert.ok(model.weight.some((value) => value !== 0));
});

test('one seed, equal bits; another, others', async () => {
  const [one, same, other] = [await run(), await run(), await run({ seed: 4 })];
  assert.equal(one.events, same.events);
  assert.ok(sameBits(one.model.weight, same.model.weight));
  assert.not.ok(sameBits(one.model.weight, other.model.weight));
});

test('a step or evaluation that a thread breaks off is made once more', async () => {
  const whole = await run();
  /** Makes this many calls fail from each of these on; a repeated call counts as another one. */
  const breaking = (starts: readonly number[], count: number) => {
    let calls = 0;
    return () => {
      const call = calls++;
      if (!starts.some((start) => call >= start && call < start + count)) return;
      throw new ThreadError('a worker thread has stopped', Promise.resolve());
    };
  };
  // The second step, and the first validation, which comes behind one call more.
  const once = await run({}, undefined, breaking([1, STEPS_PER_EPOCH + 1], 1));
  assert.is(once.error, undefined);
  assert.equal(once.events, whole.events);
  assert.ok(sameBits(once.model.weight, whole.model.weight));
  const twice = await run({}, undefined, breaking([1], 2));
  assert.instance(twice.error, ThreadError);
  assert.is(ofType(twice.events, 'step').length, 1);
  const other = await run({}, undefined, () => {
    throw new RangeError('of another kind');
  });
  assert.instance(other.error, RangeError);
});

test('without validation there is none', async () => {
  const { events } = await run({ validation: undefined as never, epochs: 1 });
  const [epoch] = ofType(events, 'epoch');
  assert.not.ok('validation' in epoch!);
  assert.not.ok('best' in events.at(-1)!);
});

test('a run that was killed after any checkpoint goes on with the same bits', async () => {
  const whole = await run({ ema: 0.9 });
  const checkpoints: Uint8Array[] = [];
  await run({ ema: 0.9, checkpoint: (bytes) => void checkpoints.push(bytes) });
  assert.is(checkpoints.length, 4);
  for (const [i, resume] of checkpoints.entries()) {
    const rest = await run({ ema: 0.9, resume });
    assert.equal(rest.error, undefined);
    const epoch = i + 1;
    const expected = whole.events.filter((event) => event.type === 'done' || event.epoch > epoch);
    assert.equal(rest.events, expected);
    assert.ok(sameBits(rest.model.weight, whole.model.weight), `after epoch ${epoch}`);
  }
});

test('a run that is aborted saves first, and goes on with the same bits', async () => {
  const whole = await run({ ema: 0.9 });
  const wholeSteps = ofType(whole.events, 'step');
  for (const limit of [1, 6, 7, 8, 27]) {
    const controller = new AbortController();
    const reason = new Error('enough');
    const first = await lastOf({ ema: 0.9, signal: controller.signal }, (event) => {
      if (event.type === 'step' && event.step === limit) controller.abort(reason);
      return undefined;
    });
    assert.is(first.error, reason);
    assert.is(first.events.at(-1)!.type, 'checkpoint');
    assert.is(ofType(first.events, 'step').length, limit);
    assert.ok(first.trainers[0]!.isDisposed);
    const rest = await run({ ema: 0.9, resume: first.saved });
    assert.equal([...ofType(first.events, 'step'), ...ofType(rest.events, 'step')], wholeSteps);
    assert.equal([...ofType(first.events, 'epoch'), ...ofType(rest.events, 'epoch')], ofType(whole.events, 'epoch'));
    assert.ok(sameBits(rest.model.weight, whole.model.weight), `after step ${limit}`);
  }
});

/** The last checkpoint of a run. */
async function lastOf(
  options: Partial<TrainOptions>,
  onEvent?: Parameters<typeof run>[1],
): Promise<Setting & { saved: Uint8Array }> {
  let saved = new Uint8Array();
  const checkpoint = (bytes: Uint8Array): void => {
    saved = Uint8Array.from(bytes);
  };
  const setting = await run({ ...options, checkpoint }, onEvent);
  return { ...setting, saved };
}

test('what a checkpoint does not fit is refused', async () => {
  const { saved } = await lastOf({ epochs: 1 });
  const cases: [Partial<TrainOptions>, string][] = [
    [{ seed: 9 }, 'seed must be that of the checkpoint, 3, got 9'],
    [{ batchSize: 4 }, 'batchSize must be that of the checkpoint, 8, got 4'],
    [{ mean: [0], std: [1] }, 'mean must be that of the checkpoint'],
    [{ ema: 0.9 }, 'ema must be left out, as it was for the checkpoint'],
  ];
  for (const [change, text] of cases) {
    const { error } = await run({ resume: saved, ...change });
    assert.instance(error, RangeError);
    assert.ok(error!.message.includes(text), error!.message);
  }
  const plain = writeSafetensors({ a: new Tensor('float32', [1], [1]) });
  const broken = (text: string): Uint8Array => writeSafetensors({}, { 'acnet.train': text });
  for (const bytes of [plain, broken('{'), broken('[]'), broken('{"version":1,"seed":-1}'), saved.subarray(0, 100)]) {
    assert.instance((await run({ resume: bytes })).error, FormatError);
  }
});

test('a finished run that is resumed is done', async () => {
  const { saved } = await lastOf({});
  const { events } = await run({ resume: saved });
  assert.equal(
    events.map(({ type }) => type),
    ['done'],
  );
  const longer = await run({ resume: saved, epochs: 5 });
  assert.is(ofType(longer.events, 'step').length, STEPS_PER_EPOCH);
});

test('checkpoints read back exactly', async () => {
  const { model, trainers, saved } = await lastOf({ ema: 0.5, epochs: 2 });
  const checkpoint = readTrainingCheckpoint(saved);
  const trainer = trainers[0]!.stateDict();
  assert.equal(Object.keys(checkpoint.optimizer), Object.keys(trainer));
  for (const key of Object.keys(trainer)) assert.ok(sameBits(checkpoint.optimizer[key]!.data, trainer[key]!.data));
  // The model ends as the average, the checkpoint has both.
  assert.ok(sameBits(checkpoint.average!['fc.weight']!.data, model.weight));
  assert.not.ok(sameBits(checkpoint.model['fc.weight']!.data, model.weight));
  assert.equal([checkpoint.progress.epoch, checkpoint.progress.batch], [2, 0]);
  assert.equal(checkpoint.identity.classes, CLASSES);
});

test('a loss that is no number ends the run; the last checkpoint stays', async () => {
  await withFolder(async (file, names) => {
    // The first step of the second epoch breaks the weights.
    const schedule: TrainOptions['schedule'] = (step) => (step === STEPS_PER_EPOCH ? 1e39 : 0.1);
    const { error, events, trainers } = await run({ schedule, checkpoint: file('last.safetensors') });
    assert.instance(error, DivergenceError);
    assert.match(
      error!.message,
      /^train: the loss is NaN, at a learning rate of 0.1, after step 8 \(epoch 2\); the last /,
    );
    assert.is(ofType(events, 'checkpoint').length, 1);
    assert.is(readTrainingCheckpoint(readFileSync(file('last.safetensors'))).progress.epoch, 1);
    assert.ok(trainers[0]!.isDisposed);
    assert.equal(names(), ['last.safetensors']);
  });
});

test('weights that are not finite are not saved', async () => {
  await withFolder(async (file) => {
    // The last step of the second epoch: its own loss is still a number.
    const schedule: TrainOptions['schedule'] = (step) => (step === 2 * STEPS_PER_EPOCH - 1 ? 1e39 : 0.1);
    const { error } = await run({ schedule, checkpoint: file('last.safetensors') });
    assert.instance(error, DivergenceError);
    assert.match(error!.message, /fc.weight is not finite after step 14 \(epoch 2\); the last checkpoint is as it was/);
    assert.is(readTrainingCheckpoint(readFileSync(file('last.safetensors'))).progress.epoch, 1);
  });
});

test('weights that are not finite are not saved by an abort either', async () => {
  const controller = new AbortController();
  const schedule: TrainOptions['schedule'] = (step) => (step === 2 ? 1e39 : 0.1);
  const { error, saved } = await lastOf({ schedule, signal: controller.signal }, (event) => {
    if (event.type === 'step' && event.step === 3) controller.abort();
    return undefined;
  });
  assert.instance(error, DivergenceError);
  assert.is(saved.length, 0);
});

test('a file that cannot be written leaves the old one', async () => {
  await withFolder(async (file, names) => {
    await writeAtomically(file('a'), new Uint8Array([1, 2]));
    assert.equal([...readFileSync(file('a'))], [1, 2]);
    await refusesToWrite(file('no/folder'), 'no/folder: cannot be written: ENOENT');
    mkdirSync(file('folder'));
    await refusesToWrite(file('folder'), 'it is no regular file');
    symlinkSync(file('a'), file('link'));
    await writeAtomically(file('link'), new Uint8Array([3]));
    assert.equal([...readFileSync(file('a'))], [3]);
    assert.equal(names(), ['a', 'folder', 'link']);
  });
});

test('a full disk leaves the last checkpoint', async () => {
  if (!existsSync('/dev/full')) return;
  await withFolder(async (file, names) => {
    await run({ epochs: 1, checkpoint: file('last') });
    const before = readFileSync(file('last'));
    // Bytes are written here first.
    symlinkSync('/dev/full', file('last.tmp'));
    const { error } = await run({ epochs: 1, checkpoint: file('last') });
    assert.match(error!.message, /last: cannot be written: ENOSPC/);
    assert.equal(readFileSync(file('last')), before);
    assert.equal(names(), ['last']);
  });
});

async function refusesToWrite(file: string, text: string): Promise<void> {
  const error = await writeAtomically(file, new Uint8Array(1)).catch((reason: Error) => reason);
  assert.ok((error as Error).message.includes(text), String(error));
}

test('patience ends a run that does not get better; the best state is kept', async () => {
  await withFolder(async (file) => {
    // A rate of 0: the first epoch is the best.
    const { events, model } = await run({ schedule: constant(0), epochs: 9, patience: 3, best: file('best') });
    const epochs = ofType(events, 'epoch');
    assert.equal(
      epochs.map(({ isBest }) => isBest),
      [true, false, false, false],
    );
    const done = events.at(-1)!;
    assert.ok(done.type === 'done' && done.reason === 'patience' && done.best!.epoch === 1);
    const { tensors, metadata } = readSafetensors(readFileSync(file('best')));
    assert.ok(sameBits(tensors['fc.weight']!.data, model.weight));
    assert.equal(JSON.parse(metadata.classes!), CLASSES);
    assert.is(JSON.parse(metadata.mean!).length, 1);
  });
});

test('the average is validated, kept as the best, and what the model ends as', async () => {
  let best = new Uint8Array();
  const keep = (bytes: Uint8Array): void => {
    best = Uint8Array.from(bytes);
  };
  const { model, events } = await run({ ema: 0.99, best: keep });
  const epochs: EpochEvent[] = ofType(events, 'epoch');
  assert.ok(epochs.at(-1)!.isBest, JSON.stringify(epochs.map(({ validation }) => validation)));
  assert.ok(sameBits(readSafetensors(best).tensors['fc.weight']!.data, model.weight));
  const plain = await run();
  assert.not.equal(epochs[0]!.validation, ofType(plain.events, 'epoch')[0]!.validation);
  const losses = (of: readonly TrainEvent[]): number[] => ofType(of, 'step').map(({ loss }: StepEvent) => loss);
  assert.equal(losses(events), losses(plain.events));
});

test('an average is what its formula says', () => {
  const average = new MovingAverage(0.5, { a: new Tensor('float32', [1, 2], [2]) });
  average.update({ a: new Tensor('float32', [3, 6], [2]) }, 1000);
  assert.equal([...average.stateDict().a!.data], [2, 4]);
  average.update({ a: new Tensor('float32', [12, 4], [2]) }, 0);
  assert.equal([...average.stateDict().a!.data], [11, 4]);
});

test('frozen parameters are handed to the trainer', async () => {
  const fresh = new FakeModel(SIDE * SIDE, CLASSES.length);
  initialise(fresh, 5);
  const { model } = await run({ freeze: ['fc.weight'], epochs: 1 });
  assert.ok(sameBits(model.weight, fresh.weight));
  assert.not.ok(sameBits(model.bias, fresh.bias));
});

test('the loop and the datasets are made for pages too', async () => {
  const names = ['train', 'idx', 'cifar', 'imageFolder', 'schedules', 'initialise'];
  const { outputFiles } = await build({
    stdin: { contents: names.map((name) => `export * from './src/train/${name}.js';`).join('\n'), resolveDir: '.' },
    bundle: true,
    format: 'esm',
    platform: 'browser',
    mainFields: ['module', 'main'],
    external: ['../index.js'],
    write: false,
    logLevel: 'silent',
  });
  assert.not.match(outputFiles[0]!.text, /from "node:|require\("node:|import\("node:/);
});

test('who stops listening ends the run', async () => {
  const { trainers, events } = await run({}, (event) =>
    event.type === 'step' && event.step === 3 ? 'enough' : undefined,
  );
  assert.is(events.length, 3);
  assert.ok(trainers[0]!.isDisposed);
});

test('options are checked before a trainer is made', async () => {
  const cases: [Partial<Record<keyof TrainOptions | 'epoch', unknown>>, string][] = [
    [{ epochs: 0 }, 'epochs must be a whole number of at least 1, got 0'],
    [{ batchSize: 61 }, 'batchSize must be at most 60, the number of images, got 61'],
    [{ seed: -1 }, 'seed must be a whole number of at least 0, got -1'],
    [{ schedule: 0.1 }, 'schedule must be a function, got 0.1'],
    [{ epoch: 3 }, 'unknown option epoch'],
    [{ ema: 1 }, 'ema must be below 1, got 1'],
    [{ patience: 2, validation: undefined }, 'patience takes validation, got none'],
    [{ mean: [0] }, 'mean and std must be given together, got mean alone'],
    [{ mean: [0], std: [0] }, 'std must be 1 finite numbers other than 0, got [0]'],
    [{ checkpoint: 1 }, 'checkpoint must be a path or a function, got 1'],
    [{ signal: {} }, 'signal must be an AbortSignal'],
    [{ augment: { crop: 0.5 } }, 'augment.crop must be a whole number'],
    [{ validation: otherClasses() }, 'classes of validation must be those of data'],
  ];
  for (const [change, text] of cases) {
    const { error, trainers } = await run(change as Partial<TrainOptions>);
    assert.ok(error?.message.includes(text), `no "${text}" in: ${error?.message}`);
    assert.is(trainers.length, 0);
  }
});

test('a model of too few outputs is refused', async () => {
  const train = trainWith((of: FakeModel, settings) => new FakeTrainer(of, settings));
  const model = new FakeModel(SIDE * SIDE, 2);
  const error = await train(model, DATA, OPTIONS)
    .next()
    .catch((reason: Error) => reason);
  assert.match((error as Error).message, /an output for each of the 3 classes, got outputs of dims \[1, 2\]/);
});

function otherClasses() {
  const size = SIDE * SIDE;
  return arrayDataset({ pixels: new Uint8Array(size), labels: [0], dims: [1, SIDE, SIDE], classes: ['one'] });
}

test.run();
