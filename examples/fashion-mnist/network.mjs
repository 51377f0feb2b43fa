/** The trained network: loading it, classifying with it, timing it, and counting its parameters and products. */
import { readFileSync } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { lenet5bn, readSafetensors, Softmax, Tensor } from 'acnet-wasm';
import { CLASSES, SIDE, scaledImages } from './dataset.mjs';

const MODEL = new URL('../../models/lenet5bn-acb-fashion-mnist.safetensors', import.meta.url);

const { tensors, metadata } = readSafetensors(new Uint8Array(readFileSync(fileURLToPath(MODEL))));
/** What to subtract from pixels, and what to divide them by; acnet train writes it beside the weights. */
const [[mean], [std]] = [metadata.mean, metadata.std].map((text) => JSON.parse(text));

/** The network in train form, in evaluation mode. */
export function loadNetwork(runtime) {
  return lenet5bn(runtime).loadStateDict(tensors).eval();
}

/**
 * Classifies every image, `batch` at a time.
 * @returns {Promise<{ logits: Float32Array, classes: number[], bytes: number }>} logits [count, 10]; bytes of the
 *   runtime's memory in use after a batch, at most
 */
export async function classify(net, dataset, batch, onProgress) {
  const logits = new Float32Array(dataset.count * CLASSES.length);
  let bytes = 0;
  for (let begin = 0; begin < dataset.count; begin += batch) {
    const end = Math.min(begin + batch, dataset.count);
    logits.set(forward(net, dataset, begin, end), begin * CLASSES.length);
    bytes = Math.max(bytes, net.runtime.memory.used);
    onProgress(end);
    await breathe(); // lets Ctrl-C through
  }
  return { logits, classes: Array.from({ length: dataset.count }, (_, i) => largest(logitsOf(logits, i))), bytes };
}

/**
 * Times several networks on the same images, one image at a time from pixels to logits. They take turns, so that
 * anything else that the machine does slows all of them alike; the first `warmUp` rounds, in which the engine still
 * compiles, do not count.
 * @returns {Promise<number[]>} median milliseconds per image of each network
 */
export async function timeNetworks(nets, dataset, { rounds, warmUp }, onProgress) {
  const times = nets.map(() => []);
  for (let round = 0; round < warmUp + rounds; round++) {
    const image = round % dataset.count;
    // Every other round runs backwards: none always has the caches of the one before it.
    const order = nets.map((_, i) => (round % 2 === 0 ? i : nets.length - 1 - i));
    for (const i of order) {
      const start = performance.now();
      forward(nets[i], dataset, image, image + 1);
      if (round >= warmUp) times[i].push(performance.now() - start);
    }
    onProgress(round + 1);
    if (round % 10 === 9) await breathe();
  }
  return times.map(median);
}

/** @returns {Float32Array} logits [end - begin, 10] */
function forward(net, dataset, begin, end) {
  const images = new Tensor('float32', scaledImages(dataset, { mean, std }, begin, end), [end - begin, 1, SIDE, SIDE]);
  const output = net.forward(images);
  const { data } = output;
  output.dispose();
  return data;
}

/** @returns {number} the probability of the likeliest class, from the logits of one image */
export function confidence(runtime, logits) {
  const softmax = new Softmax(runtime);
  const output = softmax.forward(new Tensor('float32', logits, [1, logits.length]));
  const probability = Math.max(...output.data);
  output.dispose();
  softmax.dispose();
  return probability;
}

export function logitsOf(logits, image) {
  return logits.subarray(image * CLASSES.length, (image + 1) * CLASSES.length);
}

/**
 * What the network is made of, from the shapes of its state.
 * @returns {{ learned: number, stored: number, convolutionMacs: number }} parameters that training changes, the same
 *   with the running statistics of BatchNorm, and multiply-adds of the convolutions per image
 */
export function measureNetwork(net) {
  const entries = Object.entries(net.stateDict());
  const stored = entries.reduce((sum, [, { size }]) => sum + size, 0);
  const statistics = entries.filter(([key]) => /\.running_(mean|var)$/.test(key));
  const learned = stored - statistics.reduce((sum, [, { size }]) => sum + size, 0);
  return { learned, stored, convolutionMacs: countMacs(entries) };
}

/**
 * A block with kernel K and no padding gives (side - K + 1) squared pixels, and every weight of its branches is
 * multiplied once for each of them. A pooling layer halves the side before the next block.
 */
function countMacs(entries) {
  const blocks = new Map();
  for (const entry of entries) {
    const block = blockOf(entry);
    if (block !== undefined) blocks.set(block, [...(blocks.get(block) ?? []), entry]);
  }
  let side = SIDE;
  let macs = 0;
  for (const convolutions of blocks.values()) {
    const kernel = Math.max(...convolutions.map(([, { dims }]) => dims[2]));
    const outSide = side - kernel + 1;
    macs += outSide ** 2 * convolutions.reduce((sum, [, { size }]) => sum + size, 0);
    side = outSide / 2;
  }
  return macs;
}

/** 'stem.conv1.acb' of 'stem.conv1.acb.ver_conv.weight'; undefined for keys that are no convolution's weight. */
function blockOf([key]) {
  return /^(.+)\.(?:square|ver|hor|fused)_conv\.weight$/.exec(key)?.[1];
}

function largest(values) {
  return values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}
