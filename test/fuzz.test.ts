/**
 * A minute of the fuzzer: inputs of every kind, the same ones each time (test/fuzz). `npm run fuzz` makes others.
 * Readers that are broken on purpose show that it finds what it should.
 */
import { spawnSync } from 'node:child_process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Summary } from './fuzz/fuzz.js';
import { Host } from './fuzz/host.js';
import { judge } from './fuzz/judge.js';
import type { Kind } from './fuzz/kind.js';
import { missingOperators } from './fuzz/onnxGraphs.js';
import { shrink, shrinkBytes } from './fuzz/shrink.js';

const SEED = 20190811;
/** Seconds for each kind, a minute in all; on a slow machine so many inputs are enough. */
const SECONDS = { onnx: 36, pth: 6, safetensors: 6, png: 6, jpeg: 6 };
const ENOUGH = { onnx: 100, pth: 100, safetensors: 100, png: 100, jpeg: 100 };

for (const [kind, seconds] of Object.entries(SECONDS)) {
  test(`${kind}: nothing breaks a rule`, () => {
    const args = ['scripts/fuzz.mjs', kind, '--seed', `${SEED}`, '--seconds', `${seconds}`, '--json'];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    assert.is(stderr, '');
    const { inputs, counts, findings } = JSON.parse(stdout.split('\n')[0]!) as Summary;
    assert.equal(findings, []);
    assert.is(status, 0);
    console.log(`\n# ${kind}: ${inputs} inputs: ${JSON.stringify(counts)}`);
    assert.ok(inputs >= ENOUGH[kind as keyof typeof ENOUGH], `${inputs} inputs`);
    assert.ok((counts.result ?? 0) > inputs / 20, `${inputs} inputs: ${JSON.stringify(counts)}`);
    if (kind === 'onnx') assert.ok(counts.merges! >= inputs / 3, `${counts.merges} of ${inputs} merge`);
  });
}

test('there are models of every operator that is read', () => {
  assert.equal(missingOperators(), []);
});

/** Internals that the declarations leave out. */
function heapOf({ runtime }: Host) {
  return (
    runtime as unknown as { heap: { allocate(bytes: number): void; floats(ptr: number, count: number): Float32Array } }
  ).heap;
}

/** A kind that does this with its inputs. */
function kindThat(run: (host: Host, bytes: Uint8Array) => void): Kind {
  return {
    extension: 'test',
    onRuntime: true,
    make: () => new Uint8Array(8),
    run(bytes, host) {
      run(host, bytes);
      return [];
    },
  };
}

test('each rule is kept an eye on', async () => {
  const wrongs: Record<string, (host: Host, bytes: Uint8Array) => void> = {
    'engine message': () => (undefined as unknown as { x: number }).x,
    'long message': () => {
      throw new RangeError('x'.repeat(1001));
    },
    error: () => {
      throw new SyntaxError('what nobody documents');
    },
    slow: () => {
      const start = process.cpuUsage();
      for (let used = 0; used < 1.1e6; ) {
        const { user, system } = process.cpuUsage(start);
        used = user + system;
      }
    },
    bystander: (host) => {
      heapOf(host).allocate(64);
    },
  };
  for (const [rule, run] of Object.entries(wrongs)) {
    const host = await Host.create();
    const { broken } = await judge(kindThat(run), new Uint8Array(8), host);
    assert.is(broken?.rule, rule);
    host.dispose();
  }
  const host = await Host.create();
  const changes = kindThat((_, bytes) => bytes.fill(1));
  assert.is((await judge(changes, new Uint8Array(8), host)).broken?.rule, 'bystander');
  const over = kindThat(
    (host) =>
      void heapOf(host)
        .floats(0, host.runtime.memory.reserved / 4)
        .fill(1),
  );
  assert.is((await judge(over, new Uint8Array(8), host)).broken?.rule, 'bystander');
  const documented = kindThat(() => {
    throw new RangeError('input: must have 4 dims, got [1]');
  });
  const fresh = await Host.create();
  assert.is((await judge(documented, new Uint8Array(8), fresh)).broken, undefined);
});

test('what breaks a rule is made small', async () => {
  const bytes = Uint8Array.from({ length: 300 }, (_, i) => i);
  const small = await shrink(bytes, shrinkBytes, async (one) => one.includes(77) && one.includes(200), {
    tries: 2000,
    milliseconds: 20_000,
  });
  assert.equal([...small], [77, 200]);
});

test.run();
