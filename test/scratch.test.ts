/**
 * Working memory follows from what its users need: kernels of other tunables, compiled here, stay within what
 * `scratchBytes` says of them, and compute the same. In each variant another user needs most.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Conv2d, createRuntime, InferenceSession, type Runtime, type Tensor } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Kernels } from '../src/runtime/kernels.js';
import { graphFrom } from './graphSpec.js';
import { randomNd, relativeError, seededRandom, take, toTensor } from './support.js';

const VARIANTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  matrices: { MATRIX_COLUMNS: '2050', BLOCK_DEPTH: '450', BLOCK_PIXELS: '57' },
  convolutions: { MATRIX_COLUMNS: '8', BLOCK_DEPTH: '768', BLOCK_PIXELS: '119', DEPTH_CHUNK: '64' },
};
const COMMON = { SCRATCH_BYTES: '1024' };

const random = seededRandom(41);
const tensor = (...dims: number[]): Tensor => toTensor(randomNd(random, dims));

/** Compiles assembly/ with these tunables. */
function compile(name: string, tunables: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
  const folder = path.resolve('build', `scratch-${process.pid}`, name);
  mkdirSync(folder, { recursive: true });
  cpSync('assembly', `${folder}/assembly`, { recursive: true });
  let text = readFileSync(`${folder}/assembly/tuning.ts`, 'utf8');
  for (const [tunable, value] of Object.entries({ ...COMMON, ...tunables })) {
    const declaration = new RegExp(`(export const ${tunable}: i32 = )[^;]+;`);
    assert.match(text, declaration, tunable);
    text = text.replace(declaration, `$1${value};`);
  }
  writeFileSync(`${folder}/assembly/tuning.ts`, text);
  const { targets, ...config } = JSON.parse(readFileSync('asconfig.json', 'utf8'));
  const target = { outFile: 'kernels.wasm', enable: targets.baseline.enable };
  const options = { ...config, options: { ...config.options, optimizeLevel: 1 }, targets: { baseline: target } };
  writeFileSync(`${folder}/asconfig.json`, JSON.stringify(options));
  const asc = path.join(
    path.dirname(createRequire(import.meta.url).resolve('assemblyscript/package.json')),
    'bin/asc.js',
  );
  const { status, stderr } = spawnSync(
    process.execPath,
    [asc, 'assembly/index.ts', '--config', 'asconfig.json', '--target', 'baseline'],
    {
      cwd: folder,
      encoding: 'utf8',
    },
  );
  assert.is(status, 0, stderr);
  const bytes = new Uint8Array(readFileSync(`${folder}/kernels.wasm`));
  rmSync(path.dirname(folder), { recursive: true });
  return bytes;
}

function convolve(runtime: Runtime, options: object, channels: number, size: number, state: Tensor): Float32Array {
  const conv = new Conv2d(runtime, { inChannels: channels, outChannels: 9, kernelSize: 3, bias: false, ...options });
  conv.loadStateDict({ weight: state });
  const output = take(conv.forward(toTensor({ data: image(channels * size * size), dims: [1, channels, size, size] })));
  conv.dispose();
  return output;
}

function image(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => Math.sin(i));
}

async function multiply(runtime: Runtime, a: Tensor, b: Tensor): Promise<Float32Array> {
  const node = { op: 'matMul', inputs: ['a', 'b'], output: 'y' };
  const graph = graphFrom({ inputs: ['a', 'b'], outputs: ['y'], nodes: [node] });
  const session = await InferenceSession.create(graph, { runtime });
  const { y } = session.runSync({ a, b });
  await session.release();
  return y!.data;
}

const MATRICES = [tensor(130, 900), tensor(900, 2100)] as const;
const CONVOLUTIONS: readonly [options: object, channels: number, size: number, weight: Tensor][] = [
  [{ algorithm: 'gemm' }, 300, 13, tensor(9, 300, 3, 3)],
  [{}, 70, 14, tensor(9, 70, 3, 3)],
  [{}, 3, 20, tensor(9, 3, 3, 3)],
  [{ algorithm: 'winogradF4x4K3' }, 7, 21, tensor(9, 7, 3, 3)],
  [{ groups: 9, inChannels: 9 }, 9, 12, tensor(9, 1, 3, 3)],
];

for (const [name, tunables] of Object.entries(VARIANTS)) {
  test(`${name}: other tunables, and no byte outside of working memory`, async () => {
    const usual = await createRuntime({ simd: 'baseline' });
    const other = (await createRuntime({ simd: 'baseline', wasm: compile(name, tunables) })) as Runtime & {
      kernels: Kernels;
    };
    assert.is.not(other.kernels.scratchBytes(), (usual as typeof other).kernels.scratchBytes());
    assert.ok(relativeError(await multiply(other, ...MATRICES), await multiply(usual, ...MATRICES)) < 1e-5);
    for (const [options, channels, size, weight] of CONVOLUTIONS) {
      const expected = convolve(usual, options, channels, size, weight);
      assert.ok(
        relativeError(convolve(other, options, channels, size, weight), expected) < 1e-5,
        JSON.stringify(options),
      );
    }
    for (const runtime of [usual, other]) runtime.dispose();
  });
}

test.run();
