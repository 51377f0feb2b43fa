/**
 * Files as attackers make them: prefixes and mutations of every fixture end with a result or with an error of ours,
 * soon, and with little memory. A file that can be read is made a session of and run.
 *
 * Mutations are seeded, and nine in ten hit what is no weight, as weights may be anything. Every other one of an ONNX
 * file changes its messages rather than its bytes. Of files of up to 4,096 bytes
 * every prefix is tried; of longer ones the first and last 64 and others evenly spaced. HOSTILE=20000 in the environment
 * tries that many mutations and prefixes of each file, and takes about half an hour.
 */
import { readdirSync } from 'node:fs';
import {
  createRuntime,
  FormatError,
  type Graph,
  InferenceSession,
  OutOfMemoryError,
  type Runtime,
  readCheckpoint,
  readOnnx,
  Tensor,
  UnsupportedError,
} from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type GraphProto, readModel, writeModel } from '../src/formats/onnx/proto.js';
import { bytesOfFile, pthFile } from './networkFixtures.js';
import { fileOf, type ModelSpec } from './onnxModels.js';
import { seededRandom } from './support.js';

const LONG = Number(process.env.HOSTILE ?? 0);
const MUTATIONS = LONG || 120;
const PREFIXES = LONG || 60;
const ENDS = 64;
const SHORT_FILE = 4096;
const MILLISECONDS = 1000;
const BYTES = 256 * 2 ** 20;
const LARGEST_FEED = 1e6;

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

/** The local file headers of a zip begin with PK 3 4; what is stored in the tensors' files lies between two of them. */
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
function positions({ bytes, weights }: Fixture, random: () => number): () => number {
  const gaps: [number, number][] = [];
  let end = 0;
  for (const [from, to] of [...weights, [bytes.length, bytes.length] as const]) {
    if (from > end) gaps.push([end, from]);
    end = to;
  }
  const total = gaps.reduce((sum, [from, to]) => sum + to - from, 0);
  return () => {
    if (random() < 0.1) return Math.floor(random() * bytes.length);
    let left = Math.floor(random() * total);
    for (const [from, to] of gaps) {
      if (left < to - from) return from + left;
      left -= to - from;
    }
    return 0;
  };
}

const TELLING_BYTES = [0x00, 0x01, 0x7f, 0x80, 0xff];

const TELLING_NUMBERS = [
  0,
  1,
  -1,
  2,
  3,
  7,
  127,
  2 ** 16,
  2 ** 31 - 1,
  2 ** 31,
  -(2 ** 31),
  2 ** 53,
  2 ** 62,
  -(2 ** 62),
];

/** A file that is sound but for what it says: numbers, names and lists of its messages are changed. */
function mutateMessages(bytes: Uint8Array, random: () => number): Uint8Array {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const model = structuredClone(readModel(bytes));
  for (let changes = 1 + Math.floor(random() ** 2 * 4); changes > 0; changes--) {
    const places = placesIn(model);
    const { parent, key } = pick(places);
    const value = parent[key];
    if (typeof value === 'number') parent[key] = pick(TELLING_NUMBERS);
    else if (typeof value === 'string')
      parent[key] = pick(places.map((place) => place.parent[place.key]).filter(isString));
    else if (Array.isArray(value)) parent[key] = changedList(value, pick);
    else parent[key] = (value as Uint8Array).slice(Math.floor(random() * 8));
  }
  return writeModel(model);
}

interface Place {
  readonly parent: Record<string, unknown>;
  readonly key: string;
}

const isString = (value: unknown): value is string => typeof value === 'string';

/** Everything in a message and in those within it that can be changed. */
function placesIn(message: unknown): Place[] {
  const parent = message as Record<string, unknown>;
  return Object.entries(parent).flatMap(([key, value]) => {
    if (key === 'at' || value === undefined) return [];
    if (typeof value !== 'object' || value instanceof Uint8Array) return [{ parent, key }];
    if (!Array.isArray(value)) return placesIn(value);
    const inner = typeof value[0] === 'object' && !(value[0] instanceof Uint8Array) ? value.flatMap(placesIn) : [];
    return [{ parent, key }, ...inner];
  });
}

