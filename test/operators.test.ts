/**
 * Operators that ONNX's node tests (onnxNodes.test.ts) leave open: forms of transposed convolutions beside a naive one,
 * functions at their corners, what sessions compute from the dims of their inputs.
 */
import { createRuntime, InferenceSession, readOnnx, Tensor, UnsupportedError, writeOnnx } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fileOf, floats, integers, type ModelSpec } from './onnxModels.js';
import { randomNd, relativeError, sameBits, seededRandom, supportedBuilds } from './support.js';

const BUILDS = await supportedBuilds();

async function run(bytes: Uint8Array, x: Tensor, build = BUILDS[0]!): Promise<Tensor> {
  const runtime = await createRuntime({ simd: build });
  const session = await InferenceSession.create(bytes, { runtime });
  const { y } = session.runSync({ x });
  await session.release();
  runtime.dispose();
  return y!;
}

interface Transposed {
  readonly groups: number;
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly pads: readonly [number, number, number, number];
  readonly extra: readonly [number, number];
}

/** Each input pixel times the kernel, added where it falls. */
function transposedConv(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  how: Transposed,
): { data: Float64Array; dims: number[] } {
  const { groups, kernel, stride, dilation, pads, extra } = how;
  const [batch, channels, height, width] = x.dims as [number, number, number, number];
  const perGroup = weight.dims[1]!;
  const out = perGroup * groups;
  const size = (i: 0 | 1) =>
    stride[i] * (x.dims[2 + i]! - 1) + extra[i] + dilation[i] * (kernel[i] - 1) + 1 - pads[i] - pads[2 + i]!;
  const [outHeight, outWidth] = [size(0), size(1)];
  const data = Float64Array.from({ length: batch * out * outHeight * outWidth }, (_, i) => {
    return bias.data[Math.floor(i / (outHeight * outWidth)) % out]!;
  });
  for (let n = 0; n < batch; n++) {
    for (let c = 0; c < channels; c++) {
      for (let m = 0; m < perGroup; m++) {
        const channel = Math.floor(c / (channels / groups)) * perGroup + m;
        for (let i = 0; i < height * width * kernel[0] * kernel[1]; i++) {
          const [kx, ky] = [i % kernel[1], Math.floor(i / kernel[1]) % kernel[0]];
          const pixel = Math.floor(i / kernel[1] / kernel[0]);
          const [col, row] = [pixel % width, Math.floor(pixel / width)];
          const y = row * stride[0] + ky * dilation[0] - pads[0];
          const z = col * stride[1] + kx * dilation[1] - pads[1];
          if (y < 0 || y >= outHeight || z < 0 || z >= outWidth) continue;
          const tap = weight.data[((c * perGroup + m) * kernel[0] + ky) * kernel[1] + kx]!;
          data[((n * out + channel) * outHeight + y) * outWidth + z]! +=
            tap * x.data[((n * channels + c) * height + row) * width + col]!;
        }
      }
    }
  }
  return { data, dims: [batch, out, outHeight, outWidth] };
}

for (const build of BUILDS) {
  test(`${build}: transposed convolutions`, async () => {
    const random = seededRandom(11);
    const whole = (low: number, high: number) => low + Math.floor(random() * (high - low + 1));
    const tensor = (dims: readonly number[]) =>
      new Tensor('float32', Float32Array.from(randomNd(random, dims).data), dims);
    const runtime = await createRuntime({ simd: build });
    for (let i = 0; i < 60; i++) {
      const groups = whole(1, 3);
      const [inPerGroup, perGroup] = [whole(1, 3), whole(1, 5)];
      const stride = [whole(1, 3), whole(1, 3)] as const;
      const dilation = random() < 0.7 ? ([1, 1] as const) : ([whole(1, 3), whole(1, 2)] as const);
      const kernel = [whole(1, 5), whole(1, 4)] as const;
      const extra = [whole(0, stride[0] - 1), whole(0, stride[1] - 1)] as const;
      const most = [0, 1].map((axis) => Math.min(3, dilation[axis]! * (kernel[axis]! - 1)));
      const pads = [whole(0, most[0]!), whole(0, most[1]!), whole(0, most[0]!), whole(0, most[1]!)] as const;
      const how = { groups, kernel, stride, dilation, pads, extra };
      const [x, weight, bias] = [
        tensor([whole(1, 2), groups * inPerGroup, whole(3, 6), whole(3, 7)]),
        tensor([groups * inPerGroup, perGroup, ...kernel]),
        tensor([groups * perGroup]),
      ] as const;
      const expected = transposedConv(x, weight, bias, how);
      if (expected.dims.some((dim) => dim < 1)) continue;
      const attributes = {
        strides: [...stride],
        dilations: [...dilation],
        pads: [...pads],
        output_padding: [...extra],
        group: groups,
      };
      const graph = readOnnx(
        fileOf({
          nodes: [{ op: 'ConvTranspose', inputs: ['x', 'w', 'b'], outputs: ['y'], attributes }],
          initializers: [floats('w', weight.dims, [...weight.data]), floats('b', bias.dims, [...bias.data])],
          inputs: { x: ['N', groups * inPerGroup, 'H', 'W'] },
        }),
      );
      for (const one of [graph, readOnnx(writeOnnx(graph))]) {
        const session = await InferenceSession.create(one, { runtime });
        const { y } = session.runSync({ x });
        assert.equal([...y!.dims], expected.dims, JSON.stringify(how));
        assert.ok(relativeError(y!.data, expected.data) < 1e-5, JSON.stringify(how));
        await session.release();
      }
    }
    runtime.dispose();
  });
}

