/** The demo as a command: its figures on the committed images, its exit codes, its messages. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const FOLDER = 'examples/fashion-mnist';
const IMAGES = 't10k-images-idx3-ubyte';
const LABELS = 't10k-labels-idx1-ubyte';
/** Correct ones of the 1,000 committed images; the same in both forms and both builds. */
const CORRECT = 928;

function demo(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`${FOLDER}/demo.mjs`, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

/** Exits with this code and one line on stderr that contains each of these; prints nothing else. */
function refuses(args: string[], status: number, ...parts: string[]): void {
  const result = demo(...args);
  assert.is(result.status, status, result.stderr);
  assert.is(result.stdout, '');
  assert.match(result.stderr, /^demo: .+\n$/);
  for (const part of parts) assert.ok(result.stderr.includes(part), `no "${part}" in: ${result.stderr}`);
}

function committed(name: string): Buffer {
  return readFileSync(`${FOLDER}/t10k-1000-${name.slice('t10k-'.length)}.gz`);
}

/** A folder with these files while `body` runs. */
function withFolder(files: Record<string, Uint8Array>, body: (folder: string) => void): void {
  const folder = mkdtempSync(path.join(tmpdir(), 'acnet-demo-'));
  try {
    for (const [name, bytes] of Object.entries(files)) writeFileSync(path.join(folder, name), bytes);
    body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The first `count` of the committed images and labels, not compressed. */
function firstImages(count: number): Record<string, Buffer> {
  const images = Buffer.from(gunzipSync(committed(IMAGES)).subarray(0, 16 + count * 784));
  const labels = Buffer.from(gunzipSync(committed(LABELS)).subarray(0, 8 + count));
  for (const bytes of [images, labels]) bytes.writeUInt32BE(count, 4);
  return { [IMAGES]: images, [LABELS]: labels };
}

test('--json: both forms agree on the committed images', () => {
  const { status, stdout, stderr } = demo('--json', '--simd', 'baseline');
  assert.is(status, 0, stderr);
  assert.is(stderr, '');
  const figures = JSON.parse(stdout);
  assert.is(figures.images, 1000);
  assert.is(figures.build, 'baseline');
  assert.is(figures.train.correct, CORRECT);
  assert.is(figures.deploy.correct, CORRECT);
  assert.is(figures.deploy.accuracy, CORRECT / 1000);
  assert.is(figures.differingPredictions, 0);
  assert.ok(figures.largestLogitDifference < 1e-4, `logits differ by ${figures.largestLogitDifference}`);
  // Bit-identical logits would mean that one form was compared with itself.
  assert.ok(figures.largestLogitDifference > 0);
});

test('--json: parameters and products of both forms', () => {
  withFolder(firstImages(1), (folder) => {
    const { train, deploy } = JSON.parse(demo('--json', '--data', folder).stdout);
    const linear = 800 * 500 + 500 + 500 * 10 + 10;
    assert.is(train.parameters, (20 + 50 * 20) * (25 + 5 + 5) + 3 * 2 * 70 + linear);
    assert.is(train.parametersWithStatistics, train.parameters + 3 * 2 * 70);
    assert.is(deploy.parameters, (20 + 50 * 20) * 25 + 70 + linear);
    assert.is(deploy.parametersWithStatistics, deploy.parameters);
    assert.is(train.convolutionMacs, 20 * 35 * 24 ** 2 + 50 * 20 * 35 * 8 ** 2);
    assert.is(deploy.convolutionMacs, 20 * 25 * 24 ** 2 + 50 * 20 * 25 * 8 ** 2);
  });
});

test('in a pipe it prints a table and images of plain text; the last batch may be smaller', () => {
  withFolder(firstImages(20), (folder) => {
    const { status, stdout, stderr } = demo('--data', folder, '--batch', '7');
    assert.is(status, 0, stderr);
    assert.is(stderr, '');
    assert.match(stdout, /^[\x20-\x7e\n]+$/);
    assert.match(stdout, /^right of 20 +19 +19$/m);
    assert.match(stdout, /^predictions that differ +0$/m);
    assert.match(stdout, /^label Ankle boot +label Pullover +label Coat$/m);
    assert.match(stdout, /^guess Ankle boot +guess Pullover +guess Pullover$/m);
    assert.ok(stdout.split('\n').every((line) => line.length <= 80));
  });
});

test('--help exits 0', () => {
  const { status, stdout, stderr } = demo('--help');
  assert.is(status, 0);
  assert.is(stderr, '');
  for (const option of ['--data', '--simd', '--batch', '--json', '--help']) assert.ok(stdout.includes(option), option);
});

test('wrong usage exits 2', () => {
  refuses(['--fast'], 2, '--fast');
  refuses(['images'], 2, 'images');
  refuses(['--batch', '0'], 2, '--batch', "'0'");
  refuses(['--batch', '2.5'], 2, '--batch', "'2.5'");
  refuses(['--simd', 'avx'], 2, '--simd', "'avx'");
});

test('missing files exit 1 and are named', () => {
  refuses(['--data', 'no/such/folder'], 1, `no/such/folder/${IMAGES}.gz`);
  refuses(['--data', 'src', '--json'], 1, `src/${IMAGES}.gz`);
  const { [IMAGES]: images } = firstImages(1);
  withFolder({ [IMAGES]: images! }, (folder) => refuses(['--data', folder], 1, path.join(folder, `${LABELS}.gz`)));
});

test('broken IDX files exit 1 with what is wrong', () => {
  const good = firstImages(3);
  const images = good[IMAGES]!;
  const labels = good[LABELS]!;
  const refusesFiles = (files: Record<string, Uint8Array>, ...parts: string[]) =>
    withFolder({ ...good, ...files }, (folder) => refuses(['--data', folder], 1, folder, ...parts));

  refusesFiles({ [IMAGES]: images.subarray(0, -1) }, IMAGES, 'truncated', '2368 bytes', '2367');
  refusesFiles({ [IMAGES]: images.subarray(0, 15) }, IMAGES, 'truncated', '16 bytes', '15');
  refusesFiles({ [IMAGES]: Buffer.concat([images, labels]) }, IMAGES, 'too long');
  refusesFiles({ [`${IMAGES}.gz`]: committed(IMAGES).subarray(0, 5000) }, `${IMAGES}.gz`, 'unexpected end of file');
  refusesFiles({ [IMAGES]: labels }, IMAGES, '0x801', '0x803');
  refusesFiles({ [LABELS]: firstImages(2)[LABELS]! }, LABELS, '2 labels for 3 images');
  const strange = Buffer.from(labels);
  strange[9] = 10;
  refusesFiles({ [LABELS]: strange }, LABELS, 'label 1 is 10', '0 to 9');
});

test.run();
