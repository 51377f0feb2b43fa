/** Merged layers against the original ones in float64: rounding passes, errors that are planted do not. */
import { readdirSync, readFileSync } from 'node:fs';
import {
  createRuntime,
  type Graph,
  InferenceSession,
  readOnnx,
  reparameterize,
  type StoredValue,
  Tensor,
} from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkMerges, type MergeCheck } from '../src/cli/mergeCheck.js';
import type { Graph as SourceGraph } from '../src/graph/graph.js';
import { seededRandom } from './support.js';

const NETWORKS = 'test/fixtures/networks';
const runtime = await createRuntime();

async function check(original: Graph, merged: Graph): Promise<MergeCheck> {
  const random = seededRandom(1);
  const dims = original.inputs.map((name) =>
    original.inputDims!.get(name)!.map((size) => (typeof size === 'number' ? size : 2)),
  );
  const tensors = dims.map((shape) => {
    const size = shape.reduce((product, axis) => product * axis, 1);
    return new Tensor(
      'float32',
      Float32Array.from({ length: size }, () => 2 * random() - 1),
      shape,
    );
  });
  const feeds = Object.fromEntries(original.inputs.map((name, i) => [name, tensors[i]!]));
  const valuesOf = async (names: readonly string[]) => {
    const outputs = names.filter((name) => feeds[name] === undefined);
    const session = await InferenceSession.create({ ...original, outputs }, { runtime, reparameterize: false });
    const results = { ...feeds, ...(outputs.length > 0 && (await session.run(feeds))) };
    await session.release();
    return new Map(Object.entries(results).map(([name, tensor]) => [name, tensor.data as Float32Array]));
  };
  // Of the package and of the source, the same types twice.
  const [one, other] = [original, merged] as unknown as [SourceGraph, SourceGraph];
  return checkMerges(one, other, dims, valuesOf, random);
}

/** The graph with one stored value changed. */
function changed(graph: Graph, name: string, change: (value: number, i: number) => number): Graph {
  const { tensor, role } = graph.values!.get(name)!;
  const data = Float32Array.from(tensor.data as Float32Array, change);
  const value: StoredValue = { tensor: new Tensor('float32', data, tensor.dims), role };
  return { ...graph, values: new Map([...graph.values!, [name, value]]) };
}

const files = readdirSync(NETWORKS).filter((name) => name.endsWith('.onnx'));

for (const name of files) {
  test(`${name}: merged layers are within rounding`, async () => {
    const graph = readOnnx(new Uint8Array(readFileSync(`${NETWORKS}/${name}`)));
    const { checked, unchecked, worst } = await check(graph, reparameterize(graph).graph);
    assert.ok(checked > 0);
    assert.equal(unchecked, []);
    assert.ok(worst!.share > 0 && worst!.share <= 1, `${worst!.value}: ${worst!.share}`);
  });

  test(`${name}: an error in one merged kernel or bias is found, and where`, async () => {
    const graph = readOnnx(new Uint8Array(readFileSync(`${NETWORKS}/${name}`)));
    const merged = reparameterize(graph).graph;
    for (const node of merged.nodes) {
      if (node.op !== 'conv2d' || graph.values!.has(node.inputs[1])) continue;
      const [, weight, bias] = node.inputs;
      const planted: [string, (value: number, i: number) => number][] = [
        [weight, (value) => value * (1 + 1e-4)],
        ...(bias === undefined ? [] : [[bias, (value: number) => value + 1e-4] as [string, (value: number) => number]]),
      ];
      for (const [stored, change] of planted) {
        const { worst } = await check(graph, changed(merged, stored, change));
        assert.ok(worst!.share > 1, `${stored}: ${worst!.share}`);
        assert.is(worst!.value, node.outputs[0]);
      }
    }
  });
}

test('a graph that is not changed has nothing to check', async () => {
  const graph = readOnnx(new Uint8Array(readFileSync(`${NETWORKS}/${files[0]}`)));
  assert.equal(await check(graph, { ...graph }), { checked: 0, unchecked: [], worst: undefined });
});

test.after(() => runtime.dispose());
test.run();
