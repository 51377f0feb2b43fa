/** Random numbers, datasets and batches: the same for the same seed, whole, and clear about what is wrong. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FormatError } from '../src/index.js';
import { Batches, checkAugmentation } from '../src/train/batches.js';
import { cifarDataset } from '../src/train/cifar.js';
import { arrayDataset, type Dataset, split, subset } from '../src/train/dataset.js';
import { idxDataset, readIdx } from '../src/train/idx.js';
import { imageFolder } from '../src/train/imageFolder.js';
import { initialise } from '../src/train/initialise.js';
import { normalisationOf } from '../src/train/normalisation.js';
import { permutation, Random } from '../src/train/random.js';
import { FakeModel } from './fakeTrainer.js';
import { seededRandom } from './support.js';

const EXAMPLES = 'examples/fashion-mnist';
const EXAMPLE = `${EXAMPLES}/t10k-1000`;
const IMAGES = 'test/fixtures/images';
const FIRST_OF_ZERO = [594849490, 3015317673, 242079054];
const IDENTITY = { mean: [0], std: [1] };

/** Images whose every pixel tells image, row and column: 32 * image + 4 * row + column. */
function numbered(size: number): Dataset {
  const pixels = Uint8Array.from(
    { length: size * 8 },
    (_, i) => 32 * Math.floor(i / 8) + 4 * Math.floor((i % 8) / 4) + (i % 4),
  );
  return arrayDataset({
    pixels,
    labels: Array.from({ length: size }, (_, i) => i % 2),
    dims: [1, 2, 4],
    classes: ['even', 'odd'],
  });
}

/** The pixels of each image. */
function allPixels(data: Dataset): number[][] {
  return Array.from({ length: data.size }, (_, i) => {
    const image = new Uint8Array(data.dims[0] * data.dims[1] * data.dims[2]);
    data.read(i, image);
    return [...image];
  });
}

async function rejects(
  work: Promise<unknown>,
  kind: new (...args: never[]) => Error,
  ...parts: string[]
): Promise<void> {
  const error = await work.then(
    () => undefined,
    (reason: Error) => reason,
  );
  assert.instance(error, kind);
  for (const part of parts) assert.ok(error!.message.includes(part), `no "${part}" in: ${error!.message}`);
}

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'acnet-data-'));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('random numbers are xoshiro128**, whole and even', () => {
  const random = new Random(1, 2);
  const again = new Random(1, 2);
  assert.equal(
    Array.from({ length: 5 }, () => random.next()),
    Array.from({ length: 5 }, () => again.next()),
  );
  // Written down once: they must never change.
  const first = new Random(0);
  assert.equal([first.next(), first.next(), first.next()], FIRST_OF_ZERO);
  const counts = new Uint32Array(10);
  for (let i = 0; i < 100_000; i++) counts[random.below(10)]!++;
  for (const count of counts) assert.ok(Math.abs(count - 10_000) < 400, String(counts));
  // A plain remainder of 32 random bits would favour the numbers below 2^30.
  const wide = Array.from({ length: 10_000 }, () => random.below(3 * 2 ** 30));
  assert.ok(Math.abs(wide.filter((value) => value < 2 ** 30).length - 3333) < 200);
  let sum = 0;
  for (let i = 0; i < 100_000; i++) {
    const value = random.symmetric();
    assert.ok(value >= -1 && value < 1);
    sum += value;
  }
  assert.ok(Math.abs(sum / 100_000) < 0.01);
});

test('every word of a key counts, and their order', () => {
  const keys = [[0], [1], [0, 0], [0, 1], [1, 0], [2 ** 32], [0, 0, 0], [1, 2, 3], [3, 2, 1], [2 ** 52]];
  const firsts = keys.map((key) => new Random(...key).next());
  assert.is(new Set(firsts).size, keys.length);
});

