/**
 * Files as attackers make them: each ends with a result or one of our errors, soon, with little memory, and without
 * harm to anything else on the runtime (test/fuzz/judge.ts has the rules). A file that can be read becomes a session
 * and is run, merged and as it is.
 *
 * Prefixes and mutations of every fixture: seeded, and nine in ten outside of weights, which may have any value. Every
 * other mutation of an ONNX file changes its messages rather than its bytes. Of files of up to 4,096 bytes every prefix
 * is tried; of longer ones the first and last 64 and others evenly spaced. HOSTILE=20000 in the environment tries that
 * many mutations and prefixes of each file, and takes about half an hour.
 *
 * Files that ask for much and hold little: those of test/fixtures/hostile, which once did harm, and all kinds of others
 * (test/fuzz/largeFiles.ts).
 */
import { readdirSync } from 'node:fs';
import { InferenceSession, readOnnx, Tensor } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type GraphProto, readModel } from '../src/formats/onnx/file/proto.js';
import { Host } from './fuzz/host.js';
import { judge } from './fuzz/judge.js';
import { JudgeProcess } from './fuzz/judgeProcess.js';
import { kindOf } from './fuzz/kinds.js';
import { largeFiles } from './fuzz/largeFiles.js';
import { mutateBytes, mutateMessages } from './fuzz/mutate.js';
import { Random } from './fuzz/random.js';
import { bytesOfFile, pthFile } from './networkFixtures.js';

const LONG = Number(process.env.HOSTILE ?? 0);
const MUTATIONS = LONG || 120;
const PREFIXES = LONG || 60;
const ENDS = 64;
const SHORT_FILE = 4096;
const BYTES = 256 * 2 ** 20;
/** Growth of a process to which other files may have contributed; the file is then tried in a process of its own. */
const SUSPICIOUS_BYTES = 64 * 2 ** 20;
const HOSTILE = 'test/fixtures/hostile';

interface Fixture {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Where weights lie, [from, to). */
  readonly weights: readonly (readonly [number, number])[];
}

function fixtures(): Fixture[] {
  const folder = (path: string, extension: string): string[] =>
    readdirSync(path)
      .filter((name) => name.endsWith(extension))
      .map((name) => `${path}/${name}`);
  const networks = 'test/fixtures/networks';
  const safetensors = [networks, 'models', 'test/fixtures/acblock'].flatMap((path) => folder(path, '.safetensors'));
  const pth = pthFile();
  return [
    ...folder(networks, '.onnx').map((name) => onnxFixture(name, bytesOfFile(name))),
    ...safetensors.map((name) => safetensorsFixture(name, bytesOfFile(name))),
    { name: 'lenet5bn-acb-fashion-mnist.pth', bytes: pth, weights: weightsOfPth(pth) },
    // Files from before 1.6, modules and TorchScript; they have hardly any weights.
    ...folder('test/fixtures/checkpoints', '.pth').map((name) => ({ name, bytes: bytesOfFile(name), weights: [] })),
    { name: 'traced.pt.pth', bytes: bytesOfFile('test/fixtures/checkpoints/traced.pt'), weights: [] },
  ];
}

function onnxFixture(name: string, bytes: Uint8Array): Fixture {
  const { initializer } = readModel(bytes).graph as GraphProto;
  const weights = initializer.flatMap(({ rawData }) => {
    if (rawData === undefined) return [];
    const from = rawData.byteOffset - bytes.byteOffset;
    return [[from, from + rawData.length] as const];
  });
  return { name, bytes, weights };
}

function safetensorsFixture(name: string, bytes: Uint8Array): Fixture {
  const header = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  return { name, bytes, weights: [[8 + header, bytes.length]] };
}

/** The local file headers of a zip begin with PK 3 4; the contents of the tensors' files lie between two of them. */
function weightsOfPth(bytes: Uint8Array): [number, number][] {
  const headers: number[] = [];
  for (let i = 0; i + 4 <= bytes.length; i++) {
    if (bytes[i] === 0x50 && bytes[i + 1] === 0x4b && bytes[i + 2]! < 8 && bytes[i + 3]! < 9) headers.push(i);
  }
  return headers.flatMap((from, i): [number, number][] => {
    const to = headers[i + 1] ?? bytes.length;
    return to - from > 8192 ? [[from + 1024, to - 1024]] : [];
  });
}

/** Draws positions: nine in ten outside of weights. */
function positions({ bytes, weights }: Fixture, random: Random): () => number {
  const gaps: [number, number][] = [];
  let end = 0;
  for (const [from, to] of [...weights, [bytes.length, bytes.length] as const]) {
    if (from > end) gaps.push([end, from]);
    end = to;
  }
  const total = gaps.reduce((sum, [from, to]) => sum + to - from, 0);
  return () => {
    if (random.chance(0.1)) return random.whole(0, bytes.length - 1);
    let left = random.whole(0, total - 1);
    for (const [from, to] of gaps) {
      if (left < to - from) return from + left;
      left -= to - from;
    }
    return 0;
  };
}

