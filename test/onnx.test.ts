/**
 * readOnnx and writeOnnx: the wire format, what each operator becomes, the arithmetic of shapes, round trips through
 * files, and hostile files. ONNX's own tests of the operators' values are in onnxNodes.test.ts.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  createRuntime,
  FormatError,
  type Graph,
  type GraphNode,
  InferenceSession,
  type PaddingMode,
  readOnnx,
  Tensor,
  UnsupportedError,
  writeOnnx,
} from 'acnet-wasm';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ModelProto, readModel, writeModel } from '../src/formats/onnx/file/proto.js';
import { WireReader, WireWriter } from '../src/formats/onnx/file/wire.js';
import { lowerOnnx, parameterInputs } from '../src/formats/onnx/lower.js';
import { Tensor as SourceTensor } from '../src/tensor.js';
import { type NodeSpec as GraphNodeSpec, graphFrom, parametersOf } from './graphSpec.js';
import { fileOf, floats, integers, type ModelSpec, modelOf, type NodeSpec, raw } from './onnxModels.js';
import { largestDifference, randomNd, readFixture, relativeError, seededRandom, toTensor } from './support.js';

const NETWORKS = ['cfqkbnc-small', 'lenet5bn-acb-fashion-mnist', 'lenet5bn-base-fashion-mnist', 'src20'];
const SMALLEST = 'cfqkbnc-small';
const MUTATIONS = 3000;
/** The largest number below 2^63, which exporters mean by the end of an axis. */
const FAR = 2 ** 63 - 1024;

function readNetwork(name: string): Buffer {
  return readFileSync(`test/fixtures/networks/${name}.onnx`);
}

type OneNode = Omit<ModelSpec, 'nodes'> & { readonly attributes?: NonNullable<NodeSpec['attributes']> | undefined };

type Parameters = ReturnType<typeof parametersOf>;

/** What a model of one node becomes, and its parameters: y = op(x, and the initializers in their order). */
function nodeOf(op: string, { attributes = {}, ...spec }: OneNode = {}): GraphNode & Parameters {
  const inputs = ['x', ...(spec.initializers ?? []).map(({ name }) => name)];
  const graph = readOnnx(fileOf({ ...spec, nodes: [{ op, inputs, outputs: ['y'], attributes }] }));
  assert.is(graph.nodes.length, 1, `${op} became ${graph.nodes.length} nodes`);
  return { ...graph.nodes[0]!, ...parametersOf(graph, graph.nodes[0]!) };
}

function refuses(what: RegExp, kind: new (...args: never[]) => Error, spec: ModelSpec): void {
  try {
    readOnnx(fileOf(spec));
  } catch (error) {
    assert.instance(error, kind);
    assert.match((error as Error).message, what);
    return;
  }
  throw new Error(`was read; expected ${what}`);
}

/** A graph in plain data that two readings share: tensors as dims and a digest of their values. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, one) => {
      if (one instanceof Tensor) return `[${one.dims}] ${createHash('sha1').update(one.data).digest('hex')}`;
      if (one instanceof Map) return [...one];
      return Object.is(one, -0) ? 0 : one;
    }),
  );
}

// The wire format

test('integers, floats and strings come back from the wire', () => {
  const integer = fc.oneof(
    fc.maxSafeInteger(),
    fc.integer(),
    fc.constantFrom(-1, 127, 128, -(2 ** 63), 2 ** 32, -(2 ** 31)),
  );
  fc.assert(
    fc.property(fc.array(integer), fc.array(fc.double()), fc.string({ unit: 'binary' }), (whole, doubles, text) => {
      const writer = new WireWriter();
      for (const value of whole) writer.int64(value);
      for (const value of doubles) writer.double(value);
      for (const value of doubles) writer.float(value);
      writer.string(text);
      const file = writer.finish();
      assert.is(file.length, writer.length);
      const reader = new WireReader(file);
      for (const value of whole) assert.is(reader.int64(), value + 0);
      for (const value of doubles) assert.ok(Object.is(reader.double(), value));
      for (const value of doubles) assert.ok(Object.is(reader.float(), Math.fround(value)));
      assert.is(reader.string(), text);
      assert.ok(reader.done);
    }),
  );
});

test('a negative integer takes ten bytes, as protocol buffers have it', () => {
  const writer = new WireWriter();
  writer.int64(-2);
  assert.equal([...writer.finish()], [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
  assert.is(new WireReader(Uint8Array.of(0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)).int32(), -2);
  assert.is(new WireReader(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)).int64(), 2 ** 63);
  assert.throws(() => new WireReader(new Uint8Array(11).fill(0x80)).int64(), /more than 10 bytes/);
});

/** Messages without the offsets at which they stood. */
function withoutOffsets(message: unknown): unknown {
  return JSON.parse(
    JSON.stringify(message, (key, value) => {
      if (key === 'at') return undefined;
      return value instanceof Uint8Array ? [...value] : typeof value === 'number' ? String(value) : value;
    }),
  );
}

const rawMessage: fc.Arbitrary<ModelProto> = fc
  .record({
    dims: fc.array(fc.maxSafeInteger()),
    reals: fc.array(fc.double()),
    small: fc.array(fc.integer()),
    bytes: fc.uint8Array(),
    text: fc.string({ unit: 'binary' }),
    optional: fc.option(fc.integer(), { nil: undefined }),
  })
  .map(({ dims, reals, small, bytes, text, optional }) => {
    const tensor = {
      ...raw(text, dims, 1, bytes),
      floatData: reals.map(Math.fround),
      doubleData: reals,
      int32Data: small,
      int64Data: dims,
      uint64Data: dims.map(Math.abs),
      externalData: [{ at: 0, key: text, value: 'v' }],
      ...(optional !== undefined && { dataLocation: optional }),
    };
    const model = modelOf({
      nodes: [{ op: text, inputs: [text, ''], outputs: ['y'], attributes: { value: tensor, axes: dims, mode: text } }],
      inputs: { x: ['N', 0, 3, ''], z: undefined },
      initializers: [tensor],
    });
    return { ...model, metadataProps: [{ at: 0, key: 'k', value: text }] };
  });