test('a permutation has every number once', () => {
  for (const count of [0, 1, 2, 1000]) {
    const order = permutation(count, new Random(5));
    assert.equal(
      [...order].sort((a, b) => a - b),
      Array.from({ length: count }, (_, i) => i),
    );
  }
  assert.not.equal(permutation(10, new Random(1)), permutation(10, new Random(2)));
});

test('arrays must fit each other, and every class have an image', () => {
  const good = { pixels: new Uint8Array(8), labels: [0, 1], dims: [1, 2, 2], classes: ['a', 'b'] } as const;
  arrayDataset(good);
  const cases: [Partial<Parameters<typeof arrayDataset>[0]>, string][] = [
    [{ pixels: new Uint8Array(7) }, '2 images of dims [1, 2, 2] are 8 pixels, got 7'],
    [{ labels: [0, 2] }, 'labels[1] must be below 2, the number of classes, got 2'],
    [{ labels: [0, 0.5] }, 'labels[1] must be a whole number of at least 0, got 0.5'],
    [{ labels: [0, 0] }, 'class 1 (b) has no image'],
    [{ labels: [], pixels: new Uint8Array() }, 'expected images, got none'],
    [{ dims: [1, 0, 2] }, 'dims must be [channels, height, width], each at least 1, got [1, 0, 2]'],
  ];
  for (const [change, text] of cases) {
    assert.throws(
      () => arrayDataset({ ...good, ...change }),
      (error: Error) => error.message.includes(text),
    );
  }
});

test('split parts at random without loss, and subset takes what it is told', () => {
  const data = numbered(8);
  const [rest, held] = split(data, 3, 7);
  const firstPixels = [rest, held].flatMap((part) => allPixels(part).map(([first]) => first!));
  assert.is(held.size, 3);
  assert.equal(
    [...firstPixels].sort((a, b) => a - b),
    [0, 32, 64, 96, 128, 160, 192, 224],
  );
  assert.not.equal(firstPixels, [0, 32, 64, 96, 128, 160, 192, 224]);
  assert.throws(() => split(data, 8, 1), /count must be a whole number from 1 to 7, got 8/);
  assert.throws(() => subset(data, [8]), /indices must be whole numbers from 0 to 7, got 8/);
});

test('normalisation is the mean and the deviation of all pixels', () => {
  const random = seededRandom(3);
  const pixels = Uint8Array.from({ length: 5 * 2 * 6 }, () => 256 * random());
  const data = arrayDataset({ pixels, labels: [0, 0, 0, 0, 0], dims: [2, 2, 3], classes: ['a'] });
  const { mean, std } = normalisationOf(data);
  for (const channel of [0, 1]) {
    const values = [...pixels].filter((_, i) => Math.floor(i / 6) % 2 === channel).map((value) => value / 255);
    const expected = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - expected) ** 2, 0) / values.length;
    assert.ok(Math.abs(mean[channel]! - expected) < 1e-12);
    assert.ok(Math.abs(std[channel]! - Math.sqrt(variance)) < 1e-12);
  }
  const flat = arrayDataset({ pixels: new Uint8Array(4).fill(255), labels: [0], dims: [1, 2, 2], classes: ['a'] });
  assert.equal(normalisationOf(flat), { mean: [1], std: [1] });
});

test('an epoch has every image once, another order each time, the same for the same seed', () => {
  const batches = new Batches(numbered(8), 3, IDENTITY);
  const firsts = (epoch: number, seed = 1, first = 0): number[] => seen(batches.training(seed, epoch, {}, first));
  assert.is(batches.perEpoch, 2);
  assert.is(new Set(firsts(0)).size, 6);
  assert.equal(firsts(0), firsts(0));
  assert.not.equal(firsts(0), firsts(1));
  assert.not.equal(firsts(0), firsts(0, 2));
  assert.equal(firsts(4, 1, 1), firsts(4).slice(3));
});

