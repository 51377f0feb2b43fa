/**
 * `acnet train` killed (SIGKILL) at random moments and resumed, again and again, ends with the same bits as an
 * undisturbed run. KILLS says how often.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { seededRandom } from './support.js';

const KILLS = Number(process.env.KILLS ?? 4);
const IMAGES = 320;
const ARCH = ['--arch', 'lenet5-bn', '--channels', '8,12', '--batch-size', '32', '--epochs', '12', '--ema', '0.9'];
/** Files that must have the same bytes in killed and undisturbed runs. */
const FILES = ['last.safetensors', 'best.safetensors', 'deploy.safetensors', 'deploy.onnx'];

/** Images and labels as in MNIST's files. */
function writeData(folder: string): void {
  const random = seededRandom(1);
  for (const [set, count] of [
    ['train', IMAGES],
    ['t10k', 40],
  ] as const) {
    const images = Buffer.alloc(16 + count * 784);
    const labels = Buffer.alloc(8 + count);
    for (const [i, word] of [0x803, count, 28, 28].entries()) images.writeInt32BE(word, i * 4);
    for (const [i, word] of [0x801, count].entries()) labels.writeInt32BE(word, i * 4);
    for (let i = 0; i < count * 784; i++) images[16 + i] = Math.floor(random() * 256);
    for (let i = 0; i < count; i++) labels[8 + i] = i % 3;
    writeFileSync(path.join(folder, `${set}-images-idx3-ubyte`), images);
    writeFileSync(path.join(folder, `${set}-labels-idx1-ubyte`), labels);
  }
}

interface End {
  readonly killed: boolean;
  readonly code: number | null;
  readonly stderr: string;
  /** From its first event on. */
  readonly milliseconds: number;
}

/** Runs the command, and kills it after so many milliseconds from its first event on. */
async function acnet(args: readonly string[], killAfter = Number.POSITIVE_INFINITY): Promise<End> {
  const child = spawn(process.execPath, ['dist/cli.js', 'train', ...args, '--threads', '2', '--json']);
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const exit = once(child, 'exit');
  const events = once(child.stdout, 'data');
  child.stdout.resume();
  await Promise.race([events, exit]);
  const start = performance.now();
  if (Number.isFinite(killAfter)) {
    await Promise.race([sleep(killAfter), exit]);
    child.kill('SIGKILL');
  }
  const [code, signal] = (await exit) as [number | null, string | null];
  return { killed: signal === 'SIGKILL', code, stderr, milliseconds: performance.now() - start };
}

function eventsIn(folder: string): string[] {
  const lines = readFileSync(path.join(folder, 'events.jsonl'), 'utf8').trim().split('\n');
  const events = lines.map((line) => JSON.parse(line) as { type: string });
  return events.filter(({ type }) => type !== 'checkpoint').map((event) => JSON.stringify({ ...event, seconds: 0 }));
}

test(`a run that is killed ${KILLS} times and resumed ends with the same bits`, async () => {
  const root = mkdtempSync(path.join(tmpdir(), 'acnet-killed-'));
  try {
    const data = path.join(root, 'data');
    mkdirSync(data);
    writeData(data);
    const whole = path.join(root, 'whole');
    const { code, stderr, milliseconds } = await acnet([...ARCH, '--data', data, '--out', whole]);
    assert.is(code, 0, stderr);
    let shortest = milliseconds;
    const random = seededRandom(Number(process.env.SEED ?? 5));
    let kills = 0;
    for (let run = 0; kills < KILLS; run++) {
      const out = path.join(root, `run${run}`);
      for (let isDone = false; !isDone; ) {
        const isBegun = existsSync(path.join(out, 'last.safetensors'));
        const args = isBegun ? ['--resume', out] : [...ARCH, '--data', data, '--out', out];
        const end = await acnet(args, kills < KILLS ? random() * shortest : undefined);
        if (end.killed) kills++;
        else assert.is(end.code, 0, end.stderr);
        // If others used the machine meanwhile, the first run was long, and few would be killed.
        if (!end.killed && !isBegun) shortest = Math.min(shortest, end.milliseconds);
        isDone = !end.killed;
      }
      assert.equal(readdirSync(out).sort(), readdirSync(whole).sort());
      for (const name of FILES) {
        const [one, other] = [whole, out].map((folder) => readFileSync(path.join(folder, name)));
        assert.ok(one!.equals(other!), `${name} of run ${run}, after ${kills} kills`);
      }
      assert.equal(eventsIn(out), eventsIn(whole));
    }
  } finally {
    rmSync(root, { recursive: true });
  }
});

test.run();
