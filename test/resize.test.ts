/** Resizing of images: ONNX's modes against the reference, ties, what is read and written, what is refused. */
import {
  createRuntime,
  type Graph,
  type GraphNode,
  InferenceSession,
  type Runtime,
  readOnnx,
  UnsupportedError,
  writeOnnx,
} from 'acnet-wasm';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { resize } from './arrayOracle.js';
import { fileOf, floats, integers, type ModelSpec, type NodeSpec } from './onnxModels.js';
import type { Nd } from './oracle.js';
import {
  type Build,
  randomNd,
  relativeError,
  sameBits,
  seededRandom,
  supportedBuilds,
  toTensor,
  withRuntime,
} from './support.js';

const MODES = ['nearest', 'linear'] as const;
const COORDINATES = ['half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric'] as const;
const ROUNDINGS = ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'] as const;
const TOLERANCE = 1e-6;

function graphOf(settings: object): Graph {
  const node = {
    op: 'resize',
    path: '',
    layer: 'Resize',
    inputs: ['x'],
    outputs: ['y'],
    ...settings,
  } as unknown as GraphNode;
  return { inputs: ['x'], outputs: ['y'], nodes: [node] };
}

async function run(runtime: Runtime, graph: Graph, x: Nd): Promise<{ data: Float64Array; dims: number[] }> {
  const session = await InferenceSession.create(graph, { runtime, reparameterize: false });
  const { y } = session.runSync({ x: toTensor(x) });
  const result = { data: Float64Array.from(y!.data), dims: [...y!.dims] };
  y!.dispose();
  await session.release();
  return result;
}

for (const simd of (await supportedBuilds()) as Build[]) {
  test(`${simd}: sizes and scales in every mode`, () =>
    withRuntime(simd, async (runtime) => {
      const { used } = runtime.memory;
      const arbitrary = fc.record({
        seed: fc.nat(2 ** 31 - 1),
        batch: fc.integer({ min: 1, max: 2 }),
        channels: fc.integer({ min: 1, max: 19 }),
        from: fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })),
        to: fc.tuple(fc.integer({ min: 1, max: 14 }), fc.integer({ min: 1, max: 14 })),
        scales: fc.option(fc.tuple(fc.constantFrom(0.5, 0.75, 1, 1.5, 2, 3), fc.constantFrom(0.25, 1, 1.25, 2, 2.5))),
        mode: fc.constantFrom(...MODES),
        coordinates: fc.constantFrom(...COORDINATES),
        rounding: fc.constantFrom(...ROUNDINGS),
      });
      const property = fc.asyncProperty(arbitrary, async ({ seed, batch, channels, from, to, scales, ...options }) => {
        const scaled = scales?.map((scale, axis) => Math.floor(from[axis]! * scale)) as [number, number] | undefined;
        const byScale = scales !== null && scaled !== undefined && !scaled.includes(0);
        const x = randomNd(seededRandom(seed), [batch, channels, ...from]);
        const graph = graphOf({ ...options, ...(byScale ? { target: [], scales } : { target: to }) });
        const actual = await run(runtime, graph, x);
        const expected = resize(x, byScale ? scaled : to, { ...options, ...(byScale && { scales }) });
        assert.equal(actual.dims, expected.dims);
        const error = relativeError(actual.data, expected.data);
        if (options.mode === 'nearest')
          assert.ok(sameBits(Float32Array.from(actual.data), Float32Array.from(expected.data)));
        else assert.ok(error <= TOLERANCE, `relative error ${error}`);
      });
      await fc.assert(property, { seed: 20190811, numRuns: 400, includeErrorInReport: true });
      assert.is(runtime.memory.used, used);
    }));
}

const ramp = (height: number, width: number): Nd => ({
  data: Float64Array.from({ length: height * width }, (_, i) => i),
  dims: [1, 1, height, width],
});

