// An ONNX model of one convolution with bias.
import { Tensor, writeOnnx } from '../../dist/index.js';

/**
 * y = Conv(x, weight) + bias, x [1, inChannels, size, size], weight [outChannels, inChannels, kernel, kernel].
 * @returns bytes of a ModelProto
 */
export function onnxConv({ inChannels, outChannels, size, kernel, stride, padding }, weight, bias) {
  const node = {
    op: 'conv2d',
    path: 'conv',
    layer: 'Conv',
    inputs: ['x'],
    output: 'y',
    weight: new Tensor('float32', weight, [outChannels, inChannels, kernel, kernel]),
    bias: new Tensor('float32', bias, [outChannels]),
    window: {
      kernel: [kernel, kernel],
      stride: [stride, stride],
      dilation: [1, 1],
      pads: [padding, padding, padding, padding],
    },
    paddingMode: 'zeros',
    groups: 1,
  };
  const inputDims = new Map([['x', [1, inChannels, size, size]]]);
  return writeOnnx({ inputs: ['x'], outputs: ['y'], nodes: [node], inputDims });
}
