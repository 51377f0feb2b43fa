/**
 * `acnet train` around a small trainer, which updates only the biases of the last layer: arguments, the folder of a
 * run, resuming, output, and the end.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseArguments } from '../src/cli/arguments.js';
import { CommandError, messageOf, UsageError } from '../src/cli/errors.js';
import { Interrupted, interrupt } from '../src/cli/interrupt.js';
import { plotLines } from '../src/cli/plot.js';
import { RunFolder } from '../src/cli/runFolder.js';
import { trainCommand } from '../src/cli/train.js';
import { scheduleOf, settingsOf } from '../src/cli/trainArguments.js';
import { duration } from '../src/cli/trainReport.js';
import { createRuntime, lenet5bn, loadOnnx, readSafetensors, Tensor, writeSafetensors } from '../src/index.js';
import { readTrainingCheckpoint } from '../src/train/checkpoint.js';
import { sameBits } from './support.js';
import { BiasTrainer, call, TERMINAL, type Told, withFolders } from './trainSupport.js';

const FILES = [
  'best.safetensors',
  'config.json',
  'confusion.svg',
  'curves.svg',
  'deploy.onnx',
  'deploy.safetensors',
  'events.jsonl',
  'last.safetensors',
  'results.csv',
];
const ARCH = ['--arch', 'lenet5-bn', '--channels', '2,3', '--batch-size', '16', '--epochs', '3', '--lr', '0.5'];
const STEPS = 4;

async function acnetTrain(args: readonly string[], onEvent?: (event: Told['events'][number]) => void) {
  return call(
    trainCommand((model, options) => new BiasTrainer(model, options)),
    args,
    onEvent,
  );
}

const read = (file: string): string => readFileSync(file, 'utf8');
const eventsIn = (folder: string) =>
  read(path.join(folder, 'events.jsonl'))
    .trimEnd()
    .split('\n')
    .map((line) => {
      const { seconds, ...event } = JSON.parse(line);
      assert.ok(seconds >= 0);
      return event;
    });

test('a run leaves a folder with all that it was', async () => {
  await withFolders(async (data, place) => {
    const out = place('run');
    const { error, lines, events } = await acnetTrain([...ARCH, '--data', data, '--out', out]);
    assert.is(error, undefined, error?.stack);
    assert.equal(readdirSync(out).sort(), FILES);
    const config = JSON.parse(read(path.join(out, 'config.json')));
    assert.equal([config.arch, config.channels, config.batchSize, config.lr], ['lenet5-bn', [2, 3], 16, 0.5]);

    const kept = eventsIn(out);
    assert.is(kept.filter(({ type }) => type === 'step').length, 3 * STEPS);
    assert.equal(
      kept.map(({ type }) => type),
      events.slice(0, -1).map(({ type }) => type),
    );
    const rows = read(path.join(out, 'results.csv')).trimEnd().split('\n');
    assert.is(rows.length, 4);
    assert.is(rows[0], 'epoch,step,seconds,lr,loss,validation_loss,validation_accuracy,is_best');
    const epochs = kept.filter(({ type }) => type === 'epoch');
    for (const [i, { step, loss, validation }] of epochs.entries()) {
      const cells = rows[i + 1]!.split(',');
      assert.equal([cells[1], cells[4], cells[6]], [step, loss, validation.accuracy].map(String));
      assert.ok(lines.some((line) => line.includes(loss.toFixed(4)) && line.trimStart().startsWith(`${i + 1} `)));
    }
    assert.ok(epochs[2].loss < epochs[0].loss);
    assert.match(read(path.join(out, 'curves.svg')), /best epoch/);
    assert.match(read(path.join(out, 'confusion.svg')), /20 test images/);

    const result = events.at(-1)!;
    assert.equal([result.type, result.set, result.images], ['result', 'test', 20]);
    assert.is(result.accuracy, result.deployAccuracy);
    const best = Math.max(...epochs.map(({ validation }) => validation.accuracy));
    assert.is(result.accuracy, best);
  });
});

test('the merged files are the best epoch, and others read them', async () => {
  await withFolders(async (data, place) => {
    await acnetTrain([...ARCH, '--data', data, '--out', place('run')]);
    const file = (name: string) => new Uint8Array(readFileSync(path.join(place('run'), name)));
    const runtime = await createRuntime();
    try {
      const options = { channels: [2, 3], numClasses: 3 };
      const trained = lenet5bn(runtime, options).loadStateDict(readSafetensors(file('best.safetensors')).tensors);
      const deploy = readSafetensors(file('deploy.safetensors'));
      const merged = trained.eval().switchToDeploy().stateDict();
      for (const [key, tensor] of Object.entries(deploy.tensors))
        assert.ok(sameBits(tensor.data, merged[key]!.data), key);
      lenet5bn(runtime, { ...options, form: 'deploy' }).loadStateDict(deploy.tensors);
      assert.equal(JSON.parse(deploy.metadata.classes!), ['0', '1', '2']);
      const graph = await loadOnnx(path.join(place('run'), 'deploy.onnx'));
      assert.equal(graph.inputDims?.get('input'), ['N', 1, 28, 28]);
      assert.equal([...graph.metadata!.keys()], ['classes', 'mean', 'std']);
    } finally {
      runtime.dispose();
    }
  });
});

test('one seed gives the same bits, and a run that was interrupted goes on with them', async () => {
  await withFolders(async (data, place) => {
    const whole = await acnetTrain([...ARCH, '--data', data, '--out', place('whole')]);
    assert.is(whole.error, undefined);
    for (const step of [2, STEPS, STEPS + 1]) {
      const out = place(`stopped${step}`);
      const stopped = await acnetTrain([...ARCH, '--data', data, '--out', out], (event) => {
        if (event.type === 'step' && event.step === step) assert.ok(interrupt(130));
      });
      assert.instance(stopped.error, Interrupted);
      assert.is((stopped.error as Interrupted).exitCode, 130);
      assert.equal(stopped.complaints, [`saved in ${out}; go on with: acnet train --resume ${out}`]);
      assert.not.ok(readdirSync(out).includes('deploy.onnx'));
      // As a kill leaves it: events after the checkpoint, the last one cut in half.
      const events = path.join(out, 'events.jsonl');
      const { events: steps } = whole;
      const later = steps.find((event) => event.type === 'step' && event.step === step + 1);
      writeFileSync(events, `${read(events)}${JSON.stringify(later)}\n{"type":"st`);

      const resumed = await acnetTrain(['--resume', out]);
      assert.is(resumed.error, undefined, resumed.error?.stack);
      for (const name of ['best.safetensors', 'last.safetensors', 'deploy.onnx', 'curves.svg']) {
        const [one, other] = [place('whole'), out].map((folder) => readFileSync(path.join(folder, name)));
        if (name === 'curves.svg') assert.is(one!.toString().replaceAll(place('whole'), out), other!.toString());
        else assert.ok(one!.equals(other!), `${name} after step ${step}`);
      }
      const withoutSaves = (folder: string) => eventsIn(folder).filter(({ type }) => type !== 'checkpoint');
      assert.equal(withoutSaves(out), withoutSaves(place('whole')));
    }
  });
});

test('a run that was killed before its first checkpoint begins anew, one with a checkpoint does not', async () => {
  await withFolders(async (data, place) => {
    const out = place('run');
    mkdirSync(out);
    writeFileSync(path.join(out, 'config.json'), '{}');
    writeFileSync(path.join(out, 'events.jsonl'), '{"type":"step","epoch":1,"step":1');
    const args = [...ARCH, '--data', data, '--out', out];
    assert.is((await acnetTrain(args)).error, undefined);
    assert.is(eventsIn(out)[0].step, 1);
    assert.is(JSON.parse(read(path.join(out, 'config.json'))).arch, 'lenet5-bn');
    const again = await acnetTrain(args);
    assert.is(again.error!.message, `${out}: holds a run; --resume ${out} goes on with it`);
  });
});

test('images that are held out validate, and the test set is for the end', async () => {
  await withFolders(async (data, place) => {
    const { error, lines, events } = await acnetTrain([
      ...ARCH,
      '--data',
      data,
      '--hold-out',
      '20',
      '--out',
      place('run'),
    ]);
    assert.is(error, undefined, error?.stack);
    assert.ok(lines[0]!.includes('50 images to train, 20 images to validate, 20 images to test'), lines[0]);
    assert.is(events.filter(({ type }) => type === 'step').length, 3 * 3);
    assert.is(events.at(-1)!.set, 'test');
  });
});

test('without any other images the last epoch is kept', async () => {
  await withFolders(async (data, place) => {
    for (const kind of ['images-idx3', 'labels-idx1']) rmSync(path.join(data, `t10k-${kind}-ubyte`));
    const { error, events } = await acnetTrain([...ARCH, '--data', data, '--out', place('run'), '--form', 'base']);
    assert.is(error, undefined, error?.stack);
    assert.equal(readdirSync(place('run')).sort(), FILES);
    assert.is(events.at(-1)!.set, 'training');
    const patient = await acnetTrain([...ARCH, '--data', data, '--out', place('other'), '--patience', '2']);
    assert.instance(patient.error, CommandError);
    assert.match(patient.error!.message, /--patience takes images to validate with; say --hold-out N/);
    assert.not.ok(readdirSync(path.dirname(place(''))).includes(path.basename(place('other'))));
  });
});

test('a checkpoint is where weights begin', async () => {
  await withFolders(async (data, place) => {
    await acnetTrain([...ARCH, '--data', data, '--out', place('first')]);
    const init = path.join(place('first'), 'best.safetensors');
    const { error, events } = await acnetTrain([...ARCH, '--data', data, '--out', place('second'), '--init', init]);
    assert.is(error, undefined, error?.stack);
    const fresh = eventsIn(place('first'))[0].loss;
    assert.ok((events[0]!.loss as number) < fresh, `${events[0]!.loss} < ${fresh}`);
    const wrong = place('wrong.safetensors');
    writeFileSync(wrong, writeSafetensors({ a: new Tensor('float32', [1], [1]) }));
    const refused = await acnetTrain([...ARCH, '--data', data, '--out', place('third'), '--init', wrong]);
    assert.match(refused.error!.message, /wrong.safetensors: .*missing/);
  });
});

/** What was there before the disk was full. */
const full: Buffer[] = [];