test('models come back from their bytes', () => {
  fc.assert(
    fc.property(rawMessage, (model) => {
      assert.equal(withoutOffsets(readModel(writeModel(model))), withoutOffsets(model));
    }),
  );
});

test('numbers are read packed and one by one, and unknown fields are skipped', () => {
  const tensor = new WireWriter();
  for (const dim of [2, 3]) {
    tensor.tag(1, 0);
    tensor.int64(dim);
  }
  tensor.tag(2, 0);
  tensor.int64(1);
  for (let i = 0; i < 6; i++) {
    tensor.tag(4, 5);
    tensor.float(i);
  }
  tensor.tag(8, 2);
  tensor.string('w');
  tensor.tag(99, 1);
  tensor.double(1);
  tensor.tag(98, 2);
  tensor.string('unknown');
  const graph = new WireWriter();
  graph.tag(5, 2);
  graph.message(tensor);
  const model = new WireWriter();
  model.tag(7, 2);
  model.message(graph);
  const [read] = readModel(model.finish()).graph!.initializer;
  assert.equal([read!.dims, read!.floatData, read!.name], [[2, 3], [0, 1, 2, 3, 4, 5], 'w']);
});

// Files

const COUNTS: Record<string, Record<string, number>> = {
  'cfqkbnc-small': { conv2d: 9, batchNorm: 9, add: 6, relu: 4, linear: 2 },
  'lenet5bn-acb-fashion-mnist': { conv2d: 6, batchNorm: 6, slice: 4, add: 4, relu: 3, maxPool2d: 2, linear: 2 },
  'lenet5bn-base-fashion-mnist': { conv2d: 2, batchNorm: 2, relu: 3, maxPool2d: 2, flatten: 1, linear: 2 },
  src20: { conv2d: 59, batchNorm: 59, add: 47, relu: 19, avgPool2d: 1, flatten: 1, linear: 1 },
};

/** In the written file a Pad by nothing is an Identity. */
function withoutLayers(graph: Graph): unknown {
  return { ...graph, nodes: graph.nodes.map((node) => ({ ...node, layer: undefined })) };
}

for (const name of NETWORKS) {
  test(`${name}: is read as it was exported`, () => {
    const graph = readOnnx(readNetwork(name));
    assert.equal([graph.inputs, graph.outputs], [['input'], ['logits']]);
    const { input } = readFixture(`networks/${name}.io.safetensors`).tensors;
    assert.equal(graph.inputDims?.get('input'), ['N', ...input!.dims.slice(1)]);
    const counts: Record<string, number> = {};
    for (const { op } of graph.nodes) counts[op] = (counts[op] ?? 0) + 1;
    for (const [op, count] of Object.entries(COUNTS[name]!)) assert.is(counts[op], count, op);
    assert.ok(graph.nodes.every(({ path, layer }) => path !== '' && layer !== ''));
  });

  test(`${name}: computes what PyTorch does, before and after writeOnnx`, async () => {
    const runtime = await createRuntime({ simd: 'baseline' });
    const { input, output } = readFixture(`networks/${name}.io.safetensors`).tensors;
    const graph = readOnnx(readNetwork(name));
    const written = readOnnx(writeOnnx(graph));
    assert.equal(plain(withoutLayers(written)), plain(withoutLayers(graph)));
    for (const one of [graph, written]) {
      const session = await InferenceSession.create(one, { runtime, reparameterize: false });
      const { logits } = session.runSync({ input: input! });
      const error = relativeError(logits!.data, output!.data);
      assert.ok(error <= 1e-5, `relative error ${error}`);
      await session.release();
    }
    runtime.dispose();
  });
}

test('readOnnx takes an ArrayBuffer, a view into one, and nothing else', () => {
  const file = readNetwork(SMALLEST);
  const copy = new Uint8Array(file.length + 3);
  copy.set(file, 3);
  const expected = plain(readOnnx(file));
  assert.equal(plain(readOnnx(copy.subarray(3))), expected);
  assert.equal(plain(readOnnx(copy.slice(3).buffer)), expected);
  assert.throws(() => readOnnx('model.onnx' as never), /bytes must be a Uint8Array or an ArrayBuffer, got String/);
});

test('weights own their data', () => {
  const file = fileOf({
    nodes: [{ op: 'Conv', inputs: ['x', 'w'], outputs: ['y'] }],
    initializers: [raw('w', [1, 3, 1, 1], 1, Float32Array.of(1, 2, 3))],
  });
  const graph = readOnnx(file);
  file.fill(0);
  assert.equal([...graph.values!.get('w')!.tensor.data], [1, 2, 3]);
});

// Operators

