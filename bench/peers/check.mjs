// npm run test:peers: onnxruntime-node reads what writeOnnx writes and computes the same. Ends with a line `N passed, N
// failed`. (That a script for onnxruntime-web runs here too is test/sameScript.test.ts.)
//
// The peers are installed by: npm --prefix bench/peers ci --ignore-scripts
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as acnet from '../../dist/index.js';
import { HOW_TO_INSTALL, isMissing } from './onnxruntimes.mjs';

const NETWORKS = fileURLToPath(new URL('../../test/fixtures/networks', import.meta.url));
const EXPORTERS = fileURLToPath(new URL('../../test/fixtures/exporters', import.meta.url));
/** Relative to the largest magnitude of the expected output. */
const TOLERANCE = 1e-5;

/** Every network, small. */
const SMALL = {
  lenet5bn: { build: acnet.lenet5bn, options: { channels: [3, 4] }, dims: [2, 1, 28, 28] },
  cifarQuick: { build: acnet.cifarQuick, options: { channels: [3, 4, 2] }, dims: [2, 3, 32, 32] },
  vgg16: {
    build: acnet.vgg16,
    options: { channels: [2, 3, 2, 4, 3, 2, 3, 2, 3, 2, 3, 2, 4] },
    dims: [2, 3, 32, 32],
  },
  resnetCifar: { build: acnet.resnetCifar, options: { channels: [2, 3, 4], blocksPerStage: 2 }, dims: [2, 3, 32, 32] },
  wideResnet: { build: acnet.wideResnet, options: { channels: [2, 3, 4, 5], blocksPerStage: 2 }, dims: [2, 3, 32, 32] },
  densenet: { build: acnet.densenet, options: { channels: [3], blocksPerStage: 2, growth: 2 }, dims: [2, 3, 32, 32] },
  alexnet: { build: acnet.alexnet, options: { channels: [2, 3, 2, 3, 2] }, dims: [1, 3, 224, 224] },
  resnet18: { build: acnet.resnet18, options: { channels: [2, 3, 4, 5], blocksPerStage: 1 }, dims: [1, 3, 64, 64] },
  densenet121: {
    build: acnet.densenet121,
    options: { channels: [4], blocksPerStage: 1, growth: 2 },
    dims: [1, 3, 64, 64],
  },
};

const counts = { passed: 0, failed: 0 };
try {
  await main();
} catch (error) {
  counts.failed++;
  console.error(`test:peers: ${isMissing(error) ? HOW_TO_INSTALL : error.stack}`);
}
console.log(`\n${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed > 0 ? 1 : 0;

async function main() {
  const { default: native } = await import('onnxruntime-node');
  for (const file of readdirSync(NETWORKS).filter((name) => name.endsWith('.onnx'))) {
    const bytes = readFileSync(path.join(NETWORKS, file));
    const { input, output } = referenceOf(file);
    const graph = acnet.readOnnx(bytes);
    for (const [what, written] of Object.entries({ 'as read': graph, merged: acnet.reparameterize(graph).graph })) {
      await check(`${file} written again, ${what}, in onnxruntime-node`, async () =>
        close(await runNative(native, acnet.writeOnnx(written), input), output.data),
      );
    }
  }
  const { input } = acnet.readSafetensors(readFileSync(path.join(EXPORTERS, 'acnet.io.safetensors'))).tensors;
  for (const file of readdirSync(EXPORTERS).filter((name) => name.endsWith('.onnx'))) {
    await check(`${file}, of PyTorch's exporter, beside onnxruntime-node`, () =>
      checkExported(native, path.join(EXPORTERS, file), input),
    );
  }
  const runtime = await acnet.createRuntime();
  for (const [name, { build, options, dims }] of Object.entries(SMALL)) {
    for (const form of ['train', 'base', 'deploy']) {
      await check(`${name}, ${form} form, in onnxruntime-node`, () =>
        checkBuilder(native, runtime, build(runtime, { ...options, form }).eval(), dims),
      );
    }
  }
  runtime.dispose();
}

/**
 * Both load the path, as weights may lie beside the model; here it is also rewritten, with weights beside it and
 * inside.
 */
async function checkExported(native, file, input) {
  const expected = await runNative(native, file, input);
  const graph = acnet.reparameterize(await acnet.loadOnnx(file)).graph;
  const { model, externalData } = acnet.writeOnnx(graph, { externalData: 'weights.data' });
  const written = await runNative(native, model, input, { externalData });
  const inside = await runNative(native, acnet.writeOnnx(graph), input);
  const session = await acnet.InferenceSession.create(file);
  const [output] = Object.values(await session.run({ [session.inputNames[0]]: input }));
  await session.release();
  return Math.max(...[output.data, written, inside].map((values) => close(values, expected)));
}

async function checkBuilder(native, runtime, layer, dims) {
  const size = dims.reduce((product, dim) => product * dim, 1);
  const input = new acnet.Tensor(
    'float32',
    Float32Array.from({ length: size }, (_, i) => Math.sin(i)),
    dims,
  );
  const output = layer.forward(input);
  const expected = output.data;
  const error = close(await runNative(native, acnet.writeOnnx(acnet.toGraph(layer)), input), expected);
  for (const thing of [output, layer]) thing.dispose();
  same('memory in use', runtime.memory.used, 0);
  return error;
}

async function runNative(native, model, { data, dims }, options = {}) {
  const session = await native.InferenceSession.create(model, {
    executionProviders: ['cpu'],
    logSeverityLevel: 3,
    ...options,
  });
  const results = await session.run({ [session.inputNames[0]]: new native.Tensor('float32', data, dims) });
  const values = results[session.outputNames[0]].data;
  await session.release();
  return values;
}

function referenceOf(file) {
  const bytes = readFileSync(path.join(NETWORKS, file.replace(/\.onnx$/, '.io.safetensors')));
  return acnet.readSafetensors(bytes).tensors;
}

/** `body` returns how far two results differ, or throws. */
async function check(name, body) {
  try {
    const error = await body();
    counts.passed++;
    console.log(`ok   ${name}: ${error.toExponential(1)}`);
  } catch (error) {
    counts.failed++;
    console.log(`FAIL ${name}: ${error.message}`);
  }
}

function same(what, actual, expected) {
  if (actual !== expected) throw new Error(`${what}: ${actual}, expected ${expected}`);
}

/** Largest difference, relative to the largest expected magnitude. */
function close(actual, expected) {
  same('number of values', actual.length, expected.length);
  let [largest, magnitude] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i] - expected[i]);
    if (!(difference <= largest)) largest = difference;
    magnitude = Math.max(magnitude, Math.abs(expected[i]));
  }
  if (!(largest <= TOLERANCE * magnitude)) throw new Error(`they differ by ${largest}, largest magnitude ${magnitude}`);
  return largest / magnitude;
}
