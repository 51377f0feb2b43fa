/** `acnet skeleton --data`: how accurate a network is while parts of its kernels are pruned away. */
import { createRuntime, fuseStateDict, type Layer, type Runtime, type StateDict } from '../index.js';
import { Batches } from '../train/batches.js';
import type { Dataset } from '../train/dataset.js';
import { type Normalisation, normalisationOf } from '../train/normalisation.js';
import type { Arguments } from './arguments.js';
import { predict } from './confusion.js';
import { CommandError, messageOf, UsageError } from './errors.js';
import { interruptible } from './interrupt.js';
import { parseNumbers } from './labels.js';
import { lineChart } from './lineChart.js';
import type { CheckpointFile } from './model.js';
import { withProgress } from './progress.js';
import { isPrunable, largestShare, PARTS, type Part, pruned } from './pruning.js';
import { formatTable } from './table.js';
import type { Terminal } from './terminal.js';
import { parseArchitecture, parseWholes } from './trainArguments.js';
import { openSets } from './trainData.js';
import { ARCHITECTURES } from './trainModel.js';

/** Accuracy, from 0 to 1, with this share of the weights set to zero. */
export type PrunedAccuracy = { readonly share: number } & Readonly<Record<Part, number>>;

const STEP = 0.05;
const BATCH = 100;

/** @throws {CommandError} when the checkpoint is not of this network, or the images do not fit it */
export async function prunedAccuracies(
  args: Arguments,
  file: string,
  { state, metadata }: CheckpointFile,
  eps: number,
): Promise<PrunedAccuracy[]> {
  const folder = args.text('data')!;
  const arch = parseArchitecture(args);
  const seed = args.whole('seed', 0) ?? 1;
  const channels = parseWholes(args, 'channels');
  const blocks = args.whole('blocks', 1);
  return interruptible(async (signal) => {
    const { training, test } = await openSets(folder, undefined, signal);
    const images = test ?? training;
    const merged = fuseStateDict(state, { eps });
    if (!Object.values(merged).some(isPrunable)) throw new CommandError(`${file}: has no kernel with a middle`);
    const runtime = await createRuntime();
    try {
      const options = { ...(channels && { channels }), ...(blocks && { blocksPerStage: blocks }) };
      const model = load(runtime, arch, options, file, merged, images);
      const batches = new Batches(images, BATCH, normalisationFrom(args, metadata, training));
      return await measure(model, merged, batches, seed, signal);
    } finally {
      runtime.dispose();
    }
  });
}

function load(
  runtime: Runtime,
  arch: string,
  options: object,
  file: string,
  merged: StateDict,
  { classes, dims }: Dataset,
): Layer {
  const form = Object.keys(merged).some((key) => /(^|\.)fused_conv\.weight$/.test(key)) ? 'deploy' : 'base';
  const { create } = ARCHITECTURES[arch]!;
  const model = create(runtime, { form, numClasses: classes.length, inChannels: dims[0], ...options });
  try {
    return model.loadStateDict(merged).eval();
  } catch (error) {
    throw new CommandError(`${file}: is no ${arch} for these images: ${messageOf(error)}`);
  }
}

function normalisationFrom(
  args: Arguments,
  metadata: Readonly<Record<string, string>>,
  training: Dataset,
): Normalisation {
  const numbers = (name: 'mean' | 'std'): number[] | undefined => {
    const text = args.text(name) ?? metadata[name];
    const parsed = text === undefined ? undefined : parseNumbers(text);
    if (text !== undefined && parsed === undefined) throw new UsageError(`--${name} is '${text}', expected numbers`);
    return parsed;
  };
  const [mean, std] = [numbers('mean'), numbers('std')];
  if (mean === undefined && std === undefined) return normalisationOf(training);
  if (mean === undefined || std === undefined) throw new UsageError('--mean and --std go together');
  return { mean, std };
}

async function measure(
  model: Layer,
  merged: StateDict,
  batches: Batches,
  seed: number,
  signal: AbortSignal,
): Promise<PrunedAccuracy[]> {
  const most = Math.min(...PARTS.map((part) => largestShare(merged, part)));
  const shares = Array.from({ length: Math.floor(most / STEP + 1e-9) + 1 }, (_, i) => Number((i * STEP).toFixed(2)));
  return withProgress('pruning', shares.length * PARTS.length, async (step) => {
    const rows: PrunedAccuracy[] = [];
    for (const share of shares) {
      const accuracies: number[] = [];
      for (const part of PARTS) {
        model.loadStateDict(pruned(merged, part, share, seed));
        accuracies.push((await predict(model, batches, signal)).accuracy);
        await step(rows.length * PARTS.length + accuracies.length);
      }
      const [corners, skeleton, anywhere] = accuracies as [number, number, number];
      rows.push({ share, corners, skeleton, anywhere });
    }
    return rows;
  });
}

export function pruningTable(rows: readonly PrunedAccuracy[], terminal: Terminal): string[] {
  const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
  return formatTable(
    [{ title: 'pruned', align: 'right' }, ...PARTS.map((title) => ({ title, align: 'right' as const }))],
    rows.map((row) => [`${Math.round(100 * row.share)} %`, ...PARTS.map((part) => percent(row[part]))]),
    [],
    terminal,
  );
}

export function pruningChart(title: string, rows: readonly PrunedAccuracy[]): string {
  const lines = PARTS.map((part) => ({ name: part, values: rows.map((row) => 100 * row[part]) }));
  const axis = { name: 'weights of the kernels set to zero (%)', values: rows.map(({ share }) => 100 * share) };
  return lineChart(`${title}, pruned`, axis, [{ title: 'accuracy', unit: '%', lines }]);
}
