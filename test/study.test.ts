/** `acnet study`: its runs, resuming, its report; images turned and mirrored; blocks with parts left out. */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import * as library from 'acnet-wasm';
import { ABLATIONS, ablate, backward } from 'acnet-wasm/train';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CHANGES, type ChangeName, changed, changesFor } from '../src/cli/changes.js';
import { CommandError, UsageError } from '../src/cli/errors.js';
import { Interrupted, interrupt } from '../src/cli/interrupt.js';
import { studyCommand } from '../src/cli/study.js';
import { spreadOf } from '../src/cli/studySummary.js';
import { trainCommand } from '../src/cli/train.js';
import { arrayDataset } from '../src/train/dataset.js';
import { relativeError, seededRandom, supportedBuilds } from './support.js';
import { BiasTrainer, call, type Told, withFolders } from './trainSupport.js';

const ARGS = [
  '--arch',
  'lenet5-bn',
  '--channels',
  '2,3',
  '--batch-size',
  '16',
  '--epochs',
  '3',
  '--lr',
  '9',
  '--schedule',
  'constant',
];
const NETWORKS = ['base', 'acnet', 'vertical', 'horizontal', 'norm-after-sum'];

async function acnetStudy(args: readonly string[], onEvent?: (event: Told['events'][number]) => void): Promise<Told> {
  return call(
    studyCommand((model, options) => new BiasTrainer(model, options)),
    args,
    onEvent,
  );
}

const read = (...names: string[]): string => readFileSync(path.join(...names), 'utf8');
const rowsOf = (out: string): string[][] =>
  read(out, 'results.csv')
    .trimEnd()
    .split('\n')
    .map((row) => row.split(','));

/** Accuracies of validation, which are those of the test images here, epoch by epoch. */
const validated = (folder: string): number[] =>
  read(folder, 'results.csv')
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((row) => Number(row.split(',')[6]));

test('every network is trained over every seed, and judged by its last epoch', async () => {
  await withFolders(async (data, place) => {
    const out = place('study');
    const told = await acnetStudy([...ARGS, '--data', data, '--out', out, '--seeds', '2', '--ablation']);
    assert.is(told.error, undefined, told.error?.stack);
    const runs = NETWORKS.flatMap((name) => [`${name}-seed1`, `${name}-seed2`]);
    const files = ['accuracy.svg', 'changed.svg', 'results.csv', 'study.md'];
    assert.equal(readdirSync(out).sort(), [...runs, ...files].sort());
    for (const run of runs) assert.ok(existsSync(path.join(out, run, 'deploy.onnx')), run);

    const [head, ...rows] = rowsOf(out);
    assert.equal(head, ['network', 'seed', 'checkpoint', ...Object.keys(CHANGES)]);
    assert.equal(
      rows.map(([name, seed]) => `${name}-seed${seed}`),
      [1, 2].flatMap((seed) => NETWORKS.map((name) => `${name}-seed${seed}`)),
    );
    for (const [name, seed, , accuracy] of rows) {
      const epochs = validated(path.join(out, `${name}-seed${seed}`));
      assert.is(Number(accuracy), epochs.at(-1), `${name}, seed ${seed}: ${epochs}`);
    }
    // Otherwise nothing tells the last epoch from the best one.
    assert.ok(runs.some((run) => validated(path.join(out, run)).at(-1)! < Math.max(...validated(path.join(out, run)))));

    const study = told.events.at(-1) as unknown as { type: string; images: number; networks: Told['events'] };
    assert.equal([study.type, study.images], ['study', 20]);
    const accuracies = (name: string): number[] =>
      rows.filter(([one]) => one === name).map((row) => 100 * Number(row[3]));
    for (const [i, name] of NETWORKS.entries()) {
      const { network, seeds, difference, accuracies: found } = study.networks[i] as Record<string, unknown>;
      assert.equal([network, seeds], [name, [1, 2]]);
      const [one, two] = accuracies(name) as [number, number];
      const { mean, deviation } = (found as Record<string, { mean: number; deviation: number }>).none!;
      assert.ok(Math.abs(mean - (one + two) / 2) < 1e-9);
      assert.ok(Math.abs(deviation - Math.abs(one - two) / Math.SQRT2) < 1e-9);
      const differences = [one, two].map((value, j) => (value - accuracies('base')[j]!).toFixed(6));
      if (i === 0) assert.is(difference, undefined);
      else
        assert.equal(
          (difference as { values: number[] }).values.map((value) => value.toFixed(6)),
          differences,
        );
    }
    const text = read(out, 'study.md');
    const { mean, deviation } = spreadOf(accuracies('acnet'));
    assert.ok(text.includes(`| ACNet | 2 | ${mean.toFixed(2)} ± ${deviation.toFixed(2)} |`), text);
    assert.ok(told.lines.some((line) => line.includes(`${mean.toFixed(2)} +- ${deviation.toFixed(2)}`)));
    for (const name of ['accuracy', 'changed']) assert.match(read(out, `${name}.svg`), /<svg.*<\/svg>/s);
  });
});

