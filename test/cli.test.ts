/** The command `acnet` as it is in dist/: what it prints, what it writes, its exit codes, its messages. */
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { deflateSync, gunzipSync } from 'node:zlib';
import {
  createRuntime,
  type Graph,
  InferenceSession,
  lenet5bn,
  readOnnx,
  readSafetensors,
  summarize,
  Tensor,
  writeOnnx,
  writeSafetensors,
} from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crc32 } from '../src/bytes/crc32.js';
import { pthFile } from './networkFixtures.js';
import { readFixture, relativeError, take } from './support.js';

const CLI = path.resolve('dist/cli.js');
const NETWORKS = 'test/fixtures/networks';
const LENET = `${NETWORKS}/lenet5bn-acb-fashion-mnist.onnx`;
const LENET_STATE = 'test/fixtures/networks/lenet5bn-acb-fashion-mnist.safetensors';
const SMALL = `${NETWORKS}/cfqkbnc-small.onnx`;
const CLASSES = ['T-shirt', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot'];

interface Prediction {
  readonly index: number;
  readonly label: string;
  readonly probability: number;
  readonly output: number;
}

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Unsets what the environment may say about the output. */
const NO_WISHES = { COLUMNS: '', FORCE_COLOR: '', NO_COLOR: '' };

function acnet(
  args: readonly string[],
  { env = {}, node = [], ...options }: { input?: Uint8Array; cwd?: string; env?: object; node?: string[] } = {},
): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...node, CLI, ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...NO_WISHES, ...env },
    ...options,
  });
  return { status, stdout, stderr };
}

/** Works, says nothing on stderr; returns what it printed. */
function prints(...args: string[]): string {
  const { status, stdout, stderr } = acnet(args);
  assert.is(status, 0, stderr);
  assert.is(stderr, '');
  return stdout;
}

function json(...args: string[]) {
  return JSON.parse(prints(...args, '--json'));
}

/** Exits with this code and one line on stderr that contains each of these. */
function refuses(args: string[], status: number, ...parts: string[]): Outcome {
  const result = acnet(args);
  assert.is(result.status, status, `${args.join(' ')}: ${result.stderr}`);
  assert.match(result.stderr, /^acnet( \w+)?: [^\n]+\n$/);
  assert.not.match(result.stderr, /\bat (file:|node:|async )/);
  for (const part of parts) assert.ok(result.stderr.includes(part), `no "${part}" in: ${result.stderr}`);
  return result;
}

/** Refuses and prints no result. */
function refusesSilently(args: string[], status: number, ...parts: string[]): void {
  assert.is(refuses(args, status, ...parts).stdout, '');
}

function withFolder(body: (folder: string, file: (name: string, bytes?: Uint8Array | string) => string) => unknown) {
  const folder = mkdtempSync(path.join(tmpdir(), 'acnet-cli-'));
  const file = (name: string, bytes?: Uint8Array | string): string => {
    const place = path.join(folder, name);
    if (bytes !== undefined) writeFileSync(place, bytes);
    return place;
  };
  const clean = () => rmSync(folder, { recursive: true });
  let result: unknown;
  try {
    result = body(folder, file);
  } catch (error) {
    clean();
    throw error;
  }
  if (result instanceof Promise) return result.finally(clean);
  clean();
  return result;
}

