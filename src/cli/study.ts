/** `acnet study`: the question of the ACNet paper, whether a network is better with ACBlocks, over several seeds. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Layer } from '../index.js';
import { showName } from '../shown.js';
import type { TrainerFactory } from '../train/trainOptions.js';
import { type Arguments, expectPositionals } from './arguments.js';
import type { Command, Output } from './command.js';
import { CommandError, UsageError } from './errors.js';
import { writeWhole } from './files.js';
import { Interrupted, interruptible } from './interrupt.js';
import type { RunFolder } from './runFolder.js';
import { PICTURES, reportJson, reportLines, reportMarkdown, reportPictures, type Study } from './studyReport.js';
import { readResults, resultOf, type StudyResult, writeResults } from './studyResults.js';
import { ABLATION_VARIANTS, summarise, VARIANTS, type Variant } from './studySummary.js';
import { paint, printable } from './terminal.js';
import { MAX_THREADS, readSettings, SETTING_OPTIONS, settingsOf } from './trainArguments.js';
import { dataFor, openSets, type Sets } from './trainData.js';
import { runFolderOf, trainInFolder } from './trainRun.js';
import type { TrainSettings } from './trainSettings.js';

const DEFAULT_SEEDS = 3;
/** Options of `acnet train` that would make the networks of a study differ, or let the test images choose. */
const WITHOUT = ['form', 'seed', 'init', 'freeze', 'patience'];
const RUN_OPTIONS = Object.fromEntries(Object.entries(SETTING_OPTIONS).filter(([name]) => !WITHOUT.includes(name)));

const HELP = `Usage: acnet study --arch NAME --data DIR --out DIR [OPTIONS]

Trains a network as it is (base) and with Asymmetric Convolution Blocks (ACNet),
with the same settings and over the same seeds, merges each, and compares their
accuracies on the test images: means, standard deviations, and the difference
seed by seed. Each is tested with the weights of its last epoch, so the test
images choose nothing. The same networks are also tested on the images turned
and mirrored.

Options:
  --seeds N        Seeds from 1 to N (default ${DEFAULT_SEEDS})
  --ablation       Train three more: with the vertical branch alone beside the
                   square one, with the horizontal one alone, and with one
                   BatchNorm after the sum instead of one for each branch
  -o, --out DIR    Where it is kept: a folder for each run, as acnet train makes
                   it, results.csv, study.md, ${PICTURES.accuracy} and ${PICTURES.changed}
  --threads N      Threads (default 1); the result does not depend on it
  --json           Print events and the result as JSON, one a line
  --help           Print this

And those of acnet train (acnet train --help), but for
  ${WITHOUT.map((name) => `--${name}`).join(', ')}

Ctrl-C saves; the same command goes on: runs that are finished are kept, and one
that has begun is taken up. Tables and pictures are written after each run.
`;

/** One of the networks of a study. */
interface StudyRun {
  readonly variant: Variant;
  readonly settings: TrainSettings;
  readonly folder: RunFolder;
}

/** @param createTrainer where steps are made */
export function studyCommand(createTrainer: TrainerFactory<Layer>): Command {
  return {
    name: 'study',
    summary: 'Train with and without ACBlocks over several seeds, and compare',
    help: HELP,
    options: {
      ...RUN_OPTIONS,
      out: { type: 'string', short: 'o' },
      seeds: { type: 'string' },
      ablation: { type: 'boolean' },
      threads: { type: 'string' },
    },
    async run(args, output) {
      expectPositionals(args, []);
      const threads = args.whole('threads', 1, MAX_THREADS) ?? 1;
      const settings = settingsOf(args);
      const seeds = args.whole('seeds', 1) ?? DEFAULT_SEEDS;
      const out = args.text('out');
      if (out === undefined) throw new UsageError('--out DIR is missing');
      const variants = [...VARIANTS, ...(args.flag('ablation') ? ABLATION_VARIANTS : [])];
      const runs = runsOf(settings, variants, seeds, out);
      for (const run of runs) await checkFolder(run);
      return interruptible(async (signal) => {
        const sets = await openSets(settings.data, settings.size, signal);
        const { test } = sets;
        if (test === undefined)
          throw new CommandError(`${settings.data}: has no test images, which a study compares on`);
        const command = commandOf(args);
        const known = await readResults(path.join(out, 'results.csv'));
        const results = new Map<StudyRun, StudyResult>();
        const study = (): Study => {
          const found = runs.flatMap((run) => results.get(run) ?? []);
          return { settings, command, testImages: test.size, summaries: summarise(variants, found), results: found };
        };
        const conclude = async (run: StudyRun): Promise<void> => {
          results.set(run, await resultOf(run.variant.name, run.settings, run.folder, test, known, signal));
          await write(out, study());
        };
        for (const run of runs) if (await run.folder.isFinished()) await conclude(run);
        for (const [i, run] of runs.entries()) {
          if (results.has(run)) continue;
          const title = `${run.variant.title}, seed ${run.settings.seed} (${i + 1} of ${runs.length})`;
          output.lines([paint(title, 'bold', output.terminal)]);
          await trainOne(run, { createTrainer, sets, threads, signal, output: outputOf(run, output) });
          output.lines(['']);
          await conclude(run);
        }
        output.jsonLine(reportJson(study()));
        const written = `${paint('Written', 'green', output.terminal)} ${printable(path.join(out, 'study.md'))}`;
        output.lines([...reportLines(study(), output.terminal), '', written]);
        return true;
      });
    },
  };
}

