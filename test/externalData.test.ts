/**
 * Weights in files beside a model, and the three forms in which PyTorch's exporter writes a network: by path, address,
 * bytes and command line, equal to onnxruntime-node; and all that can be wrong with such files.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  type ExternalData,
  FormatError,
  type Graph,
  InferenceSession,
  loadOnnx,
  type ModelSource,
  readOnnx,
  readSafetensors,
  reparameterize,
  Tensor,
  UnsupportedError,
  writeOnnx,
} from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { TensorProto } from '../src/formats/onnx/file/proto.js';
import { graphFrom } from './graphSpec.js';
import { fileOf, floats, raw } from './onnxModels.js';
import { largestDifference } from './support.js';

const FOLDER = 'test/fixtures/exporters';
const FORMS = ['default', 'unoptimised', 'dynamic'] as const;
const NAME = 'acnet-default.onnx';
const DATA = `${NAME}.data`;
const bytesOf = (name: string) => new Uint8Array(readFileSync(`${FOLDER}/${name}`));
const { tensors: REFERENCES } = readSafetensors(bytesOf('acnet.io.safetensors'));
const TOLERANCE = 1e-5;

const model = bytesOf(NAME);
const data = bytesOf(DATA);

async function rejects(work: () => unknown): Promise<Error> {
  try {
    await work();
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected an error');
}

async function refuses(work: () => unknown, type: new (...args: never[]) => Error, ...messages: RegExp[]) {
  const error = await rejects(work);
  assert.instance(error, type, `${error}`);
  for (const message of messages) assert.match(error.message, message);
  assert.ok(error.message.length < 1000, error.message);
}

async function outputOf(source: ModelSource, options = {}): Promise<Tensor> {
  const session = await InferenceSession.create(source, options);
  const [output] = Object.values(await session.run({ x: REFERENCES.input! }));
  await session.release();
  return output!;
}

async function check(source: ModelSource, form: string, options = {}): Promise<void> {
  const { dims, data } = await outputOf(source, options);
  assert.equal([...dims], [2, 10]);
  const difference = largestDifference(data, REFERENCES[form]!.data);
  assert.ok(difference <= TOLERANCE, `${form}: ${difference}`);
}

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'acnet-'));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

async function withServer(listener: Listener, body: (origin: string) => Promise<void>): Promise<void> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await body(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** Sends files of the fixtures' folder, and 404 for what is not there. */
function sendFixture({ url }: IncomingMessage, response: ServerResponse): void {
  const { pathname } = new URL(url!, 'http://127.0.0.1');
  const name = decodeURIComponent(pathname.slice(1));
  if (readdirSync(FOLDER).includes(name)) response.end(bytesOf(name));
  else response.writeHead(404).end();
}

function cli(...args: string[]): { stdout: string; stderr: string; status: number | null } {
  return spawnSync(process.execPath, ['dist/cli.js', ...args], { encoding: 'utf8' });
}

/** A tensor whose data lies elsewhere. */
function external(name: string, dims: readonly number[], entries: Record<string, string | number>): TensorProto {
  const externalData = Object.entries(entries).map(([key, value]) => ({ at: 0, key, value: String(value) }));
  return { ...floats(name, dims, []), dataLocation: 1, externalData };
}

/** x + w for a w of those entries. */
function adding(...initializers: TensorProto[]): Uint8Array {
  const nodes = initializers.map(({ name }, i) => ({
    op: 'Add',
    inputs: [i === 0 ? 'x' : `y${i - 1}`, name],
    outputs: [`y${i}`],
  }));
  return fileOf({ nodes, inputs: { x: ['N'] }, outputs: [`y${initializers.length - 1}`], initializers });
}

async function sumOf(source: ModelSource, options = {}, width = 1): Promise<number[]> {
  const session = await InferenceSession.create(source, options);
  const outputs = await session.run({ x: new Tensor('float32', new Float32Array(width), [width]) });
  await session.release();
  return [...Object.values(outputs)[0]!.data];
}

// The exporter's files

