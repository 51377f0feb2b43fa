// LeNet-5-BN in base form by the training operators of onnxruntime-web 1.19.2, the last whose .wasm has them, with one
// thread. Its steps are forward, loss and gradients; without the optimiser.
import { clockFor } from '../clock.mjs';
import { lenetStep } from './lenetStep.mjs';

const HOW_TO_INSTALL = 'npm --prefix bench/training/onnxruntime ci --ignore-scripts';
/** Relative to the largest gradient of a parameter, and to the loss: what differs by more computes something else. */
const TOLERANCE = 1e-3;

/** @returns undefined, after saying so, if it is not installed */
export async function loadOnnxruntime() {
  try {
    // The package offers this file to browsers alone; it runs in Node as it is.
    const ort = await import('./node_modules/onnxruntime-web/dist/ort.training.wasm.min.mjs');
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = 'error';
    return ort;
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    console.error(`bench:training: without onnxruntime-web, which is not installed: ${HOW_TO_INSTALL}`);
    return undefined;
  }
}

export function canRun(network, form, threads) {
  return network === 'LeNet-5-BN' && form === 'base' && threads === 1;
}

/**
 * @param ours what openOurs gives, which has made no step yet
 * @returns a function that makes a step and gives its milliseconds
 * @throws Error if its loss or gradients are not ours
 */
export async function openOnnxruntime({ InferenceSession, Tensor }, ours) {
  const { images, labels, source } = ours;
  const file = lenetStep(ours.state(), labels.length, source);
  const session = await InferenceSession.create(file, { executionProviders: ['wasm'], graphOptimizationLevel: 'all' });
  const feeds = {
    image: new Tensor('float32', images.data, images.dims),
    labels: new Tensor('int64', BigInt64Array.from(labels, BigInt), [labels.length]),
  };
  check(await session.run(feeds), ours.lossAndGradients());
  const now = clockFor(1);
  return async () => {
    const start = now();
    await session.run(feeds);
    return now() - start;
  };
}

function check(results, { loss, gradients }) {
  expectNear('loss', results.loss.data, [loss]);
  for (const [key, gradient] of Object.entries(gradients)) {
    expectNear(`the gradient of ${key}`, results[`${key}.gradient`].data, gradient);
  }
}

function expectNear(name, actual, expected) {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const error = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - actual[i])), 0) / largest;
  if (!(error <= TOLERANCE)) throw new Error(`onnxruntime-web computes something else: ${name} differs by ${error}`);
}