test('a study that was interrupted goes on, and runs that are finished are kept', async () => {
  await withFolders(async (data, place) => {
    const whole = [...ARGS, '--data', data, '--out', place('whole'), '--seeds', '2'];
    assert.is((await acnetStudy(whole)).error, undefined);
    const args = [...ARGS, '--data', data, '--out', place('parts'), '--seeds', '2'];
    const stopped = await acnetStudy(args, ({ network, type, step, seed }) => {
      if (network === 'acnet' && seed === 1 && type === 'step' && step === 6) assert.ok(interrupt(130));
    });
    assert.instance(stopped.error, Interrupted);
    assert.equal(stopped.complaints, [
      `saved in ${path.join(place('parts'), 'acnet-seed1')}; the same command goes on`,
    ]);
    assert.is(rowsOf(place('parts')).length, 2);
    const events = read(place('parts'), 'base-seed1', 'events.jsonl');

    const resumed = await acnetStudy(args);
    assert.is(resumed.error, undefined, resumed.error?.stack);
    assert.equal(rowsOf(place('parts')), rowsOf(place('whole')));
    assert.is(read(place('parts'), 'base-seed1', 'events.jsonl'), events);
    assert.not.ok(resumed.events.some(({ network, seed }) => network === 'base' && seed === 1));
    assert.is(resumed.events.find(({ network, type }) => network === 'acnet' && type === 'step')!.step, 7);

    // A third seed is all that there is to do.
    const more = await acnetStudy([...args.slice(0, -1), '3']);
    assert.ok(more.events.every(({ type, seed }) => type === 'study' || seed === 3));
    assert.is(rowsOf(place('parts')).length, 7);
  });
});

test('a run of acnet train with the same settings is one of a study, with others it is not', async () => {
  await withFolders(async (data, place) => {
    const train = trainCommand((model, options) => new BiasTrainer(model, options));
    const out = place('study');
    const run = [...ARGS, '--data', data, '--seed', '1', '--form', 'base', '--out', path.join(out, 'base-seed1')];
    assert.is((await call(train, run)).error, undefined);
    const args = [...ARGS, '--data', data, '--out', out, '--seeds', '1'];
    const other = await acnetStudy([...args, '--weight-decay', '0.1']);
    assert.instance(other.error, CommandError);
    assert.match(
      other.error!.message,
      /base-seed1.*config.json: weightDecay must be 0.1, as in this study, got 0.0001/,
    );
    const { error, events } = await acnetStudy(args);
    assert.is(error, undefined, error?.stack);
    assert.not.ok(events.some(({ network }) => network === 'base'));
  });
});

test('what is wrong is said before anything is trained', async () => {
  await withFolders(async (data, place) => {
    const base = [...ARGS, '--data', data, '--out', place('study')];
    for (const name of ['form', 'seed', 'init', 'freeze', 'patience']) {
      const { error } = await acnetStudy([...base, `--${name}`, '1']);
      assert.instance(error, UsageError, name);
    }
    const without = await acnetStudy([...ARGS, '--data', data]);
    assert.is(without.error!.message, '--out DIR is missing');
    for (const kind of ['images-idx3', 'labels-idx1']) rmSync(path.join(data, `t10k-${kind}-ubyte`));
    const untested = await acnetStudy(base);
    assert.match(untested.error!.message, /has no test images, which a study compares on/);
    assert.not.ok(existsSync(place('study')));
  });
});

test('images are turned counterclockwise and mirrored, channel by channel', () => {
  const image = (...rows: string[]): number[] => rows.flatMap((row) => [...row].map((letter) => letter.charCodeAt(0)));
  const pixels = Uint8Array.from([...image('ab', 'cd'), ...image('ef', 'gh')]);
  const data = arrayDataset({ pixels, labels: [0], dims: [2, 2, 2], classes: ['one'] });
  const expected: Record<ChangeName, [string, string, string, string]> = {
    none: ['ab', 'cd', 'ef', 'gh'],
    turned90: ['bd', 'ac', 'fh', 'eg'],
    turned180: ['dc', 'ba', 'hg', 'fe'],
    turned270: ['ca', 'db', 'ge', 'hf'],
    upsideDown: ['cd', 'ab', 'gh', 'ef'],
    mirrored: ['ba', 'dc', 'fe', 'hg'],
  };
  const target = new Uint8Array(8);
  for (const [name, rows] of Object.entries(expected)) {
    assert.is(changed(data, name as ChangeName).read(0, target), 0);
    assert.equal(Array.from(target), image(...rows), name);
  }
  const wide = arrayDataset({ pixels: pixels.subarray(0, 6), labels: [0], dims: [1, 2, 3], classes: ['one'] });
  assert.equal(changesFor(wide), ['none', 'turned180', 'upsideDown', 'mirrored']);
  const [upright, turned] = [new Uint8Array(6), new Uint8Array(6)];
  wide.read(0, upright);
  changed(wide, 'turned180').read(0, turned);
  assert.equal(Array.from(turned), Array.from(upright).reverse());
});

test('deviations are those of a sample', () => {
  const { mean, deviation } = spreadOf([1, 2, 6]);
  assert.is(mean, 3);
  assert.ok(Math.abs(deviation - Math.sqrt(7)) < 1e-12);
  assert.ok(Number.isNaN(spreadOf([5]).deviation));
});

