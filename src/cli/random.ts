/** Random tensors, the same for the same seed. */
import { Tensor } from '../index.js';
import { sizeOf } from '../sizes.js';

/** Uniform numbers in [0, 1) (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A source of tensors of normally distributed values, as normalised images have them (Box and Muller, 1958). */
export function normalTensors(seed: number): (dims: readonly number[]) => Tensor {
  const random = seededRandom(seed);
  return (dims) => {
    const values = new Float32Array(sizeOf(dims));
    for (let i = 0; i < values.length; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(1 - random()));
      const angle = 2 * Math.PI * random();
      values[i] = radius * Math.cos(angle);
      if (i + 1 < values.length) values[i + 1] = radius * Math.sin(angle);
    }
    return new Tensor('float32', values, dims);
  };
}
