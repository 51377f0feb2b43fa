/**
 * Every operation of the Graph, through InferenceSession: random graphs against the float64 oracles, in both builds and
 * with inputs of both layouts; then what random graphs rarely meet.
 */
import { type Graph, InferenceSession, type Node, type Runtime, Tensor } from 'acnet-wasm';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as array from './arrayOracle.js';
import type * as oracle from './oracle.js';
import { type RandomGraph, randomGraph } from './randomGraph.js';
import {
  type Build,
  largestDifference,
  randomNd,
  sameBits,
  seededRandom,
  supportedBuilds,
  toTensor,
  withRuntime,
} from './support.js';

const SEED = 20190811;
const GRAPHS = 400;
/** Some rounding of float32 per node of a chain, relative to the largest value in the graph. */
const TOLERANCE = 4e-6;

type Values = Record<string, oracle.Nd>;

function check(outputs: Record<string, Tensor>, expected: Values, tolerance: number, what: string): void {
  assert.equal(Object.keys(outputs).sort(), Object.keys(expected).sort(), `${what}: names`);
  for (const [name, tensor] of Object.entries(outputs)) {
    const { data, dims } = expected[name]!;
    assert.equal([...tensor.dims], [...dims], `${what}: dims of ${name}`);
    const difference = largestDifference(tensor.data, data);
    assert.ok(difference <= tolerance, `${what}: ${name} is off by ${difference}, at most ${tolerance} is allowed`);
  }
}

function disposeAll(tensors: Record<string, Tensor>): void {
  for (const tensor of Object.values(tensors)) tensor.dispose();
}

function tensorsOf(values: Values): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, toTensor(value)]));
}

/** The same values resident in row-major order: what a matrix product gives. */
async function rowMajor(runtime: Runtime, value: oracle.Nd): Promise<Tensor> {
  const node: Node = { op: 'reshape', path: '', layer: 'Reshape', inputs: ['x'], output: 'y', target: value.dims };
  const session = await InferenceSession.create({ inputs: ['x'], outputs: ['y'], nodes: [node] }, { runtime });
  const { y } = session.runSync({ x: new Tensor('float32', Float32Array.from(value.data), [value.data.length]) });
  await session.release();
  return y!;
}

/** Runs with feeds in JavaScript's memory, then resident in either layout, and with what was given out disposed of. */
async function checkGraph(runtime: Runtime, made: RandomGraph): Promise<void> {
  const session = await InferenceSession.create(made.graph, { runtime });
  const tolerance = TOLERANCE * made.largest;
  const host = tensorsOf(made.inputs);
  const first = session.runSync(host);
  check(first, made.outputs, tolerance, 'host feeds');
  const resident = Object.fromEntries(Object.entries(host).map(([name, tensor]) => [name, tensor.to(runtime)]));
  const second = await session.run(resident);
  disposeAll(first);
  check(second, made.outputs, tolerance, 'resident feeds');
  const planar: Record<string, Tensor> = {};
  for (const [name, value] of Object.entries(made.inputs)) planar[name] = await rowMajor(runtime, value);
  const third = session.runSync(planar);
  check(third, made.outputs, tolerance, 'row-major feeds');
  // Outputs own their bytes: they outlive feeds, other outputs and the session, and nobody wrote over the feeds.
  for (const name of Object.keys(resident)) assert.equal(resident[name]!.data, host[name]!.data, `feed ${name}`);
  for (const tensors of [resident, planar]) disposeAll(tensors);
  await session.release();
  const names = Object.keys(third);
  third[names[0]!]!.dispose();
  check(second, made.outputs, tolerance, 'after release');
  disposeAll(second);
  disposeAll(third);
}

/** One node over inputs x0, x1, ... to y. */
function single(node: object, inputCount = 1): Graph {
  const inputs = Array.from({ length: inputCount }, (_, i) => `x${i}`);
  return { inputs, outputs: ['y'], nodes: [{ path: '', layer: 'Test', inputs, output: 'y', ...node } as unknown as Node] };
}

async function runOnce(
  runtime: Runtime,
  graph: Graph,
  inputs: readonly oracle.Nd[],
): Promise<Record<string, oracle.Nd>> {
  const session = await InferenceSession.create(graph, { runtime });
  const feeds = Object.fromEntries(inputs.map((value, i) => [graph.inputs[i]!, toTensor(value)]));
  const outputs = session.runSync(feeds);
  await session.release();
  const values = Object.entries(outputs).map(([name, tensor]) => [name, { data: tensor.data, dims: tensor.dims }]);
  disposeAll(outputs);
  return Object.fromEntries(values);
}

test('random graphs hold every operation', () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 300; seed++) for (const { op } of randomGraph(seed, 12).graph.nodes) seen.add(op);
  const all =
    'add avgPool2d batchNorm clip concat conv2d div flatten globalAvgPool2d globalMaxPool2d hardSigmoid hardSwish ' +
    'identity leakyRelu linear logSoftmax matMul maxPool2d mul pad reduceMean relu reshape sigmoid slice softmax ' +
    'squeeze sub transpose unsqueeze';
  assert.equal([...seen].sort().join(' '), all);
});

for (const simd of await supportedBuilds()) {
  const onRuntime = (name: string, body: (runtime: Runtime) => Promise<void>) => {
    test(`${simd}: ${name}`, () => withRuntime(simd as Build, body));
  };

  onRuntime(`${GRAPHS} random graphs`, async (runtime) => {
    const arbitrary = fc.record({ seed: fc.noShrink(fc.nat(2 ** 31 - 1)), nodes: fc.integer({ min: 0, max: 14 }) });
    const property = fc.asyncProperty(arbitrary, async ({ seed, nodes }) => {
      const { used } = runtime.memory;
      await checkGraph(runtime, randomGraph(seed, nodes));
      assert.is(runtime.memory.used, used, 'memory in use');
    });
    await fc.assert(property, { seed: SEED, numRuns: GRAPHS, includeErrorInReport: true });
  });
}

test.run();