for (const form of FORMS) {
  const name = `acnet-${form}.onnx`;

  test(`${form}: by path, address and bytes, as onnxruntime-node computes it`, async () => {
    await check(`${FOLDER}/${name}`, form);
    await check(path.resolve(FOLDER, name), form);
    await check(pathToFileURL(`${FOLDER}/${name}`), form);
    const externalData = form === 'default' ? [{ path: DATA, data }] : [];
    await check(bytesOf(name), form, { externalData });
    await check(readOnnx(bytesOf(name), { externalData }), form);
    await withServer(sendFixture, async (origin) => {
      await check(`${origin}/${name}`, form);
      await check(new URL(`${origin}/${name}?a=/b#c/d`), form);
    });
  });

  test(`${form}: two blocks merge, and the command line writes them`, () =>
    withFolder(async (folder) => {
      assert.is(reparameterize(await loadOnnx(`${FOLDER}/${name}`)).merged.length, 2);
      const shape = form === 'dynamic' ? ['--shape', '2x3x16x16'] : [];
      const inspected = JSON.parse(cli('inspect', `${FOLDER}/${name}`, '--json', ...shape).stdout);
      assert.is(inspected.merged.length, 2);
      const benched = cli('bench', `${FOLDER}/${name}`, '--runs', '1', '--json', ...shape);
      assert.is(benched.status, 0, benched.stderr);
      for (const more of [[], ['--external-data']]) {
        const out = `${folder}/${form}${more.length}.onnx`;
        const fused = cli('fuse', `${FOLDER}/${name}`, '-o', out, '--json', ...shape, ...more);
        assert.is(fused.status, 0, fused.stderr);
        assert.is(JSON.parse(fused.stdout).merged.length, 2);
        await check(out, form);
      }
      // One file unless told otherwise.
      assert.equal(readdirSync(folder).sort(), [`${form}0.onnx`, `${form}1.onnx`, `${form}1.onnx.data`]);
    }));
}

