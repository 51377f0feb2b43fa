/** ONNX files: read, run as they are and merged, and compared. */
import { readFileSync } from 'node:fs';
import {
  type Graph,
  InferenceSession,
  OutOfMemoryError,
  printGraph,
  readOnnx,
  reparameterize,
  Tensor,
  UnsupportedError,
  writeOnnx,
} from 'acnet-wasm';
import { type GraphProto, readModel, writeModel } from '../../src/formats/onnx/file/proto.js';
import { isIntegerType } from '../../src/formats/onnx/file/tensors.js';
import { seededRandom } from '../support.js';
import type { Host } from './host.js';
import { Broken, type Kind } from './kind.js';
import { magnitudesOf } from './magnitudes.js';
import { mutateBytes, mutateMessages, placesIn } from './mutate.js';
import { makeModel } from './onnxGraphs.js';
import { shrinkBytes } from './shrink.js';

type Values = Record<string, { readonly dims: readonly number[]; readonly data: Float32Array }>;

const FIXTURES = ['cfqkbnc-small', 'src20'].map((name) => `test/fixtures/networks/${name}.onnx`);
/** Values of a feed; dims of a file that declares more are replaced by smaller ones. */
const LARGEST_FEED = 20_000;
const SMALL_DIMS = [1, 2, 3, 12, 200];
/** Rounding of a float32 result relative to its terms: both forms round, and so do their transforms. */
const ROUNDING = 2 ** -24 * 64;
/** A bound larger than this share of the values says nothing. */
const LOOSEST = 1e-2;

let fixtures: Uint8Array[] | undefined;

export const onnx: Kind = {
  extension: 'onnx',
  onRuntime: true,

  make(random) {
    if (random.chance(0.004)) {
      fixtures ??= FIXTURES.map((path) => new Uint8Array(readFileSync(path)));
      return mutateMessages(random.pick(fixtures), random);
    }
    const file = makeModel(random);
    if (random.chance(0.12)) return mutateMessages(file, random);
    return random.chance(0.05) ? mutateBytes(file, random) : file;
  },

  async run(bytes, host) {
    let graph: Graph;
    try {
      graph = readOnnx(bytes);
    } catch (error) {
      if (!(error instanceof UnsupportedError) || !error.message.includes('has to be known before')) throw error;
      return runBound(bytes, host);
    }
    return runBoth(graph, host);
  },

  shrink: shrinkModel,
};

/** ONNX files as a user has them run: a session, one run. Inputs of the other kind. */
export const session: Kind = {
  extension: 'onnx',
  onRuntime: true,
  make: (random) => makeModel(random),
  async run(bytes, host) {
    const session = await InferenceSession.create(bytes, { runtime: host.runtime });
    try {
      session.runSync(feedsOf(session.inputNames, declaredIn(bytes)));
    } finally {
      await session.release();
    }
    return [];
  },
};

/** As it is and merged. */
async function runBoth(graph: Graph, host: Host): Promise<string[]> {
  const facts: string[] = [];
  const merged = reparameterize(graph);
  if (merged.merged.length > 0) facts.push('merges');
  if (graph.nodes.length % 8 === 0) {
    printGraph(merged.graph);
    readOnnx(writeOnnx(merged.graph));
  }
  const feeds = feedsOf(graph.inputs, (name) => ({ dims: graph.inputDims?.get(name) ?? [], isInteger: false }));
  const plain = await attempt(() => run(graph, feeds, host));
  const small = await attempt(() => run(merged.graph, feeds, host));
  if (plain.error !== undefined) throw plain.error;
  if (small.error instanceof OutOfMemoryError) throw small.error;
  // With dims other than declared, a merged graph may refuse what would broadcast.
  if (small.error instanceof RangeError && !isAsDeclared(graph, feeds)) throw small.error;
  if (small.error !== undefined) throw new Broken(`merged it throws: ${(small.error as Error).stack}`);
  facts.push(
    ...compare(graph, plain.value!, small.value!).map((fact) => (facts.includes('merges') ? `${fact}, merged` : fact)),
  );
  return facts;
}

/** A model with parameters among its inputs, which a session binds when it runs. */
async function runBound(bytes: Uint8Array, host: Host): Promise<string[]> {
  const declared = declaredIn(bytes);
  for (const reparameterize of [false, true]) {
    const session = await InferenceSession.create(bytes, { runtime: host.runtime, reparameterize });
    try {
      session.runSync(feedsOf(session.inputNames, declared));
    } finally {
      await session.release();
    }
  }
  return ['bound'];
}

async function run(graph: Graph, feeds: Record<string, Tensor>, { runtime }: Host): Promise<Values> {
  const session = await InferenceSession.create(graph, { runtime, reparameterize: false });
  try {
    return session.runSync(feeds) as Values;
  } finally {
    await session.release();
  }
}

async function attempt<T>(work: () => Promise<T>): Promise<{ value?: T; error?: unknown }> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error };
  }
}