/** Seed by seed, so that what is there after an interruption can be compared. */
function runsOf(settings: TrainSettings, variants: readonly Variant[], seeds: number, out: string): StudyRun[] {
  return Array.from({ length: seeds }, (_, i) => i + 1).flatMap((seed) =>
    variants.map((variant) => {
      const own = { ...settings, form: variant.form, seed };
      return { variant, settings: own, folder: runFolderOf(path.join(out, `${variant.name}-seed${seed}`), own) };
    }),
  );
}

/** @throws {CommandError} when it holds something else */
async function checkFolder({ settings, folder }: StudyRun): Promise<void> {
  if (!(await folder.isBegun())) return folder.assertEmpty();
  const config = folder.file('config');
  const there = readSettings(new TextDecoder().decode(await folder.read('config')), config);
  const names = new Set([...Object.keys(settings), ...Object.keys(there)]) as Set<keyof TrainSettings>;
  for (const name of names) {
    const [wanted, got] = [settings[name], there[name]].map((value) => JSON.stringify(value));
    if (wanted === got) continue;
    throw new CommandError(
      `${config}: ${showName(name)} must be ${wanted ?? 'none'}, as in this study, got ${got ?? 'none'}`,
    );
  }
}

interface Surroundings {
  readonly createTrainer: TrainerFactory<Layer>;
  readonly sets: Sets;
  readonly threads: number;
  readonly signal: AbortSignal;
  readonly output: Output;
}

async function trainOne({ settings, folder }: StudyRun, { sets, output, ...rest }: Surroundings): Promise<void> {
  try {
    const isResumed = await folder.isBegun();
    await trainInFolder({ ...rest, output, settings, folder, isResumed, data: dataFor(settings, sets) });
  } catch (error) {
    if (error instanceof Interrupted) output.complain(printable(`saved in ${folder.folder}; the same command goes on`));
    throw error;
  }
}

/** Adds to events which network they are of. */
function outputOf({ variant, settings: { seed } }: StudyRun, output: Output): Output {
  return { ...output, jsonLine: (value) => output.jsonLine({ network: variant.name, seed, ...(value as object) }) };
}

async function write(out: string, study: Study): Promise<void> {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  const { accuracy, changed } = reportPictures(study);
  await mkdir(out, { recursive: true });
  await writeWhole([
    { file: path.join(out, 'results.csv'), bytes: bytes(writeResults(study.results)) },
    { file: path.join(out, 'study.md'), bytes: bytes(reportMarkdown(study)) },
    { file: path.join(out, PICTURES.accuracy), bytes: bytes(accuracy) },
    { file: path.join(out, PICTURES.changed), bytes: bytes(changed) },
  ]);
}

/** The command line, to repeat the study. */
function commandOf(args: Arguments): string {
  const options = [
    ...Object.entries(RUN_OPTIONS),
    ['seeds', { type: 'string' }],
    ['ablation', { type: 'boolean' }],
  ] as [string, { type: string }][];
  const words = options.flatMap(([name, { type }]) => {
    if (type === 'boolean') return args.flag(name) ? [`--${name}`] : [];
    const value = args.text(name);
    return value === undefined ? [] : [`--${name} ${/^[\w./:,-]+$/.test(value) ? value : JSON.stringify(value)}`];
  });
  return ['npx acnet study', ...words, '--out study'].join(' ');
}
