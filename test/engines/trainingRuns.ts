/**
 * Short runs of training, for any engine: small networks with every kind of layer, large enough that threads share their
 * work. What comes out is a hash of all losses and of all parameters, statistics and velocities at the end.
 */
import type * as acnet from 'acnet-wasm';
import type * as training from 'acnet-wasm/train';
import { Fnv1a } from './hash.js';

export type Package = typeof acnet & Pick<typeof training, 'Trainer'>;

const BATCH = 8;
const SIZE = 28;
const CLASSES = 5;

/** Networks for images of three channels. */
export const NETWORKS: Readonly<Record<string, (pkg: Package, runtime: acnet.Runtime) => acnet.Layer>> = {
  'blocks, stride 2, groups, depthwise, paddings, pools': (pkg, runtime) => {
    const { ACBlock, AvgPool2d, BatchNorm2d, Conv2d, Flatten, GlobalAvgPool2d, Linear, MaxPool2d, ReLU } = pkg;
    const conv = (options: object): acnet.Layer =>
      new Conv2d(runtime, { inChannels: 32, outChannels: 32, kernelSize: 3, padding: 1, ...options });
    return new pkg.Sequential(runtime, [
      new ACBlock(runtime, { inChannels: 3, outChannels: 16, kernelSize: 3, padding: 1 }),
      new ReLU(runtime),
      new ACBlock(runtime, { inChannels: 16, outChannels: 32, kernelSize: 5, padding: 2 }),
      new MaxPool2d(runtime, { kernelSize: 3, stride: 2, padding: 1 }),
      conv({ groups: 32 }),
      new BatchNorm2d(runtime, { numFeatures: 32 }),
      new ReLU(runtime),
      conv({ groups: 4, paddingMode: 'reflect' }),
      new ACBlock(runtime, { inChannels: 32, outChannels: 40, kernelSize: 3, padding: 1, stride: 2 }),
      new ReLU(runtime),
      new AvgPool2d(runtime, { kernelSize: 2, stride: 1 }),
      conv({ inChannels: 40, kernelSize: [1, 3], padding: [0, 1] }),
      new GlobalAvgPool2d(runtime),
      new Flatten(runtime),
      new Linear(runtime, { inFeatures: 32, outFeatures: CLASSES }),
    ]);
  },
  'concatenations of a dense block': (pkg, runtime) =>
    pkg.densenet(runtime, { channels: [16], growth: 8, blocksPerStage: 2, numClasses: CLASSES }),
  'residual blocks': (pkg, runtime) =>
    pkg.resnetCifar(runtime, { channels: [16, 24, 32], blocksPerStage: 1, numClasses: CLASSES }),
};

/** Trains with this many threads. */
export async function trainingHash(
  pkg: Package,
  network: string,
  options: { simd: 'baseline' | 'relaxed'; threads: number; steps: number },
): Promise<string> {
  const runtime = await pkg.createRuntime({ simd: options.simd, threads: options.threads });
  try {
    if (runtime.threads !== options.threads) throw new Error(`threads: ${runtime.capabilities.threads.reason}`);
    const random = lehmer(7);
    const model = NETWORKS[network]!(pkg, runtime).train();
    model.loadStateDict(seeded(pkg, model.stateDict(), random));
    const trainer = new pkg.Trainer(model, { lr: 0.05, momentum: 0.9, weightDecay: 1e-3, nesterov: true, clipNorm: 2 });
    const hash = new Fnv1a();
    for (let step = 0; step < options.steps; step++) {
      const pixels = Float32Array.from({ length: BATCH * 3 * SIZE * SIZE }, () => random() * 4 - 2);
      const labels = Array.from({ length: BATCH }, () => Math.floor(random() * CLASSES));
      const loss = trainer.step(new pkg.Tensor('float32', pixels, [BATCH, 3, SIZE, SIZE]), labels);
      if (!Number.isFinite(loss)) throw new Error(`loss ${loss} at step ${step}`);
      hash.update(bytesOf(Float64Array.of(loss)));
      // Messages come between steps: workers may have the kernels for training by the next one.
      await new Promise((resolve) => setTimeout(resolve));
    }
    for (const state of [model.stateDict(), trainer.stateDict()]) {
      for (const key of Object.keys(state).sort()) hash.update(bytesOf(state[key]!.data as Float32Array));
    }
    return hash.digest();
  } finally {
    runtime.dispose();
  }
}

/** Weights and biases drawn anew, so that they are the same in all runs; gammas about 1/3. */
function seeded(pkg: Package, state: acnet.StateDict, random: () => number): acnet.StateDict {
  const drawn = Object.entries(state).map(([key, tensor]) => {
    if (key.includes('running')) return [key, tensor] as const;
    const bound = tensor.dims.length === 1 ? 0.2 : Math.sqrt(3 / (tensor.size / tensor.dims[0]!));
    const isGamma = tensor.dims.length === 1 && key.endsWith('weight');
    const values = Float32Array.from({ length: tensor.size }, () => (random() * 2 - 1) * bound + (isGamma ? 0.4 : 0));
    return [key, new pkg.Tensor('float32', values, tensor.dims)] as const;
  });
  return Object.fromEntries(drawn);
}

/** Whole numbers only, the same in every engine. */
function lehmer(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Float64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