/** Numbers of the images of all batches. */
function seen(batches: Iterable<{ input: { data: Float32Array }; labels: Uint16Array }>): number[] {
  const images: number[] = [];
  for (const { input, labels } of batches) {
    labels.forEach((label, i) => {
      const image = Math.round((input.data[i * 8]! * 255) / 32);
      assert.is(label, image % 2);
      images.push(image);
    });
  }
  return images;
}

test('in order, all images are there as they are, in batches of the same memory', () => {
  const batches = new Batches(numbered(8), 3, { mean: [0.5], std: [0.25] });
  const sizes: number[] = [];
  const values: number[] = [];
  for (const { input, labels } of batches.inOrder()) {
    assert.equal(input.dims, [labels.length, 1, 2, 4]);
    sizes.push(labels.length);
    values.push(...input.data);
  }
  assert.equal(sizes, [3, 3, 2]);
  const expected = allPixels(numbered(8)).flat();
  assert.equal(
    values,
    expected.map((pixel) => Math.fround((pixel / 255 - 0.5) / 0.25)),
  );
  const [first, second] = batches.inOrder();
  assert.is(first!.input, second!.input);
});

test('augmentation moves and mirrors, by seed, epoch and image alone', () => {
  const data = numbered(8);
  const augmentation = { crop: 1, flip: true };
  const collect = (batchSize: number, epoch: number) => {
    const images = new Map<string, string>();
    for (const { input, labels } of new Batches(data, batchSize, IDENTITY).training(9, epoch, augmentation)) {
      for (let i = 0; i < labels.length; i++) {
        const pixels = Array.from(input.data.subarray(8 * i, 8 * i + 8), (value) => Math.round(value * 255));
        const image = Math.floor(Math.max(...pixels) / 32);
        images.set(String(image), pixels.join(' '));
      }
    }
    return images;
  };
  const one = collect(1, 0);
  assert.is(one.size, 8);
  assert.equal([...collect(4, 0)].sort(), [...one].sort());
  assert.not.equal([...collect(1, 1)].sort(), [...one].sort());
  // Each is one of the 3 x 3 windows, mirrored or not.
  const image = new Uint8Array(8);
  let mirrored = 0;
  for (const [index, found] of one) {
    data.read(Number(index), image);
    const windows = [false, true].flatMap((flip) =>
      [-1, 0, 1].flatMap((down) => [-1, 0, 1].map((across) => ({ flip, text: window(image, down, across, flip) }))),
    );
    const match = windows.find(({ text }) => text === found);
    assert.ok(match, `${index}: ${found}`);
    if (match.flip) mirrored++;
  }
  assert.ok(mirrored > 0 && mirrored < 8);

  // A window may miss the image.
  const far = [-6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6];
  const all = new Set(
    allPixels(data).flatMap((pixels) =>
      [false, true].flatMap((flip) =>
        far.flatMap((down) => far.map((across) => window(Uint8Array.from(pixels), down, across, flip))),
      ),
    ),
  );
  for (let epoch = 0; epoch < 20; epoch++) {
    for (const { input } of new Batches(data, 1, IDENTITY).training(9, epoch, { crop: 6, flip: true })) {
      const text = Array.from(input.data, (value) => Math.round(value * 255)).join(' ');
      assert.ok(all.has(text), text);
    }
  }
  assert.throws(() => checkAugmentation('train', { crop: -1 }), /augment.crop must be a whole number of at least 0/);
  assert.throws(() => checkAugmentation('train', { rotate: 1 } as never), /unknown option rotate/);
});

function window(image: Uint8Array, down: number, across: number, flip: boolean): string {
  const rows = [0, 1].map((y) =>
    [0, 1, 2, 3].map((x) => {
      const column = x + across;
      const row = y + down;
      return row >= 0 && row < 2 && column >= 0 && column < 4 ? image[row * 4 + column]! : 0;
    }),
  );
  return rows.flatMap((row) => (flip ? row.reverse() : row)).join(' ');
}

