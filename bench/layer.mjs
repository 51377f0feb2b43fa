// One convolution layer with a resident input, and timing of it.
import { Conv2d, Tensor } from 'acnet-wasm';

/** @returns the layer and its input, resident in the runtime */
export function prepareLayer(runtime, [inChannels, outChannels, size, kernelSize, stride, padding], options = {}) {
  const data = Float32Array.from({ length: inChannels * size * size }, (_, i) => Math.sin(i));
  const layer = new Conv2d(runtime, { inChannels, outChannels, kernelSize, stride, padding, ...options });
  return { layer, input: new Tensor('float32', data, [1, inChannels, size, size]).to(runtime) };
}

export function disposeLayer({ layer, input }) {
  layer.dispose();
  input.dispose();
}

/** Runs for this many milliseconds; returns the milliseconds of one run. */
export function repeat({ layer, input }, milliseconds) {
  const start = performance.now();
  let count = 0;
  do {
    layer.forward(input).dispose();
    count++;
  } while (performance.now() - start < milliseconds);
  return (performance.now() - start) / count;
}
