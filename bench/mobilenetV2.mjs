// MobileNetV2 (Sandler et al., CVPR 2018) as PyTorch exports it in evaluation mode: BatchNorms are in the convolutions,
// ReLU6 is a Clip, and ten bottlenecks add their input. Weights are random, from a seed.
import { Tensor, writeOnnx } from 'acnet-wasm';
import { mulberry32 } from './peers/random.mjs';

/** [expansion, channels, repeats, stride] of each stage. */
const STAGES = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
];
const STEM_CHANNELS = 32;
const LAST_CHANNELS = 1280;
const CLASSES = 1000;

export const MOBILENET_DIMS = [1, 3, 224, 224];

/** @returns an ONNX file's bytes: `image` [1, 3, 224, 224] to `logits` [1, 1000] */
export function mobilenetV2(seed = 1) {
  const random = mulberry32(seed);
  const nodes = [];
  const values = new Map();

  const store = (name, dims, scale) => {
    const size = dims.reduce((product, dim) => product * dim, 1);
    const data = Float32Array.from({ length: size }, () => (random() * 2 - 1) * scale);
    values.set(name, { tensor: new Tensor('float32', data, dims), role: 'frozen' });
    return name;
  };
  const add = (op, layer, inputs, attributes = {}) => {
    const output = `value${nodes.length}`;
    nodes.push({ op, path: output, layer, inputs, outputs: [output], ...attributes });
    return output;
  };
  const conv = (input, inChannels, outChannels, kernel, stride = 1, groups = 1) => {
    const fanIn = (inChannels / groups) * kernel * kernel;
    const name = `conv${nodes.length}`;
    const pad = kernel >> 1;
    const window = { kernel: [kernel, kernel], stride: [stride, stride], dilation: [1, 1], pads: [pad, pad, pad, pad] };
    const weight = store(`${name}.weight`, [outChannels, inChannels / groups, kernel, kernel], Math.sqrt(6 / fanIn));
    const bias = store(`${name}.bias`, [outChannels], 0.1);
    return add('conv2d', 'Conv', [input, weight, bias], { window, groups, paddingMode: 'zeros' });
  };
  const relu6 = (input) => add('clip', 'Clip', [input], { alpha: 0, beta: 6 });

  let value = relu6(conv('image', MOBILENET_DIMS[1], STEM_CHANNELS, 3, 2));
  let channels = STEM_CHANNELS;
  for (const [expansion, outChannels, repeats, firstStride] of STAGES) {
    for (let i = 0; i < repeats; i++) {
      const stride = i === 0 ? firstStride : 1;
      const hidden = channels * expansion;
      const input = value;
      if (expansion > 1) value = relu6(conv(value, channels, hidden, 1));
      value = relu6(conv(value, hidden, hidden, 3, stride, hidden));
      value = conv(value, hidden, outChannels, 1);
      if (stride === 1 && channels === outChannels) value = add('add', 'Add', [input, value]);
      channels = outChannels;
    }
  }
  value = relu6(conv(value, channels, LAST_CHANNELS, 1));
  value = add('flatten', 'Flatten', [add('globalAvgPool2d', 'GlobalAveragePool', [value])], { axis: 1 });
  const weight = store('classifier.weight', [CLASSES, LAST_CHANNELS], Math.sqrt(1 / LAST_CHANNELS));
  nodes.push({
    op: 'linear',
    path: 'classifier',
    layer: 'Gemm',
    inputs: [value, weight, store('classifier.bias', [CLASSES], 0.1)],
    outputs: ['logits'],
  });
  const inputDims = new Map([['image', MOBILENET_DIMS]]);
  return writeOnnx({ inputs: ['image'], outputs: ['logits'], nodes, values, inputDims });
}