test('IDX files are read plain and packed, and their faults are told', async () => {
  const images = gunzipSync(readFileSync(`${EXAMPLE}-images-idx3-ubyte.gz`));
  const labels = gunzipSync(readFileSync(`${EXAMPLE}-labels-idx1-ubyte.gz`));
  await withFolder(async (folder) => {
    const file = (name: string) => path.join(folder, name);
    writeFileSync(file('t10k-images-idx3-ubyte.gz'), gzipSync(images, { level: 1 }));
    writeFileSync(file('t10k-labels-idx1-ubyte'), labels);
    const data = await idxDataset(folder, { split: 'test' });
    assert.equal([data.size, data.dims, data.classes.length], [1000, [1, 28, 28], 10]);
    const image = new Uint8Array(784);
    assert.is(data.read(999, image), labels.at(-1));
    assert.equal(image, new Uint8Array(images.subarray(-784)));
    await rejects(
      idxDataset(folder),
      Error,
      'must have train-images-idx3-ubyte or train-images-idx3-ubyte.gz, got none',
    );
    writeFileSync(file('t10k-labels-idx1-ubyte'), labels.subarray(0, 1000));
    await rejects(idxDataset(folder, { split: 'test' }), FormatError, 't10k-labels', 'expected 1008 bytes for [1000]');
    writeFileSync(file('t10k-labels-idx1-ubyte'), images);
    await rejects(
      idxDataset(folder, { split: 'test' }),
      FormatError,
      'expected an IDX file of 1 dims (0x801), got 0x803',
    );
    writeFileSync(file('t10k-images-idx3-ubyte.gz'), gzipSync(images).subarray(0, 5000));
    await rejects(idxDataset(folder, { split: 'test' }), Error, 't10k-images-idx3-ubyte.gz: cannot be unpacked');
  });
  const bad = Uint8Array.from(labels);
  bad[10] = 12;
  const classes = Array.from({ length: 10 }, (_, i) => `class ${i}`);
  assert.throws(() => readIdx(images, bad, classes), /labels\[2\] must be below 10, the number of classes, got 12/);
  assert.throws(() => readIdx(images.subarray(0, 15), labels), /expected a header of 16 bytes, got 15/);
});

test('the excerpts in the repository are a training and a test set', async () => {
  const [train, held] = [await idxDataset(EXAMPLES), await idxDataset(EXAMPLES, { split: 'test' })];
  assert.equal([train.size, held.size], [5000, 1000]);
  assert.equal([train.classes[9], held.classes[0], train.classes.length], ['Ankle boot', 'T-shirt/top', 10]);
  const image = new Uint8Array(784);
  assert.is(train.read(0, image), 9);
  assert.is(Math.max(...image), 255);
});

test('CIFAR files are read, the names of their classes with them', async () => {
  const record = (label: number[], seed: number): Buffer => {
    const random = seededRandom(seed);
    return Buffer.from([...label, ...Array.from({ length: 3072 }, () => Math.floor(256 * random()))]);
  };
  await withFolder(async (folder) => {
    const file = (name: string) => path.join(folder, name);
    for (const i of [1, 2, 3, 4, 5])
      writeFileSync(file(`data_batch_${i}.bin`), Buffer.concat([record([i % 2], i), record([0], 10 + i)]));
    writeFileSync(file('batches.meta.txt'), 'plane\ncar\n\n');
    const data = await cifarDataset(folder);
    assert.equal([data.size, data.dims, data.classes], [10, [3, 32, 32], ['plane', 'car']]);
    const image = new Uint8Array(3072);
    assert.is(data.read(8, image), 1);
    assert.equal(image, new Uint8Array(record([1], 5).subarray(1)));
    await rejects(cifarDataset(folder, { split: 'test' }), Error, 'has no test_batch.bin or test.bin');
    writeFileSync(file('data_batch_3.bin'), record([9], 1));
    await rejects(cifarDataset(folder), RangeError, 'must be below 2, the number of classes, got 9');
    writeFileSync(file('data_batch_3.bin'), Buffer.alloc(3072));
    await rejects(
      cifarDataset(folder),
      FormatError,
      'data_batch_3.bin',
      'expected images of 3073 bytes each, got 3072',
    );
    rmSync(file('data_batch_3.bin'));
    await rejects(cifarDataset(folder), Error, 'has no data_batch_3.bin');
  });
  await withFolder(async (folder) => {
    writeFileSync(path.join(folder, 'test.bin'), Buffer.concat([record([3, 1], 1), record([3, 0], 2)]));
    const data = await cifarDataset(folder, { split: 'test', classes: ['apple', 'fish'] });
    assert.is(data.read(0, new Uint8Array(3072)), 1);
    assert.equal(data.classes, ['apple', 'fish']);
  });
});

