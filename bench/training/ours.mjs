// The package's own training steps on the networks of bench/training.mjs.
import { clockFor } from './clock.mjs';
import { importTimed } from './phases.mjs';

export const BATCH = 128;
/** Builder, its options, dims of an image. */
const NETWORKS = {
  'LeNet-5-BN': ['lenet5bn', {}, [1, 28, 28]],
  'Cifar-quick': ['cifarQuick', {}, [3, 32, 32]],
  'ResNet-20': ['resnetCifar', { blocksPerStage: 3 }, [3, 32, 32]],
};
export const NETWORK_NAMES = Object.keys(NETWORKS);
export const FORMS = ['base', 'train'];

const { source, timed } = await importTimed();

export async function openOurs(network, form, threads, simd) {
  const { createRuntime, Tensor, Trainer } = source;
  const [builder, options, dims] = NETWORKS[network];
  const runtime = await createRuntime({ simd, threads });
  const model = source[builder](runtime, { form, ...options }).train();
  const trainer = new Trainer(model, { lr: 0.01, momentum: 0.9 });
  const images = new Tensor('float32', normals(BATCH * dims[0] * dims[1] * dims[2]), [BATCH, ...dims]);
  const labels = Array.from({ length: BATCH }, (_, i) => (i * 7) % 10);
  const now = clockFor(threads);
  const step = () => {
    const start = now();
    trainer.step(images, labels);
    return now() - start;
  };
  const close = () => {
    trainer.dispose();
    runtime.dispose();
  };
  /** By a trainer whose step subtracts the gradients from the weights. */
  const lossAndGradients = () => {
    const copy = source[builder](runtime, { form, ...options }).train();
    copy.loadStateDict(model.stateDict());
    const plain = new Trainer(copy, { lr: 1 });
    const loss = plain.step(images, labels);
    plain.dispose();
    const [before, after] = [model.stateDict(), copy.stateDict()];
    copy.dispose();
    const keys = Object.keys(before).filter((key) => !key.includes('running_'));
    const gradients = keys.map((key) => [key, before[key].data.map((value, i) => value - after[key].data[i])]);
    return { loss, gradients: Object.fromEntries(gradients) };
  };
  const inside = { source, images, labels, state: () => model.stateDict(), lossAndGradients };
  return { simd: runtime.simd, step, phases: () => timed(step), close, ...inside };
}

/** Normally distributed numbers (Box and Muller), from a generator of Park and Miller. */
function normals(count) {
  let state = 1;
  const random = () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
  return Float32Array.from({ length: count }, () => {
    return Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
  });
}
