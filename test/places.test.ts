/** Restricted platforms: kernels that are given, of either build and from other realms; no timers, no finalizers. */
import { readFileSync } from 'node:fs';
import vm from 'node:vm';
import { Conv2d, createRuntime, InferenceSession, type RuntimeOptions, Tensor } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Build, supportedBuilds } from './support.js';

type Wasm = NonNullable<RuntimeOptions['wasm']>;

const builds = await supportedBuilds();
const bytesOf = (build: Build): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(`dist/${build}.wasm`));

test('a runtime is of the build that it was given', async () => {
  for (const build of builds) {
    for (const simd of ['auto', build] as const) {
      for (const threads of [1, 2]) {
        const runtime = await createRuntime({ simd, threads, wasm: bytesOf(build) });
        assert.is(runtime.simd, build);
        assert.is(runtime.threads, threads);
        const { available, reason } = runtime.capabilities.relaxedSimd;
        assert.is(available, build === 'relaxed');
        assert.is(reason === undefined, build === 'relaxed');
        runtime.dispose();
      }
    }
  }
});

test('the other build than was asked for is refused', async () => {
  assert.ok(builds.includes('relaxed'));
  for (const [simd, given] of [
    ['baseline', 'relaxed'],
    ['relaxed', 'baseline'],
  ] as const) {
    for (const threads of [1, 2]) {
      const error = await refusal({ simd, threads, wasm: bytesOf(given) });
      assert.instance(error, RangeError);
      assert.match(error.message, `simd is '${simd}', but the kernels at hand are the ${given} build`);
    }
  }
});

test('kernels may come from another realm', async () => {
  const context = vm.createContext({ bytes: bytesOf('baseline') });
  const evaluate = (code: string): Wasm => vm.runInContext(code, context);
  const foreignModule = evaluate('new WebAssembly.Module(bytes)');
  const foreignBytes = evaluate('Uint8Array.from(bytes)');
  assert.not(foreignModule instanceof WebAssembly.Module);
  assert.not(foreignBytes instanceof Uint8Array);
  const expected = await compute({ simd: 'baseline' });
  for (const wasm of [foreignModule, foreignBytes, evaluate('Uint8Array.from(bytes).buffer')]) {
    assert.equal(await compute({ simd: 'baseline', wasm }), expected);
    assert.equal(await compute({ simd: 'baseline', wasm: Promise.resolve(wasm as WebAssembly.Module) }), expected);
  }
  const runtime = await createRuntime({ simd: 'baseline', wasm: foreignBytes, threads: 2 });
  assert.is(runtime.threads, 2);
  runtime.dispose();
});

test('a response may hold the kernels, whatever its type', async () => {
  const runtime = await createRuntime({ simd: 'baseline', wasm: new Response(bytesOf('baseline')), threads: 2 });
  assert.is(runtime.threads, 2);
  runtime.dispose();
  const missing = await refusal({ wasm: Promise.resolve(new Response('no such file', { status: 404 })) });
  assert.match(missing.message, 'createRuntime: wasm: HTTP status 404');
});

test('what holds no kernels is refused by name', async () => {
  for (const wasm of [{}, null, 'baseline.wasm', new Float32Array(4)]) {
    const error = await refusal({ wasm: wasm as unknown as Wasm });
    assert.instance(error, TypeError);
    assert.match(error.message, /^createRuntime: wasm: /);
  }
  for (const text of ['', '<!doctype html>']) {
    const error = await refusal({ wasm: new TextEncoder().encode(text) });
    assert.is(error.name, 'UnsupportedError');
    assert.match(error.message, 'wasm is no module that this engine knows');
  }
  const empty = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
  for (const wasm of [empty, new WebAssembly.Module(empty)]) {
    const error = await refusal({ wasm });
    assert.instance(error, TypeError);
    assert.match(error.message, "wasm is not this version's kernels");
  }
});

test('a session is made where no timer may be set', async () => {
  const expected = await compute({});
  const actual = await withGlobal('setTimeout', forbidden, () => compute({}));
  assert.equal(actual, expected);
});

test('memory works without FinalizationRegistry', async () => {
  await withGlobal('FinalizationRegistry', undefined, async () => {
    const runtime = await createRuntime();
    const conv = new Conv2d(runtime, { inChannels: 3, outChannels: 4, kernelSize: 3 });
    const { used } = runtime.memory;
    conv.forward(new Tensor('float32', new Float32Array(75), [1, 3, 5, 5])).dispose();
    conv.dispose();
    assert.ok(runtime.memory.used < used);
    runtime.dispose();
  });
});

function forbidden(): never {
  throw new Error('no timer may be set here');
}

/** Runs `body` while a global is something else. */
async function withGlobal<T>(name: string, value: unknown, body: () => Promise<T>): Promise<T> {
  const before = Object.getOwnPropertyDescriptor(globalThis, name)!;
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  try {
    return await body();
  } finally {
    Object.defineProperty(globalThis, name, before);
  }
}

async function refusal(options: RuntimeOptions): Promise<Error> {
  try {
    (await createRuntime(options)).dispose();
  } catch (error) {
    return error as Error;
  }
  throw new Error('createRuntime took what it should refuse');
}

/** What a session of one convolution gives. */
async function compute(options: RuntimeOptions): Promise<number[]> {
  const runtime = await createRuntime(options);
  const conv = new Conv2d(runtime, { inChannels: 3, outChannels: 4, kernelSize: 3 });
  const state = Object.entries(conv.stateDict()).map(([key, { dims, size }]) => [
    key,
    new Tensor(
      'float32',
      Float32Array.from({ length: size }, (_, i) => ((i * 37) % 101) / 101 - 0.5),
      dims,
    ),
  ]);
  conv.loadStateDict(Object.fromEntries(state)).eval();
  const session = await InferenceSession.create(conv, { runtime });
  const image = new Tensor(
    'float32',
    Float32Array.from({ length: 75 }, (_, i) => Math.fround(i / 75)),
    [1, 3, 5, 5],
  );
  const { [session.outputNames[0]!]: output } = session.runSync({ [session.inputNames[0]!]: image });
  runtime.dispose();
  return [...output!.data];
}

test.run();
