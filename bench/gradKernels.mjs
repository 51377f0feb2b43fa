// npm run bench:grad: gradients of convolutions' weights as shares of the v128 peak, on layers of LeNet-5, Cifar-quick and
// ResNet-20 at batch 128. Floating-point operations are those of a direct sum, so that an algorithm with fewer may have
// more than all of the peak. A star marks what the plan chooses. Every layer takes turns with the loop that measures the peak.
import { median } from './measure.mjs';
import { openTestKernels } from './testKernels.mjs';
import { importSource, openTrainKernels } from './trainKernels.mjs';

const BATCH = 128;
const ROUNDS = 15;
const WARM_UP = 3;
/** Name, channels in and out, kernel, size of the input, padding, stride, and the kernel's width if it differs. */
const LAYERS = [
  ['LeNet-5', 1, 20, 5, 28, 0, 1],
  ['LeNet-5', 20, 50, 5, 12, 0, 1],
  ['Cifar-quick', 3, 32, 5, 32, 2, 1],
  ['Cifar-quick', 32, 32, 5, 15, 2, 1],
  ['Cifar-quick', 32, 64, 5, 7, 2, 1],
  ['ResNet-20', 3, 16, 3, 32, 1, 1],
  ['ResNet-20', 16, 16, 3, 32, 1, 1],
  ['ResNet-20', 32, 32, 3, 16, 1, 1],
  ['ResNet-20', 64, 64, 3, 8, 1, 1],
  ['ResNet-20', 16, 32, 3, 32, 1, 2],
  ['ResNet-20 ver', 16, 16, 3, 32, 1, 1, 1],
  ['ResNet-20 ver', 64, 64, 3, 8, 1, 1, 1],
  ['Cifar-quick ver', 32, 32, 5, 15, 2, 1, 1],
];

const { windowTable } = await importSource('plan/steps/windows.ts');
const { WEIGHT_GRAD_DESCRIPTOR } = await importSource('train/records.ts');
const { chooseWeightGradient, planWeightGradient, WEIGHT_GRADIENT_KERNELS } =
  await importSource('train/weightGradient.ts');
const build = process.argv[2] ?? 'baseline';
const only = process.argv[3];
const train = openTrainKernels(build);
const { kernels: test } = openTestKernels(build);

console.log(`node ${process.versions.node}, ${build} build, one thread, batch ${BATCH}`);
for (const layer of LAYERS) {
  const [name, inChannels, outChannels, kernel, size, padding, stride, kernelWidth = kernel] = layer;
  if (only !== undefined && !layer.join(' ').includes(only)) continue;
  const outSize = Math.floor((size + 2 * padding - kernel) / stride) + 1;
  const flops = 2 * BATCH * outSize ** 2 * inChannels * outChannels * kernel * kernelWidth;
  const title = `${name} ${inChannels}->${outChannels} ${kernel}x${kernelWidth}@${size}${stride > 1 ? ` stride ${stride}` : ''}`;
  for (const { name: algorithm, run } of tasksOf(layer.slice(1), outSize)) {
    const { rate, share, peak } = measure(run, flops);
    const figures = `${rate.toFixed(1)} GF/s, ${(100 * share).toFixed(0)} % of the peak (${peak.toFixed(1)})`;
    console.log(`${title.padEnd(36)} ${algorithm.padEnd(11)} ${figures}`);
  }
  train.clear();
}

function measure(run, flops) {
  const [rates, peaks] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    const peak = rateOf(() => test.multiplyAddPeak(100_000, 0.999, 0.001), 100_000 * 96);
    const rate = rateOf(run, flops);
    if (round < WARM_UP) continue;
    peaks.push(peak);
    rates.push(rate);
  }
  return { rate: median(rates), peak: median(peaks), share: median(rates.map((rate, i) => rate / peaks[i])) };
}

/** Measures processor time, since others may be using the machine. */
function rateOf(run, flops) {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return flops / (user + system) / 1e3;
}

/** The algorithms for a layer, with everything that they need in memory. */
function tasksOf([inChannels, outChannels, kernel, size, padding, stride, kernelWidth = kernel], outSize) {
  const [inLanes, outLanes] = [inChannels, outChannels].map((channels) => (channels + 3) & ~3);
  const window = {
    kernel: [kernel, kernelWidth],
    stride: [stride, stride],
    dilation: [1, 1],
    pads: [padding, kernelWidth === 1 ? 0 : padding, padding, padding],
  };
  const descriptor = {
    rowsPtr: train.putWords(windowTable(window, 0, 'zeros', size, outSize, size * inLanes * 4)),
    columnsPtr: train.putWords(windowTable(window, 1, 'zeros', size, outSize, inLanes * 4)),
    zerosPtr: train.putWords(new Array(Math.max(inLanes, outLanes)).fill(0)),
    batch: BATCH,
    outHeight: outSize,
    outWidth: outSize,
    kernelHeight: kernel,
    kernelWidth,
    groups: 1,
    inChannels,
    outChannels,
    inImageStride: size * size * inLanes * 4,
    gradPixelStride: outLanes * 4,
    columnShift: Math.min(stride, kernelWidth),
    chunkBlocks: 1,
  };
  const inPtr = train.putRandom(BATCH * size * size * inLanes);
  const gradPtr = train.putRandom(BATCH * outSize * outSize * outLanes);
  const outPtr = train.allocate(outChannels * inChannels * kernel * kernelWidth * 4);
  const { kernels } = train;
  const shape = { ...descriptor, kernel: window.kernel, stride: window.stride, dilation: window.dilation };
  /** A task of one thread, in the chunks that threads would share out. */
  const task = (algorithm) => {
    const { chunks, chunkBlocks, sumsBytes } = planWeightGradient(kernels, shape, algorithm);
    const descriptorPtr = train.putRecord(WEIGHT_GRAD_DESCRIPTOR, { ...descriptor, chunkBlocks });
    const sumsPtr = train.allocate(sumsBytes);
    const isDirect = algorithm === 'direct';
    const bytes = (isDirect ? kernels.weightGradScratchBytes : kernels.winogradGradScratchBytes)(descriptorPtr);
    const scratchPtr = train.allocate(bytes);
    const chosen = chooseWeightGradient(kernels, shape) === algorithm;
    const run = () => {
      const parts = [sumsPtr, gradPtr, scratchPtr, 0, chunks, 0, outChannels];
      kernels[WEIGHT_GRADIENT_KERNELS[algorithm]](descriptorPtr, inPtr, ...parts);
      if (isDirect) kernels.writeWeightGrad(descriptorPtr, sumsPtr, outPtr, chunks, 0, 0, outChannels);
      else kernels.writeWinogradWeightGrad(descriptorPtr, sumsPtr, outPtr, chunks, 0, scratchPtr, 0, outChannels);
    };
    return { name: algorithm + (chosen ? ' *' : ''), run };
  };
  return (stride === 1 ? ['direct', 'winograd'] : ['direct']).map(task);
}
