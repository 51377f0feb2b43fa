/**
 * InferenceSession: what it is made from, progress and abort, that it leaves nothing behind, and that it is used like
 * onnxruntime-web's.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { pathToFileURL } from 'node:url';
import {
  ACBlock,
  Add,
  BatchNorm2d,
  Conv2d,
  createRuntime,
  Flatten,
  FormatError,
  type Graph,
  InferenceSession,
  Linear,
  type ModelSource,
  OutOfMemoryError,
  type ProgressEvent,
  ReLU,
  type Runtime,
  readOnnx,
  reparameterize,
  Sequential,
  Tensor,
  type TensorMetadata,
  toChromeTrace,
  toGraph,
  UnsupportedError,
  writeOnnx,
  writeSafetensors,
} from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bytesOfFile, casesOf, NETWORKS, onnxOf, pthFile } from './networkFixtures.js';
import { fileOf, floats, type ModelSpec } from './onnxModels.js';
import { randomNd, relativeError, sameBits, seededRandom, toTensor, withRuntime } from './support.js';

const network = NETWORKS[2]!;
const MODEL = onnxOf(network);
const { input: INPUT, output: OUTPUT } = casesOf(network);
const random = seededRandom(4);

async function rejects(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected an error');
}

/** The error, which must be of this class with this message. */
async function refuses(promise: Promise<unknown>, expected: new (...args: never[]) => Error, message: RegExp) {
  const error = await rejects(promise);
  assert.instance(error, expected, `${error}`);
  assert.match(error.message, message);
}

async function checkResult(session: InferenceSession): Promise<void> {
  const results = await session.run({ [session.inputNames[0]!]: INPUT });
  assert.ok(relativeError(results[session.outputNames[0]!]!.data, OUTPUT.data) < 1e-5);
}

