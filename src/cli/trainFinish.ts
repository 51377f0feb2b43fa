/** The end of a run: the best epoch tested in both forms, merged and written. */
import { type Layer, readSafetensors, reparameterize, toGraph, writeOnnx, writeSafetensors } from '../index.js';
import { Batches } from '../train/batches.js';
import { type RunIdentity, readTrainingCheckpoint, stateMetadata, writeState } from '../train/checkpoint.js';
import { subset } from '../train/dataset.js';
import type { Output } from './command.js';
import { confusionChart, predict } from './confusion.js';
import { differenceOf } from './difference.js';
import { CommandError } from './errors.js';
import type { RunFolder } from './runFolder.js';
import { significant } from './table.js';
import { paint, printable } from './terminal.js';
import type { TrainData } from './trainData.js';
import type { TrainSettings } from './trainSettings.js';

/** Largest difference between the logits of both forms, relative to the largest logit. */
const TOLERANCE = 1e-3;
/** Training images that the forms are compared on if there are no others. */
const COMPARED = 1000;

export async function finish(
  model: Layer,
  data: TrainData,
  settings: TrainSettings,
  folder: RunFolder,
  signal: AbortSignal,
  output: Output,
): Promise<void> {
  const { identity } = readTrainingCheckpoint(await folder.read('last'));
  model.eval();
  if (data.validation === undefined) await folder.write('best', writeState(model.stateDict(), identity));
  else model.loadStateDict(readSafetensors(await folder.read('best')).tensors);

  const { judged, what } = judgedIn(data);
  const batches = new Batches(judged, settings.batchSize, identity);
  const before = await predict(model, batches, signal);
  model.switchToDeploy();
  const after = await predict(model, batches, signal);
  const difference = Math.max(...before.logits.map((logits, i) => differenceOf(logits, after.logits[i]!)));
  // NaN is not below anything.
  if (!(difference <= TOLERANCE)) {
    throw new CommandError(
      `the merged form differs by ${significant(difference)} of the largest logit; it is not written`,
    );
  }
  await folder.write('confusion', confusionChart(after.confusion, judged.classes, what));
  await folder.write('deploy', writeSafetensors(model.stateDict(), stateMetadata(identity)));
  await folder.write('onnx', onnxOf(model, identity));

  const result = { images: judged.size, accuracy: before.accuracy, deployAccuracy: after.accuracy, difference };
  output.jsonLine({ type: 'result', set: what, ...result });
  const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
  const { terminal } = output;
  output.lines([
    '',
    `Accuracy on ${what} images: ${percent(before.accuracy)} as trained, ${percent(after.accuracy)} merged`,
    `Largest difference of the logits: ${significant(difference)} of the largest`,
    `${paint('Written', 'green', terminal)} ${printable(`${folder.file('deploy')} and ${folder.file('onnx')}`)}`,
  ]);
}

function judgedIn({ training, validation, test }: TrainData) {
  if (test !== undefined) return { judged: test, what: 'test' };
  if (validation !== undefined) return { judged: validation, what: 'validation' };
  const indices = Array.from({ length: Math.min(COMPARED, training.size) }, (_, i) => i);
  return { judged: subset(training, indices), what: 'training' };
}

/** An ONNX file, with what `acnet run` looks for in a model's metadata. */
function onnxOf(model: Layer, identity: RunIdentity): Uint8Array {
  const { graph } = reparameterize(toGraph(model));
  const inputDims = new Map([[graph.inputs[0]!, ['N', ...identity.dims]]]);
  return writeOnnx({ ...graph, inputDims, metadata: new Map(Object.entries(stateMetadata(identity))) });
}