test('parameters of every element type become float32', () => {
  const types: [number, ArrayBufferView, number[]][] = [
    [10, Uint16Array.of(0x3c00, 0xc000, 0x7c00), [1, -2, Number.POSITIVE_INFINITY]],
    [11, Float64Array.of(0.1, 1e300, -0), [Math.fround(0.1), Number.POSITIVE_INFINITY, -0]],
    [16, Uint16Array.of(0x3f80, 0xc000, 0x4049), [1, -2, 3.140625]],
  ];
  for (const [type, values, expected] of types) {
    const initializers = [raw('w', [1, 3, 1, 1], type, values)];
    const { weight } = nodeOf('Conv', { initializers });
    assert.ok(largestDifference(weight.data, expected) === 0, `type ${type}: ${weight.data}`);
  }
  const halves = { ...floats('w', [1, 3, 1, 1], []), dataType: 10, int32Data: [0x3c00, 0xc000, 0] };
  assert.equal([...nodeOf('Conv', { initializers: [halves] }).weight.data], [1, -2, 0]);
});

test('Conv: pads, auto_pad, groups', () => {
  const initializers = [floats('w', [2, 3, 3, 2], new Array(36).fill(1)), floats('b', [2], [1, 2])];
  const padsOf = (attributes: NodeSpec['attributes'], inputs?: ModelSpec['inputs']) => {
    const node = nodeOf('Conv', { initializers, attributes, ...(inputs && { inputs }) });
    return (node as { window?: { pads: number[] } }).window!.pads;
  };
  assert.equal(padsOf(undefined), [0, 0, 0, 0]);
  assert.equal(padsOf({ pads: [1, 2, 3, 4] }), [1, 2, 3, 4]);
  assert.equal(padsOf({ auto_pad: 'VALID' }), [0, 0, 0, 0]);
  assert.equal(padsOf({ auto_pad: 'SAME_UPPER' }), [1, 0, 1, 1]);
  assert.equal(padsOf({ auto_pad: 'SAME_LOWER' }), [1, 1, 1, 0]);
  assert.equal(padsOf({ auto_pad: 'SAME_UPPER', dilations: [2, 2] }), [2, 1, 2, 1]);
  // ceil(8 / 3) = 3 windows of 3 rows reach from 0 to 8; of 2 columns, to 7.
  assert.equal(padsOf({ auto_pad: 'SAME_UPPER', strides: [3, 3] }), [0, 0, 1, 0]);
  assert.throws(
    () => padsOf({ auto_pad: 'SAME_UPPER', strides: [2, 2] }, { x: ['N', 3, 'H', 'W'] }),
    /Conv "y" \(auto_pad with stride 2 needs an input whose height and width the file states\)/,
  );
  const base = { nodes: [{ op: 'Conv', inputs: ['x', 'w'], outputs: ['y'] }] };
  refuses(/must be 1-D or 2-D, got 3-D/, UnsupportedError, {
    ...base,
    initializers: [floats('w', [1, 3, 1, 1, 1], [1, 2, 3])],
  });
  refuses(/its input has 4 axes, a 1-D window takes 3/, FormatError, {
    ...base,
    initializers: [floats('w', [1, 3, 1], [1, 2, 3])],
  });
  refuses(/3 groups do not divide 2/, FormatError, {
    nodes: [{ op: 'Conv', inputs: ['x', 'w'], outputs: ['y'], attributes: { group: 3 } }],
    initializers,
  });
  refuses(/its weight "w" is not constant/, UnsupportedError, {
    nodes: [
      { op: 'Relu', inputs: ['x'], outputs: ['w'] },
      { op: 'Conv', inputs: ['x', 'w'], outputs: ['y'] },
    ],
  });
});

test('Gemm and MatMul by a constant become linear', () => {
  const inputs = { x: ['N', 2] };
  const b = floats('b', [2, 3], [1, 2, 3, 4, 5, 6]);
  const gemm = (attributes: NodeSpec['attributes'], ...more: (typeof b)[]) =>
    nodeOf('Gemm', { initializers: [b, ...more], inputs, attributes });
  assert.is(gemm(undefined).op, 'linear');
  assert.equal([...gemm(undefined).weight.data], [1, 4, 2, 5, 3, 6]);
  assert.equal(gemm(undefined).weight.dims, [3, 2]);
  assert.is(gemm(undefined).bias, undefined);
  const scaled = gemm({ alpha: { f: 0.5 }, beta: { f: 0.1 } }, floats('c', [1, 3], [1, 2, 3]));
  assert.equal([...scaled.weight.data], [0.5, 2, 1, 2.5, 1.5, 3]);
  const tenth = Math.fround(0.1);
  assert.equal([...scaled.bias!.data], [tenth, tenth * 2, tenth * 3].map(Math.fround));
  assert.equal([...gemm(undefined, floats('c', [], [7])).bias!.data], [7, 7, 7]);
  const transposed = { ...b, dims: [3, 2] };
  const transB = nodeOf('Gemm', { initializers: [transposed], inputs, attributes: { transB: 1 } });
  assert.equal([...transB.weight.data], [1, 2, 3, 4, 5, 6]);
  assert.equal([...nodeOf('MatMul', { initializers: [b], inputs }).weight.data], [1, 4, 2, 5, 3, 6]);
  assert.is(nodeOf('MatMul', { initializers: [b], inputs: { x: ['N', 5, 2] } }).op, 'matMul');
});

test('Slice clamps ends beyond 2^53, everything else refuses them', () => {
  const list = [
    integers('starts', [1, -3]),
    raw('ends', [2], 7, BigInt64Array.of(2n ** 63n - 1n, -1n)),
    integers('axes', [2, 3]),
  ];
  const slice = nodeOf('Slice', { initializers: list }) as { ends?: number[]; steps?: number[] };
  assert.equal(slice.ends, [Number.MAX_SAFE_INTEGER, -1]);
  assert.equal(slice.steps, [1, 1]);
  const early = nodeOf('Slice', { opset: 9, attributes: { starts: [1], ends: [FAR] } }) as { ends?: number[] };
  assert.equal(early.ends, [Number.MAX_SAFE_INTEGER]);
  refuses(/its axes 9223372036854775000 is beyond 2\^53/, FormatError, {
    nodes: [{ op: 'ReduceMean', inputs: ['x', 'axes'], outputs: ['y'] }],
    opset: 18,
    initializers: [integers('axes', [FAR])],
  });
});