/** A block with random state, the same for the same keys. */
function fill(layer: library.Layer): library.Layer {
  const state = Object.entries(layer.stateDict()).map(([key, { dims, size }]) => {
    const random = seededRandom([...key].reduce((sum, letter) => 31 * sum + letter.charCodeAt(0), 7) % 2 ** 31);
    const values = Float32Array.from({ length: size }, () => (key.endsWith('var') ? 0.5 + random() : random() - 0.5));
    return [key, new library.Tensor('float32', values, dims)] as const;
  });
  return layer.loadStateDict(Object.fromEntries(state));
}

test('a block with a part left out is what is left, trained or merged', async () => {
  const { ACBlock, BatchNorm2d, createRuntime, Tensor } = library;
  const image = new Tensor(
    'float32',
    Float32Array.from({ length: 2 * 3 * 63 }, (_, i) => Math.sin(i * 1.7)),
    [2, 3, 7, 9],
  );
  const options = { inChannels: 3, outChannels: 4, kernelSize: 5, stride: 2, padding: 1 };
  for (const simd of await supportedBuilds()) {
    const runtime = await createRuntime({ simd });
    const { used } = runtime.memory;
    const block = new ACBlock(runtime, options);
    const run = (layer: library.Layer): Float32Array => {
      const output = layer.forward(image);
      const { data } = output;
      output.dispose();
      return data;
    };
    for (const ablation of ABLATIONS) {
      const ablated = fill(ablate(block, ablation));
      const state = fill(block).stateDict();
      const keys = Object.keys(ablated.stateDict());
      const set = (key: string, value: number) => state[key]!.data.fill(value);
      let expected: Float32Array;
      if (ablation === 'norm-after-sum') {
        for (const branch of ['square', 'ver', 'hor']) {
          for (const [name, value] of Object.entries({ weight: 1, bias: 0, running_mean: 0, running_var: 1 })) {
            set(`${branch}_bn.${name}`, value);
          }
        }
        const sum = new ACBlock(runtime, { ...options, eps: 0 }).loadStateDict(state).eval();
        const norm = Object.entries(ablated.stateDict()).filter(([key]) => key.startsWith('bn.'));
        const after = new BatchNorm2d(runtime, { numFeatures: 4 });
        after.loadStateDict(Object.fromEntries(norm), 'bn.');
        const summed = sum.forward(image);
        const output = after.eval().forward(summed);
        expected = output.data;
        for (const one of [summed, output, sum, after]) one.dispose();
        assert.is(keys.length, 3 + 4);
      } else {
        const gone = ablation === 'vertical' ? 'hor' : 'ver';
        for (const name of ['weight', 'bias']) set(`${gone}_bn.${name}`, 0);
        const whole = new ACBlock(runtime, options).loadStateDict(state).eval();
        expected = run(whole);
        whole.dispose();
        assert.not.ok(keys.some((key) => key.startsWith(gone)));
        assert.is(keys.length, 2 * 5);
      }
      ablated.eval();
      assert.ok(relativeError(run(ablated), expected) < 1e-5, `${simd}, ${ablation}`);
      ablated.train();
      const gradOutput = new Tensor(
        'float32',
        new Float32Array(2 * 4 * 3 * 4).map((_, i) => Math.cos(i)),
        [2, 4, 3, 4],
      );
      const { gradients, output, inputGradient } = backward(ablated, image, gradOutput);
      assert.equal(Object.keys(gradients).sort(), keys.filter((key) => !key.includes('running')).sort());
      for (const one of [output, inputGradient]) one.dispose();
      const before = run(ablated.eval());
      const copy = ablate(ablated.switchToDeploy(), ablation);
      assert.equal(Object.keys(ablated.stateDict()), ['fused_conv.weight', 'fused_conv.bias']);
      for (const merged of [ablated, copy])
        assert.ok(relativeError(run(merged), before) < 1e-5, `${simd}, ${ablation}, merged`);
      for (const one of [ablated, copy]) one.dispose();
    }
    block.dispose();
    assert.is(runtime.memory.used, used);
    runtime.dispose();
  }
});

test('a network is copied, its blocks with their keys in the same places', async () => {
  const { cifarQuick, createRuntime } = library;
  const runtime = await createRuntime();
  const whole = cifarQuick(runtime, { channels: [2, 3, 4] });
  const vertical = ablate(whole, 'vertical');
  const expected = Object.keys(whole.stateDict()).filter((key) => !key.includes('.hor_'));
  assert.equal(Object.keys(vertical.stateDict()), expected);
  assert.equal(Array.from(vertical.stateDict()['fc1.weight']!.data), Array.from(whole.stateDict()['fc1.weight']!.data));
  const wrong = ablate as (layer: unknown, ablation: unknown) => unknown;
  assert.throws(() => wrong(whole, 'both'), /ablate: ablation must be one of "?vertical.*, got "?both/);
  assert.throws(() => wrong({}, 'vertical'), /ablate: layer must be a layer, got/);
  runtime.dispose();
});

test.run();
