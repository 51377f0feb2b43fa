/**
 * The results of a study: the accuracy of each network, after its last epoch and merged, on the test images and on
 * changed ones. They are kept in results.csv, a line for each network, with the checksum of its checkpoint, so that
 * none is tested twice.
 */
import { readFile } from 'node:fs/promises';
import { crc32 } from '../bytes/crc32.js';
import { createRuntime, type StateDict } from '../index.js';
import { Batches } from '../train/batches.js';
import { readTrainingCheckpoint } from '../train/checkpoint.js';
import type { Dataset } from '../train/dataset.js';
import { CHANGES, type ChangeName, changed, changesFor } from './changes.js';
import { predict } from './confusion.js';
import type { RunFolder } from './runFolder.js';
import { buildModel } from './trainModel.js';
import type { TrainSettings } from './trainSettings.js';

export interface StudyResult {
  readonly network: string;
  readonly seed: number;
  /** Checksum of the checkpoint, in hexadecimal. */
  readonly checkpoint: string;
  /** From 0 to 1, by change of the images. */
  readonly accuracies: Readonly<Partial<Record<ChangeName, number>>>;
}

const BATCH = 100;
const HEAD = ['network', 'seed', 'checkpoint'];

/** The result of a finished run; `known` are earlier results. */
export async function resultOf(
  network: string,
  settings: TrainSettings,
  folder: RunFolder,
  test: Dataset,
  known: readonly StudyResult[],
  signal: AbortSignal,
): Promise<StudyResult> {
  const bytes = await folder.read('last');
  const checkpoint = crc32(bytes, 0, bytes.length).toString(16).padStart(8, '0');
  const { seed } = settings;
  const wanted = changesFor(test);
  const same = known.find((one) => one.network === network && one.seed === seed && one.checkpoint === checkpoint);
  if (same !== undefined && wanted.every((name) => same.accuracies[name] !== undefined)) return same;
  const { identity, model, average } = readTrainingCheckpoint(bytes);
  const accuracies = await accuraciesOf(average ?? model, settings, test, identity, wanted, signal);
  return { network, seed, checkpoint, accuracies };
}

async function accuraciesOf(
  state: StateDict,
  settings: TrainSettings,
  test: Dataset,
  normalisation: ConstructorParameters<typeof Batches>[2],
  wanted: readonly ChangeName[],
  signal: AbortSignal,
): Promise<StudyResult['accuracies']> {
  const runtime = await createRuntime();
  try {
    const model = buildModel(runtime, settings, test).loadStateDict(state).eval().switchToDeploy();
    const accuracies: Partial<Record<ChangeName, number>> = {};
    for (const name of wanted) {
      const batches = new Batches(changed(test, name), BATCH, normalisation);
      accuracies[name] = (await predict(model, batches, signal)).accuracy;
    }
    return accuracies;
  } finally {
    runtime.dispose();
  }
}

export function writeResults(results: readonly StudyResult[]): string {
  const names = Object.keys(CHANGES) as ChangeName[];
  const rows = results.map(({ network, seed, checkpoint, accuracies }) =>
    [network, seed, checkpoint, ...names.map((name) => accuracies[name] ?? '')].join(','),
  );
  return `${[[...HEAD, ...names].join(','), ...rows].join('\n')}\n`;
}

/** The results in a file; none if the file is not of this kind. */
export async function readResults(file: string): Promise<StudyResult[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const [head, ...rows] = text.trimEnd().split('\n');
  const names = Object.keys(CHANGES) as ChangeName[];
  if (head !== [...HEAD, ...names].join(',')) return [];
  return rows.map((row) => {
    const [network, seed, checkpoint, ...cells] = row.split(',');
    const accuracies = names.flatMap((name, i) => (cells[i] ? [[name, Number(cells[i])] as const] : []));
    return {
      network: network!,
      seed: Number(seed),
      checkpoint: checkpoint!,
      accuracies: Object.fromEntries(accuracies),
    };
  });
}