test('forms that changed between opsets', () => {
  const clip = nodeOf('Clip', { opset: 9, attributes: { max: { f: 6 } } });
  assert.equal(
    plain(clip),
    plain(nodeOf('Clip', { initializers: [floats('min', [], [-(2 - 2 ** -23) * 2 ** 127]), floats('max', [], [6])] })),
  );
  const pads = [0, 0, 1, 1, 0, 0, 2, 2];
  const pad = nodeOf('Pad', { opset: 9, attributes: { pads, value: { f: 1 }, mode: 'constant' } }) as {
    pads?: number[];
  };
  assert.equal(pad.pads, pads);
  const initializers = [integers('pads', [1, 2, 1, 2]), floats('value', [], [1]), integers('axes', [-2, 3])];
  assert.equal((nodeOf('Pad', { opset: 18, initializers }) as typeof pad).pads, [0, 0, 1, 2, 0, 0, 1, 2]);
  assert.equal((nodeOf('Unsqueeze', { opset: 11, attributes: { axes: [0, -1] } }) as { axes?: number[] }).axes, [0, 5]);
  assert.is((nodeOf('Softmax', { opset: 13 }) as { axis?: number }).axis, -1);
  const flat = readOnnx(fileOf({ nodes: [{ op: 'Softmax', inputs: ['x'], outputs: ['y'] }], opset: 11 })).nodes;
  assert.equal(
    flat.map(({ op }) => op),
    ['flatten', 'softmax', 'reshape'],
  );
});

test('Sum, Identity, Dropout, Constant', () => {
  const { nodes } = readOnnx(
    fileOf({
      nodes: [
        { op: 'Constant', inputs: [], outputs: ['c'], attributes: { value_float: { f: 2 } } },
        { op: 'Identity', inputs: ['c'], outputs: ['d'] },
        { op: 'Dropout', inputs: ['x'], outputs: ['dropped', 'mask'] },
        { op: 'Sum', inputs: ['x', 'dropped', 'd'], outputs: ['y'], name: 'total' },
      ],
    }),
  );
  assert.equal(
    nodes.map(({ op, inputs }) => [op, ...inputs]),
    [
      ['identity', 'x'],
      ['add', 'x', 'dropped'],
      ['add', nodes[1]!.outputs[0], 'd'],
    ],
  );
  assert.equal(
    nodes.map(({ path, layer }) => `${path} ${layer}`),
    ['dropped Dropout', 'total Sum', 'total Sum'],
  );
  refuses(/Dropout "y" \(its output "mask" is used\)/, UnsupportedError, {
    nodes: [{ op: 'Dropout', inputs: ['x'], outputs: ['y', 'mask'] }],
    outputs: ['y', 'mask'],
  });
});

test('weights may come through Identity, Cast, Transpose, Reshape and arithmetic', () => {
  const graph = readOnnx(
    fileOf({
      nodes: [
        { op: 'Cast', inputs: ['double'], outputs: ['single'], attributes: { to: 1 } },
        { op: 'Transpose', inputs: ['single'], outputs: ['turned'], attributes: { perm: [1, 0] } },
        { op: 'Mul', inputs: ['turned', 'scale'], outputs: ['scaled'] },
        { op: 'Reshape', inputs: ['scaled', 'shape'], outputs: ['shaped'] },
        { op: 'Identity', inputs: ['shaped'], outputs: ['w'] },
        { op: 'Conv', inputs: ['x', 'w'], outputs: ['y'] },
      ],
      initializers: [
        raw('double', [3, 2], 11, Float64Array.of(1, 2, 3, 4, 5, 6)),
        floats('scale', [2, 1], [10, 100]),
        integers('shape', [2, -1, 1, 1]),
      ],
    }),
  );
  assert.is(graph.nodes.length, 1);
  const { weight } = parametersOf(graph, graph.nodes[0]!);
  assert.equal(
    [weight.dims, [...weight.data]],
    [
      [2, 3, 1, 1],
      [10, 30, 50, 200, 400, 600],
    ],
  );
});

// Shapes

function reshapeTarget(
  nodes: readonly NodeSpec[],
  initializers: ModelSpec['initializers'],
  dims: readonly (number | string)[],
) {
  const graph = readOnnx(fileOf({ nodes, inputs: { x: dims }, ...(initializers && { initializers }) }));
  const node = graph.nodes.find(({ op }) => op === 'reshape') as { target?: unknown };
  return { target: node.target, ops: graph.nodes.map(({ op }) => op) };
}

test('x.view(x.size(0), -1) reshapes to [0, -1], with numbers where they are known', () => {
  const nodes = [
    { op: 'Relu', inputs: ['x'], outputs: ['r'] },
    { op: 'Shape', inputs: ['r'], outputs: ['shape'] },
    { op: 'Gather', inputs: ['shape', 'zero'], outputs: ['batch'] },
    { op: 'Unsqueeze', inputs: ['batch', 'axes'], outputs: ['first'] },
    { op: 'Concat', inputs: ['first', 'rest'], outputs: ['target'], attributes: { axis: 0 } },
    { op: 'Reshape', inputs: ['r', 'target'], outputs: ['y'] },
  ];
  const initializers = [integers('zero', [0], []), integers('axes', [0]), integers('rest', [-1])];
  assert.equal(reshapeTarget(nodes, initializers, ['N', 3, 8, 8]), { target: [0, -1], ops: ['relu', 'reshape'] });
  assert.equal(reshapeTarget(nodes, initializers, [5, 3, 8, 8]).target, [5, -1]);
});