/** From now on nothing can be appended, as on a full disk. */
function fill(out: string): number {
  const events = path.join(out, 'events.jsonl');
  full.push(readFileSync(events));
  rmSync(events);
  symlinkSync('/dev/full', events);
  return 1;
}

/** Steps that succeed until one of them. */
function failingAt(step: number, fail: () => number) {
  return trainCommand((model, options) => {
    const trainer = new BiasTrainer(model, options);
    const well = trainer.step.bind(trainer);
    let steps = 0;
    trainer.step = (input, labels) => (++steps === step ? fail() : well(input, labels));
    return trainer;
  });
}

test('a loss that is no number, a file that cannot be written: the last checkpoint stays, and goes on', async () => {
  await withFolders(async (data, place) => {
    const args = [...ARCH, '--data', data, '--out'];
    assert.is((await acnetTrain([...args, place('whole')])).error, undefined);
    const block = (out: string): number => {
      rmSync(path.join(out, 'results.csv'));
      mkdirSync(path.join(out, 'results.csv'));
      return 1;
    };
    for (const [name, fail, message] of [
      ['nan', () => Number.NaN, /^the loss is NaN, .* after step 6 \(epoch 2\); the last checkpoint is as it was$/],
      ['blocked', block, /results.csv: must be a file to write, got a directory$/],
      ['full', fill, /events.jsonl: no space left on device$/],
    ] as const) {
      const out = place(name);
      const { error } = await call(
        failingAt(STEPS + 3, () => fail(out)),
        [...args, out],
      );
      assert.match(messageOf(error), message);
      const { progress } = readTrainingCheckpoint(readFileSync(path.join(out, 'last.safetensors')));
      assert.equal([progress.epoch, progress.batch], [1, 0], name);
      if (name === 'blocked') rmSync(path.join(out, 'results.csv'), { recursive: true });
      if (name === 'full') {
        rmSync(path.join(out, 'events.jsonl'));
        writeFileSync(path.join(out, 'events.jsonl'), full[0]!);
      }
      const resumed = await acnetTrain(['--resume', out]);
      assert.is(resumed.error, undefined, resumed.error?.stack);
      for (const file of ['last.safetensors', 'deploy.onnx']) {
        assert.ok(readFileSync(path.join(out, file)).equals(readFileSync(path.join(place('whole'), file))), name);
      }
    }
  });
});

