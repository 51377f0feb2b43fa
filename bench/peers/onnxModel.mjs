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
    inputs: ['x', 'weight', 'bias'],
    outputs: ['y'],
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
  const frozen = (data, dims) => ({ tensor: new Tensor('float32', data, dims), role: 'frozen' });
  const values = new Map([
    ['weight', frozen(weight, [outChannels, inChannels, kernel, kernel])],
    ['bias', frozen(bias, [outChannels])],
  ]);
  return writeOnnx({ inputs: ['x'], outputs: ['y'], nodes: [node], values, inputDims });
}