test('sizes are multiplied, divided and cut out; one that is not known is whatever is left', () => {
  const nodes = [
    { op: 'Shape', inputs: ['x'], outputs: ['shape'] },
    { op: 'Slice', inputs: ['shape', 'one', 'end'], outputs: ['rest'] },
    { op: 'Gather', inputs: ['rest', 'channel'], outputs: ['c'] },
    { op: 'Gather', inputs: ['rest', 'last'], outputs: ['w'] },
    { op: 'Mul', inputs: ['c', 'w'], outputs: ['cw'] },
    { op: 'Div', inputs: ['c', 'three'], outputs: ['groups'] },
    { op: 'Cast', inputs: ['cw'], outputs: ['cast'], attributes: { to: 7 } },
    { op: 'Concat', inputs: ['groups', 'eight', 'cast'], outputs: ['target'], attributes: { axis: 0 } },
    { op: 'Reshape', inputs: ['x', 'target'], outputs: ['y'] },
  ];
  const initializers = [
    integers('one', [1]),
    integers('end', [FAR]),
    integers('channel', [0]),
    integers('last', [-1]),
    integers('three', [3]),
    integers('eight', [8]),
  ];
  assert.equal(reshapeTarget(nodes, initializers, [1, 3, 8, 8]).target, [1, 8, 24]);
  assert.equal(reshapeTarget(nodes, initializers, ['N', 3, 'H', 'W']).target, [1, 8, -1]);
  refuses(/Reshape "y" \(its shape is computed from sizes that the file does not state\)/, UnsupportedError, {
    nodes,
    initializers,
    inputs: { x: ['N', 'C', 'H', 'W'] },
  });
});

test('the size of another value becomes a DimOf of the graph input that has it', () => {
  const nodes = [
    { op: 'Shape', inputs: ['z'], outputs: ['shape'] },
    { op: 'Concat', inputs: ['minus', 'shape'], outputs: ['target'], attributes: { axis: 0 } },
    { op: 'Reshape', inputs: ['x', 'target'], outputs: ['y'] },
  ];
  const spec = { nodes, inputs: { x: ['N', 6], z: ['M', 2] }, initializers: [integers('minus', [-1])] };
  const [reshape] = readOnnx(fileOf(spec)).nodes;
  assert.equal((reshape as { target: unknown }).target, [-1, { value: 'z', axis: 0 }, 2]);
  const again = readOnnx(writeOnnx(readOnnx(fileOf(spec)))).nodes;
  assert.equal((again[0] as { target: unknown }).target, [-1, { value: 'z', axis: 0 }, 2]);
});

// Parameters that are graph inputs

test('parameters that are inputs are named, and bound by lowerOnnx', () => {
  const spec: ModelSpec = {
    nodes: [
      { op: 'Identity', inputs: ['w'], outputs: ['weight'] },
      { op: 'Conv', inputs: ['x', 'weight'], outputs: ['c'], name: 'conv1' },
      { op: 'Reshape', inputs: ['c', 'shape'], outputs: ['y'] },
    ],
    inputs: { x: ['N', 3, 8, 8], w: [2, 3, 1, 1], shape: [2], z: [1] },
    inputTypes: { shape: 7 },
  };
  refuses(/node Identity "weight" reads the input "w", .* InferenceSession binds it/, UnsupportedError, spec);
  const model = readModel(fileOf(spec));
  assert.equal(parameterInputs(model), ['w', 'shape']);
  const bound = new Map([
    ['w', new SourceTensor('float32', [1, 2, 3, 4, 5, 6], [2, 3, 1, 1])],
    ['shape', new SourceTensor('float32', [0, -1], [2])],
  ]);
  const graph = lowerOnnx(model, bound);
  assert.equal(graph.inputs, ['x', 'z']);
  assert.equal([...graph.values!.get(graph.nodes[0]!.inputs[1]!)!.tensor.data], [1, 2, 3, 4, 5, 6]);
  assert.equal((graph.nodes[1] as { target?: unknown }).target, [0, -1]);
});

test('an initializer that is listed as an input is none', () => {
  const spec = {
    nodes: [{ op: 'Conv', inputs: ['x', 'w'], outputs: ['y'] }],
    inputs: { x: ['N', 3, 8, 8], w: [1, 3, 1, 1] },
    initializers: [floats('w', [1, 3, 1, 1], [1, 2, 3])],
  };
  assert.equal(readOnnx(fileOf(spec)).inputs, ['x']);
});

// Errors

test('one error names every unsupported node', () => {
  refuses(
    /^readOnnx: 3 unsupported nodes: Loop "act", com\.example\.Relu "r", MaxPool "pool" \(its pooling must be 1-D or 2-D, got 3-D\)$/,
    UnsupportedError,
    {
      nodes: [
        { op: 'Loop', inputs: ['x'], outputs: ['t'], name: 'act' },
        { op: 'Relu', inputs: ['t'], outputs: ['u'] },
        { op: 'Relu', inputs: ['x'], outputs: ['r'], domain: 'com.example' },
        { op: 'MaxPool', inputs: ['x'], outputs: ['y'], name: 'pool', attributes: { kernel_shape: [2, 2, 2] } },
      ],
    },
  );
});