async function withServer(listener: RequestListener, body: (origin: string) => Promise<void>): Promise<void> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await body(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

// Sources

test('bytes, ArrayBuffer, Graph', () =>
  withRuntime('baseline', async (runtime) => {
    for (const source of [MODEL, MODEL.slice().buffer, readOnnx(MODEL), Buffer.from(MODEL)]) {
      const session = await InferenceSession.create(source, { runtime });
      await checkResult(session);
      await session.release();
    }
  }));

test('paths, file URLs, data URLs', async () => {
  const folder = mkdtempSync(`${tmpdir()}/session-`);
  try {
    const path = `${folder}/a model:1.onnx`;
    writeFileSync(path, MODEL);
    const data = `data:application/octet-stream;base64,${Buffer.from(MODEL).toString('base64')}`;
    for (const source of [path, pathToFileURL(path), pathToFileURL(path).href, data]) {
      const events: ProgressEvent[] = [];
      const session = await InferenceSession.create(source, { onProgress: (event) => events.push(event) });
      await checkResult(session);
      await session.release();
      const loads = events.filter(({ phase }) => phase === 'load');
      assert.is(loads[0]!.loaded, 0);
      assert.is(loads.at(-1)!.loaded, MODEL.length);
    }
    await refuses(InferenceSession.create(`${folder}/none.onnx`), Error, /none\.onnx/);
    await refuses(InferenceSession.create(folder), Error, /EISDIR/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('HTTP: progress in bytes, with and without a length', () =>
  withServer(
    (request, response) => {
      if (request.url === '/known') response.setHeader('content-length', MODEL.length);
      response.write(MODEL.subarray(0, 1000));
      setTimeout(() => response.end(MODEL.subarray(1000)), 20);
    },
    async (origin) => {
      for (const [path, total] of [
        ['known', MODEL.length],
        ['unknown', undefined],
      ] as const) {
        const events: ProgressEvent[] = [];
        const session = await InferenceSession.create(new URL(`${origin}/${path}`), {
          onProgress: (event) => events.push(event),
        });
        await checkResult(session);
        await session.release();
        const loads = events.filter(({ phase }) => phase === 'load');
        assert.ok(loads.length >= 3 && loads.every((event, i) => i === 0 || event.loaded > loads[i - 1]!.loaded));
        assert.ok(loads.every((event) => event.total === total));
        assert.is(loads.at(-1)!.loaded, MODEL.length);
        const others = events.filter(({ phase }) => phase !== 'load');
        assert.equal(
          others.map(({ phase, loaded, total }) => `${phase} ${loaded}/${total}`),
          ['read 0/1', 'read 1/1', 'merge 0/1', 'merge 1/1', 'plan 0/1', 'plan 1/1'],
        );
      }
    },
  ));

test('HTTP errors name the URL and the status', () =>
  withServer(
    (_, response) => {
      response.statusCode = 404;
      response.end('no such thing');
    },
    async (origin) => {
      await refuses(InferenceSession.create(`${origin}/m.onnx`), Error, /\/m\.onnx cannot be loaded: HTTP status 404/);
    },
  ));

test('a server that does not answer is named', () =>
  withServer(
    (_, response) => response.destroy(),
    async (origin) => {
      await refuses(InferenceSession.create(`${origin}/m.onnx`), Error, /\/m\.onnx cannot be loaded: /);
    },
  ));

test('weights without a graph are refused with a hint', async () => {
  for (const [bytes, format] of [
    [pthFile(), /zip archive/],
    [bytesOfFile(network.weights), /safetensors/],
    [writeSafetensors({}), /safetensors/],
    [new Uint8Array([0x80, 2, 0x8a, 10, 0x6c]), /pickle/],
  ] as const) {
    await refuses(InferenceSession.create(bytes), FormatError, format);
    await refuses(InferenceSession.create(bytes), FormatError, /loadStateDict\(readCheckpoint\(bytes\)\)/);
  }
});

test('wrong sources and options', async () => {
  for (const source of [undefined, null, 7, {}, [], new Float32Array(4), { nodes: 1 }]) {
    await refuses(InferenceSession.create(source as never), TypeError, /source must be an ONNX file's bytes/);
  }
  for (const [options, message] of [
    [null, /options must be an object/],
    [{ reparametrize: false }, /unknown option reparametrize; there are runtime, reparameterize, onProgress, signal/],
    [{ reparameterize: 'no' }, /reparameterize must be true or false/],
    [{ onProgress: true }, /onProgress must be a function/],
    [{ signal: true }, /signal must be an AbortSignal/],
    [{ runtime: {} }, /runtime must come from createRuntime/],
  ] as const) {
    await refuses(InferenceSession.create(MODEL, options as never), TypeError, message);
  }
  const disposed = await createRuntime();
  disposed.dispose();
  await refuses(InferenceSession.create(MODEL, { runtime: disposed }), TypeError, /the runtime is disposed/);
  await refuses(InferenceSession.create(new Uint8Array()), FormatError, /readOnnx/);
  const lost: Graph = { inputs: ['x'], outputs: ['y'], nodes: [] };
  await refuses(InferenceSession.create(lost), RangeError, /list of outputs reads y/);
});

// Layers

function block(runtime: Runtime) {
  return new Sequential(runtime, {
    block: new ACBlock(runtime, { inChannels: 3, outChannels: 5, kernelSize: 3, padding: 1 }),
    relu: new ReLU(runtime),
  });
}

test('a layer: its function as it was then, whatever becomes of it', () =>
  withRuntime('baseline', async (runtime) => {
    const net = block(runtime);
    const x = toTensor(randomNd(random, [2, 3, 6, 7]));
    // Statistics that are not 0 and 1.
    net.forward(x).dispose();
    net.eval();
    const expected = net.forward(x);
    for (const reparameterize of [false, true]) {
      const sessions = [
        await InferenceSession.create(net, { reparameterize }),
        await InferenceSession.create(net, { runtime: await createRuntime(), reparameterize }),
      ];
      const train = net.stateDict();
      net.loadStateDict(
        Object.fromEntries(
          Object.entries(train).map(([k, t]) => [
            k,
            new Tensor(
              'float32',
              t.data.map(() => 1),
              t.dims,
            ),
          ]),
        ),
      );
      for (const session of sessions) {
        assert.equal([session.inputNames, session.outputNames], [['input'], ['output']]);
        const { output } = session.runSync({ input: x });
        assert.ok(relativeError(output!.data, expected.data) < 1e-5);
        const ops = session.profile({ input: x }).filter(({ op }) => op === 'conv2d');
        assert.is(ops.length, 1);
        await session.release();
      }
      net.loadStateDict(train);
    }
    net.dispose();
    expected.dispose();
  }));

test("weights packed from JavaScript's memory are those packed from the runtime's", () =>
  withRuntime('baseline', async (runtime) => {
    const cases = [
      ['gemm', 20, 200, 1],
      ['gemm', 60, 129, 3],
      ['gemm', 5, 200, 1],
      ['gemm', 6, 129, 3],
      ['winogradF4x4K3', 5, 3, 1],
      ['winogradF4x4K3', 6, 200, 1],
      ['winogradF2x2K3', 6, 200, 1],
      ['depthwise', 70, 70, 70],
    ] as const;
    for (const [algorithm, inChannels, outChannels, groups] of cases) {
      const options = { inChannels, outChannels, kernelSize: 3, padding: 1, groups, algorithm };
      const layers = {
        conv: new Conv2d(runtime, { ...options, bias: false }),
        norm: new BatchNorm2d(runtime, { numFeatures: outChannels }),
      };
      const net = new Sequential(runtime, layers);
      const x = toTensor(randomNd(random, [2, inChannels, 7, 9]));
      net.forward(x).dispose();
      const expected = net.eval().forward(x);
      const session = await InferenceSession.create(net, { reparameterize: false });
      const name = `${algorithm} ${inChannels} to ${outChannels} in ${groups} groups`;
      assert.ok(sameBits(session.runSync({ input: x }).output!.data, expected.data), name);
      await session.release();
      for (const thing of [expected, net]) thing.dispose();
    }
  }));

test('a layer in training mode is refused', () =>
  withRuntime('baseline', async (runtime) => {
    const net = block(runtime);
    await refuses(InferenceSession.create(net), TypeError, /Sequential is in training mode, call eval\(\) first/);
    net.eval();
    const half = new Sequential(runtime, { net }).eval();
    net.train();
    await refuses(InferenceSession.create(half), TypeError, /\(net\.block\) is in training mode, call eval\(\) first/);
    half.dispose();
    await refuses(InferenceSession.create(half), TypeError, /disposed/);
  }));

test('toGraph: names, several inputs', () =>
  withRuntime('baseline', async (runtime) => {
    const add = new Add(runtime).eval();
    const graph = toGraph(add);
    assert.equal([graph.inputs, graph.outputs], [['input0', 'input1'], ['output']]);
    const session = await InferenceSession.create(add);
    const x = toTensor(randomNd(random, [2, 3]));
    assert.equal([...session.runSync({ input0: x, input1: x }).output!.data], [...x.data.map((value) => 2 * value)]);
    await session.release();
    assert.throws(() => toGraph({} as never), /toGraph: layer must be a layer/);
  }));

// Abort and errors

test('an aborted signal ends it with its reason, at every phase', () =>
  withRuntime('baseline', async (runtime) => {
    const reason = new Error('enough');
    const before = AbortSignal.abort(reason);
    assert.is(await rejects(InferenceSession.create(MODEL, { runtime, signal: before })), reason);
    for (const at of ['read', 'merge', 'plan']) {
      for (const loaded of [0, 1]) {
        const controller = new AbortController();
        const onProgress = (event: ProgressEvent): void => {
          if (event.phase === at && event.loaded === loaded) controller.abort(reason);
        };
        for (const options of [{ runtime }, {}]) {
          const create = InferenceSession.create(MODEL, { ...options, onProgress, signal: controller.signal });
          assert.is(await rejects(create), reason, `${at} ${loaded}`);
        }
        assert.is(runtime.memory.used, 0);
      }
    }
  }));

test('a download is aborted while it waits, and while bytes arrive', () =>
  withServer(
    (request, response) => {
      if (request.url === '/never') return;
      response.write(MODEL.subarray(0, 100));
    },
    async (origin) => {
      for (const path of ['never', 'slow']) {
        const controller = new AbortController();
        const reason = { why: path };
        setTimeout(() => controller.abort(reason), 50);
        const start = performance.now();
        assert.is(await rejects(InferenceSession.create(`${origin}/${path}`, { signal: controller.signal })), reason);
        assert.ok(performance.now() - start < 5000);
      }
    },
  ));

test('a file is aborted', async () => {
  const folder = mkdtempSync(`${tmpdir()}/session-`);
  try {
    writeFileSync(`${folder}/m.onnx`, MODEL);
    const controller = new AbortController();
    const onProgress = ({ phase }: ProgressEvent): void => (phase === 'load' ? controller.abort('stop') : undefined);
    const create = InferenceSession.create(`${folder}/m.onnx`, { onProgress, signal: controller.signal });
    assert.is(await rejects(create), 'stop');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('other tasks get their turn between phases', async () => {
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  const session = await InferenceSession.create(MODEL);
  clearInterval(timer);
  await session.release();
  assert.ok(turns >= 2, `${turns} turns`);
});

test('no memory: an error, and nothing stays in use', async () => {
  const runtime = await createRuntime({ maximumMemory: 65536 * 12 });
  const wide = new Conv2d(await createRuntime(), {
    inChannels: 128,
    outChannels: 256,
    kernelSize: 3,
    padding: 1,
  }).eval();
  const graph = { ...toGraph(wide), inputDims: new Map([['input', ['N', 128, 8, 8]]]) };
  await refuses(InferenceSession.create(graph, { runtime }), OutOfMemoryError, /out of memory/);
  assert.is(runtime.memory.used, 0);
  runtime.dispose();
});

test('dims that cannot be are an error at once, unless it is the batch', async () => {
  const reshape: ModelSpec = {
    nodes: [{ op: 'Reshape', inputs: ['x', 'shape'], outputs: ['y'] }],
    initializers: [{ ...floats('shape', [2], []), dataType: 7, int64Data: [4, 3], floatData: [] }],
  };
  const fixed = fileOf({ ...reshape, inputs: { x: [2, 3] } });
  await refuses(InferenceSession.create(fixed), RangeError, /x|y/);
  const session = await InferenceSession.create(fileOf({ ...reshape, inputs: { x: ['N', 3] } }));
  assert.equal([...session.runSync({ x: toTensor(randomNd(random, [4, 3])) }).y!.dims], [4, 3]);
  await session.release();
});

// Running

test('weights are packed by create: the first run takes nothing that stays', () =>
  withRuntime('baseline', async (runtime) => {
    const session = await InferenceSession.create(MODEL, { runtime });
    const { used } = runtime.memory;
    assert.ok(used > 0);
    const one = new Tensor('float32', INPUT.data.slice(0, INPUT.size / 4), [1, ...INPUT.dims.slice(1)]);
    await session.run({ [session.inputNames[0]!]: one });
    assert.is(runtime.memory.used, used);
    await session.release();
  }));

test("results are in JavaScript's memory; runs take nothing", () =>
  withRuntime('baseline', async (runtime) => {
    const session = await InferenceSession.create(MODEL, { runtime });
    const feeds = { [session.inputNames[0]!]: INPUT };
    const kept = session.runSync(feeds);
    const { used, reserved } = runtime.memory;
    for (let i = 0; i < 300; i++) await session.run(feeds);
    assert.is(runtime.memory.used, used);
    assert.is(runtime.memory.reserved, reserved);
    await session.release();
    const data = kept[session.outputNames[0]!]!.data;
    assert.is(data, kept[session.outputNames[0]!]!.data);
    assert.ok(relativeError(data, OUTPUT.data) < 1e-5);
  }));

test('feeds and fetches are checked; the session works on', () =>
  withRuntime('baseline', async (runtime) => {
    const session = await InferenceSession.create(MODEL, { runtime });
    const [name, result] = [session.inputNames[0]!, session.outputNames[0]!];
    await refuses(session.run(null as never), TypeError, /feeds must be an object/);
    await refuses(session.run({}), RangeError, new RegExp(`feeds lack ${name}`));
    await refuses(session.run({ [name]: INPUT, z: INPUT }), RangeError, /there is no input z; the inputs are/);
    await refuses(session.run({ [name]: INPUT.data as never }), TypeError, /must be a Tensor/);
    const wide = toTensor(randomNd(random, [1, 4, 32, 32]));
    await refuses(session.run({ [name]: wide }), RangeError, /channels/);
    await refuses(
      session.run({ [name]: INPUT }, ['nothing']),
      RangeError,
      /there is no output nothing; the outputs are/,
    );
    assert.equal(Object.keys(await session.run({ [name]: INPUT }, [result])), [result]);
    assert.equal(Object.keys(await session.run({ [name]: INPUT }, { logSeverityLevel: 3 } as never)), [result]);
    await checkResult(session);
    await session.release();
    await session.release();
    await refuses(session.run({ [name]: INPUT }), TypeError, /session is released/);
    assert.throws(() => session.profile({ [name]: INPUT }), /session is released/);
  }));

test("a session's own runtime ends with it; a given one stays", async () => {
  const runtime = await createRuntime();
  const session = await InferenceSession.create(MODEL, { runtime });
  await session.release();
  assert.is(runtime.memory.used, 0);
  assert.ok(runtime.memory.reserved > 0);
  const other = await InferenceSession.create(MODEL, { runtime });
  runtime.dispose();
  await refuses(other.run({ [other.inputNames[0]!]: INPUT }), TypeError, /runtime is disposed/);
  await other.release();
});

// Parameters that are inputs

const WITH_PARAMETERS: ModelSpec = {
  nodes: [
    { op: 'Conv', inputs: ['x', 'w', 'b'], outputs: ['c'], name: 'conv1' },
    { op: 'Reshape', inputs: ['c', 'shape'], outputs: ['y'] },
  ],
  inputs: { w: [2, 3, 1, 1], x: ['N', 3, 8, 8], shape: [2] },
  inputTypes: { shape: 7 },
  initializers: [floats('b', [2], [1, 2])],
};

test('weights and shapes as inputs: bound when they come, again when they change', () =>
  withRuntime('baseline', async (runtime) => {
    const bytes = fileOf(WITH_PARAMETERS);
    const session = await InferenceSession.create(bytes, { runtime });
    // What was read is the session's own.
    bytes.fill(0);
    assert.equal([...session.inputNames], ['w', 'x', 'shape']);
    const x = toTensor(randomNd(random, [2, 3, 8, 8]));
    const w = new Tensor('float32', [1, 0, 0, 0, 1, 0], [2, 3, 1, 1]);
    const run = (values: readonly number[], weight = w) =>
      session.runSync({ x, w: weight, shape: new Tensor('float32', values, [values.length]) }).y!;
    const plane = (n: number, c: number) => x.data.slice((n * 3 + c) * 64, (n * 3 + c + 1) * 64);
    const rows = run([2, 128]);
    assert.equal([...rows.dims], [2, 128]);
    assert.equal([...rows.data.slice(0, 64)], [...plane(0, 0).map((v) => v + 1)]);
    const { used } = runtime.memory;
    for (let i = 0; i < 20; i++) run([2, 128]);
    assert.is(runtime.memory.used, used, 'the same values are bound once');
    assert.equal([...run([4, -1]).dims], [4, 64]);
    assert.equal([...run([0, 2, 64]).dims], [2, 2, 64]);
    // The caller's tensor may be written to.
    w.data.set([0, 0, 1, 1, 0, 0]);
    assert.equal([...run([2, 128]).data.slice(0, 64)], [...plane(0, 2).map((v) => v + 1)]);
    const resident = w.to(runtime);
    assert.ok(sameBits(run([2, 128], resident).data, run([2, 128]).data));
    resident.dispose();
    await refuses((async () => run([5, 7]))(), RangeError, /./);
    await refuses((async () => run([0.5, 7]))(), RangeError, /whole/);
    assert.equal([...run([2, 128]).dims], [2, 128]);
    assert.throws(
      () => session.profile(),
      /feeds must be given for w, x, shape, as the model does not declare the dims of all/,
    );
    assert.ok(session.profile({ x, w, shape: new Tensor('float32', [2, 128], [2]) }).length > 0);
    await session.release();
  }));

test('a model that cannot be built with its parameters says so when it runs', async () => {
  const cast = { op: 'Cast', inputs: ['y'], outputs: ['z'], attributes: { to: 10 } };
  const spec = { ...WITH_PARAMETERS, nodes: [...WITH_PARAMETERS.nodes, cast] };
  const session = await InferenceSession.create(fileOf({ ...spec, outputs: ['z'] }));
  const feeds = {
    x: toTensor(randomNd(random, [1, 3, 8, 8])),
    w: toTensor(randomNd(random, [2, 3, 1, 1])),
    shape: new Tensor('float32', [1, 128], [2]),
  };
  await refuses(session.run(feeds), UnsupportedError, /Cast "z" \(a cast to FLOAT16\)/);
  await session.release();
});

// Profile

test('profile: every step, its share, its multiply-adds; the trace adds up', () =>
  withRuntime('baseline', async (runtime) => {
    for (const [reparameterize, convolutions] of [
      [true, 3],
      [false, 3],
    ] as const) {
      const session = await InferenceSession.create(MODEL, { runtime, reparameterize });
      const steps = session.profile(undefined, { runs: 3 });
      const convs = steps.filter(({ op }) => op === 'conv2d');
      assert.is(convs.length, convolutions);
      assert.ok(convs.every(({ algorithm, dims }) => algorithm !== undefined && dims[0] === 1 && dims.length === 4));
      // 5 x 5 with 3 inputs on 32 x 32; with branches 35 taps instead of 25.
      const taps = reparameterize ? 25 : 35;
      assert.is(convs[0]!.multiplyAdds, 32 * 32 * 8 * 3 * taps);
      assert.ok(steps.every(({ milliseconds, share }) => milliseconds >= 0 && share >= 0 && share <= 1));
      const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
      assert.ok(Math.abs(sum(steps.map(({ share }) => share)) - 1) < 1e-9);
      const { traceEvents } = JSON.parse(JSON.stringify(toChromeTrace(steps))) as ReturnType<typeof toChromeTrace>;
      assert.is(traceEvents.length, steps.length);
      traceEvents.forEach(({ name, cat, ph, ts, dur }, i) => {
        const { path, output, op, milliseconds } = steps[i]!;
        assert.equal([name, cat, ph], [path || output, op, 'X']);
        assert.ok(Math.abs(dur - milliseconds * 1000) < 1e-9);
        const end = i === 0 ? 0 : traceEvents[i - 1]!.ts + traceEvents[i - 1]!.dur;
        assert.ok(Math.abs(ts - end) < 1e-6);
      });
      for (const runs of [0, 1.5, Number.NaN, '3']) {
        assert.throws(() => session.profile(undefined, { runs: runs as number }), /runs must be a whole number/);
      }
      await session.release();
    }
    const open = await InferenceSession.create(new Flatten(runtime).eval());
    assert.throws(() => open.profile(), /feeds must be given for input/);
    await open.release();
  }));

test('a session of the merged network written as ONNX is the same session', () =>
  withRuntime('baseline', async (runtime) => {
    const merged = writeOnnx(reparameterize(readOnnx(MODEL)).graph);
    const session = await InferenceSession.create(merged, { runtime });
    await checkResult(session);
    await session.release();
  }));

// Metadata

const shapesOf = (metadata: readonly TensorMetadata[]) =>
  metadata.map(({ name, type, shape }) => [name, type, [...shape]]);

async function withSession(source: ModelSource, body: (session: InferenceSession) => unknown): Promise<void> {
  const session = await InferenceSession.create(source);
  await body(session);
  await session.release();
}

test('inputMetadata and outputMetadata, as onnxruntime-web has them', async () => {
  const folder = 'test/fixtures/exporters';
  await withSession(`${folder}/acnet-default.onnx`, ({ inputMetadata, outputMetadata }) => {
    assert.equal(inputMetadata, [{ name: 'x', isTensor: true, type: 'float32', shape: [2, 3, 16, 16] }]);
    assert.equal(outputMetadata, [{ name: 'log_softmax', isTensor: true, type: 'float32', shape: [2, 10] }]);
  });
  await withSession(`${folder}/acnet-dynamic.onnx`, ({ inputMetadata, outputMetadata }) => {
    assert.equal(shapesOf(inputMetadata), [['x', 'float32', ['N', 3, 'H', 'W']]]);
    assert.equal(shapesOf(outputMetadata), [['log_softmax', 'float32', ['N', 10]]]);
  });
});

test('what a file or a graph leaves out is inferred, or named after the axis', () =>
  withRuntime('baseline', async (runtime) => {
    const graph = readOnnx(
      fileOf({
        nodes: [
          { op: 'Relu', inputs: ['x'], outputs: ['y'] },
          { op: 'MaxPool', inputs: ['y'], outputs: ['z'], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
          { op: 'GlobalAveragePool', inputs: ['y'], outputs: ['mean'] },
        ],
        inputs: { x: ['N', 3, 'H', 'W'] },
        outputs: ['y', 'z', 'mean'],
      }),
    );
    for (const source of [graph, writeOnnx(graph)]) {
      await withSession(source, ({ outputMetadata }) =>
        assert.equal(shapesOf(outputMetadata), [
          ['y', 'float32', ['N', 3, 'H', 'W']],
          ['z', 'float32', ['N', 3, 'z_dim2', 'z_dim3']],
          ['mean', 'float32', ['N', 3, 1, 1]],
        ]),
      );
    }
    const network = new Sequential(runtime, {
      flatten: new Flatten(runtime),
      fc: new Linear(runtime, { inFeatures: 4, outFeatures: 7 }),
    });
    await withSession(network.eval(), ({ inputMetadata, outputMetadata, outputNames }) => {
      assert.equal(shapesOf(inputMetadata), [['input', 'float32', []]]);
      assert.equal(shapesOf(outputMetadata), [['output', 'float32', ['output_dim0', 7]]]);
      assert.equal(outputNames, ['output']);
    });
    network.dispose();
  }));

test('parameters that are inputs have the types of the file', async () => {
  const file = fileOf({
    nodes: [{ op: 'Reshape', inputs: ['x', 'shape'], outputs: ['y'] }],
    inputs: { x: ['N', 4], shape: [2] },
    inputTypes: { shape: 7 },
  });
  await withSession(file, async (session) => {
    assert.equal(shapesOf(session.inputMetadata), [
      ['x', 'float32', ['N', 4]],
      ['shape', 'int64', [2]],
    ]);
    assert.is(session.outputMetadata.length, 1);
  });
});

test('a model whose parameters are inputs says at once which of its operators there are none of', async () => {
  const file = fileOf({
    nodes: [
      { op: 'Reshape', inputs: ['x', 'shape'], outputs: ['r'] },
      { op: 'Det', inputs: ['r'], outputs: ['e'], name: 'first' },
      { op: 'Multinomial', inputs: ['e'], outputs: ['y'], name: 'second' },
    ],
    inputs: { x: ['N', 4], shape: [2] },
    inputTypes: { shape: 7 },
  });
  await refuses(
    InferenceSession.create(file),
    UnsupportedError,
    /2 unsupported nodes: Det "first", Multinomial "second"/,
  );
});

test('run(tensor) says what to write', async () => {
  const x = new Tensor('float32', [1], [1]);
  await withSession(fileOf({ nodes: [{ op: 'Relu', inputs: ['x'], outputs: ['y'] }], inputs: { x: [1] } }), (session) =>
    refuses(
      session.run(x as never),
      TypeError,
      /feeds must be tensors by name, got a Tensor: run\(\{ "x": tensor \}\)$/,
    ),
  );
  const two = fileOf({ nodes: [{ op: 'Add', inputs: ['a', 'b c'], outputs: ['y'] }], inputs: { a: [1], 'b c': [1] } });
  await withSession(two, (session) =>
    refuses(session.run(x as never), TypeError, /run\(\{ "a": tensor, "b c": tensor \}\)$/),
  );
});

test('dims that a model cannot run with are told by the input that has them; others than declared may run', () =>
  withSession('test/fixtures/exporters/acnet-default.onnx', async (session) => {
    const run = (dims: number[]) =>
      session.run({ x: new Tensor('float32', new Float32Array(dims.reduce((a, b) => a * b, 1)), dims) });
    const expected = (dims: string) => new RegExp(`feed "x" must have dims \\[2, 3, 16, 16\\], got \\[${dims}\\]: `);
    await refuses(run([2, 4, 16, 16]), RangeError, expected('2, 4, 16, 16'));
    await refuses(run([3, 16, 16]), RangeError, expected('3, 16, 16'));
    await refuses(run([3, 3, 16, 16]), RangeError, expected('3, 3, 16, 16'));
    assert.throws(() => session.profile({ x: new Tensor('float32', [1], [1]) }), expected('1'));
    assert.equal([...(await run([2, 3, 16, 16])).log_softmax!.dims], [2, 10]);
    assert.equal([...(await run([2, 3, 20, 24])).log_softmax!.dims], [2, 10]);
  }));

test.run();