test('images and labels that do not fit each other or the network are told by their files', async () => {
  await withFolders(async (data, place) => {
    const args = [...ARCH, '--data', data, '--out', place('run')];
    const file = (prefix: string) => path.join(data, `${prefix}-labels-idx1-ubyte`);
    const replace = (prefix: string, change: (label: number, i: number) => number): (() => void) => {
      const before = readFileSync(file(prefix));
      writeFileSync(
        file(prefix),
        before.map((byte, i) => (i < 8 ? byte : change(byte, i))),
      );
      return () => writeFileSync(file(prefix), before);
    };
    for (const [prefix, change, message] of [
      [
        't10k',
        (label: number, i: number) => (i === 9 ? 3 : label),
        /t10k-labels.*labels\[1\] must be below 3, .*got 3$/,
      ],
      ['t10k', (label: number) => Math.min(1, label), /t10k-labels.*class 2 \("?2"?\) has no image$/],
      ['train', (label: number) => (label === 1 ? 2 : label), /train-labels.*class 1 \("?1"?\) has no image$/],
    ] as const) {
      const restore = replace(prefix, change);
      assert.match(messageOf((await acnetTrain(args)).error), message);
      restore();
    }
    assert.is((await acnetTrain(args)).error, undefined);
    // Images that have changed since the checkpoint.
    const restore = replace('train', (label, i) => (i === 8 ? 3 : label));
    rmSync(file('t10k'));
    rmSync(path.join(data, 't10k-images-idx3-ubyte'));
    const changed = await acnetTrain(['--resume', place('run')]);
    assert.match(messageOf(changed.error), /classes/);
    const init = ['--init', path.join(place('run'), 'best.safetensors')];
    const other = await acnetTrain([...ARCH, '--data', data, '--out', place('other'), ...init]);
    assert.match(messageOf(other.error), /best.safetensors: .*linear2.weight.*\[4, 500\].*\[3, 500\]/);
    restore();
  });
});

