// One convolution as every contestant gets it: sizes by name and seeded random data, NCHW.
import { nameOf, shapes, workOf } from '../shapes.mjs';

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

/** Tommy Ettinger's 32-bit generator: small, and good enough for data. */
function mulberry32(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
