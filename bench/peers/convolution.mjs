// One convolution as every contestant gets it: sizes by name and seeded random data, NCHW.
import { nameOf, shapes, workOf } from '../shapes.mjs';
import { mulberry32 } from './random.mjs';

/** The shapes of bench/shapes.mjs, each with its network, as { network, name, flops, sizes }. */
export const convolutions = Object.entries(shapes).flatMap(([network, list]) =>
  list.map((shape) => {
    const [inChannels, outChannels, size, kernel, stride, padding] = shape;
    const { outSize, flops } = workOf(shape);
    const sizes = { inChannels, outChannels, size, outSize, kernel, stride, padding };
    return { network, name: nameOf(shape), flops, sizes };
  }),
);

/** Input, weights (scaled by their fan-in, so that outputs stay about 1) and bias. */
export function randomData({ inChannels, outChannels, size, kernel }, seed) {
  const random = mulberry32(seed);
  const uniform = (count, scale) => Float32Array.from({ length: count }, () => (random() * 2 - 1) * scale);
  const taps = kernel * kernel;
  return {
    input: uniform(inChannels * size * size, 1),
    weight: uniform(outChannels * inChannels * taps, Math.sqrt(3 / (inChannels * taps))),
    bias: uniform(outChannels, 1),
  };
}