function changedList(list: readonly unknown[], pick: <T>(from: readonly T[]) => T): unknown[] {
  if (list.length === 0) return [];
  const [at, other] = [pick([...list.keys()]), pick(list)];
  return pick([
    () => list.filter((_, i) => i !== at),
    () => [...list.slice(0, at), other, ...list.slice(at)],
    () => list.map((one, i) => (i === at ? other : one)),
    () => [...list].reverse(),
    () => (typeof other === 'number' ? list.map((one, i) => (i === at ? pick(TELLING_NUMBERS) : one)) : []),
  ])();
}

/** One change of a byte, or one to four changes: bytes, runs of a byte, pieces repeated, left out or brought from elsewhere. */
function mutate(bytes: Uint8Array, position: () => number, random: () => number): Uint8Array {
  let file: Uint8Array = bytes.slice();
  const isSmall = random() < 0.5;
  for (let changes = isSmall ? 1 : 1 + Math.floor(random() * 4); changes > 0; changes--) {
    const at = Math.min(position(), file.length - 1);
    const length = 1 + Math.floor(random() ** 3 * 64);
    const telling = TELLING_BYTES[Math.floor(random() * TELLING_BYTES.length)]!;
    const kind = Math.floor(random() * (isSmall ? 3 : 8));
    if (kind === 0) file[at]! ^= 1 << Math.floor(random() * 8);
    else if (kind === 1) file[at] = Math.floor(random() * 256);
    else if (kind === 2) file[at] = telling;
    else if (kind === 3) file.fill(telling, at, at + 1 + (length % 10));
    else if (kind === 4) file.copyWithin(at, position(), position() + length);
    else if (kind === 5) file = joined(file.subarray(0, at), file.subarray(at + length));
    else if (kind === 6) file = joined(file.subarray(0, at + length), file.subarray(at));
    else file = joined(file.subarray(0, at), new Uint8Array(length).fill(telling), file.subarray(at));
    if (file.length === 0) return file;
  }
  return file;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function prefixLengths(size: number): number[] {
  if (size <= SHORT_FILE) return Array.from({ length: size }, (_, i) => i);
  const ends = Array.from({ length: ENDS }, (_, i) => [i, size - 1 - i]).flat();
  return [...ends, ...Array.from({ length: PREFIXES }, (_, i) => Math.floor((size * i) / PREFIXES))];
}

/** Messages of the engine's own TypeErrors and RangeErrors, which come from what nobody checked. */
const UNCHECKED = new RegExp(
  '^(Cannot (read|set|convert|mix|destructure)|Invalid (typed )?(array|count|string)|Maximum call stack|Array buffer alloc' +
    '|.*out of bounds|Reduce of empty|.*(is not a function|is not iterable|is not a constructor|is undefined))',
);

function classOf(error: unknown, what: string): string {
  // Names written out, since the package is minified.
  const known = { FormatError, UnsupportedError, OutOfMemoryError, RangeError, TypeError };
  const found = Object.entries(known).find(([, one]) => error instanceof one)?.[0];
  const { message, stack } = error as Error;
  const unchecked = (found === 'RangeError' || found === 'TypeError') && UNCHECKED.test(message);
  if (found === undefined || unchecked) throw new Error(`${what}: ${stack}`);
  assert.ok(message.length < 50_000, `${what}: a message of ${message.length} characters`);
  return found;
}

async function read(fixture: Fixture, bytes: Uint8Array, runtime: Runtime): Promise<void> {
  if (!fixture.name.endsWith('.onnx')) {
    readCheckpoint(bytes);
    return;
  }
  const graph = readOnnx(bytes);
  const session = await InferenceSession.create(graph, { runtime });
  try {
    session.runSync(zeroFeeds(graph));
  } finally {
    await session.release();
  }
}

/** Of the declared dims, 1 where any size goes; small ones where dims are larger than any test needs. */
function zeroFeeds({ inputs, inputDims }: Graph): Record<string, Tensor> {
  const feeds = inputs.map((name) => {
    const declared = inputDims?.get(name)?.map((size) => (typeof size === 'number' ? size : 1)) ?? [];
    const size = declared.reduce((product, dim) => product * dim, 1);
    const dims = size <= LARGEST_FEED ? declared : [1];
    return [name, new Tensor('float32', new Float32Array(size <= LARGEST_FEED ? size : 1), dims)] as const;
  });
  return Object.fromEntries(feeds);
}

/** What came of the files tried. */
class Findings {
  readonly counts = new Map<string, number>();
  slowest = { milliseconds: 0, what: '' };
  /** Growth of the most memory that the process had. */
  grown = 0;
  readonly #start = process.resourceUsage().maxRSS * 1024;

  async add(fixture: Fixture, what: string, bytes: Uint8Array, runtime: Runtime): Promise<void> {
    const start = performance.now();
    let result = 'read';
    try {
      await read(fixture, bytes, runtime);
    } catch (error) {
      result = classOf(error, what);
    }
    const milliseconds = performance.now() - start;
    this.counts.set(result, (this.counts.get(result) ?? 0) + 1);
    if (milliseconds > this.slowest.milliseconds) this.slowest = { milliseconds, what };
    this.grown = process.resourceUsage().maxRSS * 1024 - this.#start;
    assert.ok(milliseconds <= MILLISECONDS, `${what}: ${milliseconds.toFixed(0)} ms`);
    assert.ok(this.grown <= BYTES, `${what}: memory grew by ${this.grown} bytes`);
    assert.is(runtime.memory.used, 0, `${what}: memory in use`);
  }

  toString(): string {
    const total = [...this.counts.values()].reduce((sum, count) => sum + count, 0);
    const classes = [...this.counts].map(([name, count]) => `${name} ${count}`).join(', ');
    const { milliseconds, what } = this.slowest;
    const grown = (this.grown / 2 ** 20).toFixed(0);
    return `${total} files: ${classes}; slowest ${milliseconds.toFixed(0)} ms (${what}); memory grew by ${grown} MiB`;
  }
}

const FIXTURES = fixtures();

for (const extension of ['.onnx', '.safetensors', '.pth']) {
  test(`prefixes and mutations of ${extension}`, async () => {
    const runtime = await createRuntime({ simd: 'baseline', maximumMemory: BYTES / 2 });
    const findings = new Findings();
    for (const fixture of FIXTURES.filter(({ name }) => name.endsWith(extension))) {
      const { name, bytes } = fixture;
      await read(fixture, bytes, runtime);
      for (const length of prefixLengths(bytes.length)) {
        await findings.add(fixture, `${name}, ${length} bytes`, bytes.slice(0, length), runtime);
      }
      const random = seededRandom(bytes.length);
      const position = positions(fixture, random);
      for (let i = 0; i < MUTATIONS; i++) {
        const isDeep = extension === '.onnx' && i % 2 === 1;
        const file = isDeep ? mutateMessages(bytes, random) : mutate(bytes, position, random);
        await findings.add(fixture, `${name}, mutation ${i}`, file, runtime);
      }
    }
    console.log(`\n# ${extension}: ${findings}`);
    const refused = findings.counts.get('FormatError') ?? 0;
    const isRead = findings.counts.get('read') ?? 0;
    assert.ok(refused > 50 && isRead > 5, `${findings}`);
    runtime.dispose();
  });
}

test('windows and dims of absurd sizes', async () => {
  const pool = (op: string, attributes: ModelSpec['nodes'][number]['attributes'] & {}, dims: (number | string)[]) =>
    fileOf({ nodes: [{ op, inputs: ['x'], outputs: ['y'], attributes }], inputs: { x: dims } });
  const pads = [2 ** 29, 2 ** 29, 2 ** 29, 2 ** 29];
  const files = {
    tall: pool('MaxPool', { kernel_shape: [3, 3] }, [1, 1, 2 ** 26, 4]),
    deep: pool('AveragePool', { kernel_shape: [2 ** 30, 2 ** 30], pads }, ['N', 3, 8, 8]),
    wide: pool('AveragePool', { kernel_shape: [1, 5000] }, ['N', 3, 8, 20000]),
    vast: pool('Sigmoid', {}, [1, 2 ** 31, 2 ** 31, 2 ** 31]),
    doubled: fileOf({
      nodes: Array.from({ length: 60 }, (_, i) => {
        const from = i === 0 ? 'x' : `v${i}`;
        return { op: 'Concat', inputs: [from, from], outputs: [i === 59 ? 'y' : `v${i + 1}`], attributes: { axis: 1 } };
      }),
      inputs: { x: ['N', 1, 8, 8] },
    }),
  };
  const runtime = await createRuntime({ maximumMemory: BYTES / 2 });
  const findings = new Findings();
  for (const [name, bytes] of Object.entries(files)) {
    await findings.add({ name: `${name}.onnx`, bytes, weights: [] }, name, bytes, runtime);
    assert.is(findings.counts.get('read'), undefined, name);
  }
  runtime.dispose();
});

test.run();
