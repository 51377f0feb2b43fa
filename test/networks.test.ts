/**
 * Whole networks as other software wrote them: ONNX, safetensors and .pth give the reference output, with all their
 * branches and merged, in any batch size, and free all memory.
 */
import {
  type Graph,
  type GraphNode,
  InferenceSession,
  type Runtime,
  readCheckpoint,
  readOnnx,
  readSafetensors,
  reparameterize,
  type StateDict,
  Tensor,
  toGraph,
  writeOnnx,
} from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bytesOfFile, casesOf, NETWORKS, type NetworkFixture, onnxOf, pthFile } from './networkFixtures.js';
import { relativeError, sameBits, supportedBuilds, withRuntime } from './support.js';

const TOLERANCE = 1e-5;
const BATCHES = [4, 1, 3, 4, 1];

/** A network from one of its files, as what a session takes. */
type Open = (runtime: Runtime) => { source: Uint8Array | Graph };

function openLayer({ build }: NetworkFixture, state: StateDict): Open {
  return (runtime) => {
    const layer = build(runtime).loadStateDict(state).eval();
    const source = toGraph(layer);
    layer.dispose();
    return { source };
  };
}

function filesOf(network: NetworkFixture): Record<string, Open> {
  const files: Record<string, Open> = {
    onnx: () => ({ source: onnxOf(network) }),
    safetensors: openLayer(network, readSafetensors(bytesOfFile(network.weights)).tensors),
  };
  if (network === NETWORKS[0]) files.pth = openLayer(network, readCheckpoint(pthFile()));
  return files;
}

/** The first images of a batch. */
function first(tensor: Tensor, batch: number): Tensor {
  const size = (tensor.size / tensor.dims[0]!) * batch;
  return new Tensor('float32', tensor.data.slice(0, size), [batch, ...tensor.dims.slice(1)]);
}

async function checkBatches(session: InferenceSession, network: NetworkFixture): Promise<void> {
  const { input, output } = casesOf(network);
  const [inputName, outputName] = [session.inputNames[0]!, session.outputNames[0]!];
  for (const batch of BATCHES) {
    const results = await session.run({ [inputName]: first(input, batch) });
    const expected = first(output, batch);
    const { dims, data } = results[outputName]!;
    assert.equal([...dims], [...expected.dims]);
    const error = relativeError(data, expected.data);
    assert.ok(error <= TOLERANCE, `batch ${batch}: relative error ${error}`);
  }
}

function count(graph: Graph, op: GraphNode['op']): number {
  return graph.nodes.filter((node) => node.op === op).length;
}

for (const network of NETWORKS) {
  for (const [format, open] of Object.entries(filesOf(network))) {
    for (const simd of await supportedBuilds()) {
      for (const merges of [false, true]) {
        test(`${simd}: ${network.name}.${format}, ${merges ? 'merged' : 'as it is'}`, () =>
          withRuntime(simd, async (runtime) => {
            const { source } = open(runtime);
            const session = await InferenceSession.create(source, { runtime, reparameterize: merges });
            await checkBatches(session, network);
            await session.release();
          }));
      }
    }

    test(`${network.name}.${format}: every block becomes one convolution`, () =>
      withRuntime('baseline', (runtime) => {
        const { source } = open(runtime);
        const graph = source instanceof Uint8Array ? readOnnx(source) : source;
        const keys = Object.keys(readSafetensors(bytesOfFile(network.weights)).tensors);
        const blocks = keys.filter((key) => key.endsWith('.square_conv.weight')).length;
        const plain = keys.filter((key) => key.endsWith('.conv.weight')).length;
        assert.is(count(graph, 'conv2d'), 3 * blocks + plain);
        const { graph: merged, merged: list } = reparameterize(graph);
        assert.is(count(merged, 'conv2d'), blocks + plain);
        assert.is(count(merged, 'batchNorm'), 0);
        assert.is(count(merged, 'add'), count(graph, 'add') - 2 * blocks);
        assert.is(list.length, blocks);
        assert.ok(list.every(({ branches }) => branches === 3));
      }));

    test(`${network.name}.${format}: merged, written and read back, it gives the same bits`, () =>
      withRuntime('baseline', async (runtime) => {
        const { source } = open(runtime);
        const { graph } = reparameterize(source instanceof Uint8Array ? readOnnx(source) : source);
        const { input } = casesOf(network);
        const results: Float32Array[] = [];
        for (const one of [graph, writeOnnx(graph)]) {
          const session = await InferenceSession.create(one, { runtime, reparameterize: false });
          assert.equal([...session.inputNames], [...graph.inputs]);
          assert.equal([...session.outputNames], [...graph.outputs]);
          const outputs = await session.run({ [graph.inputs[0]!]: input });
          results.push(outputs[graph.outputs[0]!]!.data);
          await session.release();
        }
        assert.ok(sameBits(results[0]!, results[1]!));
      }));
  }
}

test.run();