test('a folder of images has a class for each folder, and says what is wrong with one', async () => {
  await withFolder(async (folder) => {
    const put = (name: string, bytes: Uint8Array) => {
      mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
      writeFileSync(path.join(folder, name), bytes);
    };
    const png = readFileSync(`${IMAGES}/rgb8.png`);
    put('b/2.png', png);
    put('a/1.png', png);
    put('a/notes.txt', png);
    put('a/.hidden.png', Buffer.from('no image'));
    const steps: number[] = [];
    const data = await imageFolder(folder, { onProgress: (done) => steps.push(done) });
    assert.equal([data.size, data.classes, steps], [2, ['a', 'b'], [0, 2]]);
    const image = new Uint8Array(data.dims[0] * data.dims[1] * data.dims[2]);
    assert.is(data.read(1, image), 1);
    const {
      width,
      height,
      data: expected,
    } = JSON.parse(readFileSync(`${IMAGES}/expected.json`, 'utf8')).decoded['rgb8.png'];
    const pixels = Buffer.from(expected, 'base64');
    assert.equal(data.dims, [3, height, width]);
    assert.equal(
      [...image],
      [0, 1, 2].flatMap((channel) => [...pixels.filter((_, i) => i % 3 === channel)]),
    );

    assert.equal((await imageFolder(folder, { size: [5, 7], channels: 1 })).dims, [1, 5, 7]);
    put('b/3.jpg', Buffer.from('no image'));
    await rejects(imageFolder(folder), Error, 'b/3.jpg', 'neither PNG nor JPEG');
    const other = readFileSync(
      `${IMAGES}/${Object.keys(JSON.parse(readFileSync(`${IMAGES}/expected.json`, 'utf8')).decoded).find((name) => name.endsWith('.jpg'))}`,
    );
    put('b/3.jpg', other);
    await rejects(imageFolder(folder), RangeError, 'b/3.jpg', 'like the first image', 'the option size');
    assert.is((await imageFolder(folder, { size: [8, 8] })).size, 3);
    mkdirSync(path.join(folder, 'c'));
    await rejects(imageFolder(folder), RangeError, 'class c has no image');
    await rejects(imageFolder(path.join(folder, 'c')), RangeError, 'has no folders, expected one for each class');
    await rejects(imageFolder(path.join(folder, 'd')), Error, 'ENOENT');
    assert.is((await imageFolder(folder, { size: [8, 8], classes: ['b', 'a'] })).classes[0], 'b');
    await rejects(
      imageFolder(folder, { size: [8, 8], classes: ['a', 'b'], signal: AbortSignal.abort(new Error('enough')) }),
      Error,
      'enough',
    );
  });
});

test('initial values are within 1 / sqrt(inputs), and come from the seed and the name', () => {
  const [one, other] = [new FakeModel(16, 4), new FakeModel(16, 4)];
  initialise(one, 3);
  initialise(other, 3);
  assert.equal(one.weight, other.weight);
  assert.ok(one.weight.every((value) => Math.abs(value) <= 0.25));
  assert.ok(one.weight.some((value) => Math.abs(value) > 0.2));
  assert.ok(one.bias.every((value) => value !== 0 && Math.abs(value) <= 0.25));
  initialise(other, 4);
  assert.not.equal(one.weight, other.weight);
});

test.run();