test('of many unsupported nodes twenty are named', () => {
  const nodes = Array.from({ length: 30 }, (_, i) => ({ op: 'Loop', inputs: ['x'], outputs: [`y${i}`] }));
  refuses(/^readOnnx: 30 unsupported nodes: (Loop "y\d+", ){19}Loop "y19" and 10 more$/, UnsupportedError, {
    nodes,
    outputs: ['y0'],
  });
});

test('files that contradict themselves', () => {
  const relu = (from: string, to: string) => ({ op: 'Relu', inputs: [from], outputs: [to] });
  refuses(/Relu "y" reads "z", which no input, initializer or earlier node defines \(at byte \d+\)/, FormatError, {
    nodes: [relu('z', 'y')],
  });
  refuses(/reads "y"/, FormatError, { nodes: [relu('y', 'z'), relu('z', 'y')] });
  refuses(/value "y" is defined twice/, FormatError, { nodes: [relu('x', 'y'), relu('x', 'y')] });
  refuses(/value "x" is defined twice/, FormatError, { nodes: [relu('x', 'x')] });
  refuses(/value "w" is defined twice/, FormatError, {
    nodes: [relu('x', 'y')],
    initializers: [floats('w', [], [1]), floats('w', [], [1])],
  });
  refuses(/nothing defines the graph's output "z"/, FormatError, { nodes: [relu('x', 'y')], outputs: ['z'] });
  refuses(/must have 2 elements of type FLOAT, got 1 /, FormatError, {
    nodes: [relu('x', 'y')],
    initializers: [floats('w', [2], [1])],
  });
  refuses(/of dims \[2147483648, 2147483648\] must have Infinity elements/, FormatError, {
    nodes: [relu('x', 'y')],
    initializers: [floats('w', [2 ** 31, 2 ** 31], [1])],
  });
  refuses(/must have at most 32 dims from 0, got \[-1\]/, FormatError, {
    nodes: [relu('x', 'y')],
    initializers: [floats('w', [-1], [])],
  });
  refuses(/the data of tensor "w" lies in another file/, UnsupportedError, {
    nodes: [relu('x', 'y')],
    initializers: [
      { ...floats('w', [1], []), dataLocation: 1, externalData: [{ at: 0, key: 'location', value: 'w.bin' }] },
    ],
  });
  refuses(/input "x" must be a tensor of type FLOAT, got one of type DOUBLE/, UnsupportedError, {
    nodes: [relu('x', 'y')],
    inputTypes: { x: 11 },
  });
  refuses(/must use an opset from 1 to 23, got 24/, UnsupportedError, { nodes: [relu('x', 'y')], opset: 24 });
  assert.throws(() => readOnnx(new Uint8Array(0)), /has no graph/);
});

test('parameters that would be computed without end are refused', () => {
  const nodes: NodeSpec[] = Array.from({ length: 200 }, (_, i) => ({
    op: 'Gemm',
    inputs: [i === 0 ? 'x' : `y${i - 1}`, 'w'],
    outputs: [i === 199 ? 'y' : `y${i}`],
  }));
  const initializers = [raw('w', [512, 512], 1, new Float32Array(512 * 512))];
  refuses(/take far more memory than those in the file/, UnsupportedError, {
    nodes,
    initializers,
    inputs: { x: ['N', 512] },
  });
});

test('long chains, many axes and equal names take neither time nor the stack', () => {
  const chain = (op: string, count: number, extra: string[], name = ''): NodeSpec[] =>
    Array.from({ length: count }, (_, i) => ({
      op,
      inputs: [i === 0 ? 'first' : `c${i - 1}`, ...extra],
      outputs: [`c${i}`],
      name,
    }));
  const end = (from: string): NodeSpec => ({ op: 'Add', inputs: ['x', from], outputs: ['y'] });
  const one = floats('first', [1, 1], [1]);
  for (const [op, ...more] of [['Transpose'], ['Mul', floats('two', [1], [1])], ['Identity']] as const) {
    const nodes = [
      ...chain(
        op,
        30_000,
        more.map(({ name }) => name),
      ),
      end('c29999'),
    ];
    assert.is(readOnnx(fileOf({ nodes, initializers: [one, ...more] })).nodes.length, 1, op);
  }
  const axes = integers(
    'axes',
    Array.from({ length: 20 }, (_, i) => i),
  );
  refuses(/its output must have at most 32 axes, got 42/, FormatError, {
    nodes: [...chain('Unsqueeze', 1000, ['axes']), end('c999')],
    initializers: [one, axes],
  });
  const named = chain('Relu', 20_000, [], 'relu');
  const graph = readOnnx(fileOf({ nodes: named, inputs: { first: [1] }, outputs: ['c19999'] }));
  const names = readModel(writeOnnx(graph)).graph!.node.map(({ name }) => name);
  assert.is(new Set(names).size, 20_000);
});

/** The outcome for a file; anything but a graph and the errors for files fails. */
function attempt(file: Uint8Array): Graph | Error {
  try {
    return readOnnx(file);
  } catch (error) {
    if (!(error instanceof FormatError || error instanceof UnsupportedError || error instanceof RangeError))
      throw error;
    if (error instanceof FormatError) assert.ok(error.offset >= 0 && error.offset <= file.length, error.message);
    return error;
  }
}

test('every prefix of a file is refused or read', () => {
  const file = new Uint8Array(readNetwork(SMALLEST));
  for (let length = 0; length < file.length; length++) attempt(file.subarray(0, length));
});

test('a message that ends anywhere within is refused or read', () => {
  const { graph, ...model } = modelOf({
    nodes: [
      { op: 'Conv', inputs: ['x', 'w'], outputs: ['c'], attributes: { pads: [1, 1, 1, 1], auto_pad: 'NOTSET' } },
      { op: 'Constant', inputs: [], outputs: ['k'], attributes: { value: floats('', [2], [1, 2]) } },
      { op: 'Clip', inputs: ['c'], outputs: ['y'] },
    ],
    initializers: [floats('w', [1, 3, 3, 3], new Array(27).fill(0.5))],
  });
  const head = writeModel(model as ModelProto);
  const whole = writeModel({ ...model, graph: graph! } as ModelProto);
  const body = graphBytes(whole);
  let read = 0;
  for (let length = 0; length <= body.length; length++) {
    const writer = new WireWriter();
    writer.tag(7, 2);
    writer.bytes(body.subarray(0, length));
    const part = writer.finish();
    const file = new Uint8Array(head.length + part.length);
    file.set(head);
    file.set(part, head.length);
    if (!(attempt(file) instanceof Error)) read++;
  }
  assert.is(read, 1);
});

/** The graph in the file of a model. */
function graphBytes(file: Uint8Array): Uint8Array {
  const reader = new WireReader(file);
  for (;;) {
    const { field, type } = reader.tag();
    if (field === 7) return reader.bytes();
    reader.skip(type);
  }
}

test('mutated files are refused or read, and what is read can be written', () => {
  const original = new Uint8Array(readNetwork(SMALLEST));
  const random = seededRandom(4);
  let read = 0;
  for (let i = 0; i < MUTATIONS; i++) {
    const file = original.slice();
    const changes = 1 + Math.floor(random() * 4);
    for (let j = 0; j < changes; j++) {
      // Half of the changes go to names and attributes, which are few bytes among the weights.
      const place = Math.floor(random() * (j % 2 === 0 ? file.length : 2000));
      const kind = random();
      if (kind < 0.4) file[place] = Math.floor(random() * 256);
      else if (kind < 0.6) file[place]! ^= 1 << Math.floor(random() * 8);
      else if (kind < 0.8) file.fill(0xff, place, place + 1 + Math.floor(random() * 9));
      else file.copyWithin(place, Math.floor(random() * file.length), Math.floor(random() * file.length));
    }
    const result = attempt(file);
    if (result instanceof Error) continue;
    read++;
    writeOnnx(result);
  }
  assert.ok(read > 0 && read < MUTATIONS, `${read} of ${MUTATIONS} were read`);
});

test('a file of empty messages is refused before it fills the memory', () => {
  const nodes = new Uint8Array(2_000_000);
  for (let i = 0; i < nodes.length; i += 2) nodes[i] = 0x0a;
  const writer = new WireWriter();
  writer.tag(7, 2);
  writer.bytes(nodes);
  assert.throws(() => readOnnx(writer.finish()), /more than 500000 messages/);
});

// Writing

function tensorOf(random: () => number, dims: number[], low = -1, high = 1): Tensor {
  return toTensor(randomNd(random, dims, low, high));
}

function normOf(random: () => number, channels: number, affine: boolean) {
  return {
    gamma: affine ? tensorOf(random, [channels], 0.5, 2) : undefined,
    beta: affine ? tensorOf(random, [channels]) : undefined,
    mean: tensorOf(random, [channels]),
    variance: tensorOf(random, [channels], 0.5, 2),
    eps: 1e-3,
  };
}

/** The outputs of a graph on its inputs. */
async function outputsOf(graph: Graph, feeds: Record<string, Tensor>): Promise<Tensor[]> {
  const session = await InferenceSession.create(graph, { reparameterize: false });
  const outputs = session.runSync(feeds);
  const copies = graph.outputs.map((name) => new Tensor('float32', outputs[name]!.data, outputs[name]!.dims));
  await session.release();
  return copies;
}

async function computesTheSame(graph: Graph, feeds: Record<string, Tensor>): Promise<ModelProto> {
  const file = writeOnnx(graph);
  const expected = await outputsOf(graph, feeds);
  const actual = await outputsOf(readOnnx(file), feeds);
  expected.forEach((tensor, i) => {
    assert.equal(actual[i]!.dims, tensor.dims);
    const error = relativeError(actual[i]!.data, tensor.data);
    assert.ok(error < 2e-6, `${graph.outputs[i]}: relative error ${error}`);
  });
  return readModel(file);
}

const window = (kernel: [number, number], pads: [number, number, number, number]) => ({
  kernel,
  stride: [1, 1] as const,
  dilation: [1, 1] as const,
  pads,
});

test('convolutions with ReLU, addend, parallel kernels and cropping', async () => {
  const random = seededRandom(1);
  for (const paddingMode of ['zeros', 'reflect', 'replicate', 'circular'] as PaddingMode[]) {
    for (const extras of [false, true]) {
      const conv = (kernel: [number, number], pads: [number, number, number, number]) => ({
        op: 'conv2d' as const,
        path: 'conv',
        layer: 'Conv2d',
        inputs: ['x'],
        output: 'c',
        weight: tensorOf(random, [4, 2, ...kernel]),
        bias: extras ? tensorOf(random, [4]) : undefined,
        window: window(kernel, pads),
        paddingMode,
        groups: 2,
      });
      const node: GraphNodeSpec = {
        ...conv([3, 3], [1, 1, 1, 1]),
        ...(extras && { inputs: ['x', 'z'], relu: true }),
        parallel: [conv([3, 1], [1, 0, 1, 0]), conv([1, 3], [0, 1, 0, 1])],
      };
      const cropped: GraphNodeSpec = {
        ...conv([1, 1], [-1, 0, 1, -2]),
        path: 'cropped',
        inputs: ['c'],
        output: 'y',
        parallel: [],
      };
      const graph = graphFrom({ inputs: ['x', 'z'], outputs: ['c', 'y'], nodes: [node, cropped] });
      const feeds = { x: tensorOf(random, [2, 4, 6, 5]), z: tensorOf(random, [2, 4, 6, 5]) };
      const model = await computesTheSame(graph, feeds);
      assert.is(model.opsetImport[0]!.version, paddingMode === 'circular' ? 19 : 13);
    }
  }
});

test('all other nodes', async () => {
  const random = seededRandom(2);
  const base = { path: '', layer: '' };
  const nodes: GraphNodeSpec[] = [
    {
      ...base,
      op: 'batchNorm',
      inputs: ['x', 'z'],
      output: 'a',
      norm: normOf(random, 4, true),
      momentum: undefined,
      relu: true,
    },
    { ...base, op: 'leakyRelu', inputs: ['z'], output: 'b', alpha: 0.3 },
    { ...base, op: 'clip', inputs: ['b'], output: 'c', alpha: -0.25, beta: 0.5 },
    { ...base, op: 'sigmoid', inputs: ['c'], output: 'd' },
    { ...base, op: 'hardSigmoid', inputs: ['z'], output: 'e', alpha: 0.3, beta: 0.4 },
    { ...base, op: 'hardSwish', inputs: ['z'], output: 'f' },
    { ...base, op: 'sub', inputs: ['d', 'e'], output: 'g', relu: true },
    { ...base, op: 'mul', inputs: ['g', 'k'], output: 'h' },
    { ...base, op: 'div', inputs: ['h', 'k'], output: 'i' },
    {
      ...base,
      op: 'maxPool2d',
      inputs: ['i'],
      output: 'j',
      window: { ...window([2, 2], [0, 0, 0, 0]), stride: [2, 2] },
      ceilMode: true,
      countIncludePad: false,
    },
    {
      ...base,
      op: 'avgPool2d',
      inputs: ['f'],
      output: 'l',
      window: window([3, 3], [1, 1, 1, 1]),
      ceilMode: false,
      countIncludePad: true,
    },
    { ...base, op: 'globalAvgPool2d', inputs: ['l'], output: 'm' },
    { ...base, op: 'globalMaxPool2d', inputs: ['a'], output: 'n' },
    { ...base, op: 'concat', inputs: ['m', 'n'], output: 'o', axis: 1 },
    { ...base, op: 'flatten', inputs: ['o'], output: 'p', axis: 1 },
    {
      ...base,
      op: 'linear',
      inputs: ['p', 'p'],
      output: 'q',
      weight: tensorOf(random, [8, 8]),
      bias: tensorOf(random, [8]),
      relu: true,
    },
    { ...base, op: 'softmax', inputs: ['q'], output: 'r', axis: -1 },
    { ...base, op: 'logSoftmax', inputs: ['l'], output: 's', axis: 1 },
    { ...base, op: 'unsqueeze', inputs: ['r'], output: 't', axes: [2] },
    { ...base, op: 'squeeze', inputs: ['t'], output: 'u', axes: [2] },
    { ...base, op: 'transpose', inputs: ['s'], output: 'v', permutation: [0, 2, 3, 1] },
    {
      ...base,
      op: 'slice',
      inputs: ['v'],
      output: 'w',
      axes: [1, 3],
      starts: [-1, 0],
      ends: [Number.MIN_SAFE_INTEGER, 3],
      steps: [-2, 1],
    },
    { ...base, op: 'pad', inputs: ['w'], output: 'aa', pads: [0, 1, 0, -1, 0, 0, 2, 0], mode: 'constant', value: 7 },
    { ...base, op: 'reduceMean', inputs: ['aa'], output: 'bb', axes: [2, 3], keepDims: false },
    { ...base, op: 'reshape', inputs: ['j'], output: 'cc', target: [{ value: 'r', axis: 0 }, 4, -1] },
    { ...base, op: 'matMul', inputs: ['cc', 'k2'], output: 'dd' },
    { ...base, op: 'identity', inputs: ['dd'], output: 'ee' },
  ];
  const graph = graphFrom({
    inputs: ['x', 'z'],
    outputs: nodes.map(({ output }) => output),
    nodes,
    constants: new Map([
      ['k', tensorOf(random, [4, 1, 1], 1, 2)],
      ['k2', tensorOf(random, [9, 2])],
    ]),
    inputDims: new Map([
      ['x', ['batch', 4, 6, 5]],
      ['z', ['batch', 4, 6, 5]],
    ]),
  });
  const feeds = { x: tensorOf(random, [2, 4, 6, 5]), z: tensorOf(random, [2, 4, 6, 5], -4, 4) };
  const model = await computesTheSame(graph, feeds);
  assert.is(model.opsetImport[0]!.version, 14);
  const names = model.graph!.node.map(({ name }) => name);
  assert.is(new Set(names).size, names.length);
  assert.equal(readOnnx(writeOnnx(graph)).inputDims, graph.inputDims);
});

test('a BatchNorm in training mode has no place in a file', () => {
  const node: GraphNodeSpec = {
    op: 'batchNorm',
    path: 'bn1',
    layer: 'BatchNorm2d',
    inputs: ['x'],
    output: 'y',
    norm: normOf(seededRandom(3), 2, true),
    momentum: 0.1,
  };
  assert.throws(
    () => writeOnnx(graphFrom({ inputs: ['x'], outputs: ['y'], nodes: [node] })),
    /BatchNorm "bn1" must be in evaluation mode/,
  );
});

test.run();
