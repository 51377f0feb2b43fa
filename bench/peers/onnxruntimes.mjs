// The two onnxruntimes, each used as its documentation says and with the fastest settings here, with one thread.
import { readFileSync } from 'node:fs';

/** onnxruntime-web with its wasm backend. */
export async function loadOnnxWeb() {
  const ort = await import('onnxruntime-web');
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.proxy = false;
  ort.env.logLevel = 'error';
  return {
    name: 'onnxruntime-web',
    version: versionOf('node_modules/onnxruntime-web/package.json'),
    Tensor: ort.Tensor,
    open: (model) =>
      ort.InferenceSession.create(model, { executionProviders: ['wasm'], graphOptimizationLevel: 'all' }),
  };
}

/**
 * onnxruntime-node. Its highest optimisation level computes in a blocked layout and converts at both ends, which does not
 * always pay: `open` gives a session with it and one without.
 */
export async function loadOnnxNode() {
  const { default: ort } = await import('onnxruntime-node');
  const open = (model, graphOptimizationLevel) =>
    ort.InferenceSession.create(model, {
      executionProviders: ['cpu'],
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      graphOptimizationLevel,
    });
  return {
    name: 'onnxruntime-node',
    version: versionOf('node_modules/onnxruntime-node/package.json'),
    Tensor: ort.Tensor,
    open: async (model) => [await open(model, 'all'), await open(model, 'extended')],
  };
}

/** Version of a package by the path of its package.json from this folder. */
export function versionOf(manifest) {
  return JSON.parse(readFileSync(new URL(manifest, import.meta.url), 'utf8')).version;
}

/** What `load` gives. @throws Error that says how to install the peers if they are missing */
export async function withPeers(load) {
  try {
    return await load();
  } catch (error) {
    throw isMissing(error) ? new Error(HOW_TO_INSTALL) : error;
  }
}

export const HOW_TO_INSTALL =
  'the peers are not installed; run: npm --prefix bench/peers ci --ignore-scripts   (some 500 MB)';

export function isMissing(error) {
  return ['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'].includes(error?.code);
}