test('a scale that float32 had to round finds the pixel that is meant', async () => {
  const runtime = await createRuntime();
  const nearest = { mode: 'nearest', coordinates: 'asymmetric', rounding: 'floor', target: [] } as const;
  // 3 / float32(1/3) is less than 9 in float64; 10 times float32(0.7) is less than 7.
  const third = await run(runtime, graphOf({ ...nearest, scales: [1, 1 / 3] }), ramp(1, 12));
  assert.equal([...third.data], [0, 3, 6, 9]);
  const most = await run(runtime, graphOf({ ...nearest, scales: [1, 0.7] }), ramp(1, 10));
  assert.equal(most.dims, [1, 1, 1, 7]);
  runtime.dispose();
});

test('equal sizes give the image itself; infinities and NaN stay where they are', async () => {
  const runtime = await createRuntime();
  const x = { data: Float64Array.from([1, Number.NaN, 3, Number.POSITIVE_INFINITY, 5, 6]), dims: [1, 1, 2, 3] };
  for (const coordinates of COORDINATES) {
    const settings = { mode: 'nearest', coordinates, rounding: 'round_prefer_floor', target: [2, 3] };
    const same = await run(runtime, graphOf(settings), x);
    assert.ok(sameBits(Float32Array.from(same.data), Float32Array.from(x.data)), coordinates);
    const twice = await run(runtime, graphOf({ ...settings, target: [4, 6] }), x);
    assert.is(twice.data.filter((value) => Number.isNaN(value)).length > 0, true, coordinates);
  }
  runtime.dispose();
});

// Files

interface Read {
  readonly settings: object;
  readonly ops: string;
}

function read(spec: ModelSpec): Read {
  const { nodes } = readOnnx(fileOf(spec));
  const { op: _op, path: _path, layer: _layer, inputs: _inputs, outputs: _outputs, ...settings } = nodes.at(-1)!;
  return { settings, ops: nodes.map(({ op }) => op).join(' ') };
}

const BY_DEFAULT = { mode: 'nearest', coordinates: 'half_pixel', rounding: 'round_prefer_floor' };
const EARLY = { mode: 'linear', coordinates: 'asymmetric', rounding: 'floor', target: [], scales: [2, 3] };
const scales = floats('scales', [4], [1, 1, 2, 3]);

test('every form that a file may have', () => {
  const node = (op: string, inputs: string[], attributes: NodeSpec['attributes'] = {}): NodeSpec => ({
    op,
    inputs: ['x', ...inputs],
    outputs: ['y'],
    attributes,
  });
  const forms: readonly [object, ModelSpec][] = [
    [
      { ...BY_DEFAULT, target: [], scales: [2, 3] },
      { nodes: [node('Resize', ['', 'scales'])], initializers: [scales] },
    ],
    [
      { ...BY_DEFAULT, target: [5, 7] },
      {
        nodes: [node('Resize', ['roi', 'none', 'sizes'])],
        initializers: [floats('roi', [0], []), floats('none', [0], []), integers('sizes', [2, 3, 5, 7])],
        inputs: { x: [2, 3, 8, 8] },
        opset: 11,
      },
    ],
    [
      { mode: 'linear', coordinates: 'align_corners', rounding: 'ceil', target: [7, { value: 'x', axis: 3 }] },
      {
        nodes: [
          node('Resize', ['', '', 'sizes'], {
            mode: 'linear',
            coordinate_transformation_mode: 'align_corners',
            nearest_mode: 'ceil',
            axes: [-2],
          }),
        ],
        initializers: [integers('sizes', [7])],
        opset: 18,
      },
    ],
    [EARLY, { nodes: [node('Resize', ['scales'], { mode: 'linear' })], initializers: [scales], opset: 10 }],
    [EARLY, { nodes: [node('Upsample', ['scales'], { mode: 'linear' })], initializers: [scales], opset: 9 }],
    [EARLY, { nodes: [node('Upsample', [], { mode: 'linear', scales: { floats: [1, 1, 2, 3] } })], opset: 7 }],
  ];
  for (const [settings, spec] of forms) assert.equal(read(spec), { settings, ops: 'resize' }, JSON.stringify(settings));
});