function prefixLengths(size: number): number[] {
  if (size <= SHORT_FILE) return Array.from({ length: size }, (_, i) => i);
  const ends = Array.from({ length: ENDS }, (_, i) => [i, size - 1 - i]).flat();
  return [...ends, ...Array.from({ length: PREFIXES }, (_, i) => Math.floor((size * i) / PREFIXES))];
}

/** The outcomes of the files tried. */
class Findings {
  readonly counts = new Map<string, number>();
  slowest = { milliseconds: 0, what: '' };

  add(what: string, outcome: string, milliseconds: number): void {
    this.counts.set(outcome, (this.counts.get(outcome) ?? 0) + 1);
    if (milliseconds > this.slowest.milliseconds) this.slowest = { milliseconds, what };
  }

  toString(): string {
    const total = [...this.counts.values()].reduce((sum, count) => sum + count, 0);
    const outcomes = [...this.counts].map(([name, count]) => `${name} ${count}`).join(', ');
    const { milliseconds, what } = this.slowest;
    return `${total} files: ${outcomes}; slowest ${milliseconds.toFixed(0)} ms (${what})`;
  }
}

const FIXTURES = fixtures();

for (const extension of ['onnx', 'safetensors', 'pth']) {
  test(`prefixes and mutations of .${extension}`, async () => {
    const host = await Host.create();
    const kind = kindOf(extension);
    const findings = new Findings();
    const memory = process.resourceUsage().maxRSS * 1024;
    const tryOne = async (what: string, file: Uint8Array): Promise<void> => {
      const { broken, outcome, milliseconds } = await judge(kind, file, host);
      assert.is(broken, undefined, `${what}: ${broken?.rule}: ${broken?.detail}`);
      const grown = process.resourceUsage().maxRSS * 1024 - memory;
      assert.ok(grown <= BYTES, `${what}: memory grew by ${grown} bytes`);
      findings.add(what, outcome, milliseconds);
    };
    for (const fixture of FIXTURES.filter(({ name }) => name.endsWith(`.${extension}`))) {
      const { name, bytes } = fixture;
      await kind.run(bytes, host);
      for (const length of prefixLengths(bytes.length))
        await tryOne(`${name}, ${length} bytes`, bytes.slice(0, length));
      const random = new Random(bytes.length, 0);
      const position = positions(fixture, random);
      for (let i = 0; i < MUTATIONS; i++) {
        const isDeep = extension === 'onnx' && i % 2 === 1;
        const file = isDeep ? mutateMessages(bytes, random) : mutateBytes(bytes, random, position);
        await tryOne(`${name}, mutation ${i}`, file);
      }
    }
    console.log(`\n# .${extension}: ${findings}`);
    const refused = findings.counts.get('FormatError') ?? 0;
    const isRead = findings.counts.get('result') ?? 0;
    assert.ok(refused > 50 && isRead > 5, `${findings}`);
    host.dispose();
  });
}

test('files that did harm', async () => {
  for (const name of readdirSync(HOSTILE)) {
    const kind = name.endsWith('.onnx') ? 'session' : 'pth';
    const { broken } = await new JudgeProcess(kind).judgeOnce(bytesOfFile(`${HOSTILE}/${name}`));
    assert.is(broken, undefined, `${name}: ${broken?.rule}: ${broken?.detail}`);
  }
});

test('padding beyond what a count holds, for images of other sizes than the file declares', async () => {
  const host = await Host.create();
  const { runtime } = host;
  const graph = readOnnx(bytesOfFile(`${HOSTILE}/pad-past-2e31-channels.onnx`));
  const session = await InferenceSession.create({ ...graph, inputDims: new Map() }, { runtime });
  for (const channels of [1, 12, 200, 2000]) {
    const x = new Tensor('float32', new Float32Array(channels).fill(1), [1, channels, 1, 1]);
    try {
      session.runSync({ x });
      assert.unreachable(`${channels} channels`);
    } catch (error) {
      assert.instance(error, RangeError, `${channels} channels: ${error}`);
    }
  }
  await session.release();
  host.check();
  host.dispose();
});

for (const kind of ['session', 'pth', 'safetensors', 'png', 'jpeg'] as const) {
  test(`files that ask for much and hold little: ${kind}`, async () => {
    const process = new JudgeProcess(kind);
    const findings = new Findings();
    try {
      for (const { name, make } of largeFiles(kind)) {
        const bytes = make();
        let answer = await process.judge(bytes);
        // As the fuzzer does: another process may have taken the core, or an earlier file the memory.
        if (answer.grown > SUSPICIOUS_BYTES || answer.broken?.rule === 'slow') answer = await process.judgeOnce(bytes);
        const { broken, outcome, milliseconds } = answer;
        assert.is(broken, undefined, `${name}: ${broken?.rule}: ${broken?.detail}`);
        findings.add(name, outcome, milliseconds);
      }
    } finally {
      process.end();
    }
    console.log(`\n# ${kind}: ${findings}`);
    assert.ok(findings.counts.size > 1, `${findings}`);
  });
}

test.run();