function declaredIn(bytes: Uint8Array): (name: string) => Declared {
  const infos = new Map((readModel(bytes).graph as GraphProto).input.map(({ name, type }) => [name, type?.tensorType]));
  return (name) => {
    const { shape, elemType } = infos.get(name) ?? {};
    const dims = shape?.dim.map(({ dimValue = 0, dimParam }) => (dimValue > 0 ? dimValue : dimParam)) ?? [];
    return { dims, isInteger: isIntegerType(elemType) };
  };
}

interface Declared {
  readonly dims: readonly (number | string)[];
  readonly isInteger: boolean;
}

/** Values from -1 to 1 in the declared dims; an axis of any size has it at the end of its name. */
function feedsOf(names: readonly string[], declared: (name: string) => Declared): Record<string, Tensor> {
  const random = seededRandom(names.length);
  const feeds = names.map((name) => {
    const { dims: given, isInteger } = declared(name);
    let dims = given.map((dim) => {
      const size = typeof dim === 'number' ? dim : Number(/\d+$/.exec(dim)?.[0] ?? 2);
      return Number.isSafeInteger(size) && size > 0 ? size : 1;
    });
    if (product(dims) > LARGEST_FEED) dims = dims.map((dim) => (dim > 20 ? SMALL_DIMS[dim % SMALL_DIMS.length]! : dim));
    if (product(dims) > LARGEST_FEED) dims = dims.map(() => 1);
    const data = new Float32Array(product(dims));
    for (let i = 0; i < data.length; i++) data[i] = isInteger ? Math.floor(random() * 5) - 1 : 2 * random() - 1;
    return [name, new Tensor('float32', data, dims)] as const;
  });
  return Object.fromEntries(feeds);
}

function product(dims: readonly number[]): number {
  return dims.reduce((a, b) => a * b, 1);
}

function isAsDeclared({ inputDims }: Graph, feeds: Record<string, Tensor>): boolean {
  return Object.entries(feeds).every(([name, { dims }]) =>
    (inputDims?.get(name) ?? []).every((dim, axis) => typeof dim === 'string' || dim === dims[axis]),
  );
}

/** @throws Broken where the two differ by more than rounding */
function compare(graph: Graph, plain: Values, merged: Values): string[] {
  const bounds = magnitudesOf(graph, 1);
  let loosest = 0;
  for (const [name, { dims, data }] of Object.entries(plain)) {
    const other = merged[name]!;
    if (other.dims.join() !== dims.join())
      throw new Broken(`${name} has dims [${other.dims}] merged, [${dims}] before`);
    const allowed =
      bounds === undefined ? Number.POSITIVE_INFINITY : ROUNDING * (graph.nodes.length + 1) * bounds.get(name)!;
    if (!(allowed < Number.POSITIVE_INFINITY)) return ['not compared'];
    let largest = 0;
    for (let i = 0; i < data.length; i++) {
      largest = Math.max(largest, Math.abs(data[i]!));
      if (Object.is(data[i], other.data[i])) continue;
      if (!(Math.abs(data[i]! - other.data[i]!) <= allowed)) {
        throw new Broken(`${name}[${i}] is ${other.data[i]} merged, ${data[i]} before, allowed ${allowed}`);
      }
    }
    loosest = Math.max(loosest, largest > 0 ? allowed / largest : 0);
  }
  return [loosest < LOOSEST ? 'compared' : 'compared loosely'];
}

/** Without nodes and other parts of its messages, with small numbers; then as bytes. */
function* shrinkModel(bytes: Uint8Array): Generator<Uint8Array> {
  let count: number;
  try {
    count = placesIn(readModel(bytes)).length;
  } catch {
    yield* shrinkBytes(bytes);
    return;
  }
  const change = (at: number, work: (parent: Record<string, unknown>, key: string) => boolean) => {
    const model = structuredClone(readModel(bytes));
    const { parent, key } = placesIn(model)[at]!;
    return work(parent, key) ? writeModel(model) : undefined;
  };
  for (let at = 0; at < count; at++) {
    const model = readModel(bytes);
    const { parent, key } = placesIn(model)[at]!;
    const value = parent[key];
    if (Array.isArray(value)) {
      for (let size = value.length; size >= 1; size >>= 1) {
        for (let from = 0; from < value.length; from += size) {
          const smaller = change(at, (inner, name) => {
            inner[name] = (inner[name] as unknown[]).filter((_, i) => i < from || i >= from + size);
            return true;
          });
          if (smaller !== undefined) yield smaller;
        }
      }
    } else if (typeof value === 'number' && ![0, 1].includes(value)) {
      for (const one of [1, 0, Math.trunc(value / 2)]) {
        const smaller = change(at, (inner, name) => {
          inner[name] = one;
          return true;
        });
        if (smaller !== undefined) yield smaller;
      }
    } else if (value instanceof Uint8Array && value.some((byte) => byte !== 0)) {
      const smaller = change(at, (inner, name) => {
        inner[name] = new Uint8Array(value.length);
        return true;
      });
      if (smaller !== undefined) yield smaller;
    }
  }
}
