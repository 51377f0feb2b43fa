// npm run bench:memory: what a ResNet-18 takes at 224 x 224; what one 3x3 convolution 64->64 on a large image takes beyond
// its activations; and what weights transformed for speed cost, in bytes of the runtime's memory and in time.
import { Conv2d, createRuntime, InferenceSession, resnet18, Tensor, toGraph } from 'acnet-wasm';

const SIZE = 2048;
const CHANNELS = 64;
const ACTIVATION_BYTES = CHANNELS * SIZE * SIZE * 4;

await measureNetwork();

const host = new Tensor('float32', new Float32Array(CHANNELS * SIZE * SIZE).fill(0.5), [1, CHANNELS, SIZE, SIZE]);
for (const memory of ['fast', 'small']) {
  const runtime = await createRuntime({ memory });
  const conv = new Conv2d(runtime, { inChannels: CHANNELS, outChannels: CHANNELS, kernelSize: 3, padding: 1 });
  const parameters = runtime.memory.used;
  const input = host.to(runtime);
  warmUp(runtime, conv);
  const start = performance.now();
  const output = conv.forward(input);
  const seconds = (performance.now() - start) / 1000;
  const { used, transforms } = runtime.memory;
  const working = used - 2 * ACTIVATION_BYTES - parameters;
  const gflops = (2 * 9 * CHANNELS * ACTIVATION_BYTES) / 4 / seconds / 1e9;
  console.log(
    `memory '${memory}': 3x3 ${CHANNELS}->${CHANNELS} @${SIZE}: activations ${megabytes(2 * ACTIVATION_BYTES)}, beside them ` +
      `${megabytes(working)} (transforms ${megabytes(transforms)}); ${seconds.toFixed(2)} s, ${gflops.toFixed(0)} GF/s`,
  );
  for (const thing of [output, input, conv, runtime]) thing.dispose();
}

/**
 * Peak memory of a session next to packed weights (parameters and transforms) and the largest set of live activations:
 * at the first pooling, 64 channels of 112 x 112 and of 56 x 56.
 */
async function measureNetwork() {
  const dims = [1, 3, 224, 224];
  const builder = await createRuntime();
  const net = resnet18(builder, { form: 'deploy' }).eval();
  const graph = { ...toGraph(net), inputDims: new Map([['input', dims]]) };
  const parameters = Object.values(net.stateDict()).reduce((bytes, { size }) => bytes + size * 4, 0);
  builder.dispose();
  const live = 64 * (112 ** 2 + 56 ** 2) * 4;
  for (const memory of ['fast', 'small']) {
    const runtime = await createRuntime({ memory });
    const session = await InferenceSession.create(graph, { runtime });
    session.runSync({ input: new Tensor('float32', new Float32Array(3 * 224 * 224).fill(0.5), dims) });
    const { peak, transforms } = runtime.memory;
    const weights = parameters + transforms;
    console.log(
      `memory '${memory}': ResNet-18 @224: peak ${megabytes(peak)}, weights ${megabytes(weights)}, beside them ` +
        `${megabytes(peak - weights)}, ${((peak - weights) / live).toFixed(2)} times the ${megabytes(live)} of live activations`,
    );
    await session.release();
    runtime.dispose();
  }
}

function warmUp(runtime, conv) {
  const small = new Tensor('float32', new Float32Array(CHANNELS * 32 * 32), [1, CHANNELS, 32, 32]).to(runtime);
  for (let i = 0; i < 100; i++) conv.forward(small).dispose();
  small.dispose();
}

function megabytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(2)} MiB`;
}