const CORNERS = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -2.5,
  1e-6,
  -1e-6,
  3,
  -3,
  9,
  -9,
  30,
  -30,
  90,
  -90,
  1e4,
  -1e4,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
];

/** By double precision, with erf by its series or its continued fraction. */
function erf(x: number): number {
  const z = Math.abs(x);
  if (Number.isNaN(x) || z > 6) return Number.isNaN(x) ? x : Math.sign(x);
  let [term, sum] = [z, z];
  for (let n = 1; n < 200; n++) {
    term *= (2 * z * z) / (2 * n + 1);
    sum += term;
  }
  return Math.sign(x) * ((2 / Math.sqrt(Math.PI)) * Math.exp(-z * z) * sum);
}

const FUNCTIONS: Readonly<Record<string, (x: number) => number>> = {
  Exp: Math.exp,
  Log: Math.log,
  Tanh: Math.tanh,
  Erf: (x) => erf(x) || x * 0,
  Sqrt: Math.sqrt,
  Reciprocal: (x) => 1 / x,
  Abs: Math.abs,
  Neg: (x) => -x,
  Floor: Math.floor,
  Ceil: Math.ceil,
  Sign: Math.sign,
  Round: (x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x)),
  Softplus: (x) => (x > 40 ? x : Math.log1p(Math.exp(x))),
  Softsign: (x) => x / (1 + Math.abs(x)),
  Mish: (x) => (x > 40 ? x : x === Number.NEGATIVE_INFINITY ? 0 : x * Math.tanh(Math.log1p(Math.exp(x)))),
  Elu: (x) => (x > 0 ? x : Math.expm1(x)),
  ThresholdedRelu: (x) => (x > 1 || Number.isNaN(x) ? x : 0),
};

test('functions at their corners, the same bits in both builds', async () => {
  for (const [op, f] of Object.entries(FUNCTIONS)) {
    const bytes = fileOf({
      nodes: [{ op, inputs: ['x'], outputs: ['y'] }],
      inputs: { x: [CORNERS.length] },
      opset: 18,
    });
    const x = new Tensor('float32', CORNERS, [CORNERS.length]);
    const results = await Promise.all(BUILDS.map((build) => run(bytes, x, build)));
    for (const { data } of results) assert.ok(sameBits(data, results[0]!.data), op);
    CORNERS.forEach((corner, i) => {
      const [got, expected] = [results[0]!.data[i]!, Math.fround(f(Math.fround(corner)))];
      const isRight =
        Object.is(got + 0, expected + 0) || Math.abs(got - expected) <= 2.5e-7 * Math.abs(expected) + 1e-38;
      // Softsign of infinity is NaN by its formula.
      assert.ok(isRight || Number.isNaN(expected), `${op}(${corner}) is ${got}, expected ${expected}`);
    });
  }
});

/** y = x + [0, 1, ..., height - 1] down, which only the height says. */
const ROWS: ModelSpec = {
  nodes: [
    { op: 'Shape', inputs: ['x'], outputs: ['shape'] },
    { op: 'Gather', inputs: ['shape', 'two'], outputs: ['height'] },
    { op: 'Range', inputs: ['zero', 'height', 'one'], outputs: ['rows'] },
    { op: 'Cast', inputs: ['rows'], outputs: ['floats'], attributes: { to: 1 } },
    { op: 'Unsqueeze', inputs: ['floats', 'axes'], outputs: ['column'] },
    { op: 'Add', inputs: ['x', 'column'], outputs: ['y'] },
  ],
  initializers: [integers('zero', [0], []), integers('one', [1], []), integers('two', [2], []), integers('axes', [1])],
  inputs: { x: ['N', 1, 'H', 2] },
};

test('what follows from sizes that a file leaves open is computed for each of them', async () => {
  const bytes = fileOf(ROWS);
  assert.throws(
    () => readOnnx(bytes),
    (error: Error) => error instanceof UnsupportedError && /an InferenceSession knows all sizes/.test(error.message),
  );
  const runtime = await createRuntime();
  const session = await InferenceSession.create(bytes, { runtime });
  for (const height of [3, 3, 5, 1]) {
    const x = new Tensor('float32', new Float32Array(2 * height), [1, 1, height, 2]);
    const { y } = session.runSync({ x });
    assert.equal(
      [...y!.data],
      Array.from({ length: 2 * height }, (_, i) => Math.floor(i / 2)),
    );
  }
  await session.release();
  runtime.dispose();
});

test('what is unsupported whatever the sizes are is refused when the session is made', async () => {
  const nodes = [...ROWS.nodes, { op: 'Loop', inputs: ['x'], outputs: ['z'] }];
  let message = '';
  await InferenceSession.create(fileOf({ ...ROWS, nodes, outputs: ['y', 'z'] })).catch((error: Error) => {
    message = error.message;
  });
  assert.match(message, /Loop "z"/);
});

test.run();