/** A grey PNG of these values from 0 to 255. */
function greyPng(width: number, height: number, values: ArrayLike<number>): Uint8Array {
  const chunk = (type: string, data: Uint8Array): Buffer => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    checksum.writeUInt32BE(crc32(body, 0, body.length) >>> 0);
    return Buffer.concat([length, body, checksum]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  const rows = Buffer.alloc(height * (width + 1));
  for (let i = 0; i < width * height; i++) rows[Math.floor(i / width) * (width + 1) + 1 + (i % width)] = values[i]!;
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** Images and labels of the example, which the committed network classifies. */
function fashionImages(count: number): { images: Uint8Array[]; labels: number[] } {
  const folder = 'examples/fashion-mnist';
  const pixels = gunzipSync(readFileSync(`${folder}/t10k-1000-images-idx3-ubyte.gz`)).subarray(16);
  const labels = gunzipSync(readFileSync(`${folder}/t10k-1000-labels-idx1-ubyte.gz`)).subarray(8);
  const indices = Array.from({ length: count }, (_, i) => i);
  return {
    images: indices.map((i) => pixels.subarray(784 * i, 784 * (i + 1))),
    labels: indices.map((i) => labels[i]!),
  };
}

function graphOf(file: string): Graph {
  return readOnnx(new Uint8Array(readFileSync(file)));
}

test('--help and --version exit 0, no command and a wrong one 2', () => {
  const help = prints('--help');
  assert.is(prints('-h'), help);
  for (const command of ['inspect', 'fuse', 'run', 'bench']) {
    assert.match(help, new RegExp(`^  ${command} `, 'm'));
    const own = prints(command, '--help');
    assert.match(own, new RegExp(`^Usage: acnet ${command} `));
    assert.ok(
      own.split('\n').every((line) => line.length <= 80),
      `${command} --help has long lines`,
    );
    for (const [, option] of own.matchAll(/^ {2}(?:-\w, )?--(\w+)/gm)) assert.ok(option);
  }
  for (const option of ['--version', '-v']) {
    assert.is(prints(option).trim(), JSON.parse(readFileSync('package.json', 'utf8')).version);
  }
  const bare = acnet([]);
  assert.is(bare.status, 2);
  assert.is(bare.stdout, '');
  assert.is(bare.stderr, help);
  refusesSilently(['fly'], 2, "'fly'", 'inspect');
  refusesSilently(['--fly'], 2, "'--fly'");
});

test('wrong usage exits 2', () => {
  refusesSilently(['inspect'], 2, 'FILE');
  refusesSilently(['inspect', LENET, LENET], 2, LENET);
  refusesSilently(['inspect', LENET, '--fast'], 2, '--fast');
  refusesSilently(['inspect', LENET, '--shape', '1x'], 2, '--shape', "'1x'");
  refusesSilently(['inspect', LENET, '--shape', 'nope=1x1x28x28'], 2, 'input');
  refusesSilently(['fuse', LENET], 2, '-o');
  refusesSilently(['fuse', LENET, '-o'], 2, 'output');
  refusesSilently(['fuse', LENET, '-o', 'x.pth'], 2, '.pth', '.safetensors');
  refusesSilently(['fuse', LENET, '-o', 'x.txt'], 2, 'x.txt');
  refusesSilently(['fuse', LENET, '-o', 'x.safetensors'], 2, 'x.safetensors');
  refusesSilently(['fuse', LENET_STATE, '-o', 'x.onnx'], 2, 'graph');
  for (const tolerance of ['x', '', 'Infinity', '0x1']) {
    refusesSilently(['fuse', LENET, '-o', 'x.onnx', '--tolerance', tolerance], 2, '--tolerance', `'${tolerance}'`);
  }
  refusesSilently(['fuse', LENET, '-o', 'x.onnx', '--tolerance=-1'], 2, "'-1'");
  refusesSilently(['fuse', LENET, '-o', 'x.onnx', '--seed', '1.5'], 2, '--seed');
  refusesSilently(['fuse', LENET, '-o', 'x.onnx', '--eps', '1e-3'], 2, '--eps');
  refusesSilently(['run', LENET], 2, 'IMAGE');
  refusesSilently(['run', LENET, 'x.png', '--top', '0'], 2, '--top');
  refusesSilently(['run', LENET, 'x.png', '--size', '28'], 2, '--size');
  refusesSilently(['run', LENET, 'x.png', '--mean', '0,5,x'], 2, '--mean');
  refusesSilently(['run', LENET, 'x.png', '--mean', '1,2'], 2, '--mean', 'got 2');
  refusesSilently(['run', LENET, 'x.png', '--std', '0'], 2, '--std');
  refusesSilently(['bench', LENET, '--runs', '0'], 2, '--runs', "'0'");
  refusesSilently(['bench', LENET, '--threads', '65'], 2, '--threads');
  refusesSilently(['bench', LENET, '--simd', 'avx'], 2, "'avx'");
  for (const name of ['x.pth', 'x.txt', 'x.onnx', 'x.safetensors']) assert.not.ok(existsSync(name));
});

test('files that cannot be read exit 1 and are named', () => {
  withFolder((folder, file) => {
    for (const command of [
      ['inspect'],
      ['bench'],
      ['fuse', '-o', file('out.onnx')],
      ['run', '--', file('image.png')],
    ]) {
      const [name, ...rest] = command as [string, ...string[]];
      const args = (model: string): string[] =>
        name === 'run' ? [name, model, ...rest.slice(1)] : [name, model, ...rest];
      refusesSilently(args(file('missing.onnx')), 1, file('missing.onnx'), 'no such file');
      refusesSilently(args(folder), 1, folder, 'directory');
      refusesSilently(args('/dev/zero'), 1, '/dev/zero');
      refusesSilently(args(file('empty.onnx', '')), 1, 'empty.onnx');
      refusesSilently(args(file('broken.onnx', readFileSync(LENET).subarray(0, 100_000))), 1, 'broken.onnx', 'byte');
      if (name === 'fuse') continue;
      refusesSilently(args(file('broken.pth', 'PK\u0003\u0004and no more')), 1, 'broken.pth');
      refusesSilently(args(file('text.safetensors', 'nothing of the kind')), 1, 'text.safetensors');
    }
    const cut = file('cut.safetensors', readFileSync(LENET_STATE).subarray(0, -1));
    refusesSilently(['inspect', cut], 1, 'cut.safetensors');
    refusesSilently(['fuse', cut, '-o', file('out.safetensors')], 1, 'cut.safetensors');
    refusesSilently(['bench', LENET_STATE], 1, 'checkpoint');
    refusesSilently(['run', LENET_STATE, file('image.png')], 1, 'checkpoint');
    refusesSilently(['run', LENET, file('image.png'), '--labels', file('labels.txt')], 1, 'labels.txt');
    assert.equal(
      readdirSync(folder).filter((name) => /out|tmp/.test(name)),
      [],
    );
  });
});

test('inspect an ONNX file: nodes, shapes, parameters, products, what merges', () => {
  const figures = json('inspect', LENET);
  const graph = graphOf(LENET);
  const summary = summarize(graph, [[1, 1, 28, 28]]);
  assert.is(figures.format, 'onnx');
  assert.equal(figures.inputs, [{ name: 'input', dims: [1, 1, 28, 28] }]);
  assert.equal(figures.outputs, [{ name: 'logits', dims: [1, 10] }]);
  assert.is(figures.nodes.length, graph.nodes.length);
  assert.equal(figures.totals, {
    nodes: graph.nodes.length,
    parameters: summary.parameters,
    multiplyAdds: summary.multiplyAdds,
  });
  const [conv] = figures.nodes;
  assert.is(conv.op, 'conv2d');
  assert.equal(conv.dims, [1, 20, 24, 24]);
  assert.is(conv.parameters, 500);
  assert.is(conv.multiplyAdds, 20 * 25 * 24 ** 2);
  assert.is(figures.merged.length, 2);
  for (const group of figures.merged) {
    assert.is(group.branches, 3);
    assert.equal(group.kernel, [5, 5]);
  }
  const linear = 800 * 500 + 500 + 500 * 10 + 10;
  assert.is(figures.after.totals.parameters, (20 + 50 * 20) * 25 + 70 + linear);
  assert.is(figures.after.nodes.filter(({ op }: { op: string }) => op === 'conv2d').length, 2);
  assert.is(figures.after.nodes.filter(({ op }: { op: string }) => op === 'batchNorm').length, 0);
});

test('inspect prints plain tables into a pipe, names whole and columns aligned', () => {
  const text = prints('inspect', LENET);
  assert.match(text, /^[\x20-\x7e\n]+$/);
  assert.ok(text.includes('/stem/conv1/acb/square_bn/BatchNormalization'));
  assert.match(text, /^ {2}28 nodes +442,050 +3,048,200$/m);
  assert.match(text, /^2 groups of branches merge$/m);
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.startsWith('  node '));
  const rows = lines.slice(start, start + 29);
  const column = rows[0]!.indexOf('output');
  assert.ok(rows.slice(1).every((line) => line[column] === '[' && line[column - 1] === ' '));
});

test('colours: none in a pipe, unless FORCE_COLOR says so, which goes before NO_COLOR', () => {
  const hasColours = (env: object): boolean => acnet(['inspect', SMALL], { env }).stdout.includes('\u001b[1m');
  for (const env of [{}, { FORCE_COLOR: '0' }, { FORCE_COLOR: 'false' }, { NO_COLOR: '1' }])
    assert.not(hasColours(env));
  for (const env of [{ FORCE_COLOR: '1' }, { FORCE_COLOR: 'true', NO_COLOR: '1' }]) assert.ok(hasColours(env));
});

test('all tables fit 40 columns, painted too; what the columns of comparisons mean is above them', () => {
  withFolder((folder) => {
    for (const args of [
      ['inspect', LENET],
      ['inspect', LENET_STATE],
      ['fuse', LENET, '-o', path.join(folder, 'a.onnx')],
      ['fuse', LENET_STATE, '-o', path.join(folder, 'a.safetensors')],
      ['bench', LENET, '--runs', '1'],
      ['run', LENET, 'test/fixtures/images/filters-rgb8.png'],
    ]) {
      const wide = acnet(args);
      assert.is(wide.status, 0, wide.stderr);
      for (const FORCE_COLOR of ['0', '1']) {
        const narrow = acnet(args, { env: { COLUMNS: '40', FORCE_COLOR } }).stdout.replace(/\p{Cc}\[\d+m/gu, '');
        // Only the terminal can break a path without blanks.
        for (const line of narrow.split('\n')) assert.ok(line.length <= 40 || line.includes(folder), line);
        assert.ok(narrow.split('\n').length >= wide.stdout.split('\n').length);
      }
    }
  });
  assert.match(prints('inspect', LENET), /^ +as it is +merged +ratio$/m);
});

test('under Deno, variables that may not be read are not asked for', () => {
  const preload = `
    // Node itself reads others.
    const get = (variables, name) => {
      if (/^(LC_|LANG|TERM|COLUMNS)|COLOR/.test(String(name))) throw new Error('asked for ' + name);
      return variables[name];
    };
    process.env = new Proxy(process.env, { get });
    globalThis.Deno = { noColor: true, permissions: { querySync: () => ({ state: 'prompt' }) } };`;
  const node = ['--import', `data:text/javascript,${encodeURIComponent(preload)}`];
  for (const args of [['inspect', SMALL], ['--help']]) {
    assert.equal(acnet(args, { node, env: { FORCE_COLOR: '1' } }), { ...acnet(args), stderr: '' });
  }
});

test('inspect --shape takes another batch; open sizes have to be said', () => {
  withFolder((_, file) => {
    const open = file(
      'open.onnx',
      writeOnnx({ ...graphOf(SMALL), inputDims: new Map([['input', ['N', 3, 'H', 'W']]]) }),
    );
    refusesSilently(['inspect', open], 1, '--shape', 'input');
    for (const shape of ['2x3x32x32', 'input=2x3x32x32']) {
      const figures = json('inspect', open, '--shape', shape);
      assert.equal(figures.outputs[0].dims, [2, 10]);
      assert.is(figures.totals.multiplyAdds, 2 * json('inspect', SMALL).totals.multiplyAdds);
    }
    refusesSilently(['inspect', open, '--shape', '1x3x99999x99999'], 1, 'values');
    refusesSilently(['inspect', open, '--shape', '1x4x32x32'], 1, '4');
    const huge = writeOnnx({ ...graphOf(SMALL), inputDims: new Map([['input', [1, 3, 2 ** 20, 2 ** 20]]]) });
    for (const command of ['inspect', 'bench']) refusesSilently([command, file('huge.onnx', huge)], 1, '--shape');
  });
});

test('inspect a checkpoint: tensors and the blocks that fuse', () => {
  withFolder((_, file) => {
    const pth = file('a.pth', pthFile());
    const { tensors } = readSafetensors(new Uint8Array(readFileSync(LENET_STATE)));
    for (const [checkpoint, format] of [
      [LENET_STATE, 'safetensors'],
      [pth, 'pth'],
    ] as const) {
      const figures = json('inspect', checkpoint);
      assert.is(figures.format, format);
      const shown = new Map(figures.tensors.map((one: { name: string }) => [one.name, one]));
      for (const [name, { dims, size }] of Object.entries(tensors)) {
        assert.equal(shown.get(name), { name, dims, elements: size });
      }
      assert.equal(
        figures.blocks.map(({ prefix, kernel }: { prefix: string; kernel: number[] }) => [prefix, kernel]),
        [
          ['stem.conv1.acb.', [5, 5]],
          ['stem.conv2.acb.', [5, 5]],
        ],
      );
      assert.is(figures.blocks[0].elementsMerged, 20 * 25 + 20);
    }
    assert.match(prints('inspect', LENET_STATE), /^2 blocks fuse$/m);
    assert.match(prints('inspect', `${NETWORKS}/lenet5bn-base-fashion-mnist.safetensors`), /^No blocks to fuse$/m);
    const { 'stem.conv1.acb.ver_conv.weight': _gone, ...incomplete } = tensors;
    const lacking = file('lacking.safetensors', writeSafetensors(incomplete));
    assert.match(prints('inspect', lacking), /do not fuse: .*stem\.conv1\.acb\.ver_conv\.weight/);
    refusesSilently(['fuse', lacking, '-o', file('out.safetensors')], 1, 'ver_conv.weight');
  });
});

test('- is standard input', () => {
  const { status, stdout } = acnet(['inspect', '-', '--json'], { input: readFileSync(SMALL) });
  assert.is(status, 0);
  assert.equal(JSON.parse(stdout).totals, json('inspect', SMALL).totals);
});

test('names out of files cannot steer the terminal', () => {
  withFolder((_, file) => {
    const graph = graphOf(SMALL);
    const nodes = graph.nodes.map((node, i) => (i === 0 ? { ...node, path: 'a\u001b[31mb\u202ec\nd' } : node));
    const text = prints('inspect', file('evil.onnx', writeOnnx({ ...graph, nodes })));
    assert.match(text, /^[\x20-\x7e\n]+$/);
    assert.ok(text.includes('a\\x1b[31mb\\u202ec\\x0ad'));
  });
});

test('fuse an ONNX file: what is written gives the reference output', async () => {
  await withFolder(async (folder, file) => {
    for (const name of ['cfqkbnc-small', 'src20', 'lenet5bn-acb-fashion-mnist']) {
      const target = file(`${name}.onnx`);
      const figures = json('fuse', `${NETWORKS}/${name}.onnx`, '-o', target);
      assert.is(figures.written, true);
      assert.is(figures.output, target);
      // No difference at all would mean that one form was compared with itself.
      assert.ok(figures.difference > 0 && figures.difference <= 1e-5, `${name} differs by ${figures.difference}`);
      assert.ok(figures.after.nodes < figures.before.nodes);
      assert.is(figures.bytes.after, readFileSync(target).length);
      const { tensors } = readFixture(`networks/${name}.io.safetensors`);
      const session = await InferenceSession.create(graphOf(target));
      const { logits } = await session.run({ [session.inputNames[0]!]: tensors.input! });
      const error = relativeError(take(logits!), tensors.output!.data as Float32Array);
      await session.release();
      assert.ok(error <= 1e-5, `${name}: ${error}`);
    }
    assert.is(readdirSync(folder).length, 3);
  });
});

test('fuse a checkpoint, .pth or .safetensors: the deploy form of the network loads it', async () => {
  await withFolder(async (_, file) => {
    const pth = file('a.pth', pthFile());
    const { tensors } = readFixture('networks/lenet5bn-acb-fashion-mnist.io.safetensors');
    const runtime = await createRuntime();
    for (const checkpoint of [pth, LENET_STATE]) {
      const target = file('fused.safetensors');
      const figures = json('fuse', checkpoint, '-o', target, '--seed', '7');
      assert.is(figures.merged.length, 2);
      for (const { difference } of figures.merged) assert.ok(difference > 0 && difference <= 1e-5);
      assert.is(figures.difference, Math.max(...figures.merged.map((one: { difference: number }) => one.difference)));
      const fused = readSafetensors(new Uint8Array(readFileSync(target)));
      const network = lenet5bn(runtime, { form: 'deploy' }).loadStateDict(fused.tensors).eval();
      const error = relativeError(take(network.forward(tensors.input!)), tensors.output!.data as Float32Array);
      assert.ok(error <= 1e-5, `${checkpoint}: ${error}`);
      network.dispose();
    }
    const kept = readSafetensors(new Uint8Array(readFileSync(LENET_STATE))).metadata;
    assert.equal(readSafetensors(new Uint8Array(readFileSync(file('fused.safetensors')))).metadata, kept);
    runtime.dispose();
  });
});

test('fuse: blocks of many shapes, alone in their file, with the eps of each', () => {
  withFolder((_, file) => {
    for (const name of readdirSync('test/fixtures/acblock').filter((one) => /^(05|08|10|11|14|18)-/.test(one))) {
      const { tensors, metadata } = readFixture(`acblock/${name}`);
      const { eps } = JSON.parse(metadata.config!);
      const state = Object.entries(tensors).flatMap(([key, tensor]) =>
        key.startsWith('state.') ? [[key.slice('state.'.length), tensor] as const] : [],
      );
      const source = file('block.safetensors', writeSafetensors(Object.fromEntries(state)));
      json('fuse', source, '-o', file('fused.safetensors'), '--eps', String(eps));
      const { tensors: fused } = readSafetensors(new Uint8Array(readFileSync(file('fused.safetensors'))));
      const error = relativeError(
        fused['fused_conv.weight']!.data as Float32Array,
        tensors['fused.weight']!.data as Float32Array,
      );
      assert.ok(error < 1e-6, `${name}: ${error}`);
    }
  });
});

test('fuse writes nothing when the forms differ by more than the tolerance', () => {
  withFolder((folder, file) => {
    const target = file('kept.onnx', 'as it was');
    for (const [source, out] of [
      [SMALL, target],
      [LENET_STATE, file('new.safetensors')],
    ] as const) {
      refuses(['fuse', source, '-o', out, '--tolerance', '0'], 1, 'differs', 'nothing is written');
      const { stdout } = refuses(['fuse', source, '-o', out, '--tolerance', '1e-12', '--json'], 1, 'differs');
      const figures = JSON.parse(stdout);
      assert.is(figures.written, false);
      assert.is(figures.tolerance, 1e-12);
      assert.ok(figures.difference > 1e-12);
    }
    assert.equal(readdirSync(folder), ['kept.onnx']);
    assert.is(readFileSync(target, 'utf8'), 'as it was');
    // The same seed gives the same difference.
    const difference = (seed: string) => json('fuse', SMALL, '-o', file('o.onnx'), '--seed', seed).difference;
    assert.is(difference('3'), difference('3'));
    assert.is.not(difference('3'), difference('4'));
  });
});

test('fuse proves nothing by outputs that are NaN', () => {
  withFolder((folder, file) => {
    const graph = graphOf(SMALL);
    const weights = graph.nodes.flatMap((node) => (node.op === 'linear' ? [node.inputs[1]] : []));
    const values = new Map(graph.values);
    for (const name of weights) {
      const { dims, size } = values.get(name)!.tensor;
      values.set(name, {
        tensor: new Tensor('float32', new Float32Array(size).fill(Number.NaN), dims),
        role: 'frozen',
      });
    }
    const source = file('nan.onnx', writeOnnx({ ...graph, values }));
    refuses(['fuse', source, '-o', file('out.onnx')], 1, 'finite');
    assert.equal(readdirSync(folder), ['nan.onnx']);
  });
});

test('fuse without a block exits 1; BatchNorms alone are folded', () => {
  withFolder((folder, file) => {
    const base = `${NETWORKS}/lenet5bn-base-fashion-mnist`;
    refusesSilently(['fuse', `${base}.safetensors`, '-o', file('out.safetensors')], 1, 'no block');
    const target = file('folded.onnx');
    const figures = json('fuse', `${base}.onnx`, '-o', target);
    assert.equal(figures.merged, []);
    assert.is(json('inspect', target).nodes.filter(({ op }: { op: string }) => op === 'batchNorm').length, 0);
    refusesSilently(['fuse', target, '-o', file('again.onnx')], 1, 'nothing is written');
    assert.equal(readdirSync(folder), ['folded.onnx']);
  });
});

test('fuse replaces a file, itself too, through a link; what cannot be written stays', () => {
  withFolder((folder, file) => {
    const model = file('model.onnx', readFileSync(SMALL));
    symlinkSync('model.onnx', file('link.onnx'));
    prints('fuse', model, '-o', file('link.onnx'));
    assert.is(json('inspect', model).merged.length, 0);
    assert.equal(readdirSync(folder).sort(), ['link.onnx', 'model.onnx']);

    mkdirSync(file('folder.onnx'));
    refusesSilently(['fuse', SMALL, '-o', file('folder.onnx')], 1, 'folder.onnx', 'directory');
    refusesSilently(['fuse', SMALL, '-o', file('no/such/out.onnx')], 1, 'out.onnx', 'no such file');
    refusesSilently(['fuse', SMALL, '-o', file('model.onnx/out.onnx')], 1, 'model.onnx/out.onnx', 'not a directory');
    if (spawnSync('mkfifo', [file('pipe.onnx')]).status === 0) {
      refusesSilently(['fuse', SMALL, '-o', file('pipe.onnx')], 1, 'pipe.onnx');
      refusesSilently(['inspect', file('pipe.onnx')], 1, 'pipe.onnx');
      rmSync(file('pipe.onnx'));
    }
    if (existsSync('/dev/full')) {
      symlinkSync('/dev/full', file('full.onnx'));
      refusesSilently(['fuse', SMALL, '-o', file('full.onnx')], 1, 'no space');
      rmSync(file('full.onnx'));
    }
    assert.equal(readdirSync(folder).sort(), ['folder.onnx', 'link.onnx', 'model.onnx']);
  });
});

test('Ctrl-C while a file is written: exit 130, nothing half-written, the old file stays', async () => {
  await withFolder(async (folder, file) => {
    const block = readFixture('acblock/18-c5o7k3s1p1d1g1-zeros-noaffine-2x8x8.safetensors').tensors;
    const state: Record<string, Tensor> = { ballast: new Tensor('float32', new Float32Array(2 ** 25), [2 ** 25]) };
    for (const [key, tensor] of Object.entries(block)) if (key.startsWith('state.')) state[key.slice(6)] = tensor;
    const source = file('large.safetensors', writeSafetensors(state));
    const target = file('out.safetensors', 'as it was');
    // Writing may end before the signal arrives; then it tries again.
    for (let attempt = 0; attempt < 5; attempt++) {
      const child = spawn(process.execPath, [CLI, 'fuse', source, '-o', target], { stdio: 'ignore' });
      const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
      const deadline = performance.now() + 60_000;
      while (!readdirSync(folder).some((name) => name.endsWith('.tmp')) && performance.now() < deadline) {
        if (child.exitCode !== null) break;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      child.kill('SIGINT');
      const code = await ended;
      assert.equal(readdirSync(folder).sort(), ['large.safetensors', 'out.safetensors']);
      if (code === 130) {
        assert.is(readFileSync(target, 'utf8'), 'as it was');
        return;
      }
      assert.is(code, 0);
      file('out.safetensors', 'as it was');
    }
    assert.unreachable('the signal never came in time');
  });
});

test('Ctrl-C while it measures: exit 130', async () => {
  for (const [signal, expected] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    const child = spawn(process.execPath, [CLI, 'bench', SMALL, '--runs', '100000'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let printed = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        printed += chunk;
      });
    }
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    await new Promise((resolve) => setTimeout(resolve, 1500));
    child.kill(signal);
    assert.is(await ended, expected);
    assert.is(printed, '');
  }
});

test('who reads may stop reading', () => {
  const script = `"${process.execPath}" "${CLI}" inspect ${NETWORKS}/src20.onnx --json | head -c 1`;
  const { status, stdout, stderr } = spawnSync('sh', ['-c', script], { encoding: 'utf8' });
  assert.is(status, 0);
  assert.is(stdout, '{');
  assert.is(stderr, '');
  if (!existsSync('/dev/full')) return;
  const full = spawnSync('sh', ['-c', `"${process.execPath}" "${CLI}" inspect ${SMALL} > /dev/full`], {
    encoding: 'utf8',
  });
  assert.is(full.status, 1);
  assert.match(full.stderr, /^acnet: standard output: no space left on device\n$/);
});

test('run classifies images; labels from a file', () => {
  withFolder((_, file) => {
    const { images, labels } = fashionImages(10);
    const files = images.map((values, i) => file(`${i}.png`, greyPng(28, 28, values)));
    const names = file('labels.txt', `${CLASSES.join('\r\n')}\r\n`);
    // As in training.
    const scaled = ['--mean', '0.5', '--std', '0.5'];
    const figures = json('run', LENET, ...files, ...scaled, '--labels', names, '--top', '3');
    assert.is(figures.activation, 'softmax');
    assert.equal(figures.input.dims, [1, 28, 28]);
    assert.is(figures.images.length, 10);
    let right = 0;
    figures.images.forEach((image: { file: string; width: number; predictions: Prediction[] }, i: number) => {
      assert.is(image.file, files[i]);
      assert.is(image.width, 28);
      assert.is(image.predictions.length, 3);
      const [first, second] = image.predictions as {
        index: number;
        label: string;
        probability: number;
        output: number;
      }[];
      if (first!.index === labels[i]) right++;
      assert.is(first!.label, CLASSES[first!.index]);
      assert.ok(first!.probability >= second!.probability && first!.probability <= 1);
      const logRatio = Math.log(first!.probability / second!.probability);
      assert.ok(Math.abs(logRatio - (first!.output - second!.output)) < 1e-3 * (1 + logRatio));
    });
    assert.ok(right >= 9, `${right} of 10 are right`);
    const all = json('run', LENET, files[0]!, '--top', '10').images[0].predictions;
    const sum = all.reduce((total: number, one: { probability: number }) => total + one.probability, 0);
    assert.ok(Math.abs(sum - 1) < 1e-6);

    const text = prints('run', LENET, files[0]!, ...scaled, '--labels', names, '--top', '1');
    assert.match(text, /softmax of the outputs/);
    assert.match(text, /^ {2}Ankle boot +\d+\.\d\d %$/m);
  });
});

test("run takes labels, mean and deviation from the model's metadata, and options before it", () => {
  withFolder((_, file) => {
    const image = file('shoe.png', greyPng(28, 28, fashionImages(1).images[0]!));
    const model = (labels: string): string =>
      file(
        'model.onnx',
        writeOnnx({
          ...graphOf(LENET),
          metadata: new Map([
            ['names', labels],
            ['mean', '[0.25]'],
            ['std', '0.5'],
          ]),
        }),
      );
    const python = `{${CLASSES.map((name, i) => `${i}: '${name}'`).join(', ')}}`;
    const object = JSON.stringify(Object.fromEntries(CLASSES.map((name, i) => [i, name])));
    for (const labels of [JSON.stringify(CLASSES), object, python, CLASSES.join(','), CLASSES.join('\n')]) {
      const figures = json('run', model(labels), image);
      assert.equal(figures.input, { dims: [1, 28, 28], mean: [0.25], std: [0.5] });
      for (const { index, label } of figures.images[0].predictions) assert.is(label, CLASSES[index], labels);
    }
    const given = json('run', model(python), image, '--mean', '0', '--std=1');
    assert.equal(
      given.images[0].predictions.map(({ output }: { output: number }) => output),
      json('run', LENET, image).images[0].predictions.map(({ output }: { output: number }) => output),
    );
    // Fusing keeps the metadata.
    json('fuse', model(python), '-o', file('merged.onnx'));
    assert.is(json('inspect', file('merged.onnx')).metadata.names, python);
  });
});

test('run: probabilities stay as they are', () => {
  withFolder((_, file) => {
    const graph = graphOf(LENET);
    const softmax = {
      op: 'softmax',
      axis: 1,
      path: 'softmax',
      layer: 'Softmax',
      inputs: graph.outputs,
      outputs: ['probabilities'],
    } as const;
    const model = file('m.onnx', writeOnnx({ ...graph, nodes: [...graph.nodes, softmax], outputs: ['probabilities'] }));
    const image = file('shoe.png', greyPng(28, 28, fashionImages(1).images[0]!));
    const [own, ours] = [json('run', model, image), json('run', LENET, image)];
    assert.is(own.activation, 'none');
    own.images[0].predictions.forEach((one: { index: number; probability: number; output: number }, i: number) => {
      assert.is(one.probability, one.output);
      const other = ours.images[0].predictions[i];
      assert.is(one.index, other.index);
      assert.ok(Math.abs(one.probability - other.probability) < 1e-5);
    });
  });
});

test('run: PNG and JPEG, resized, in colour or not; one that is broken does not keep back the others', () => {
  withFolder((_, file) => {
    const images = ['rgb8.png', 'grey8.png', 'baseline420.jpg', 'progressive444.jpg', 'cmyk.jpg'];
    const files = images.map((name) => `test/fixtures/images/${name}`);
    const broken = file('broken.png', readFileSync(files[0]!).subarray(0, 50));
    const { status, stdout, stderr } = acnet([
      'run',
      SMALL,
      files[0]!,
      broken,
      ...files.slice(1),
      file('none.png'),
      '--json',
    ]);
    assert.is(status, 1);
    assert.match(stderr, /^acnet run: \S*broken\.png: [^\n]+\nacnet run: \S*none\.png: no such file or directory\n$/);
    const results = JSON.parse(stdout).images;
    assert.equal(
      results.map(({ error }: { error?: string }) => error === undefined),
      [true, false, true, true, true, true, false],
    );
    // Each image has its own result: alone as among others, except for rounding.
    files.forEach((one, i) => {
      const alone = json('run', SMALL, one, '--top', '10').images[0].predictions;
      const { predictions } = results[i === 0 ? 0 : i + 1];
      predictions.forEach(({ index, output }: Prediction) => {
        const other = alone.find((prediction: Prediction) => prediction.index === index).output;
        assert.ok(Math.abs(output - other) < 1e-5, `${one}: ${output} and ${other}`);
      });
    });
  });
});

test('run: sizes that are open, and models that take no images', () => {
  withFolder((_, file) => {
    const graph = graphOf(SMALL);
    const withDims = (name: string, dims: (number | string)[]): string =>
      file(name, writeOnnx({ ...graph, inputDims: new Map([['input', dims]]) }));
    const image = 'test/fixtures/images/rgb8.png';
    const open = withDims('open.onnx', ['N', 3, 'H', 'W']);
    refusesSilently(['run', open, image], 2, '--size');
    const sized = json('run', open, image, '--size', '32x32');
    assert.equal(sized.images[0].predictions, json('run', SMALL, image).images[0].predictions);
    refusesSilently(['run', SMALL, image, '--size', '64x64'], 1, '--size');
    refusesSilently(['run', withDims('five.onnx', ['N', 5, 32, 32]), image], 1, 'channels');
    refusesSilently(['run', withDims('flat.onnx', ['N', 3072]), image], 1, 'channels, height, width');
    // A model with a fixed batch gets it.
    const four = json('run', withDims('four.onnx', [4, 3, 32, 32]), image, image, image, image, image);
    assert.equal(new Set(four.images.map((one: object) => JSON.stringify(one))).size, 1);
  });
});

test('bench: both forms, ratio, a profile of the merged one, a trace', () => {
  withFolder((_, file) => {
    const trace = file('trace.json');
    const figures = json('bench', LENET, '--runs', '5', '--simd', 'baseline', '--trace', trace, '--shape', '2x1x28x28');
    assert.equal(figures.inputs, [{ name: 'input', dims: [2, 1, 28, 28] }]);
    assert.is(figures.simd, 'baseline');
    assert.is(figures.threads, 1);
    assert.is(figures.runs, 5);
    for (const { milliseconds, quartiles } of [figures.exported, figures.merged]) {
      assert.ok(quartiles[0] > 0 && quartiles[0] <= milliseconds && milliseconds <= quartiles[1]);
    }
    assert.is(figures.ratio, figures.exported.milliseconds / figures.merged.milliseconds);
    const convolutions = figures.profile.filter(({ op }: { op: string }) => op === 'conv2d');
    assert.is(convolutions.length, 2);
    assert.is(convolutions[0].multiplyAdds, 2 * 20 * 25 * 24 ** 2);
    const share = figures.profile.reduce((sum: number, step: { share: number }) => sum + step.share, 0);
    assert.ok(Math.abs(share - 1) < 1e-6);
    const { traceEvents } = JSON.parse(readFileSync(trace, 'utf8'));
    assert.is(traceEvents.length, figures.profile.length);
    assert.is(traceEvents[0].ph, 'X');
    assert.match(prints('bench', SMALL, '--runs', '2'), /^ {2}Merged it is \d+\.\d\d times as fast\.$/m);
    refusesSilently(['bench', SMALL, '--runs', '1', '--trace', file('no/such/trace.json')], 1, 'trace.json');
  });
});

test('the packed package has all the command needs, and the licences of what is in it', () => {
  withFolder((folder) => {
    const packed = spawnSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
      encoding: 'utf8',
    });
    assert.is(packed.status, 0, packed.stderr);
    const [{ filename }] = JSON.parse(packed.stdout);
    assert.is(spawnSync('tar', ['xf', path.join(folder, filename), '-C', folder]).status, 0);
    const { bin } = JSON.parse(readFileSync(path.join(folder, 'package/package.json'), 'utf8'));
    const cli = path.join(folder, 'package', bin.acnet);
    assert.match(readFileSync(cli, 'utf8'), /^#!\/usr\/bin\/env node\n/);
    const image = path.resolve('test/fixtures/images/baseline420.jpg');
    const { status, stdout, stderr } = spawnSync(cli, ['run', path.resolve(SMALL), image, '--json'], {
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: path.dirname(process.execPath) },
    });
    assert.is(status, 0, stderr);
    assert.is(JSON.parse(stdout).images[0].predictions.length, 5);
    const licences = readFileSync(path.join(folder, 'package/dist/cli.LICENSES.txt'), 'utf8');
    for (const name of ['Eugene Ware', 'notmasteryet', 'Apache License']) assert.ok(licences.includes(name), name);
  });
});

test.run();
