// The paper's networks for CIFAR at full size as ONNX files, with seeded random parameters: in train form, with all
// branches, and in deploy form, which computes the same.
import {
  cifarQuick,
  densenet,
  resnetCifar,
  summarize,
  Tensor,
  toGraph,
  vgg16,
  wideResnet,
  writeOnnx,
} from '../../dist/index.js';
import { mulberry32 } from './random.mjs';

export const networks = [
  { network: 'Cifar-quick', build: cifarQuick },
  { network: 'VGG-16', build: vgg16 },
  { network: 'ResNet-56', build: resnetCifar },
  { network: 'WRN-16-8', build: wideResnet },
  { network: 'DenseNet-40', build: densenet },
];

export const INPUT_DIMS = [1, 3, 32, 32];

/**
 * @returns for each form the file, and `flops` of the network with merged blocks, whatever the form
 */
export function onnxModels(runtime, build, seed) {
  const layer = build(runtime).eval();
  try {
    layer.loadStateDict(randomState(layer.stateDict(), mulberry32(seed)));
    const train = writeOnnx(graphOf(layer));
    const graph = graphOf(layer.switchToDeploy());
    return { train, deploy: writeOnnx(graph), flops: 2 * summarize(graph, [INPUT_DIMS]).multiplyAdds };
  } finally {
    layer.dispose();
  }
}

export function randomImage(seed) {
  const random = mulberry32(seed);
  const size = INPUT_DIMS.reduce((product, dim) => product * dim, 1);
  return Float32Array.from({ length: size }, () => random() * 2 - 1);
}

function graphOf(layer) {
  return { ...toGraph(layer), inputDims: new Map([['input', INPUT_DIMS]]) };
}

/**
 * Values that stay finite through many layers: weights are scaled by their fan-in, scales and variances of BatchNorms lie
 * around 1. The gammas of a block's branches add up to about 1.
 */
function randomState(state, random) {
  const uniform = (low, high) => low + random() * (high - low);
  const valueFor = (key, dims) => {
    if (dims.length > 1) {
      const fanIn = dims.slice(1).reduce((product, dim) => product * dim, 1);
      return () => uniform(-1, 1) * Math.sqrt(6 / fanIn);
    }
    if (key.endsWith('running_var')) return () => uniform(0.5, 1.5);
    if (/(square|ver|hor)_bn\.weight$/.test(key)) return () => uniform(0.2, 0.5);
    if (/bn\.weight$/.test(key)) return () => uniform(0.6, 1.4);
    return () => uniform(-0.1, 0.1);
  };
  return Object.fromEntries(
    Object.entries(state).map(([key, { dims, size }]) => {
      const value = valueFor(key, dims);
      return [key, new Tensor('float32', Float32Array.from({ length: size }, value), dims)];
    }),
  );
}
