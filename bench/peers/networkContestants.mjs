// Who runs in npm run bench:networks: this package and the onnxruntimes, each with the same ONNX file.
//
// An opened contestant is { name, version, prepare(model, input), close() }. `prepare` makes a session of the file:
//   load       milliseconds that this and a first run took
//   variants ways to run it, fastest unknown; each call takes the image and returns the result as arrays result() the
//   output once, as a Float32Array dispose()
import { createRuntime, InferenceSession, Tensor } from '../../dist/index.js';
import { INPUT_DIMS } from './networkModels.mjs';
import { loadOnnxNode, loadOnnxWeb, versionOf, withPeers } from './onnxruntimes.mjs';

async function openOurs(simd) {
  const runtime = await createRuntime({ simd });
  return {
    name: 'acnet-wasm',
    version: versionOf('../../package.json'),
    simd: runtime.simd,
    runtime,
    async prepare(model, input) {
      const feeds = { input: new Tensor('float32', input, INPUT_DIMS) };
      const start = performance.now();
      const session = await InferenceSession.create(model, { runtime });
      const run = () => Object.values(session.runSync(feeds))[0].data;
      run();
      const load = performance.now() - start;
      return { load, variants: [run], result: run, dispose: () => session.release() };
    },
    close: () => runtime.dispose(),
  };
}

/** Both are used in the same way; `open` gives one session or several, of which the fastest counts. */
function onnxruntime({ name, version, Tensor: OnnxTensor, open }) {
  return {
    name,
    version,
    async prepare(model, input) {
      const feeds = { input: new OnnxTensor('float32', input, INPUT_DIMS) };
      const start = performance.now();
      const sessions = [await open(model)].flat();
      for (const session of sessions) await session.run(feeds);
      const load = (performance.now() - start) / sessions.length;
      return {
        load,
        variants: sessions.map((session) => () => session.run(feeds)),
        async result() {
          const [{ data }] = Object.values(await sessions[0].run(feeds));
          return Float32Array.from(data);
        },
        async dispose() {
          for (const session of sessions) await session.release();
        },
      };
    },
    close() {},
  };
}

/** All three, this package first. @throws Error that says how to install the peers if they are missing */
export async function openContestants(simd) {
  return withPeers(async () => [
    await openOurs(simd),
    onnxruntime(await loadOnnxWeb()),
    onnxruntime(await loadOnnxNode()),
  ]);
}
