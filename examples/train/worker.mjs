// Trains in a worker of the page. It is told to start, pause, resume and stop; it reports what train() does, and at the
// end sends the merged network as files.
import {
  createRuntime,
  lenet5bn,
  reparameterize,
  Tensor,
  toGraph,
  writeOnnx,
  writeSafetensors,
} from '../../dist/index.js';
import { cosine, initialise, normalisationOf, train } from '../../dist/train.js';
import { committedImages, imagesOf } from './images.mjs';

/** Test images that are shown, and at a time. */
const EXAMPLES = 12;
const BATCH = 100;
const stop = new AbortController();
/** Settles when the run may go on. */
let turn = Promise.resolve();
let resume = () => {};

self.addEventListener('message', ({ data }) => {
  if (data.type === 'start') run(data).catch((error) => postMessage({ type: 'error', message: error.message }));
  if (data.type === 'pause') turn = new Promise((resolve) => (resume = resolve));
  if (data.type === 'resume') resume();
  if (data.type === 'stop') {
    stop.abort();
    resume();
  }
});

async function run({ files, form, epochs, batchSize, lr, seed, simd, threads }) {
  const { training, test } = files.length === 0 ? await committedImages() : await imagesOf(files);
  const runtime = await createRuntime({ simd, threads });
  const model = lenet5bn(runtime, { form, inChannels: training.dims[0], numClasses: training.classes.length });
  initialise(model, seed);
  const normalisation = normalisationOf(training);
  postMessage({ type: 'ready', steps: epochs * Math.floor(training.size / batchSize), threads: runtime.threads });
  const options = { epochs, batchSize, seed, schedule: cosine(lr), momentum: 0.9, weightDecay: 1e-4 };
  const { signal } = stop;
  try {
    for await (const event of train(model, training, { ...options, ...normalisation, validation: test, signal })) {
      if (event.type === 'step' || event.type === 'epoch') postMessage(event);
      await turn;
    }
  } catch (error) {
    if (error !== signal.reason) throw error;
  }
  finish(model.eval(), form, test, normalisation);
}

/** Merges, compares, writes. */
function finish(model, form, test, normalisation) {
  const before = classify(model, test, normalisation);
  model.switchToDeploy();
  const after = classify(model, test, normalisation);
  const metadata = Object.fromEntries(
    Object.entries({ classes: test.classes, ...normalisation }).map(([key, value]) => [key, JSON.stringify(value)]),
  );
  const { graph } = reparameterize(toGraph(model));
  const inputDims = new Map([[graph.inputs[0], ['N', ...test.dims]]]);
  const files = [
    { name: 'acnet.safetensors', bytes: writeSafetensors(model.stateDict(), metadata) },
    { name: 'acnet.onnx', bytes: writeOnnx({ ...graph, inputDims, metadata: new Map(Object.entries(metadata)) }) },
  ];
  const { accuracy } = before;
  const difference = largestDifference(before.logits, after.logits);
  const result = { form, images: test.size, accuracy, deployAccuracy: after.accuracy, difference, files };
  const examples = examplesOf(test, after.predictions);
  const logits = after.logits.subarray(0, EXAMPLES * test.classes.length);
  const done = { type: 'done', ...result, examples, logits: [...logits], normalisation };
  // Transferred, not copied: the page does nothing that takes long.
  postMessage(
    done,
    files.map(({ bytes }) => bytes.buffer),
  );
}

function classify(model, test, { mean, std }) {
  const { dims, classes, size } = test;
  const count = dims[0] * dims[1] * dims[2];
  const logits = new Float32Array(size * classes.length);
  const predictions = new Uint32Array(size);
  const pixels = new Uint8Array(count);
  let correct = 0;
  for (let begin = 0; begin < size; begin += BATCH) {
    const images = Math.min(BATCH, size - begin);
    const values = new Float32Array(images * count);
    const labels = Array.from({ length: images }, (_, i) => {
      const label = test.read(begin + i, pixels);
      for (let j = 0; j < count; j++) {
        const channel = Math.floor(j / (dims[1] * dims[2]));
        values[i * count + j] = (pixels[j] / 255 - mean[channel]) / std[channel];
      }
      return label;
    });
    const output = model.forward(new Tensor('float32', values, [images, ...dims]));
    logits.set(output.data, begin * classes.length);
    output.dispose();
    labels.forEach((label, i) => {
      const row = logits.subarray((begin + i) * classes.length, (begin + i + 1) * classes.length);
      predictions[begin + i] = row.indexOf(Math.max(...row));
      if (predictions[begin + i] === label) correct++;
    });
  }
  return { logits, predictions, accuracy: correct / size };
}

function examplesOf(test, predictions) {
  const [, height, width] = test.dims;
  return Array.from({ length: Math.min(EXAMPLES, test.size) }, (_, i) => {
    const pixels = new Uint8Array(height * width);
    const label = test.read(i, pixels);
    return { pixels, height, width, label: test.classes[label], predicted: test.classes[predictions[i]] };
  });
}

/** Largest difference, relative to the largest magnitude. */
function largestDifference(one, other) {
  let difference = 0;
  let largest = 0;
  one.forEach((value, i) => {
    difference = Math.max(difference, Math.abs(value - other[i]));
    largest = Math.max(largest, Math.abs(value));
  });
  return difference / largest;
}