/** F.interpolate(x, size=other.shape[2:]): sizes of the batch and channels of x, of height and width of another value. */
const LIKE_OTHER: ModelSpec = {
  nodes: [
    { op: 'Shape', inputs: ['x'], outputs: ['shape'] },
    { op: 'Slice', inputs: ['shape', 'zero', 'two'], outputs: ['first'] },
    { op: 'Shape', inputs: ['other'], outputs: ['otherShape'] },
    { op: 'Slice', inputs: ['otherShape', 'two', 'four'], outputs: ['last'] },
    { op: 'Concat', inputs: ['first', 'last'], outputs: ['sizes'], attributes: { axis: 0 } },
    { op: 'Resize', inputs: ['x', '', '', 'sizes'], outputs: ['y'], attributes: { mode: 'linear' } },
  ],
  initializers: [integers('zero', [0]), integers('two', [2]), integers('four', [4])],
  inputs: { x: ['N', 3, 'H', 'W'], other: ['N', 8, 'h', 'w'] },
};

test('sizes of another value, through a file and back', async () => {
  const runtime = await createRuntime();
  const graph = readOnnx(fileOf(LIKE_OTHER));
  const [node] = graph.nodes;
  const target = [2, 3].map((axis) => ({ value: 'other', axis }));
  assert.equal((node as { target?: unknown }).target, target);
  const again = readOnnx(writeOnnx(graph));
  assert.equal((again.nodes.at(-1) as { target?: unknown }).target, target);
  const x = randomNd(seededRandom(1), [2, 3, 4, 5]);
  const other = randomNd(seededRandom(2), [2, 8, 7, 3]);
  const expected = resize(x, [7, 3], { mode: 'linear', coordinates: 'half_pixel', rounding: 'round_prefer_floor' });
  for (const one of [graph, again]) {
    const session = await InferenceSession.create(one, { runtime });
    const { y } = session.runSync({ x: toTensor(x), other: toTensor(other) });
    assert.ok(relativeError(y!.data, expected.data) <= TOLERANCE);
    y!.dispose();
    await session.release();
  }
  runtime.dispose();
});

test('what has no place in a Graph is refused by name', () => {
  const refuses = (words: string, attributes: NodeSpec['attributes'], more: Partial<ModelSpec> = {}) => {
    const node = { op: 'Resize', inputs: ['x', '', 'scales'], outputs: ['y'], attributes };
    const spec = { nodes: [node], initializers: [scales], opset: 18, ...more } as ModelSpec;
    assert.throws(
      () => readOnnx(fileOf(spec)),
      (error: Error) => error instanceof UnsupportedError && error.message.includes(words),
      words,
    );
  };
  refuses('mode "cubic"', { mode: 'cubic' });
  refuses('coordinate_transformation_mode "tf_crop_and_resize"', {
    coordinate_transformation_mode: 'tf_crop_and_resize',
  });
  refuses('nearest_mode "up"', { nearest_mode: 'up' });
  refuses('antialias', { antialias: 1 });
  refuses('keep_aspect_ratio_policy "not_larger"', { keep_aspect_ratio_policy: 'not_larger' });
  refuses('batch or channels', {}, { initializers: [floats('scales', [4], [1, 2, 2, 2])] });
  refuses('rank 3', {}, { inputs: { x: [1, 2, 3] } });
});

test('a node that makes no sense is refused before it runs', async () => {
  const base = { ...BY_DEFAULT, target: [2, 2] };
  const refuses = async (settings: object, words: string) => {
    try {
      await InferenceSession.create(graphOf({ ...base, ...settings }));
    } catch (error) {
      assert.instance(error, RangeError);
      assert.ok((error as Error).message.includes(words), `${error}`);
      return;
    }
    assert.unreachable(words);
  };
  await refuses({ mode: 'cubic' }, 'mode must be one of "nearest", "linear"');
  await refuses({ coordinates: 'half' }, 'coordinates must be one of');
  await refuses({ rounding: 'up' }, 'rounding must be one of');
  await refuses({ target: [2] }, 'a target of two sizes');
  await refuses({ scales: [2, 2] }, 'a target of two sizes');
  await refuses({ target: [], scales: [2, 0] }, 'a target of two sizes');
});

test.run();