test('the command line classifies with a model whose weights lie beside it', () =>
  withFolder(async (folder) => {
    const graph = await loadOnnx(`${FOLDER}/acnet-dynamic.onnx`);
    const { model, externalData } = writeOnnx(graph, { externalData: 'weights.bin' });
    writeFileSync(`${folder}/m.onnx`, model);
    writeFileSync(`${folder}/weights.bin`, externalData[0]!.data);
    const { stdout, stderr, status } = cli(
      'run',
      `${folder}/m.onnx`,
      'test/fixtures/images/rgb8.png',
      '--size',
      '16x16',
    );
    assert.is(status, 0, stderr);
    assert.match(stdout, /class \d/);
    rmSync(`${folder}/weights.bin`);
    const failed = cli('run', `${folder}/m.onnx`, 'test/fixtures/images/rgb8.png', '--size', '16x16');
    assert.is(failed.status, 1);
    assert.match(failed.stderr, /m\.onnx: the data of tensor ".*weights\.bin.*ENOENT/);
  }));

// Where data comes from

test('data is given as bytes, a Blob or a place, under the path that the model names', async () => {
  await withServer(sendFixture, async (origin) => {
    const given: ExternalData['data'][] = [
      data,
      data.slice().buffer,
      Buffer.from(data),
      new Blob([data]),
      `${FOLDER}/${DATA}`,
      pathToFileURL(`${FOLDER}/${DATA}`),
      `${origin}/${DATA}`,
    ];
    for (const one of given) await check(model, 'default', { externalData: [{ path: `./${DATA}`, data: one }] });
    // Given data is not looked for.
    await withFolder(async (folder) => {
      copyFileSync(`${FOLDER}/${NAME}`, `${folder}/m.onnx`);
      await check(`${folder}/m.onnx`, 'default', { externalData: [{ path: DATA, data }] });
      const graph = await loadOnnx(`${folder}/m.onnx`, { externalData: [{ path: DATA, data }] });
      await check(graph, 'default');
    });
  });
});

test('a graph owns its data', async () => {
  const [kept, copy] = [data.slice(), data.slice()];
  const graph = readOnnx(model, { externalData: [{ path: DATA, data: copy }] });
  const session = await InferenceSession.create(model, { externalData: [{ path: DATA, data: copy }] });
  copy.fill(0xff);
  await check(graph, 'default');
  const [output] = Object.values(await session.run({ x: REFERENCES.input! }));
  assert.ok(largestDifference(output!.data, REFERENCES.default!.data) <= TOLERANCE);
  assert.equal(kept.slice(0, 8), data.slice(0, 8));
});

test('only the ranges in which tensors lie are read', () =>
  withFolder(async (folder) => {
    const size = 5 * 2 ** 30;
    writeFileSync(`${folder}/m.onnx`, adding(external('a', [1], { location: 'w', offset: size - 4, length: 4 })));
    writeFileSync(`${folder}/w`, '');
    truncateSync(`${folder}/w`, size);
    assert.equal(await sumOf(`${folder}/m.onnx`), [0]);
    const both = adding(
      external('a', [1], { location: 'w', offset: size - 4 }),
      external('b', [1], { location: 'w', offset: 0 }),
      external('none', [0], { location: 'w', offset: 77 }),
    );
    writeFileSync(`${folder}/m.onnx`, both);
    assert.is((await loadOnnx(`${folder}/m.onnx`)).nodes.length, 3);
  }));

test('of an address the rest is asked for, and skipped where the server sends all', async () => {
  const bytes = new Uint8Array(Float32Array.from({ length: 1000 }, (_, i) => i).buffer);
  const file = adding(
    external('b', [1], { location: 'w e?#%.data', offset: 4 * 900 }),
    external('a', [3], { location: 'w e?#%.data', offset: 4 * 500, length: 12 }),
    external('c', [2], { location: 'w e?#%.data', offset: 4 * 502 }),
  );
  for (const hasRanges of [true, false]) {
    const seen: string[] = [];
    const listener: Listener = ({ url, headers }, response) => {
      if (url === '/folder/m.onnx') return void response.end(file);
      assert.is(decodeURIComponent(url!), '/folder/w e?#%.data');
      seen.push(headers.range ?? '');
      const begin = hasRanges ? 2000 : 0;
      response.writeHead(hasRanges ? 206 : 200);
      // In pieces that end within numbers.
      for (let at = begin; at < bytes.length; at += 333) response.write(bytes.subarray(at, at + 333));
      response.end();
    };
    await withServer(listener, async (origin) => {
      const graph = await loadOnnx(`${origin}/folder/m.onnx`);
      const valuesOfConstant = (name: string) => [...graph.values!.get(name)!.tensor.data];
      assert.equal(
        [valuesOfConstant('a'), valuesOfConstant('b'), valuesOfConstant('c')],
        [[500, 501, 502], [900], [502, 503]],
      );
    });
    assert.equal(seen, ['bytes=2000-3603']);
  }
});

test('a session tells of the bytes of each file', async () => {
  const loads: (number | undefined)[][] = [];
  await outputOf(`${FOLDER}/${NAME}`, {
    onProgress: ({ phase, loaded, total }: { phase: string; loaded: number; total: number }) => {
      if (phase === 'load') loads.push([loaded, total]);
    },
  });
  assert.equal(
    loads.filter(([loaded]) => loaded === 0),
    [
      [0, model.length],
      [0, data.length],
    ],
  );
  assert.equal(loads.at(-1), [data.length, data.length]);
});

test('a signal stops data that does not come', async () => {
  const controller = new AbortController();
  const listener: Listener = (request, response) => {
    if (request.url?.endsWith('.data')) {
      response.write(data.subarray(0, 100));
      setTimeout(() => controller.abort(new Error('enough')), 20);
    } else sendFixture(request, response);
  };
  await withServer(listener, async (origin) => {
    const { signal } = controller;
    await refuses(() => InferenceSession.create(`${origin}/${NAME}`, { signal }), Error, /^enough$/);
  });
});

// What can be wrong

test('data that is missing is named, with its tensor and size', async () => {
  const what = [
    /tensor "a\.square_conv\.weight" lies in another file, ".*acnet-default\.onnx\.data" \(1728 bytes, and of 6 more\)/,
  ];
  const advice = /externalData: \[\{ path, data \}\]/;
  await refuses(() => readOnnx(model), UnsupportedError, /^readOnnx: /, ...what, advice);
  await refuses(() => readOnnx(model, { externalData: [{ path: 'other', data }] }), UnsupportedError, ...what);
  await refuses(() => InferenceSession.create(model), UnsupportedError, ...what, advice);
  await withFolder(async (folder) => {
    copyFileSync(`${FOLDER}/${NAME}`, `${folder}/${NAME}`);
    await refuses(() => InferenceSession.create(`${folder}/${NAME}`), Error, ...what, /ENOENT/);
    await refuses(() => loadOnnx(pathToFileURL(`${folder}/${NAME}`)), Error, /^loadOnnx: /, ...what, /ENOENT/);
    for (const args of [['inspect'], ['bench'], ['fuse', '-o', `${folder}/out.onnx`]]) {
      const { stderr, status } = cli(args[0]!, `${folder}/${NAME}`, ...args.slice(1));
      assert.is(status, 1);
      for (const part of what) assert.match(stderr, part);
    }
    const piped = spawnSync(process.execPath, ['dist/cli.js', 'inspect', '-'], { input: model, encoding: 'utf8' });
    assert.is(piped.status, 1);
    assert.match(piped.stderr, /acnet-default\.onnx\.data" .*, which was not given/);
    mkdirSync(`${folder}/${DATA}`);
    await refuses(() => InferenceSession.create(`${folder}/${NAME}`), FormatError, /square_conv.*got 0 bytes/);
  });
  const listener: Listener = (request, response) =>
    request.url?.endsWith('.data') ? void response.writeHead(404).end() : sendFixture(request, response);
  await withServer(listener, async (origin) => {
    await refuses(() => InferenceSession.create(`${origin}/${NAME}`), Error, ...what, /HTTP status 404/);
  });
});

test('data that is too short is refused with what was expected and what is there', async () => {
  const short = data.slice(0, 60_000);
  const what = [/tensor "b\.ver_conv\.weight" at bytes 54080 to 64320/, /got 60000 bytes/];
  for (const externalData of [[{ path: DATA, data: short }], [{ path: DATA, data: new Blob([short]) }]]) {
    await refuses(() => InferenceSession.create(model, { externalData }), FormatError, ...what);
  }
  await refuses(() => readOnnx(model, { externalData: [{ path: DATA, data: short }] }), FormatError, ...what);
  await withFolder(async (folder) => {
    copyFileSync(`${FOLDER}/${NAME}`, `${folder}/${NAME}`);
    writeFileSync(`${folder}/${DATA}`, short);
    await refuses(() => InferenceSession.create(`${folder}/${NAME}`), FormatError, ...what);
    const { stderr, status } = cli('inspect', `${folder}/${NAME}`);
    assert.is(status, 1);
    for (const part of what) assert.match(stderr, part);
  });
  const listener: Listener = (request, response) =>
    request.url?.endsWith('.data') ? void response.end(short) : sendFixture(request, response);
  await withServer(listener, async (origin) => {
    await refuses(() => InferenceSession.create(`${origin}/${NAME}`), FormatError, ...what);
  });
});

test('a page or a pointer in the place of data is recognised', async () => {
  const page = `<!DOCTYPE html><html>${' '.repeat(100_000)}</html>`;
  const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 75840\n';
  for (const [text, expected] of [
    [page, /a web page/],
    [pointer, /Git LFS pointer/],
  ] as const) {
    const bytes = new TextEncoder().encode(text);
    for (const one of [bytes, new Blob([bytes])]) {
      const externalData = [{ path: DATA, data: one }];
      await refuses(() => InferenceSession.create(model, { externalData }), FormatError, expected, /square_conv/);
    }
  }
});

test('data outside of the folder is refused before anything is read', () =>
  withFolder(async (folder) => {
    mkdirSync(`${folder}/models/inside`, { recursive: true });
    writeFileSync(`${folder}/secret`, new Uint8Array(4));
    writeFileSync(`${folder}/models/w`, new Uint8Array(4));
    const at = `${folder}/models/m.onnx`;
    const outside = [
      '../secret',
      'inside/../../secret',
      './../secret',
      '..',
      '.',
      '',
      './',
      'inside//w',
      'inside/',
      `${folder}/secret`,
      '/etc/passwd',
      '//host/share',
      '..\\secret',
      'inside\\w',
      'C:secret',
      'C:\\secret',
      'file:///etc/passwd',
      'https://example.com/w',
      'data:,1234',
      'w\0',
    ];
    for (const location of outside) {
      const file = adding(external('w', [1], { location }));
      writeFileSync(at, file);
      for (const source of [at, file]) {
        const create = () =>
          InferenceSession.create(source, { externalData: [{ path: location, data: new Uint8Array(4) }] });
        await refuses(create, FormatError, /tensor "w"/, /must be a path inside of the model's folder/);
      }
      assert.throws(() => readOnnx(file, { externalData: [{ path: location, data: new Uint8Array(4) }] }), /folder/);
    }
    await refuses(() => readOnnx(adding(external('w', [1], {}))), FormatError, /tensor "w" .*, got ""/);
    writeFileSync(at, adding(external('w', [1], { location: '%2e%2e/secret' })));
    await refuses(() => InferenceSession.create(at), Error, /ENOENT/);

    symlinkSync(`${folder}/secret`, `${folder}/models/link`);
    symlinkSync(folder, `${folder}/models/up`);
    symlinkSync('w', `${folder}/models/near`);
    for (const location of ['link', 'up/secret']) {
      writeFileSync(at, adding(external('w', [1], { location })));
      await refuses(
        () => InferenceSession.create(at),
        Error,
        /tensor "w"/,
        /a link to .*secret, outside of the model's/,
      );
      assert.match(cli('inspect', at, '--shape', '1').stderr, /outside of the model's folder/);
    }
    for (const location of ['near', './w', 'up/models/w']) {
      writeFileSync(at, adding(external('w', [1], { location })));
      assert.equal(await sumOf(at), [0], location);
    }
    // As in download caches: the model and its data are links into one folder of blobs.
    mkdirSync(`${folder}/blobs`);
    mkdirSync(`${folder}/snapshot`);
    writeFileSync(`${folder}/blobs/1`, adding(external('w', [1], { location: 'w' })));
    writeFileSync(`${folder}/blobs/2`, new Uint8Array(Float32Array.of(7).buffer));
    symlinkSync('../blobs/1', `${folder}/snapshot/m.onnx`);
    symlinkSync('../blobs/2', `${folder}/snapshot/w`);
    assert.equal(await sumOf(`${folder}/snapshot/m.onnx`), [7]);
  }));

test('ranges that do not fit their tensors are refused', async () => {
  const given = { externalData: [{ path: 'w', data: new Uint8Array(64) }] };
  const cases: [TensorProto, RegExp][] = [
    [external('w', [4], { location: 'w', length: 12 }), /must have 16 bytes for its dims, got 12/],
    [external('w', [4], { location: 'w', offset: 52, length: 16 }), /"w" must hold .* at bytes 52 to 68, got 64/],
    [external('w', [4], { location: 'w', offset: -4 }), /the offset of .* must be a whole number, got "-4"/],
    [external('w', [4], { location: 'w', offset: '1e1' }), /the offset of .* must be a whole number, got "1e1"/],
    [
      external('w', [4], { location: 'w', offset: 2 ** 60 }),
      /the offset of .* must be a whole number, got "115292150460684\d+"/,
    ],
    [external('w', [4], { location: 'w', offset: 2 ** 53 - 1 }), /"w" must hold .*, got 64 bytes/],
    [external('w', [4], { location: 'w', length: '0x10' }), /the length of .* must be a whole number, got "0x10"/],
    [external('w', [2 ** 31, 2 ** 31], { location: 'w' }), /"w" must hold .*, got 64 bytes/],
    [external('w', [2 ** 52, 2 ** 52], { location: 'w' }), /"w" must hold .*, got 64 bytes/],
    [{ ...external('w', [4], { location: 'w' }), dataType: 8 }, /got type 8/],
  ];
  for (const [tensor, expected] of cases) {
    const error = await rejects(() => readOnnx(adding(tensor), given));
    assert.ok(error instanceof FormatError || error instanceof UnsupportedError, `${error}`);
    assert.match(error.message, expected);
    assert.match((await rejects(() => InferenceSession.create(adding(tensor), given))).message, expected);
  }
  const many = Array.from({ length: 300 }, (_, i) => external(`w${i}`, [2 ** 18], { location: 'w' }));
  const large = { externalData: [{ path: 'w', data: new Uint8Array(2 ** 20) }] };
  await refuses(() => readOnnx(adding(...many), large), FormatError, /which overlaps, must take at most/);
});

test('elements of other types, and of attributes, lie in other files too', async () => {
  const doubles = Float64Array.of(1.5, -2);
  const type = raw('w', [2], 11, doubles).dataType!;
  const bytes = new Uint8Array([0, ...new Uint8Array(doubles.buffer), ...new Uint8Array(Float32Array.of(0.25).buffer)]);
  const file = fileOf({
    nodes: [
      {
        op: 'Constant',
        inputs: [],
        outputs: ['c'],
        attributes: { value: external('', [1], { location: 'w', offset: 17 }) },
      },
      { op: 'Add', inputs: ['x', 'w'], outputs: ['y'] },
      { op: 'Add', inputs: ['y', 'c'], outputs: ['z'] },
    ],
    inputs: { x: ['N'] },
    outputs: ['z'],
    initializers: [{ ...external('w', [2], { location: 'w', offset: 1 }), dataType: type }],
  });
  assert.equal(await sumOf(file, { externalData: [{ path: 'w', data: bytes }] }, 2), [1.75, -1.75]);
});

test('wrong options', async () => {
  for (const externalData of [null, {}, 'w', [null], [{}], [{ path: 7, data }]]) {
    const options = { externalData } as never;
    await refuses(() => InferenceSession.create(model, options), TypeError, /externalData must be a list/);
    await refuses(() => readOnnx(model, options), TypeError, /externalData must be a list/);
    await refuses(() => loadOnnx(`${FOLDER}/${NAME}`, options), TypeError, /externalData must be a list/);
  }
  for (const one of [null, 7, [1], new Float32Array(4), {}]) {
    const externalData = [{ path: DATA, data: one }] as never;
    await refuses(() => readOnnx(model, { externalData }), TypeError, /externalData.*must be a Uint8Array/);
    await refuses(
      () => InferenceSession.create(model, { externalData }),
      TypeError,
      /externalData.*must be a Uint8Array/,
    );
  }
  for (const location of [undefined, model, 7]) {
    await refuses(() => loadOnnx(location as never), TypeError, /location must be a URL or a path/);
  }
});

// Writing

test('writeOnnx puts weights into a file beside the model, which reads as one with them inside', async () => {
  const graph = reparameterize(await loadOnnx(`${FOLDER}/${NAME}`)).graph;
  const inside = readOnnx(writeOnnx(graph));
  const { model, externalData } = writeOnnx(graph, { externalData: 'w.data' });
  assert.is(externalData.length, 1);
  assert.is(externalData[0]!.path, 'w.data');
  assert.ok(model.length < 2500, `${model.length} bytes`);
  const outside = readOnnx(model, { externalData });
  const valuesOf = ({ nodes, values }: Graph) => JSON.stringify([nodes, [...values!]]);
  assert.is(valuesOf(outside), valuesOf(inside));
  await check(model, 'default', { externalData });
  for (const name of ['../w', '/w', '', 'a\\b', './w', 7]) {
    assert.throws(() => writeOnnx(graph, { externalData: name as string }), /externalData must be the name of a file/);
  }
});

test('a file of more than 2 GB is refused with what to do', () => {
  const shared = new Float32Array(2 ** 24);
  const layers = Array.from({ length: 33 }, () => new Tensor('float32', shared, [4096, 4096]));
  const graph = graphFrom({
    inputs: ['x'],
    outputs: ['y32'],
    nodes: layers.map((weight, i) => ({
      op: 'linear',
      inputs: [i === 0 ? 'x' : `y${i - 1}`],
      output: `y${i}`,
      weight,
    })),
  });
  assert.throws(
    () => writeOnnx(graph),
    (error: Error) =>
      error instanceof RangeError &&
      /would have 22\d{8} bytes, .* at most 2147483647; .*externalData/.test(error.message),
  );
});

test.run();
