// The convolution shapes of the paper's networks: [inChannels, outChannels, input size, kernel, stride, padding].
export const shapes = {
  'Cifar-quick': [
    [3, 32, 32, 5, 1, 2],
    [32, 32, 16, 5, 1, 2],
    [32, 64, 8, 5, 1, 2],
  ],
  'VGG-16': [
    [64, 64, 32, 3, 1, 1],
    [128, 128, 16, 3, 1, 1],
    [256, 256, 8, 3, 1, 1],
    [512, 512, 4, 3, 1, 1],
  ],
  'ResNet-56': [
    [16, 16, 32, 3, 1, 1],
    [32, 32, 16, 3, 1, 1],
    [64, 64, 8, 3, 1, 1],
  ],
  'WRN-16-8': [
    [128, 128, 32, 3, 1, 1],
    [256, 256, 16, 3, 1, 1],
    [512, 512, 8, 3, 1, 1],
  ],
  'ResNet-18': [
    [64, 64, 56, 3, 1, 1],
    [64, 128, 56, 3, 2, 1],
    [128, 128, 28, 3, 1, 1],
    [256, 256, 14, 3, 1, 1],
    [512, 512, 7, 3, 1, 1],
  ],
  AlexNet: [
    [64, 192, 27, 5, 1, 2],
    [192, 384, 13, 3, 1, 1],
  ],
  DenseNet: [[128, 32, 28, 3, 1, 1]],
};

/** Output size and floating-point operations of the plain convolution. */
export function workOf([inChannels, outChannels, size, kernel, stride, padding]) {
  const outSize = Math.floor((size + 2 * padding - kernel) / stride) + 1;
  return { outSize, flops: 2 * inChannels * outChannels * kernel * kernel * outSize * outSize };
}

export function nameOf([inChannels, outChannels, size, kernel, stride]) {
  return `${kernel}x${kernel} ${inChannels}->${outChannels} @${size}${stride > 1 ? ` /${stride}` : ''}`;
}
