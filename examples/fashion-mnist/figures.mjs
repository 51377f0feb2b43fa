/** The work of the demo: classify in both forms, compare, time. Gives plain data, which `--json` prints as it is. */
import { cpus } from 'node:os';
import process from 'node:process';
import { createRuntime } from 'acnet-wasm';
import { CLASSES } from './dataset.mjs';
import { classify, confidence, loadNetwork, logitsOf, measureNetwork, timeNetworks } from './network.mjs';
import { withProgress } from './progress.mjs';

const TIMING = { rounds: 500, warmUp: 100 };

/**
 * @param {{ simd: string, batch: number, progress: boolean }} options
 * @param {(subject: object) => void} onStart called with what is going to be measured, before the long part
 */
export async function measureBothForms(dataset, { simd, batch, progress }, onStart) {
  const runtime = await createRuntime({ simd });
  const subject = {
    images: dataset.count,
    batch,
    build: runtime.simd,
    threads: runtime.threads,
    engine: engineName(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
  };
  onStart(subject);

  const net = loadNetwork(runtime);
  const trainSize = measureNetwork(net);
  const trainResult = await withProgress('train form ', dataset.count, progress, (report) =>
    classify(net, dataset, batch, report),
  );
  net.switchToDeploy();
  const deploySize = measureNetwork(net);
  const deployResult = await withProgress('deploy form', dataset.count, progress, (report) =>
    classify(net, dataset, batch, report),
  );

  const rounds = TIMING.warmUp + TIMING.rounds;
  const [trainTime, deployTime] = await withProgress('timing     ', rounds, progress, (report) =>
    timeNetworks([loadNetwork(runtime), net], dataset, TIMING, report),
  );

  const figures = {
    ...subject,
    train: figuresOf(dataset, trainSize, trainResult, trainTime),
    deploy: figuresOf(dataset, deploySize, deployResult, deployTime),
    differingPredictions: trainResult.classes.filter((each, i) => each !== deployResult.classes[i]).length,
    largestLogitDifference: largestDifference(trainResult.logits, deployResult.logits),
    speedUp: trainTime / deployTime,
    timing: { imagesAtATime: 1, ...TIMING },
    memory: { peak: runtime.memory.peak, reserved: runtime.memory.reserved },
    examples: pickExamples(dataset, deployResult.classes).map((image) => ({
      image,
      label: CLASSES[dataset.labels[image]],
      prediction: CLASSES[deployResult.classes[image]],
      probability: confidence(runtime, logitsOf(deployResult.logits, image)),
    })),
  };
  runtime.dispose();
  return figures;
}

function figuresOf(dataset, size, { classes, bytes }, milliseconds) {
  const correct = classes.filter((each, i) => each === dataset.labels[i]).length;
  return {
    correct,
    accuracy: correct / dataset.count,
    parameters: size.learned,
    parametersWithStatistics: size.stored,
    convolutionMacs: size.convolutionMacs,
    millisecondsPerImage: milliseconds,
    memory: bytes,
  };
}

function largestDifference(a, b) {
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i])), 0);
}

/** The first image of each of four classes, all rightly classified, and in their middle the first wrong one. */
function pickExamples(dataset, classes) {
  const isRight = (i) => classes[i] === dataset.labels[i];
  const right = CLASSES.map((_, label) => classes.findIndex((each, i) => each === label && isRight(i)))
    .filter((image) => image >= 0)
    .sort((a, b) => a - b);
  const wrong = classes.findIndex((_, i) => !isRight(i));
  return [...right.slice(0, 2), ...(wrong < 0 ? [] : [wrong]), ...right.slice(2, 4)];
}

function engineName() {
  const { bun, deno, node } = process.versions;
  if (bun !== undefined) return `Bun ${bun}`;
  return deno === undefined ? `Node ${node}` : `Deno ${deno}`;
}