test('what is wrong is said before anything is written', async () => {
  await withFolders(async (data, place) => {
    const out = place('run');
    const base = [...ARCH, '--data', data, '--out', out];
    const cases: [string[], typeof UsageError | typeof Error, string][] = [
      [['--data', data, '--out', out], UsageError, '--arch is missing'],
      [['--arch', 'resnet', '--data', data, '--out', out], UsageError, "--arch is 'resnet', expected lenet5-bn"],
      [[...ARCH, '--data', data], UsageError, '--out DIR is missing'],
      [[...ARCH, '--out', out], UsageError, '--data is missing'],
      [
        [...base, '--form', 'deploy'],
        UsageError,
        "--form is 'deploy', expected train, base, vertical, horizontal, norm-after-sum",
      ],
      [[...base, '--blocks', '3'], UsageError, '--blocks is for networks with stages; lenet5-bn has none'],
      [[...base, '--schedule', 'step'], UsageError, "--schedule is 'step', expected constant, cosine, step:"],
      [[...base, '--schedule', 'multistep:3,2'], UsageError, '--schedule'],
      [[...base, '--momentum', '1'], UsageError, "--momentum is '1', expected a number below 1"],
      [[...base, '--lr', 'fast'], UsageError, "--lr must be a number from 0, got 'fast'"],
      [[...base, '--channels', '2;3'], UsageError, '--channels'],
      [[...base, 'more'], UsageError, "unexpected argument 'more'"],
      [[...base, '--batch-size', '71'], Error, 'batchSize must be at most 70, the number of images, got 71'],
      [[...base, '--hold-out', '70'], Error, '--hold-out is 70, expected fewer than the 70 training images'],
      [[...base, '--freeze', 'stem.conv9'], Error, "--freeze is 'stem.conv9', but no parameter begins so"],
      [[...base, '--size', '28x28'], Error, '--size is for folders of images'],
      [
        ['--arch', 'cifar-quick', '--batch-size', '9', '--data', data, '--out', out],
        Error,
        'the model does not take images of dims [1, 28, 28]: Linear.forward (fc1)',
      ],
      [[...ARCH, '--data', place('none'), '--out', out], Error, 'no such file or directory'],
      [['--resume', place('none')], Error, 'holds no run to go on with'],
      [['--resume', place('none'), '--lr', '1'], UsageError, '--lr is in'],
    ];
    for (const [args, kind, text] of cases) {
      const { error } = await acnetTrain(args);
      assert.instance(error, kind, `${args.join(' ')}: ${error}`);
      assert.ok(messageOf(error).includes(text), `no "${text}" in: ${messageOf(error)}`);
      assert.equal(readdirSync(path.dirname(out)), []);
    }
    writeFileSync(place('file'), '');
    const { error } = await acnetTrain([...ARCH, '--data', data, '--out', path.dirname(out)]);
    assert.match(error!.message, /must be an empty folder or none, got one with file/);
  });
});

test('schedules count in epochs', () => {
  const rates = (...args: string[]): number[] => {
    const options = { arch: { type: 'string' }, data: { type: 'string' }, lr: { type: 'string' } } as const;
    const more = {
      schedule: { type: 'string' },
      'warm-up': { type: 'string' },
      freeze: { type: 'string', multiple: true },
    } as const;
    const settings = settingsOf(
      parseArguments(['--arch', 'vgg16', '--data', 'x', '--lr', '1', ...args], { ...options, ...more }),
    );
    const schedule = scheduleOf(settings, 10);
    return [0, 9, 10, 20, 39].map((at) => Number(schedule(at, 40).toFixed(4)));
  };
  assert.equal(rates('--schedule', 'constant'), [1, 1, 1, 1, 1]);
  assert.equal(rates('--schedule', 'step:1:0.5'), [1, 1, 0.5, 0.25, 0.125]);
  assert.equal(rates('--schedule', 'multistep:1,2'), [1, 1, 0.1, 0.01, 0.01]);
  assert.equal(rates('--schedule', 'cosine', '--warm-up', '1')[1], 1);
  assert.equal(rates()[3], 0.5);
});

test('a plot has its labels and a line without gaps', () => {
  const points = Array.from({ length: 50 }, (_, i) => [i / 49, 2 - i / 25] as const);
  const lines = plotLines({ title: 'loss', points }, 40, 6, TERMINAL);
  assert.is(lines.length, 7);
  assert.match(lines[0]!, /^loss/);
  for (const line of lines.slice(1)) assert.ok(line.includes('*') && line.length <= 40, line);
  assert.ok(lines[1]!.indexOf('*') < lines[6]!.indexOf('*'));
  const braille = plotLines({ title: 'loss', points }, 40, 6, { ...TERMINAL, unicode: true });
  assert.match(braille[1]!, /[\u2801-\u28ff]/);
  assert.is(plotLines({ title: 'loss', points: [] }, 40, 6, TERMINAL).join('').includes('*'), false);
});

test('durations are short', () => {
  assert.equal([0, 59.4, 184, 3723].map(duration), ['0 s', '59 s', '3:04', '1:02:03']);
});

test('a folder without a run says so', async () => {
  const error = await new RunFolder('nowhere', '').read('last').catch((reason: Error) => reason);
  assert.instance(error, CommandError);
});

test.run();
